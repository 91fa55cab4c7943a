//! A quarter's 45 entries over HTTP give the trial balance that three other programs agree on: at once, with every
//! request sent twice, and after a restart.

use std::collections::BTreeMap;
use std::fs;

use partita_jepsen::HarnessError;
use partita_jepsen::client::Client;
use partita_jepsen::command::{repository, verify};
use partita_jepsen::node::Node;
use serde_json::{Value, json};

fn quarter() -> Value {
    let text = fs::read_to_string(repository("examples/quarter.json")).expect("the example is part of the repository");
    serde_json::from_str(&text).expect("the example is JSON")
}

/// Sends one write twice: the second answer is the first one again, marked.
async fn create_twice(client: &Client, path: &str, key: &str, body: &Value) -> Result<(), HarnessError> {
    let (first, replayed) = client.create(path, key, body).await?;
    assert!(!replayed, "{key} is new");
    let (second, replayed) = client.create(path, key, body).await?;
    assert!(replayed, "{key} is known");
    assert_eq!(second, first, "{key}");
    Ok(())
}

async fn post(client: &Client, quarter: &Value) -> Result<(), HarnessError> {
    let mut book = quarter["book"].clone();
    book["name"] = "A quarter".into();
    book["chart"] = "empty".into();
    create_twice(client, "/v1/books", "quarter-book", &book).await?;
    for account in quarter["accounts"].as_array().expect("a list") {
        let key = format!("account-{}", account["code"].as_str().expect("a code"));
        create_twice(client, "/v1/books/quarter/accounts", &key, account).await?;
    }
    for entry in quarter["entries"].as_array().expect("a list") {
        let mut body = entry.clone();
        let fields = body.as_object_mut().expect("an object");
        let key = fields.remove("idempotency_key").expect("a key");
        let event = fields.remove("event").expect("an event");
        fields.insert("metadata".to_owned(), json!({"event": event}));
        create_twice(client, "/v1/books/quarter/entries", key.as_str().expect("a string"), &body).await?;
    }
    Ok(())
}

fn side(row: &Value) -> Value {
    json!({"account": row["account"], "currency": row["currency"], "debit": row["debit"], "credit": row["credit"]})
}

async fn check(client: &Client, quarter: &Value) -> Result<(), HarnessError> {
    let expected = &quarter["expected"];
    let as_of = expected["as_of"].as_str().expect("a date");
    let report = client.read(&format!("/v1/books/quarter/reports/trial-balance?as_of={as_of}")).await?;
    // The expectation leaves out what closes at zero; the report keeps it, because it had movement.
    let is_zero =
        |row: &&Value| ["debit", "credit"].iter().all(|side| matches!(row[side].as_str(), None | Some("0.00")));
    let rows: Vec<_> = report["rows"].as_array().expect("rows").iter().filter(|row| !is_zero(row)).map(side).collect();
    let mut wanted: Vec<_> = expected["trial_balance"].as_array().expect("rows").iter().map(side).collect();
    wanted.sort_by_key(|row| (row["account"].to_string(), row["currency"].to_string()));
    let mut found = rows;
    found.sort_by_key(|row| (row["account"].to_string(), row["currency"].to_string()));
    assert_eq!(Value::from(found), Value::from(wanted));

    let totals: BTreeMap<_, _> = report["totals"]
        .as_array()
        .expect("totals")
        .iter()
        .map(|total| (total["currency"].as_str().expect("a currency"), (&total["debit"], &total["credit"])))
        .collect();
    let (usd, eur) = (json!("2402.83"), json!("20.00"));
    assert_eq!(totals, BTreeMap::from([("USD", (&usd, &usd)), ("EUR", (&eur, &eur))]));
    assert_eq!(net_income_cents(&report), 51_513);
    Ok(())
}

/// Revenue less expenses, in the functional currency.
fn net_income_cents(report: &Value) -> i64 {
    let cents = |row: &Value, side: &str| -> i64 {
        let text = row[side].as_str().unwrap_or("0.00").replace('.', "");
        text.parse().expect("an amount")
    };
    let temporary =
        |row: &&Value| row["currency"] == "USD" && matches!(row["class"].as_str(), Some("revenue" | "expense"));
    let rows = report["rows"].as_array().expect("rows").iter().filter(temporary);
    rows.map(|row| cents(row, "credit") - cents(row, "debit")).sum()
}

#[tokio::test]
async fn the_quarter_gives_its_trial_balance_also_sent_twice_and_after_a_restart() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let quarter = quarter();

    let mut node = Node::start(&data, &[]).await?;
    post(&node.client(), &quarter).await?;
    check(&node.client(), &quarter).await?;
    let entries = partita_jepsen::books::entries(&node.client(), "quarter").await?;
    assert_eq!(entries.len(), 45, "no request sent twice was posted twice");

    assert!(node.stop().await?.success(), "{}", node.log_tail());
    let mut node = Node::start(&data, &[]).await?;
    check(&node.client(), &quarter).await?;
    assert_eq!(partita_jepsen::books::entries(&node.client(), "quarter").await?, entries);

    // Once more without the last checkpoint: everything comes back from the raft log.
    node.kill()?;
    let mut node = Node::start(&data, &[]).await?;
    check(&node.client(), &quarter).await?;
    assert_eq!(partita_jepsen::books::entries(&node.client(), "quarter").await?, entries);

    assert!(node.stop().await?.success(), "{}", node.log_tail());
    let verified = verify(&data).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    Ok(())
}
