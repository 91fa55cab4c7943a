//! Linearizable reads: one confirmation of leadership at a time, shared by all who asked before it began.
//!
//! A leader confirms itself with a quorum (ReadIndex, never a lease); any other node asks the leader. Either way the
//! answer is an entry of the log, and a read waits until this node has applied it.

use std::time::Duration;

use openraft::errors::RaftError;
use openraft::{Raft, ReadPolicy};
use partita_core::id::Position;
use partita_core::planted::{Bug, planted};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::leadership::{Leader, Leadership};
use crate::peer::message::{ReadIndexFailure, Request, Response};
use crate::peer::{Channel, PeerError, Peers};
use crate::raft_types::{RaftLogId, TypeConfig};
use crate::state_machine::StateMachine;

/// What the leader may take to confirm itself: a little more than it waits for its quorum.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(3);
/// How long an entry is waited for that nobody may be waiting for any more.
const APPLY_DEADLINE: Duration = Duration::from_secs(60);

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

/// Who waits.
#[derive(Debug)]
enum Reader {
    /// Until this node has applied what the read must see.
    Local(oneshot::Sender<Result<(), ReadError>>),
    /// Another node, for the entry; it waits by itself.
    Peer(oneshot::Sender<Result<RaftLogId, ReadIndexFailure>>),
}

/// Clones share one queue of readers.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    readers: mpsc::UnboundedSender<Reader>,
}

impl Barrier {
    /// Starts the task that confirms.
    pub(crate) fn start(raft: Raft<TypeConfig, StateMachine>, leadership: Leadership, peers: Peers) -> Self {
        let (readers, queue) = mpsc::unbounded_channel();
        tokio::spawn(Confirmer { raft, leadership, peers }.run(queue));
        Self { readers }
    }

    /// Returns when every write acknowledged before the call is visible to reads on this node.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<(), ReadError> {
        if planted(Bug::ReadWithoutBarrier) {
            return Ok(());
        }
        let (confirmed, wait) = oneshot::channel();
        self.readers.send(Reader::Local(confirmed)).map_err(|_gone| ReadError::ShuttingDown)?;
        match tokio::time::timeout_at(deadline, wait).await {
            Ok(result) => result.unwrap_or(Err(ReadError::ShuttingDown)),
            Err(_elapsed) => Err(ReadError::TimedOut),
        }
    }

    /// For another node: up to which entry its read has to wait. Fails where this node does not lead.
    pub(crate) async fn read_index(&self, deadline: Instant) -> Result<RaftLogId, ReadIndexFailure> {
        let (confirmed, wait) = oneshot::channel();
        self.readers.send(Reader::Peer(confirmed)).map_err(|_gone| ReadIndexFailure::Stopping)?;
        match tokio::time::timeout_at(deadline, wait).await {
            Ok(result) => result.unwrap_or(Err(ReadIndexFailure::Stopping)),
            Err(_elapsed) => Err(ReadIndexFailure::NoLeader),
        }
    }
}

struct Confirmer {
    raft: Raft<TypeConfig, StateMachine>,
    leadership: Leadership,
    peers: Peers,
}

impl Confirmer {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Reader>) {
        while let Some(first) = queue.recv().await {
            // A confirmation covers whoever asked before it began, and nobody after.
            let mut readers = vec![first];
            while let Ok(reader) = queue.try_recv() {
                readers.push(reader);
            }
            let (mut local, mut peers) = (Vec::new(), Vec::new());
            for reader in readers {
                match reader {
                    Reader::Local(confirmed) => local.push(confirmed),
                    Reader::Peer(confirmed) => peers.push(confirmed),
                }
            }
            let confirmed = match self.leadership.now() {
                Leader::Own => {
                    let confirmed = self.confirm().await;
                    answer_peers(peers, &confirmed);
                    confirmed
                }
                // Not passed on: two nodes that take each other for the leader would ask in a circle.
                Leader::Other(leader) => {
                    answer_peers(peers, &Err(ReadError::NoLeader));
                    if local.is_empty() { continue } else { self.ask(&leader).await }
                }
                Leader::Unknown => {
                    answer_peers(peers, &Err(ReadError::NoLeader));
                    Err(ReadError::NoLeader)
                }
            };
            match confirmed {
                Err(error) => answer_local(local, &Err(error)),
                Ok(_) if planted(Bug::FollowerAnswersStale) => answer_local(local, &Ok(())),
                Ok(entry) if self.leadership.applied_index() >= Some(entry.index) => answer_local(local, &Ok(())),
                Ok(entry) => {
                    tokio::spawn(answer_when_applied(self.raft.clone(), entry, local));
                }
            }
        }
    }

    /// ReadIndex on this node, which leads.
    async fn confirm(&self) -> Result<RaftLogId, ReadError> {
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((entry, _applied)) => Ok(*entry.log_id()),
            Err(RaftError::APIError(_not_confirmed)) => Err(ReadError::NoLeader),
            Err(RaftError::Fatal(_stopped)) => Err(ReadError::ShuttingDown),
        }
    }

    async fn ask(&self, leader: &crate::peer::PeerAddress) -> Result<RaftLogId, ReadError> {
        let deadline = Instant::now() + CONFIRM_DEADLINE;
        let asked = async {
            let pending = self.peers.send(leader, Channel::Control, &Request::ReadIndex, deadline).await?;
            pending.response_unless(self.leadership.replaced(leader)).await
        };
        match asked.await {
            Ok(Response::ReadIndex(Ok(entry))) => Ok(entry),
            // That the leader is shutting down is not this node's state.
            Ok(Response::ReadIndex(Err(ReadIndexFailure::NoLeader | ReadIndexFailure::Stopping))) => {
                Err(ReadError::NoLeader)
            }
            Ok(_) => Err(ReadError::NoLeader),
            Err(PeerError::NotSent(_) | PeerError::Unknown(_) | PeerError::Refused(_)) => Err(ReadError::NoLeader),
        }
    }
}

fn answer_local(readers: Vec<oneshot::Sender<Result<(), ReadError>>>, result: &Result<(), ReadError>) {
    for reader in readers {
        let _gone = reader.send(result.clone());
    }
}

fn answer_peers(
    readers: Vec<oneshot::Sender<Result<RaftLogId, ReadIndexFailure>>>,
    result: &Result<RaftLogId, ReadError>,
) {
    let result = match result {
        Ok(entry) => Ok(*entry),
        Err(ReadError::ShuttingDown) => Err(ReadIndexFailure::Stopping),
        Err(ReadError::NoLeader | ReadError::TimedOut | ReadError::PositionNotReached { .. }) => {
            Err(ReadIndexFailure::NoLeader)
        }
    };
    for reader in readers {
        let _gone = reader.send(result);
    }
}

async fn answer_when_applied(
    raft: Raft<TypeConfig, StateMachine>,
    entry: RaftLogId,
    readers: Vec<oneshot::Sender<Result<(), ReadError>>>,
) {
    let applied = raft.wait(Some(APPLY_DEADLINE)).applied_index_at_least(Some(entry.index), "a read's entry").await;
    // Who is dropped here has given up long ago, or the node is shutting down.
    if applied.is_ok() {
        answer_local(readers, &Ok(()));
    }
}
