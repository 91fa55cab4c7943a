//! `examples/quarter.json` as every financial report in every format, to the byte; only what depends on when and where
//! it was posted (instants, the journal's head) is left out.

use serde_json::{Value, json};

use crate::support::Ledger;

async fn quarter() -> (Ledger, Value) {
    let ledger = Ledger::start().await;
    let text = include_str!("../../../../examples/quarter.json");
    let quarter: Value = serde_json::from_str(text).unwrap();
    let mut book = quarter["book"].clone();
    book["name"] = json!("A quarter");
    book["chart"] = json!("empty");
    ledger.post("/v1/books", "book", &book).await.expect(201);
    for account in quarter["accounts"].as_array().unwrap() {
        let key = account["code"].as_str().unwrap();
        ledger.post("/v1/books/quarter/accounts", key, account).await.expect(201);
    }
    for entry in quarter["entries"].as_array().unwrap() {
        let mut body = entry.clone();
        let fields = body.as_object_mut().unwrap();
        let key = fields.remove("idempotency_key").unwrap();
        let event = fields.remove("event").unwrap();
        fields.insert("metadata".to_owned(), json!({"event": event}));
        ledger.post("/v1/books/quarter/entries", key.as_str().unwrap(), &body).await.expect(201);
    }
    (ledger, quarter)
}

/// Puts a word for every hash and every instant.
pub(crate) fn settled(text: &str) -> String {
    let mut settled = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_hash = rest.starts_with("blake3:");
        let instant = rest.get(..10).is_some_and(|day| day.bytes().filter(u8::is_ascii_digit).count() == 8)
            && rest.get(10..11) == Some("T");
        if is_hash {
            settled.push_str("blake3:HEAD");
            rest = &rest["blake3:".len() + 64..];
        } else if instant {
            settled.push_str("INSTANT");
            rest = &rest[rest.find('Z').unwrap() + 1..];
        } else {
            settled.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    settled
}

const REPORTS: [(&str, &str); 7] = [
    ("trial-balance", "as_of=2026-03-31"),
    ("trial-balance", "from=2026-02-01&as_of=2026-02-28&compare_as_of=2026-01-31&adjusted=true"),
    ("balance-sheet", "as_of=2026-03-31&compare_as_of=2026-01-31"),
    ("income-statement", "as_of=2026-03-31"),
    ("income-statement", "from=2026-02-01&as_of=2026-02-28&compare_from=2026-01-01&compare_as_of=2026-01-31"),
    ("general-ledger", "from=2026-02-01&as_of=2026-03-31"),
    ("journal", "as_of=2026-01-31"),
];

#[tokio::test]
async fn the_quarter_as_every_report_in_every_format() {
    let (ledger, quarter) = quarter().await;
    for (name, query) in REPORTS {
        for format in ["json", "csv", "text", "html"] {
            let path = format!("/v1/books/quarter/reports/{name}?{query}&format={format}");
            let answer = ledger.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert!(answer.headers.contains_key("partita-position"));
            let mut shown = settled(&answer.text);
            if format == "json" {
                let value: Value = serde_json::from_str(&shown).unwrap();
                shown = format!("{value:#}");
            }
            let kind = query.replace("2026-", "").replace(['=', '&', '_'], "-");
            insta::with_settings!({omit_expression => true, snapshot_path => "snapshots/quarter", prepend_module_to_snapshot => false}, {
                insta::assert_snapshot!(format!("{name}-{kind}.{format}"), shown);
            });
        }
    }
    agrees(&ledger, &quarter["expected"]).await;
    ledger.close().await;
}

/// With the trial balance and the net income that three other programs agree on.
async fn agrees(ledger: &Ledger, expected: &Value) {
    let get = |path: &'static str| ledger.get(path);
    let trial = get("/v1/books/quarter/reports/trial-balance?as_of=2026-03-31").await.expect(200);
    let side = |row: &Value| json!([row["account"], row["currency"], row["debit"], row["credit"]]);
    let is_zero =
        |row: &&Value| ["debit", "credit"].iter().all(|side| row[side].as_str().is_none_or(|text| text == "0.00"));
    let found: Vec<Value> = trial["rows"].as_array().unwrap().iter().filter(|row| !is_zero(row)).map(side).collect();
    let mut wanted: Vec<Value> = expected["trial_balance"].as_array().unwrap().iter().map(side).collect();
    let by_account = |row: &Value| row.to_string();
    wanted.sort_by_key(by_account);
    let mut sorted = found;
    sorted.sort_by_key(by_account);
    assert_eq!(sorted, wanted);
    let income = get("/v1/books/quarter/reports/income-statement?as_of=2026-03-31").await.expect(200);
    assert_eq!(income["totals"][0]["amount"], "515.13");
    assert_eq!(income["totals"][0]["amount"], expected["net_income"]["amount"]);
    let sheet = get("/v1/books/quarter/reports/balance-sheet?as_of=2026-03-31").await.expect(200);
    let equity = sheet["sections"][2]["rows"].as_array().unwrap();
    let current = equity.iter().find(|row| row["line"] == "current_earnings").unwrap();
    assert_eq!(current["amount"], income["totals"][0]["amount"], "one net income");
}
