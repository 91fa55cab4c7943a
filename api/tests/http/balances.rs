//! Many balances in one request: what as many single reads say, of one moment.

use serde_json::{Value, json};

use crate::support::Ledger;

const PATH: &str = "/v1/books/acme/balances:query";

#[tokio::test]
async fn a_query_says_what_single_reads_say() {
    let ledger = Ledger::with_book().await;
    ledger.made("currencies", "c", json!({"code": "USDC", "decimals": 6})).await;
    let prepaid = "liabilities:customer-prepaid";
    for (key, party, amount, currency) in
        [("a", "cus_1", "1.00", "USD"), ("b", "cus_2", "0.5", "USDC"), ("d", "cus_1", "2", "JPY")]
    {
        let transfer = json!({"debit": "assets:bank", "credit": format!("{prepaid}/{party}"), "amount": amount, "currency": currency});
        ledger.made("transfers", key, transfer).await;
    }
    let hold = json!({"id": "h", "debit": format!("{prepaid}/cus_1"), "credit": "assets:bank", "amount": "0.40", "currency": "USD"});
    ledger.made("holds", "h", hold).await;
    let line = |side: &str, amount: &str| json!({"account": "assets:receivable", "party": "cus_1", "item": "in_1", "side": side, "amount": amount, "currency": "USD"});
    let lines = [
        line("debit", "3.00"),
        json!({"account": "assets:bank", "side": "credit", "amount": "3.00", "currency": "USD"}),
    ];
    ledger.made("entries", "e", json!({"lines": lines})).await;

    let wanted = [
        ("assets:bank", "", None),
        ("assets:bank", "", Some("USD")),
        (prepaid, "?party=cus_1", None),
        (prepaid, "?party=cus_1", Some("JPY")),
        (prepaid, "?party=nobody", None),
        (prepaid, "", None),
        ("assets:receivable", "?party=cus_1&item=in_1", None),
        ("assets:bank", "", Some("EUR")),
    ];
    let mut form = vec![];
    let mut singles = vec![];
    for (account, query, currency) in wanted {
        let parts = query.trim_start_matches("?party=").replace("&item=", "/");
        let mut of =
            json!({"account": if parts.is_empty() { account.to_owned() } else { format!("{account}/{parts}") }});
        let mut path = format!("/v1/books/acme/accounts/{account}/balance{query}");
        if let Some(currency) = currency {
            of["currency"] = currency.into();
            path.push_str(if query.is_empty() { "?" } else { "&" });
            path.push_str(&format!("currency={currency}"));
        }
        form.push(of);
        singles.push(ledger.get(&path).await.expect(200));
    }
    let answer = ledger.post_without_key(PATH, &json!({"balances": form})).await;
    assert_eq!(answer.position(), ledger.position());
    assert_eq!(answer.expect(200), json!({"data": singles}));
    assert_eq!(ledger.post_without_key(PATH, &json!({"balances": []})).await.expect(200), json!({"data": []}));
    ledger.close().await;
}

#[tokio::test]
async fn what_a_query_cannot_mean_is_refused_with_its_place() {
    let ledger = Ledger::with_book().await;
    let good = json!({"account": "assets:bank"});
    let check = async |of: Value, status: u16, code: &str, pointer: &str| {
        let answer = ledger.post_without_key(PATH, &json!({"balances": [good, of]})).await.expect(status);
        assert_eq!((answer["code"].as_str(), answer["pointer"].as_str()), (Some(code), Some(pointer)), "{answer}");
    };
    check(json!({"account": "assets:nothing"}), 404, "not_found", "/balances/1/account").await;
    check(json!({"account": "assets:bank/cus_1"}), 400, "malformed", "/balances/1/account").await;
    check(json!({"account": "assets:bank", "currency": "NOPE"}), 400, "malformed", "/balances/1/currency").await;
    check(json!({"account": "A"}), 400, "malformed", "/balances/1/account").await;
    check(json!({"account": "a", "as_of": "2026-01-01"}), 400, "unknown_field", "/balances/1/as_of").await;
    let many = vec![good; 1_001];
    let answer = ledger.post_without_key(PATH, &json!({"balances": many})).await.expect(400);
    assert_eq!(answer["detail"], "balances: must have at most 1000 elements");
    let answer = ledger.post_without_key("/v1/books/nope/balances:query", &json!({"balances": []})).await;
    assert_eq!(answer.status, 404);
    ledger.close().await;
}
