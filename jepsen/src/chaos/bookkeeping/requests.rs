//! What is sent for each operation.

use serde_json::{Value, json};

use super::{BANK, BILLING, FOR_EVER, account, billing, transfer};
use crate::chaos::history::Operation;

pub(super) enum Asked {
    /// It was done in the set-up.
    Nothing,
    Get(String),
    Post(String, Value),
}

pub(super) fn of(operation: &Operation, cursor: Option<&str>) -> Asked {
    match operation {
        Operation::Create { .. } => Asked::Nothing,
        Operation::Transfer { from, to, amount } | Operation::Reuse { from, to, amount } => {
            let body = transfer(&account(*from), &account(*to), *amount);
            Asked::Post(format!("/v1/books/{BANK}/transfers"), body)
        }
        Operation::Batch { atomic, items } => {
            let transfers: Vec<Value> = items
                .iter()
                .map(|item| {
                    let mut one = transfer(&account(item.from), &account(item.to), item.amount);
                    if let Some(key) = &item.key {
                        one["idempotency_key"] = json!(key);
                    }
                    one
                })
                .collect();
            let body =
                if *atomic { json!({"atomic": true, "transfers": transfers}) } else { json!({"transfers": transfers}) };
            Asked::Post(format!("/v1/books/{BANK}/transfers:batch"), body)
        }
        Operation::Read { account: number } => {
            Asked::Get(format!("/v1/books/{BANK}/accounts/{}/balance", account(*number)))
        }
        Operation::ReadAll => Asked::Get(format!("/v1/books/{BANK}/reports/trial-balance?as_of={FOR_EVER}")),
        Operation::Statement { account: number, newest_first, local, min_position, limit, .. } => {
            let order = if *newest_first { "newest" } else { "oldest" };
            let mut path =
                format!("/v1/books/{BANK}/accounts/{}/postings?order={order}&limit={limit}", account(*number));
            path.push_str(&freshness(*local, *min_position));
            if let Some(cursor) = cursor {
                path.push_str("&cursor=");
                path.push_str(cursor);
            }
            Asked::Get(path)
        }
        Operation::TrialBalance { book, local, min_position } => {
            let freshness = freshness(*local, *min_position);
            Asked::Get(format!("/v1/books/{book}/reports/trial-balance?as_of={FOR_EVER}{freshness}"))
        }
        Operation::Billing(request) => {
            let (path, body) = billing::request(request);
            Asked::Post(format!("/v1/books/{BILLING}/{path}"), body)
        }
        Operation::Document { kind, id } => {
            Asked::Get(format!("/v1/books/{BILLING}/{}", billing::document_path(*kind, *id)))
        }
        Operation::BillingTotals => Asked::Get(format!("/v1/books/{BILLING}/reports/trial-balance?as_of={FOR_EVER}")),
        Operation::Lookup { of } => Asked::Get(format!("/v1/books/{}/keys/{of}", book_of(of))),
    }
}

/// Keys belong to a book; the clients' keys say whose they are.
fn book_of(key: &str) -> &'static str {
    if key.starts_with(billing::KEYS) { BILLING } else { BANK }
}

fn freshness(local: bool, min_position: Option<u64>) -> String {
    let consistency = if local { "local" } else { "linearizable" };
    let position = min_position.map(|position| format!("&min_position={position}")).unwrap_or_default();
    format!("&consistency={consistency}{position}")
}
