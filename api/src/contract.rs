//! TEMPORARY stand-in for storage's reader and consensus' node until both are on main.
#![allow(dead_code, unused_variables, missing_debug_implementations, clippy::all, reason = "temporary")]
use tokio::time::Instant;
use partita_core::decision::*; use partita_core::id::*;

pub use partita_storage::state::{Reader, StorageError, View};
pub use partita_storage::state::{Order, Posting};
#[derive(Debug, thiserror::Error)] #[error("start")] pub struct StartError;
#[derive(Debug)] pub enum SubmitError { NoLeader, Overloaded { retry_after: std::time::Duration }, ShuttingDown, OutcomeUnknown }
#[derive(Debug)] pub enum ReadError { NoLeader, PositionNotReached { wanted: Position, reached: Position }, TimedOut, ShuttingDown }
pub struct Node; impl std::fmt::Debug for Node { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
pub struct NodeStatus { pub node_id: u64, pub term: u64, pub leader: Option<u64>, pub recovered: bool, pub position: Position, pub queued_commands: usize }
pub struct NodeConfig { pub data: std::path::PathBuf, pub node_id: u64, pub memory_bytes: usize }
impl Node {
  pub async fn start(config: NodeConfig) -> Result<Node, StartError> { todo!() }
  pub async fn submit(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Answer>, SubmitError> { todo!() }
  pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub async fn wait_position(&self, p: Position, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub fn reader(&self) -> &Reader { todo!() }
  pub async fn wait_recovered(&self, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub async fn shutdown(&self, deadline: Instant) { todo!() }
  pub fn status(&self) -> NodeStatus { todo!() }
}
