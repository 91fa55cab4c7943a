//! Partita's edge: HTTP routes, JSON, problem details, OpenAPI, metrics, and the commands of the `partita` binary.
//!
//! JSON exists only in this crate. It decides nothing that the state machine decides: what needs no state is refused
//! here, everything else becomes a command. It knows neither RocksDB nor openraft.

pub mod answer;
pub mod app;
pub mod batch;
pub mod body;
pub mod documents;
mod export;
pub mod history;
pub mod metrics;
pub mod names;
pub mod path;
pub mod problem;
pub mod query;
pub mod report;
pub mod router;
pub mod routes;
pub mod subledger;
pub mod sums;
pub mod values;
pub mod write;

pub mod cli;
pub mod serve;
pub mod settings;
