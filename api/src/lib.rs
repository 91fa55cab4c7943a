//! Partita's edge: HTTP routes, JSON, problem details, OpenAPI, metrics, and the commands of the `partita` binary.
//!
//! JSON exists only in this crate. It decides nothing that the state machine decides: what needs no state is refused
//! here, everything else becomes a command. It knows neither RocksDB nor openraft.

pub mod cli;
pub mod serve;
