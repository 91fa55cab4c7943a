//! Partita's storage over RocksDB: the stored form of everything, the raft log, the journal and its hash trees, the
//! working set of tables with its checkpoints, and verification.
//!
//! Knows files; knows neither raft's protocol nor HTTP.

#[macro_use]
pub mod codec;
pub mod engine;
pub mod hashing;
pub mod journal;
pub mod log;
pub mod snapshot;
pub mod state;
pub mod tree;
pub mod verify;
