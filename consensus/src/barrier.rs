//! Linearizable reads: one confirmation of leadership at a time, shared by all who asked before it began.

use openraft::errors::RaftError;
use openraft::{Raft, ReadPolicy};
use partita_core::id::Position;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::raft_types::TypeConfig;
use crate::state_machine::StateMachine;

/// Why a read cannot be served as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("no leader is known")]
    NoLeader,
    #[error("position {wanted} was not reached in time; this node is at {reached}")]
    PositionNotReached { wanted: Position, reached: Position },
    #[error("the leader did not confirm in time")]
    TimedOut,
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// Clones share one queue of readers.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    readers: mpsc::UnboundedSender<oneshot::Sender<Result<(), ReadError>>>,
}

impl Barrier {
    /// Starts the task that confirms.
    pub(crate) fn start(raft: Raft<TypeConfig, StateMachine>) -> Self {
        let (readers, mut queue) = mpsc::unbounded_channel::<oneshot::Sender<Result<(), ReadError>>>();
        tokio::spawn(async move {
            while let Some(first) = queue.recv().await {
                // A confirmation covers whoever asked before it began, and nobody after.
                let mut waiting = vec![first];
                while let Ok(reader) = queue.try_recv() {
                    waiting.push(reader);
                }
                let result = confirm(&raft).await;
                for reader in waiting {
                    let _gone = reader.send(result.clone());
                }
            }
        });
        Self { readers }
    }

    /// Returns when every write acknowledged before the call is visible to reads on this node.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<(), ReadError> {
        let (confirmed, wait) = oneshot::channel();
        self.readers.send(confirmed).map_err(|_gone| ReadError::ShuttingDown)?;
        match tokio::time::timeout_at(deadline, wait).await {
            Ok(result) => result.unwrap_or(Err(ReadError::ShuttingDown)),
            Err(_elapsed) => Err(ReadError::TimedOut),
        }
    }
}

/// ReadIndex, then waits until it is applied.
async fn confirm(raft: &Raft<TypeConfig, StateMachine>) -> Result<(), ReadError> {
    match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
        Ok(_read_log_id) => Ok(()),
        Err(RaftError::APIError(_not_confirmed)) => Err(ReadError::NoLeader),
        Err(RaftError::Fatal(_stopped)) => Err(ReadError::ShuttingDown),
    }
}
