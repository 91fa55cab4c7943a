//! Bodies that are refused before the proposal.

use serde_json::{Value, json};

use super::{Undecided, entry, line};
use crate::support::Ledger;

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list to read from top to bottom")]
async fn what_is_malformed_leaves_no_trace() {
    let ledger = Ledger::with_book().await;
    let mut check = Undecided { ledger: &ledger, text: String::new(), count: 0 };
    let entries = "/v1/books/acme/entries";
    let good = [line("debit", "1.00"), line("credit", "1.00")];

    check.check("truncated JSON", entries, r#"{"lines":[{"account":"assets:bank","#).await;
    check.check("not JSON", entries, "lines=1").await;
    check.check("trailing bytes", entries, format!("{} x", entry(&good))).await;
    check.check("duplicate field", entries, r#"{"description":"a","description":"b","lines":[]}"#).await;
    check.check("duplicate metadata", entries, r#"{"metadata":{"a":"1","a":"2"},"lines":[]}"#).await;
    check.check("unknown field", entries, r#"{"lines":[],"linez":[]}"#).await;
    check.check("unknown field of a line", entries, r#"{"lines":[{"account":"assets:bank","sign":1}]}"#).await;
    check.check("missing field", entries, r#"{"lines":[{"account":"assets:bank"}]}"#).await;
    check
        .check(
            "a number as an amount",
            entries,
            entry(&[
                good[0].clone(),
                json!({"account": "assets:bank", "side": "credit", "amount": 1.00, "currency": "USD"}),
            ]),
        )
        .await;
    check.check("no amount", entries, entry(&[line("debit", "1,00"), good[1].clone()])).await;
    check.check("an amount of zero", entries, entry(&[line("debit", "0.00"), good[1].clone()])).await;
    check.check("a negative amount", entries, entry(&[good[0].clone(), line("credit", "-1.00")])).await;
    check
        .check(
            "an amount of 40 digits",
            entries,
            entry(&[line("debit", "1234567890123456789012345678901234567890"), good[1].clone()]),
        )
        .await;
    check
        .check(
            "an amount that would overflow",
            entries,
            entry(&[line("debit", "1000000000000000000"), good[1].clone()]),
        )
        .await;
    check
        .check("an amount of 21 decimals", entries, entry(&[line("debit", "0.123456789012345678901"), good[1].clone()]))
        .await;
    check.check("unbalanced", entries, entry(&[line("debit", "1.00"), line("credit", "0.99")])).await;
    check.check("one line", entries, entry(&good[..1])).await;
    check.check("1,001 lines", entries, entry(&vec![line("debit", "1.00"); 1_001])).await;
    check
        .check(
            "an account that cannot be one",
            entries,
            entry(&[
                good[0].clone(),
                json!({"account": "Assets Bank", "side": "credit", "amount": "1.00", "currency": "USD"}),
            ]),
        )
        .await;
    check.check("a side that is none", entries, entry(&[line("left", "1.00")])).await;
    check.check("a date that is none", entries, r#"{"effective_date":"2026-02-30","lines":[]}"#).await;
    check.check("a control character", entries, r#"{"description":"a\u0007b","lines":[]}"#).await;
    check.check("a control character in metadata", entries, r#"{"metadata":{"a":"b\u0000"},"lines":[]}"#).await;
    check
        .check(
            "a description of 501 characters",
            entries,
            json!({"description": "é".repeat(501), "lines": []}).to_string(),
        )
        .await;
    let pairs: serde_json::Map<_, _> = (0..51).map(|n| (format!("n{n}"), json!("v"))).collect();
    check.check("51 metadata pairs", entries, json!({"metadata": pairs, "lines": []}).to_string()).await;
    check
        .check(
            "a metadata name of 41 characters",
            entries,
            json!({"metadata": {"n".repeat(41): "v"}, "lines": []}).to_string(),
        )
        .await;
    check
        .check(
            "a metadata value of 501 characters",
            entries,
            json!({"metadata": {"n": "v".repeat(501)}, "lines": []}).to_string(),
        )
        .await;

    let charges = "/v1/books/acme/charges";
    let charge = |more: Value| {
        let mut body = json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:subscription", "amount": "10.00"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    check
        .check("tax exceeds amount", charges, charge(json!({"tax": [{"jurisdiction": "us-ca", "amount": "10.01"}]})))
        .await;
    check.check("tax exceeds a line's amount", charges, json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "lines": [{"revenue": "revenue:usage", "amount": "1.00", "tax": [{"jurisdiction": "a", "amount": "0.60"}, {"jurisdiction": "b", "amount": "0.41"}]}]}).to_string()).await;
    check.check("lines and flat", charges, charge(json!({"lines": []}))).await;
    check
        .check(
            "neither lines nor flat",
            charges,
            json!({"id": "in_1", "customer": "cus_1", "currency": "USD"}).to_string(),
        )
        .await;
    check.check("101 lines of a charge", charges, json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "lines": vec![json!({"revenue": "revenue:usage", "amount": "1.00"}); 101]}).to_string()).await;
    check
        .check(
            "a deferral that ends before it begins",
            charges,
            charge(json!({"defer": {"from": "2026-02-01", "to": "2026-01-31"}})),
        )
        .await;
    check.check("a rate in the functional currency", charges, charge(json!({"rate": "1.10"}))).await;
    check.check("a rate of zero", charges, charge(json!({"currency": "EUR", "rate": "0.0"}))).await;
    check
        .check(
            "a rate of 29 digits",
            charges,
            charge(json!({"currency": "EUR", "rate": "1.2345678901234567890123456789"})),
        )
        .await;
    check.check("a customer that cannot be one", charges, charge(json!({"customer": "a b"}))).await;

    let payments = "/v1/books/acme/payments";
    let payment = |more: Value| {
        let mut body =
            json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "10.00", "currency": "USD"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    check.check("processor and account", payments, payment(json!({"account": "assets:bank"}))).await;
    check.check("neither processor nor account", payments, payment(json!({"processor": null}))).await;
    check.check("a fee with manual capture", payments, payment(json!({"capture": "manual", "fee": "0.30"}))).await;
    check
        .check("automatic capture that expires", payments, payment(json!({"expires_at": "2027-01-01T00:00:00Z"})))
        .await;
    check
        .check(
            "an instant without its zone",
            payments,
            payment(json!({"capture": "manual", "expires_at": "2027-01-01T00:00:00"})),
        )
        .await;
    check
        .check(
            "one charge twice",
            payments,
            payment(json!({"apply": [{"charge": "in_1", "amount": "1.00"}, {"charge": "in_1", "amount": "2.00"}]})),
        )
        .await;
    check.check("nothing to apply", "/v1/books/acme/payments/pay_1/apply", r#"{"apply":[]}"#).await;

    let refunds = "/v1/books/acme/refunds";
    let refund = |from: Value| json!({"id": "re_1", "payment": "pay_1", "amount": "10.00", "from": from}).to_string();
    check.check("parts that are not the sum", refunds, refund(json!([{"unapplied": true, "amount": "9.99"}]))).await;
    check
        .check(
            "a source twice",
            refunds,
            refund(json!([{"charge": "in_1", "amount": "5.00"}, {"charge": "in_1", "amount": "5.00"}])),
        )
        .await;
    check.check("a part of nothing", refunds, refund(json!([{"amount": "10.00"}]))).await;

    check
        .check(
            "a time zone that is none",
            "/v1/books",
            r#"{"id":"b","functional_currency":"USD","time_zone":"Mars/Olympus"}"#,
        )
        .await;
    check.check("19 decimals", "/v1/books/acme/currencies", r#"{"code":"WEI","decimals":19}"#).await;
    check
        .check("no currencies", "/v1/books/acme/accounts", r#"{"code":"a","name":"A","class":"asset","currencies":[]}"#)
        .await;

    let batch = "/v1/books/acme/transfers:batch";
    let transfer = json!({"idempotency_key": "k", "debit": "assets:bank", "credit": "assets:input-tax/x", "amount": "1.00", "currency": "USD"});
    check.check("10,001 items", batch, json!({"transfers": vec![transfer.clone(); 10_001]}).to_string()).await;
    check.check("no items", batch, r#"{"transfers":[]}"#).await;
    let mut bad = transfer.clone();
    bad["amount"] = json!("0");
    check.check("a malformed item", batch, json!({"transfers": [transfer.clone(), bad]}).to_string()).await;
    let mut keyless = transfer.clone();
    keyless.as_object_mut().unwrap().remove("idempotency_key");
    check
        .check("an item without its key", batch, json!({"transfers": [transfer.clone(), keyless.clone()]}).to_string())
        .await;
    check
        .check(
            "an atomic batch's item with a key",
            batch,
            json!({"atomic": true, "transfers": [transfer.clone()]}).to_string(),
        )
        .await;
    check.check("a single transfer with a key inside", "/v1/books/acme/transfers", transfer.to_string()).await;
    let mut four = keyless;
    four["debit"] = json!("assets:bank/a/b/c");
    check.check("an account of four parts", "/v1/books/acme/transfers", four.to_string()).await;

    assert_eq!(check.count, 57);
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}
