//! What each client did and saw: one JSON line an operation, complete enough for any outside checker.
//!
//! `ok` is any definite answer of the state machine, refusals included; `fail` certainly had no effect and never will;
//! `info` is everything else: a time-out, a broken connection, an answer that says "unknown". After `info` a client
//! goes on under a new number, because what it asked for may still happen.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "snake_case")]
pub enum Operation {
    /// Opens the book or an account: of no interest but that it takes a position.
    Create { what: String },
    /// Moves `amount` from the account `from` to the account `to`.
    Transfer { from: usize, to: usize, amount: Cents },
    /// One account's balance, linearizably.
    Read { account: usize },
    /// All accounts at one position, linearizably.
    ReadAll,
    /// What was decided for a key.
    Lookup { of: String },
}

/// A definite answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `posted`, `read`, `unknown_key`, or the refusal's code.
    pub code: String,
    /// The header `Partita-Position`: the answer reflects every decision up to it.
    pub index: u64,
    /// Of the decision that the answer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub replayed: bool,
    /// After a transfer: of `from` and `to`. Of a read: what was read, in the order of the accounts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub balances: Vec<Cents>,
    /// What an overdraft says was available.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub available: Option<Cents>,
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
                code: "posted".to_owned(),
                index: 41,
                position: Some(41),
                replayed: false,
                balances: vec![850, 1_150],
                available: None,
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
