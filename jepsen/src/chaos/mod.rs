//! Chaos runs: a load, faults while it runs, and checkers that judge by a model of their own.
//!
//! - [`history`]: what each client did and saw, one JSON line an operation;
//! - [`bank`]: transfers in closed groups of accounts, and the model that has to reproduce every answer;
//! - [`billing`]: charges, payments and refunds, and the model of them;
//! - [`settlement`]: what became of every key that was sent;
//! - [`bookkeeping`]: the run's books on a ledger, request by request;
//! - [`workload`]: what a run's clients do, by name;
//! - [`load`], `clients`, [`watch`]: the clients, what they have in common, and who led meanwhile;
//! - [`upgrade`]: nodes replaced by the next version, one after the other;
//! - [`faults`]: what can be done to a cluster, and the log of what was done;
//! - [`run`], `judge`: one run from an empty cluster to its verdicts;
//! - [`check`]: the checkers, one file each; each says what it counted, and *unknown* is never *passed*;
//! - [`report`]: the run in words, and as a page.

pub mod bank;
pub mod billing;
pub mod bookkeeping;
pub mod check;
mod clients;
pub mod counts;
pub mod faults;
pub mod history;
mod judge;
pub mod load;
pub mod report;
pub mod run;
pub mod settlement;
pub mod upgrade;
pub mod watch;
pub mod workload;
