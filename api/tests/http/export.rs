//! What an export looks like, trap by trap. Whether the other programs accept it, `jepsen/tests/export.rs` asks them.

use serde_json::json;

use crate::support::Ledger;

/// A small book with everything that another program could misread.
async fn odd_book() -> Ledger {
    let ledger = Ledger::start().await;
    let book = json!({"id": "acme", "name": "Acme \"Inc\"", "functional_currency": "USD", "chart": "empty"});
    ledger.post("/v1/books", "open", &book).await.expect(201);
    ledger.made("currencies", "currency", json!({"code": "US-D2", "decimals": 3})).await;
    for (key, account) in [
        json!({"code": "assets:receivable", "number": "1200", "name": "Receivable; all | of it: [2020-01-01]",
            "class": "asset", "party": "customer", "items": "required", "role": "receivable"}),
        json!({"code": "assets:receivable:old", "name": "Below it", "class": "asset", "currencies": ["USD"]}),
        json!({"code": "sales::-web", "name": "Sales", "class": "revenue"}),
        json!({"code": "memo:seats", "name": "Seats", "class": "memo", "overdraft": "forbid", "must_zero": true}),
        json!({"code": "memo:sold", "name": "Sold", "class": "memo", "contra": true}),
    ]
    .into_iter()
    .enumerate()
    {
        ledger.made("accounts", &format!("account-{key}"), account).await;
    }
    let line = |account: &str, side: &str, amount: &str, currency: &str| json!({"account": account, "side": side, "amount": amount, "currency": currency});
    let mut receivable = line("assets:receivable", "debit", "108.25", "USD");
    receivable["party"] = "cus:1".into();
    receivable["item"] = "in_1".into();
    let sale = json!({"effective_date": "2026-01-31", "description": "* (x) two  spaces; a | bar \"said\" \\",
        "metadata": {"a b": "x=1&y; [2020-01-01], \"q\"", "date": "2020-01-01"},
        "lines": [receivable, line("sales::-web", "credit", "108.25", "USD")]});
    ledger.made("entries", "key;with,[odd]|signs", sale).await;
    let seats = json!({"effective_date": "2026-02-01", "lines": [line("memo:sold", "debit", "0.004", "US-D2"),
        line("memo:seats", "credit", "0.004", "US-D2"), line("assets:receivable:old", "debit", "1.00", "USD"),
        line("sales::-web", "credit", "1.00", "USD")]});
    ledger.made("entries", "seats", seats).await;
    ledger.made("entries/2/reverse", "back", json!({"effective_date": "2026-02-02"})).await;
    ledger
}

/// Without what differs from run to run.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let is_instant = word.len() > 20 && word.starts_with("20") && word.contains('T') && word.contains("Z");
        if word.starts_with("blake3:") || is_instant { "…".to_owned() } else { word.to_owned() }
    };
    let instant = |line: &str| match line.split_once("recorded-at:") {
        Some((before, _)) => format!("{before}recorded-at: …"),
        None => line.split(' ').map(word).collect::<Vec<_>>().join(" "),
    };
    text.lines().map(|line| instant(line) + "\n").collect()
}

#[tokio::test]
async fn each_program_is_told_what_it_must_know_and_nothing_it_could_misread() {
    let ledger = odd_book().await;
    for format in ["hledger", "ledger", "beancount"] {
        let answer = ledger.get(&format!("/v1/books/acme/export?format={format}")).await;
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.contains(&format!("Position {}, head", answer.position())), "{}", answer.text);
        insta::assert_snapshot!(format, steady(&answer.text));
    }
    ledger.close().await;
}

#[tokio::test]
async fn a_stretch_opens_with_what_was_before_and_closes_with_the_books_balances() {
    let ledger = odd_book().await;
    let shown = async |query: &str| {
        let text = ledger.get(&format!("/v1/books/acme/export?format=csv{query}")).await.text;
        let mut rows = vec![];
        for record in
            csv::Reader::from_reader(text.as_bytes()).into_deserialize::<std::collections::HashMap<String, String>>()
        {
            let row = record.expect("a row");
            let cells = ["record", "entry", "date", "account", "currency", "debit", "credit"];
            rows.push(cells.map(|column| row[column].clone()).join(" "));
        }
        rows
    };
    let closing = |date: &str| {
        vec![
            format!("balance  {date} assets:receivable USD 108.25 "),
            format!("balance  {date} assets:receivable:old USD 0.00 "),
            format!("balance  {date} memo:seats US-D2 0.000 "),
            format!("balance  {date} memo:sold US-D2 0.000 "),
            format!("balance  {date} sales::-web USD  108.25"),
        ]
    };
    let reversal = [
        "line 3 2026-02-02 memo:sold US-D2  0.004",
        "line 3 2026-02-02 memo:seats US-D2 0.004 ",
        "line 3 2026-02-02 assets:receivable:old USD  1.00",
        "line 3 2026-02-02 sales::-web USD 1.00 ",
    ];
    let opening = |date: &str| {
        vec![
            format!("opening  {date} assets:receivable USD 108.25 "),
            format!("opening  {date} assets:receivable:old USD 1.00 "),
            format!("opening  {date} memo:seats US-D2  0.004"),
            format!("opening  {date} memo:sold US-D2 0.004 "),
            format!("opening  {date} sales::-web USD  109.25"),
        ]
    };
    let expected = |opened: &str| {
        let lines = reversal.map(str::to_owned).to_vec();
        [opening(opened), lines, closing("2026-02-02")].concat()
    };
    assert_eq!(shown("&from=2026-02-02").await, expected("2026-02-01"));
    // Without a first day the opening is dated as the first entry.
    assert_eq!(shown("&after_entry=2").await, expected("2026-02-02"));
    // What is dated later than the stretch counts nowhere.
    assert_eq!(
        shown("&to=2026-01-31").await,
        [
            "line 1 2026-01-31 assets:receivable USD 108.25 ",
            "line 1 2026-01-31 sales::-web USD  108.25",
            "balance  2026-01-31 assets:receivable USD 108.25 ",
            "balance  2026-01-31 sales::-web USD  108.25",
        ]
    );
    assert_eq!(shown("&to=2026-01-30").await, Vec::<String>::new());
    ledger.close().await;
}

#[tokio::test]
async fn a_stretch_that_cannot_be_is_refused() {
    let ledger = odd_book().await;
    for (query, status, code, detail) in [
        ("", 400, "malformed", "the query's format: is missing"),
        ("?format=xml", 400, "malformed", ""),
        ("?format=csv&from=2026-01-02&to=2026-01-01", 400, "malformed", "the query's from: must not be after to"),
        ("?format=csv&after_entry=-1", 400, "malformed", "the query's after_entry: must be a whole number"),
        (
            "?format=csv&after_entry=4",
            400,
            "malformed",
            "the query's after_entry: must not be beyond the last entry, 3",
        ),
    ] {
        let problem = ledger.get(&format!("/v1/books/acme/export{query}")).await.expect(status);
        assert_eq!(problem["code"], code, "{query}: {problem}");
        if !detail.is_empty() {
            assert_eq!(problem["detail"], detail);
        }
    }
    assert_eq!(ledger.get("/v1/books/none/export?format=csv").await.expect(404)["code"], "not_found");
    ledger.made("currencies", "word", json!({"code": "NULL", "decimals": 2})).await;
    let line = |account: &str, side: &str| json!({"account": account, "side": side, "amount": "1", "currency": "NULL"});
    ledger.made("entries", "null", json!({"lines": [line("memo:sold", "debit"), line("memo:seats", "credit")]})).await;
    let problem = ledger.get("/v1/books/acme/export?format=beancount").await.expect(422);
    assert_eq!(
        (problem["code"].as_str(), problem["detail"].as_str()),
        (Some("not_representable"), Some("NULL is no currency in beancount but a word of its own"))
    );
    ledger.close().await;
}
