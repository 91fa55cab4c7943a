//! What the state machine refuses.

use serde_json::{Value, json};

use super::{shortened, show};
use crate::support::Ledger;

/// What the state machine refuses takes a position and changes nothing else; its key is settled for ever.
pub(super) struct Decided<'a> {
    ledger: &'a Ledger,
    pub(super) text: String,
    codes: std::collections::BTreeSet<String>,
}

impl<'a> Decided<'a> {
    pub(super) fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, text: String::new(), codes: std::collections::BTreeSet::new() }
    }

    pub(super) async fn check(&mut self, code: &str, path: &str, body: Value) {
        let key = format!("refused-{}", self.codes.len());
        let path = format!("/v1/books/acme/{path}");
        let (before, digest) = (self.ledger.position(), self.ledger.digest().await);
        let answer = self.ledger.post(&path, &key, &body).await;
        show(&mut self.text, code, &format!("POST {path} {}", shortened(&body.to_string())), &answer);
        let problem = answer.body();
        assert_eq!(problem["code"], code, "{}", answer.text);
        assert_eq!(problem["status"], answer.status.as_u16());
        assert_eq!(problem["position"], before + 1, "it takes the next position");
        assert_eq!(answer.position(), before + 1);
        assert_eq!(self.ledger.digest().await, digest, "{code}: something changed");

        let again = self.ledger.post(&path, &key, &body).await;
        assert_eq!((again.status, &again.text), (answer.status, &answer.text), "a replay is the first answer");
        assert!(again.replayed() && !answer.replayed());
        assert_eq!(self.ledger.position(), before + 1, "a replay takes no position");
        let known = self.ledger.get(&format!("/v1/books/acme/keys/{key}")).await.expect(200);
        assert_eq!(known["answer"], problem);
        assert_eq!(known["status"], problem["status"]);
        self.codes.insert(code.to_owned());
    }
}

async fn furnish(ledger: &Ledger) {
    let charge = |id: &str, customer: &str, currency: &str, amount: &str| {
        let mut body = json!({"id": id, "customer": customer, "currency": currency, "revenue": "revenue:subscription", "amount": amount, "effective_date": "2026-01-01"});
        if currency != "USD" {
            body["rate"] = json!("1.10");
        }
        body
    };
    ledger.made("charges", "in_1", charge("in_1", "cus_1", "USD", "100.00")).await;
    ledger.made("charges", "in_2", charge("in_2", "cus_2", "USD", "100.00")).await;
    ledger.made("charges", "in_3", charge("in_3", "cus_1", "EUR", "100.00")).await;
    ledger.made("charges", "in_4", charge("in_4", "cus_1", "USD", "5.00")).await;
    ledger.made("charges/in_4/void", "in_4v", json!({})).await;
    ledger.made("payments", "pay_1", json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "60.00", "currency": "USD", "apply": [{"charge": "in_1", "amount": "40.00"}], "effective_date": "2026-01-02"})).await;
    ledger.made("payments", "pay_2", json!({"id": "pay_2", "customer": "cus_1", "processor": "stripe", "amount": "20.00", "currency": "USD", "capture": "manual"})).await;
    ledger.made("payments", "pay_3", json!({"id": "pay_3", "customer": "cus_1", "processor": "stripe", "amount": "20.00", "currency": "USD", "capture": "manual"})).await;
    ledger.made("payments/pay_3/void", "pay_3v", json!({})).await;
    ledger
        .made(
            "refunds",
            "re_1",
            json!({"id": "re_1", "payment": "pay_1", "amount": "1.00", "effective_date": "2026-01-03"}),
        )
        .await;
    ledger.made("holds", "h_1", json!({"id": "h_1", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "5.00", "currency": "USD"})).await;
    ledger.made("holds/h_1/void", "h_1v", json!({})).await;
    ledger
        .made(
            "accounts",
            "petty",
            json!({"code": "assets:petty-cash", "name": "Petty cash", "class": "asset", "overdraft": "forbid"}),
        )
        .await;
    ledger.made("accounts", "old", json!({"code": "assets:old", "name": "Old", "class": "asset"})).await;
    ledger.made("accounts/assets:old/close", "oldc", json!({})).await;
    let transfer = ledger
        .made(
            "transfers",
            "t_1",
            json!({"debit": "assets:petty-cash", "credit": "assets:bank", "amount": "0.40", "currency": "USD"}),
        )
        .await;
    ledger.made(&format!("entries/{}/reverse", transfer["number"]), "t_1r", json!({})).await;
    ledger
        .made(
            "transfers",
            "t_2",
            json!({"debit": "assets:petty-cash", "credit": "assets:bank", "amount": "0.40", "currency": "USD"}),
        )
        .await;
    ledger.made("periods/2026-01/soft-close", "soft", json!({})).await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list to read from top to bottom")]
async fn what_the_state_machine_refuses_is_final_and_changes_nothing() {
    let ledger = Ledger::with_book().await;
    furnish(&ledger).await;
    let mut check = Decided::new(&ledger);
    let transfer = |debit: &str, credit: &str, amount: &str, currency: &str| json!({"debit": debit, "credit": credit, "amount": amount, "currency": currency});

    check
        .check(
            "already_exists",
            "charges",
            json!({"id": "in_1", "customer": "cus_9", "currency": "USD", "revenue": "revenue:usage", "amount": "1.00"}),
        )
        .await;
    for (kind, body) in [
        (
            "payments",
            json!({"id": "pay_1", "customer": "cus_9", "account": "assets:bank", "currency": "USD", "amount": "1.00"}),
        ),
        ("refunds", json!({"id": "re_1", "payment": "pay_1", "amount": "0.01"})),
        (
            "holds",
            json!({"id": "h_1", "debit": "assets:bank", "credit": "assets:bank", "amount": "1.00", "currency": "USD"}),
        ),
        ("accounts", json!({"code": "assets:bank", "name": "Bank", "class": "asset"})),
        ("currencies", json!({"code": "EUR", "decimals": 2})),
    ] {
        let answer = ledger.post(&format!("/v1/books/acme/{kind}"), &format!("again-{kind}"), &body).await;
        show(&mut check.text, "already_exists", &format!("POST {kind}"), &answer);
        assert_eq!(answer.expect(409)["code"], "already_exists", "{kind}");
    }
    let first_transfer = ledger.get("/v1/books/acme/keys/t_1").await.expect(200)["answer"]["number"].clone();
    check.check("already_reversed", &format!("entries/{first_transfer}/reverse"), json!({})).await;
    check.check("not_reversible", "entries/1/reverse", json!({})).await;
    check.check("too_many_decimals", "transfers", transfer("assets:bank", "assets:petty-cash", "0.001", "USD")).await;
    check.check("unknown_account", "transfers", transfer("assets:bank", "assets:gold", "1.00", "USD")).await;
    check.check("unknown_currency", "transfers", transfer("assets:bank", "assets:petty-cash", "1.00", "XXY")).await;
    check.check("account_closed", "transfers", transfer("assets:bank", "assets:old", "1.00", "USD")).await;
    check.check("account_not_empty", "accounts/assets:petty-cash/close", json!({})).await;
    check
        .check("party_required", "transfers", transfer("assets:bank", "liabilities:customer-prepaid", "1.00", "USD"))
        .await;
    check
        .check("party_not_allowed", "transfers", transfer("assets:bank/cus_1", "assets:petty-cash", "1.00", "USD"))
        .await;
    check.check("item_required", "transfers", transfer("assets:bank", "assets:receivable/cus_1", "1.00", "USD")).await;
    check
        .check(
            "item_not_allowed",
            "entries",
            json!({"lines": [
        {"account": "assets:bank", "item": "x", "side": "debit", "amount": "1.00", "currency": "USD"},
        {"account": "assets:petty-cash", "side": "credit", "amount": "1.00", "currency": "USD"}]}),
        )
        .await;
    check
        .check("currency_not_allowed", "transfers", transfer("assets:bank", "revenue:subscription", "1.00", "EUR"))
        .await;
    check.check("overdraft", "transfers", transfer("assets:bank", "assets:petty-cash", "0.41", "USD")).await;
    check
        .check(
            "rate_required",
            "charges",
            json!({"id": "in_9", "customer": "cus_1", "currency": "EUR", "revenue": "revenue:usage", "amount": "1.00"}),
        )
        .await;
    check
        .check("unknown_document", "payments/pay_9/apply", json!({"apply": [{"charge": "in_1", "amount": "1.00"}]}))
        .await;
    check
        .check("customer_mismatch", "payments/pay_1/apply", json!({"apply": [{"charge": "in_2", "amount": "1.00"}]}))
        .await;
    check
        .check("currency_mismatch", "payments/pay_1/apply", json!({"apply": [{"charge": "in_3", "amount": "1.00"}]}))
        .await;
    check.check("charge_not_open", "charges/in_4/void", json!({})).await;
    check.check("payment_not_open", "payments/pay_3/capture", json!({})).await;
    check.check("hold_not_open", "holds/h_1/capture", json!({})).await;
    check.check("over_capture", "payments/pay_2/capture", json!({"amount": "20.01"})).await;
    check
        .check("over_application", "payments/pay_1/apply", json!({"apply": [{"charge": "in_1", "amount": "20.01"}]}))
        .await;
    check.check("over_refund", "refunds", json!({"id": "re_9", "payment": "pay_1", "amount": "59.01"})).await;
    let atomic = json!({"atomic": true, "transfers": [transfer("assets:petty-cash", "assets:bank", "1.00", "USD"), transfer("assets:bank", "assets:petty-cash", "9.00", "USD")]});
    let mut late = transfer("assets:bank", "assets:petty-cash", "1.00", "USD");
    late["effective_date"] = json!("2026-01-31");
    check.check("period_closed", "transfers", late).await;
    check.check("rate_missing", "revaluations", json!({"date": "2026-02-28"})).await;
    check.check("period_out_of_order", "periods/2026-03/soft-close", json!({})).await;
    check.check("period_state", "periods/2026-01/soft-close", json!({})).await;
    check.check("period_not_ready", "periods/2026-01/close", json!({})).await;
    check.check("overdraft", "transfers:batch", atomic).await;

    let empty = json!({"id": "bare", "functional_currency": "USD", "chart": "empty"});
    ledger.post("/v1/books", "bare", &empty).await.expect(201);
    let charge =
        json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:usage", "amount": "1.00"});
    let answer = ledger.post("/v1/books/bare/charges", "bare", &charge).await;
    show(&mut check.text, "role_missing", "POST /v1/books/bare/charges", &answer);
    assert_eq!(answer.expect(422)["code"], "role_missing");

    let listed = [
        "already_exists",
        "already_reversed",
        "too_many_decimals",
        "unknown_account",
        "unknown_currency",
        "account_closed",
        "party_required",
        "party_not_allowed",
        "item_required",
        "item_not_allowed",
        "currency_not_allowed",
        "overdraft",
        "not_reversible",
        "rate_required",
        "unknown_document",
        "customer_mismatch",
        "currency_mismatch",
        "charge_not_open",
        "payment_not_open",
        "hold_not_open",
        "over_capture",
        "over_application",
        "over_refund",
    ];
    for code in listed {
        assert!(check.codes.contains(code), "{code} was not tried");
    }
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}

#[tokio::test]
async fn a_reused_key_takes_no_position() {
    let ledger = Ledger::with_book().await;
    let transfer = |amount: &str| json!({"debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": amount, "currency": "USD"});
    let first = ledger.post("/v1/books/acme/transfers", "k", &transfer("1.0")).await;
    let same = ledger.post("/v1/books/acme/transfers", "k", &transfer("1.00")).await;
    assert_eq!((same.status, &same.text, same.replayed()), (first.status, &first.text, true), "1.0 is 1.00");
    let (digest, head) = (ledger.digest().await, ledger.head().await);
    let other = ledger.post("/v1/books/acme/transfers", "k", &transfer("2.00")).await;
    assert_eq!(other.position(), first.position());
    assert_eq!(
        other.expect(422),
        json!({"type": "/errors/idempotency_key_reused", "title": "The idempotency key was used for another request",
            "status": 422, "code": "idempotency_key_reused", "decided_at": first.position(),
            "detail": "the idempotency key was used before, for a request with other content (position 2)"})
    );
    assert_eq!((ledger.digest().await, ledger.head().await), (digest, head));
    let batch = json!({"transfers": [{"idempotency_key": "k", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "1", "currency": "USD"},
        {"idempotency_key": "k", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "3", "currency": "USD"}]});
    let answer = ledger.post("/v1/books/acme/transfers:batch", "ignored", &batch).await.expect(200);
    assert_eq!(
        answer,
        json!({"results": [{"status": "replayed", "number": 1, "position": 2}, {"status": "rejected", "code": "idempotency_key_reused", "decided_at": 2}]})
    );
    ledger.close().await;
}
