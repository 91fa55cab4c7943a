#!/usr/bin/env bash
# The story of docs/accounting.md over HTTP; start `partita serve` first. Run twice, it changes nothing the second time.
set -euo pipefail
books="${BOOKS:-http://127.0.0.1:7070/v1/books}"
step=0

# post PATH BODY: one write with its own idempotency key; 4xx answers are shown too, a refusal is part of the story.
post() {
    step=$((step + 1))
    printf '\n%s\n' "$1 $2"
    curl -sS -w '\n' --json "$2" -H "Idempotency-Key: primer-$step" "$books$1"
}

post '' '{"id":"primer","name":"Primer Inc","functional_currency":"USD","time_zone":"UTC","chart":"saas"}'
# An annual plan in advance: earned later, so the net is deferred; the tax is owed at once.
post /primer/charges '{"id":"in_1","customer":"cus_1","currency":"USD","amount":"1299.00","revenue":"revenue:subscription",
  "tax":[{"jurisdiction":"us-ca","amount":"99.00"}],"defer":{"from":"2026-01-01","to":"2026-12-31"}}'
# More money than the invoice asks for: the rest is unapplied cash.
post /primer/payments '{"id":"pay_1","customer":"cus_1","account":"assets:bank","amount":"1350.00","currency":"USD",
  "apply":[{"charge":"in_1","amount":"1350.00"}]}'
post /primer/charges '{"id":"in_2","customer":"cus_1","currency":"USD","amount":"89.31","revenue":"revenue:usage",
  "tax":[{"jurisdiction":"us-ca","amount":"6.81"}]}'
post /primer/payments/pay_1/apply '{"apply":[{"charge":"in_2","amount":"51.00"}]}'
# A card: authorised for 50.00, captured for what is still open, the rest released; then the processor's fee.
post /primer/payments '{"id":"pay_2","customer":"cus_1","processor":"stripe","amount":"50.00","currency":"USD",
  "capture":"manual","apply":[{"charge":"in_2","amount":"38.31"}]}'
post /primer/payments/pay_2/capture '{"amount":"38.31","fee":"1.41"}'
# A refund in two steps: owed to the customer first, paid out later.
post /primer/refunds '{"id":"re_1","payment":"pay_2","amount":"10.00","settle":"manual","reason":"requested_by_customer"}'
post /primer/refunds/re_1/settle '{}'
# An invoice in euros in a dollar book: every currency balances by itself, through the FX position.
post /primer/charges '{"id":"in_3","customer":"cus_2","currency":"EUR","rate":"1.10","amount":"120.00",
  "revenue":"revenue:subscription","tax":[{"jurisdiction":"de","amount":"20.00"}]}'
# A mistake, and its mirror image. What an operation posted is undone by an operation, not by a reversal.
post /primer/entries '{"lines":[
  {"account":"expenses:processing-fees","side":"debit","amount":"15.00","currency":"USD"},
  {"account":"assets:bank","side":"credit","amount":"15.00","currency":"USD"}]}'
post /primer/entries/9/reverse '{}'
post /primer/entries/10/reverse '{}'

printf '\n'
curl -sS -w '\n' --fail-with-body "$books/primer/reports/trial-balance?format=text"
