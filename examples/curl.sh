#!/usr/bin/env bash
# Charges a customer, takes the payment, refunds half and reads the balances. Start `partita serve` first.
# Every write has an idempotency key: run it twice, and the second time changes nothing.
set -euo pipefail
export BOOKS="${BOOKS:-http://127.0.0.1:7070/v1/books}"
curl -sSw '\n' --fail-with-body --json '{"id":"acme","name":"Acme Inc","functional_currency":"USD","time_zone":"UTC","chart":"saas"}' -H 'Idempotency-Key: k1' "$BOOKS"
curl -sSw '\n' --fail-with-body --json '{"id":"in_1","customer":"cus_1","currency":"USD","amount":"108.25","revenue":"revenue:subscription","tax":[{"jurisdiction":"us-ca","amount":"8.25"}]}' -H 'Idempotency-Key: k2' "$BOOKS/acme/charges"
curl -sSw '\n' --fail-with-body "$BOOKS/acme/accounts/assets:receivable/balance?party=cus_1"
curl -sSw '\n' --fail-with-body --json '{"id":"pay_1","customer":"cus_1","processor":"stripe","amount":"108.25","currency":"USD","apply":[{"charge":"in_1","amount":"108.25"}],"fee":"3.44"}' -H 'Idempotency-Key: k3' "$BOOKS/acme/payments"
curl -sSw '\n' --fail-with-body "$BOOKS/acme/accounts/assets:receivable/balance?party=cus_1"
curl -sSw '\n' --fail-with-body --json '{"id":"re_1","payment":"pay_1","amount":"54.13","reason":"requested_by_customer"}' -H 'Idempotency-Key: k4' "$BOOKS/acme/refunds"
curl -sSw '\n' --fail-with-body "$BOOKS/acme/payments/pay_1"
curl -sSw '\n' --fail-with-body "$BOOKS/acme/accounts/assets:processor-clearing/postings?party=stripe&order=oldest"
curl -sSw '\n' --fail-with-body "$BOOKS/acme/reports/trial-balance?format=text"
