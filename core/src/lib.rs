//! Partita's accounting core: money, charts of accounts, entries, documents, and the posting rules.
//!
//! Pure: no I/O, no clock, no randomness, no hash-map order, no floats, no JSON, no RocksDB. All that comes
//! from outside is stamped into a [`decision::Command`]; [`execute::execute`] is the only place where state changes.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::float_arithmetic)]

pub mod account;
pub mod chain;
pub mod chart;
pub mod commit;
pub mod currency;
pub mod decision;
pub mod document;
pub mod entry;
pub mod execute;
mod few;
pub mod fx;
pub mod id;
pub mod money;
pub mod operation;
pub mod operations;
mod pair;
pub mod period;
pub mod place;
pub mod plan;
pub mod planted;
pub mod recognition;
pub mod rejection;
pub mod report;
pub mod resolve;
pub mod schedule;
pub mod seal;
pub mod state;
pub mod tax;
mod text;
pub mod time;
pub mod wellformed;
