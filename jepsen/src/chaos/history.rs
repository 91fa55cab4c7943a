//! What each client did and saw: one JSON line an operation, complete enough for any outside checker.
//!
//! `ok` is any definite answer of the state machine, refusals included; `fail` certainly had no effect and never will;
//! `info` is everything else: a time-out, a broken connection, an answer that says "unknown". After `info` a client
//! goes on under a new number, because what it asked for may still happen.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::billing::{Document, DocumentKind, Request};
use crate::HarnessError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    Fail,
    Info,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The book, its accounts and their funds.
    Setup,
    /// Under faults.
    Main,
    /// After healing: every key looked up, every account read on every node.
    Final,
}

/// Balances and amounts are in cents: what a client reads as `"12.34"` is 1,234 here.
pub type Cents = i64;

/// `posted`, `read`, `unknown_key`, or a refusal's code.
pub type Code = Cow<'static, str>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "snake_case")]
pub enum Operation {
    /// Opens a book or an account: of no interest but that it takes a position.
    Create { what: String },
    /// Moves `amount` from the account `from` to the account `to`.
    Transfer { from: usize, to: usize, amount: Cents },
    /// A transfer under a key that was answered before for another one: it must be refused and decide nothing.
    Reuse { from: usize, to: usize, amount: Cents },
    /// Many transfers in one request: each with its own key, or all as one decision under the request's.
    Batch { atomic: bool, items: Vec<Item> },
    /// One account's balance, linearizably.
    Read { account: usize },
    /// All accounts at one position, linearizably.
    ReadAll,
    /// A page of an account's postings. A page with `after` goes on where the reader's page before ended, which had the
    /// posting at that position last.
    Statement {
        account: usize,
        newest_first: bool,
        local: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        min_position: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        after: Option<u64>,
        limit: usize,
    },
    /// A book's trial balance with the journal's head.
    TrialBalance {
        book: String,
        local: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        min_position: Option<u64>,
    },
    /// Something of the billing book.
    Billing(Request),
    /// One document of the billing book, linearizably.
    Document { kind: DocumentKind, id: u64 },
    /// The control accounts of the billing book at one position, linearizably.
    BillingTotals,
    /// What was decided for a key.
    Lookup { of: String },
}

impl Operation {
    /// Whether it asks for a decision.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Create { .. }
            | Self::Transfer { .. }
            | Self::Reuse { .. }
            | Self::Batch { .. }
            | Self::Billing(_) => true,
            Self::Read { .. }
            | Self::ReadAll
            | Self::Statement { .. }
            | Self::TrialBalance { .. }
            | Self::Document { .. }
            | Self::BillingTotals
            | Self::Lookup { .. } => false,
        }
    }
}

/// A transfer of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Absent where the batch is atomic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    pub from: usize,
    pub to: usize,
    pub amount: Cents,
}

/// A definite answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub code: Code,
    /// The header `Partita-Position`: the answer reflects every decision up to it.
    pub index: u64,
    /// Of the decision that the answer is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub replayed: bool,
    /// After a transfer: of `from` and `to`; of an atomic batch: of each of its transfers in turn. Of a read: what was
    /// read, in the order of the accounts. A batch's item that is a replay does not repeat them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub balances: Vec<Cents>,
    /// What a refusal says was available.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub available: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Box<Detail>>,
}

/// What only some answers have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Of a batch: what became of each item, in the order of the request.
    Items(Vec<Outcome>),
    /// Which transfer an atomic batch was refused for.
    Element(u64),
    /// Where a key that was used for something else was decided.
    DecidedAt(u64),
    /// Of a page of postings.
    Page(Page),
    /// Of a whole book: the sums of the rows and the totals that the report gives, and the journal's head.
    Book {
        debits: Cents,
        credits: Cents,
        total_debit: Cents,
        total_credit: Cents,
        head: String,
    },
    Document(Document),
}

/// Postings in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub postings: Vec<Posting>,
    /// Whether the ledger said that there are more.
    pub goes_on: bool,
}

/// One line of an account's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub position: u64,
    /// Above zero where the balance rises.
    pub change: Cents,
    pub balance_after: Cents,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub client: u64,
    #[serde(flatten)]
    pub operation: Operation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Nanoseconds on one monotonic clock, the harness's.
    pub start: u64,
    pub end: u64,
    pub status: Status,
    pub phase: Phase,
    pub node: usize,
    /// Why there is no definite answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The clock of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a clock that begins now is no default value")]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the run began.
    ///
    /// # Panics
    /// After 584 years.
    #[must_use]
    pub fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run ends within centuries")
    }
}

/// Takes records from all clients; clones share one file and one list.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug)]
struct Recorded {
    file: BufWriter<File>,
    path: PathBuf,
    records: Vec<Record>,
}

impl Recorder {
    pub fn create(path: &Path) -> Result<Self, HarnessError> {
        let file = File::create(path).map_err(failed(path))?;
        let recorded = Recorded { file: BufWriter::new(file), path: path.to_owned(), records: Vec::new() };
        Ok(Self(Arc::new(Mutex::new(recorded))))
    }

    pub fn add(&self, record: Record) -> Result<(), HarnessError> {
        // A client that panicked left the list whole: a record is added in one step.
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_string(&record).expect("a record has only strings and numbers");
        let path = recorded.path.clone();
        writeln!(recorded.file, "{line}").map_err(failed(&path))?;
        recorded.records.push(record);
        Ok(())
    }

    /// Looks at the history so far, in the order in which operations ended; no client can record meanwhile.
    pub fn look<T>(&self, view: impl FnOnce(&[Record]) -> T) -> T {
        view(&self.0.lock().unwrap_or_else(PoisonError::into_inner).records)
    }

    /// The whole history: the file is complete, and nothing is kept here any longer.
    pub fn finish(&self) -> Result<Vec<Record>, HarnessError> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = recorded.path.clone();
        recorded.file.flush().map_err(failed(&path))?;
        Ok(std::mem::take(&mut recorded.records))
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> HarnessError {
    let path = path.to_owned();
    move |source| HarnessError::File { path: path.clone(), what: "the history cannot be written", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_the_documentation_shows() {
        let record = Record {
            client: 3,
            operation: Operation::Transfer { from: 1, to: 2, amount: 150 },
            key: Some("k-7".to_owned()),
            result: Some(Outcome {
                code: "posted".into(),
                index: 41,
                position: Some(41),
                balances: vec![850, 1_150],
                ..Outcome::default()
            }),
            start: 5,
            end: 9,
            status: Status::Ok,
            phase: Phase::Main,
            node: 0,
            why: None,
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(
            line,
            r#"{"client":3,"op":"transfer","args":{"from":1,"to":2,"amount":150},"key":"k-7","result":{"code":"posted","index":41,"position":41,"balances":[850,1150]},"start":5,"end":9,"status":"ok","phase":"main","node":0}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}
