//! A book read whole, and what of it does not depend on when things happened.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::HarnessError;
use crate::client::Client;

/// Everything that one book must have in common with another into which the same was posted in another order.
#[derive(Debug, PartialEq)]
pub struct Content {
    /// Entries by idempotency key, without number, position, instant and running balances.
    pub entries: BTreeMap<String, Vec<Value>>,
    /// Charges and payments by id, without positions, instants and entry numbers.
    pub documents: BTreeMap<String, Value>,
    /// The trial balance's rows and totals.
    pub trial_balance: Value,
}

/// All pages of a list.
pub async fn list(client: &Client, path: &str) -> Result<Vec<Value>, HarnessError> {
    pages(client, &format!("{path}?limit=1000")).await
}

/// The same of a list that is asked for with parameters.
pub async fn pages(client: &Client, query: &str) -> Result<Vec<Value>, HarnessError> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.read(&format!("{query}{cursor}")).await?;
        all.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

pub async fn entries(client: &Client, book: &str) -> Result<Vec<Value>, HarnessError> {
    list(client, &format!("/v1/books/{book}/entries")).await
}

pub async fn content(client: &Client, book: &str, as_of: &str) -> Result<Content, HarnessError> {
    let mut by_key: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut entry in entries(client, book).await? {
        let key = entry["idempotency_key"].as_str().unwrap_or("").to_owned();
        forget(&mut entry, &["number", "position", "recorded_at"]);
        for line in entry["lines"].as_array_mut().into_iter().flatten() {
            forget(line, &["balance_after"]);
        }
        by_key.entry(key).or_default().push(entry);
    }
    let mut documents = BTreeMap::new();
    for kind in ["charges", "payments"] {
        for mut document in list(client, &format!("/v1/books/{book}/{kind}")).await? {
            let id = document["id"].as_str().unwrap_or("").to_owned();
            forget(&mut document, &["position", "recorded_at", "entries"]);
            documents.insert(id, document);
        }
    }
    Ok(Content { entries: by_key, documents, trial_balance: trial_balance(client, book, as_of).await? })
}

/// Rows and totals alone: position and head are the journal's own.
pub async fn trial_balance(client: &Client, book: &str, as_of: &str) -> Result<Value, HarnessError> {
    let report = client.read(&format!("/v1/books/{book}/reports/trial-balance?as_of={as_of}")).await?;
    Ok(json!({"rows": report["rows"], "totals": report["totals"]}))
}

/// The journal's head hash with the position it stands at.
pub async fn head(client: &Client, book: &str) -> Result<(Value, Value), HarnessError> {
    let report = client.read(&format!("/v1/books/{book}/reports/trial-balance")).await?;
    Ok((report["position"].clone(), report["head"].clone()))
}

fn forget(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

/// The first difference, in words: whole books are too long to print.
#[must_use]
pub fn difference(expected: &Content, found: &Content) -> Option<String> {
    for (key, entries) in &expected.entries {
        if found.entries.get(key) != Some(entries) {
            return Some(format!("key {key}: expected {entries:?}, found {:?}", found.entries.get(key)));
        }
    }
    if let Some(key) = found.entries.keys().find(|key| !expected.entries.contains_key(*key)) {
        return Some(format!("key {key} should have no entry"));
    }
    for (id, document) in &expected.documents {
        if found.documents.get(id) != Some(document) {
            return Some(format!("document {id}: expected {document}, found {:?}", found.documents.get(id)));
        }
    }
    if found.documents.len() != expected.documents.len() {
        return Some(format!("{} documents instead of {}", found.documents.len(), expected.documents.len()));
    }
    let (expected, found) = (&expected.trial_balance, &found.trial_balance);
    (expected != found).then(|| format!("the trial balance: expected {expected}, found {found}"))
}
