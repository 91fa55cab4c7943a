//! Tries to break Partita from outside: real processes, HTTP, signals, damaged files. It shares no code with the ledger,
//! so that what it believes about an answer is its own.
//!
//! - [`node`]: a `partita serve` process on a loopback port, killed when dropped;
//! - [`hosts`], [`cluster`]: several of them, killed, paused, cut off from each other and put back;
//! - [`command`]: the other commands of the binary, run to their end;
//! - [`client`]: requests and answers as JSON values;
//! - [`books`]: what a book holds, read whole, so that two can be compared;
//! - [`transfers`]: a load whose every acknowledgement is remembered, and the check that nothing of it is lost;
//! - [`reads`]: linearizable reads that must never go back, nor miss what was acknowledged before them;
//! - [`every_operation`]: a book in which every operation happened, at random;
//! - [`programs`]: hledger, ledger and beancount, and the trial balances that they compute from an export;
//! - [`damage`]: bytes flipped and files cut behind a stopped node's back;
//! - [`chaos`]: runs of a load under faults, their histories, and the checkers that judge them.
//!
//! Every wait has a deadline, and every test that injects faults counts them.

pub mod books;
pub mod chaos;
pub mod client;
pub mod cluster;
pub mod command;
pub mod damage;
pub mod every_operation;
pub mod hosts;
pub mod node;
pub mod programs;
pub mod reads;
pub mod transfers;

use std::path::PathBuf;
use std::process::ExitStatus;

#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    #[error("{path}: {what}", path = path.display())]
    File {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("no binary at {path}: build it first (make test does), or name it in PARTITA_BIN", path = path.display())]
    NoBinary { path: PathBuf },
    #[error("{what} did not happen within {seconds} s; the node's log ends with:\n{log}")]
    Late { what: &'static str, seconds: u64, log: String },
    #[error("the node ended with {status} before it was ready; its log ends with:\n{log}")]
    EndedEarly { status: ExitStatus, log: String },
    #[error("no free port on the loopback interface")]
    NoPort(#[source] std::io::Error),
    #[error("{command}: {said}")]
    Network { command: String, said: String },
    #[error("no fault is called {name}")]
    NoFault { name: String },
    #[error("no workload is called {name}")]
    NoWorkload { name: String },
    #[error("no answer to {request}")]
    NoAnswer {
        request: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{request} was answered {status}: {body}")]
    Unexpected { request: String, status: u16, body: String },
}
