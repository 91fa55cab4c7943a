//! Partita's edge: HTTP routes, JSON, problem details, OpenAPI, metrics, and the commands of the `partita` binary.
//!
//! JSON exists only in this crate. It decides nothing that the state machine decides: what needs no state is refused
//! here, everything else becomes a command. It knows neither RocksDB nor openraft.

mod contract;

pub mod problem;
pub mod values;
pub mod body;
pub mod query;
pub mod path;
pub mod sums;
pub mod names;
pub mod app;
pub mod batch;
pub mod write;
pub mod answer;
pub mod documents;
pub mod history;
pub mod routes;
pub mod metrics;
pub mod router;

pub mod cli;
pub mod serve;
