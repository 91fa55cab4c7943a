//! Partita's edge: HTTP routes, JSON, problem details, OpenAPI, metrics, and the commands of the `partita` binary.
//!
//! JSON exists only in this crate. It decides nothing that the state machine decides: what needs no state is refused
//! here, everything else becomes a command. It knows neither RocksDB nor openraft.

pub mod answer;
pub mod app;
pub mod batch;
pub mod binary;
pub mod body;
mod direct;
pub mod documents;
mod export;
pub mod history;
pub mod metrics;
pub mod names;
pub mod path;
pub mod problem;
pub mod query;
pub mod report;
mod results;
pub mod router;
pub mod routes;
mod stamp;
pub mod subledger;
pub mod sums;
pub mod values;
pub mod write;

pub mod cli;
pub mod serve;
pub mod settings;
