//! Refusals that only a book with a history reaches: sums, entries and currencies at their bounds.

use serde_json::{Value, json};

use super::decided::Decided;
use crate::support::Ledger;

#[tokio::test]
async fn a_sum_beyond_its_bound_is_refused() {
    let ledger = Ledger::with_book().await;
    ledger.made("currencies", "wei", json!({"code": "WEI", "decimals": 18})).await;
    let greatest = json!({"debit": "assets:bank", "credit": "equity:capital",
        "amount": "999999999999999999.999999999999999999", "currency": "WEI"});
    // 42 times the greatest amount passes a quarter of what an integer of 128 bits holds.
    for n in 0..42 {
        ledger.made("transfers", &format!("t_{n}"), greatest.clone()).await;
    }
    let mut check = Decided::new(&ledger);
    check.check("balance_too_large", "transfers", greatest).await;
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}

#[tokio::test]
async fn an_entry_beyond_1000_lines_is_refused() {
    let ledger = Ledger::with_book().await;
    let mut apply: Vec<Value> = vec![];
    for charge in 0..100 {
        // A refund has eleven lines for each of them: 1,100 in all.
        let id = format!("in_{charge}");
        let tax: Vec<Value> =
            (0..10).map(|n| json!({"jurisdiction": format!("j{charge}-{n}"), "amount": "0.10"})).collect();
        let body = json!({"id": id, "customer": "cus_1", "currency": "USD", "revenue": "revenue:sales",
            "amount": "2.00", "tax": tax});
        ledger.made("charges", &id, body).await;
        apply.push(json!({"charge": id, "amount": "2.00"}));
    }
    let payment = json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "200.00",
        "currency": "USD", "apply": apply});
    ledger.made("payments", "pay_1", payment).await;
    let mut check = Decided::new(&ledger);
    check.check("document_full", "refunds", json!({"id": "re_1", "payment": "pay_1", "amount": "200.00"})).await;
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}

#[tokio::test]
async fn a_book_has_at_most_1000_currencies_of_its_own() {
    let ledger = Ledger::with_book().await;
    for n in 0..1_000 {
        let code = format!("T{n:04}");
        ledger.made("currencies", &code, json!({"code": code, "decimals": 2})).await;
    }
    let mut check = Decided::new(&ledger);
    check.check("too_many_currencies", "currencies", json!({"code": "ONEMORE", "decimals": 2})).await;
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}
