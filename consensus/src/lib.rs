//! Partita's replicated state machine: openraft over the raft log and the state of `partita-storage`.
//!
//! A write: [`node`] → [`batcher`] merges callers into a [`proposal`] → openraft → [`log_store`] stages it and
//! [`appender`]'s thread makes it durable → commit → [`state_machine`] → [`applier`]'s thread → answers. A read:
//! [`barrier`] confirms leadership, then storage's reader reads. Knows nothing of JSON and HTTP; no openraft type
//! leaves this crate.

mod appender;
mod applier;
pub mod backup;
mod barrier;
mod batcher;
pub mod cluster;
mod codec;
mod data_directory;
mod disk;
pub mod environment;
mod errors;
mod forward;
mod leadership;
mod levels;
mod log_store;
mod network;
pub mod node;
mod on_the_way;
mod peer;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod proposal;
mod purge;
mod raft_runtime;
mod raft_types;
mod requests;
pub mod simulated;
mod snapshot;
mod state_machine;
mod verify;

pub use barrier::ReadError;
pub use batcher::SubmitError;
pub use codec::CodecError;
pub use data_directory::{ClusterId, DirectoryError, recorded_node};
pub use disk::Shortage;
pub use node::{Node, NodeConfig, NodeStatus, Role, StartError, join_cluster};
pub use peer::{TlsConfig, TlsError};
pub use proposal::EncodedCommands;
pub use snapshot::exports::ExportError;
pub use verify::{VerifyError, verify};

#[cfg(test)]
mod appender_tests;
#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod level_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod proposal_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;
