//! Batches: many items of one request, each with its own key and decision, or all as one.

use std::sync::Arc;

use partita_consensus::EncodedCommands;
use partita_core::id::Key as CoreKey;
use partita_core::operation::Operation;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::values::Key;

/// One item as it was read.
#[derive(Debug)]
pub struct Item<T> {
    pub key: Option<Key>,
    pub content: T,
}

/// What a batch asks for.
#[derive(Debug)]
pub enum Batch {
    /// One decision, under the header's key.
    Atomic(Box<Operation>),
    Each(Vec<(CoreKey, Operation)>),
    /// The same, of a book that this node knows: encoded while they were read.
    Encoded(Arc<Names>, EncodedCommands),
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub struct BatchJson {
    /// Of an atomic batch: its one decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<String>,
    /// In the order of the request.
    pub results: Vec<ResultJson>,
}

/// What became of one item.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = BatchResult)]
pub struct ResultJson {
    /// posted, replayed (its key was decided before, with the same content) or rejected
    pub status: &'static str,
    /// The entry's number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The balances after the entry's lines, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balances: Option<Vec<String>>,
    /// Why it was refused; there may be fields beside it, as in a problem of this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub fields: serde_json::Map<String, Value>,
}

/// A single write takes its key from the header.
pub(crate) fn no_own_key(key: Option<&Key>) -> Result<(), Problem> {
    if key.is_none() {
        return Ok(());
    }
    let detail = "unknown field `idempotency_key`: a single write takes its key from the header Idempotency-Key";
    Err(Problem::new(Code::UnknownField, detail).at("/idempotency_key"))
}

/// An item of a batch that is not atomic has its own key.
pub(crate) fn key_missing(name: &str, index: usize) -> Problem {
    let detail = format!("{name}[{index}]: idempotency_key is missing");
    Problem::new(Code::IdempotencyKeyMissing, detail).at(format!("/{name}/{index}"))
}

/// Reads the items; what is wrong with one refuses the whole batch, with its pointer.
pub(crate) fn read<Form, T>(
    name: &str,
    atomic: bool,
    items: impl Iterator<Item = Item<Form>>,
    convert: fn(Form) -> Result<T, Problem>,
    one: fn(T) -> Operation,
    all: fn(Vec<T>) -> Operation,
) -> Result<Batch, Problem> {
    let mut together = vec![];
    let mut each = vec![];
    for (index, item) in items.enumerate() {
        let prefix = || format!("/{name}/{index}");
        let content = convert(item.content).map_err(|problem| problem.under(&prefix()))?;
        match (atomic, item.key) {
            (true, None) => together.push(content),
            (false, Some(key)) => each.push((key.0, one(content))),
            (true, Some(_)) => {
                let detail = format!("{name}[{index}].idempotency_key: an atomic batch has one key, the header's");
                return Err(Problem::malformed(detail).at(format!("{}/idempotency_key", prefix())));
            }
            (false, None) => return Err(key_missing(name, index)),
        }
    }
    if together.is_empty() && each.is_empty() {
        return Err(Problem::malformed(format!("{name}: must have at least 1 element")).at(format!("/{name}")));
    }
    Ok(if atomic { Batch::Atomic(Box::new(all(together))) } else { Batch::Each(each) })
}
