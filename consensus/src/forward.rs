//! Writes of a node that does not lead: handed to the leader, answered from this node's own journal.
//!
//! The leader answers with positions, not with decisions: this node waits until it has applied them anyway, so that
//! its caller reads what it wrote, and then the journal has them. What the leader surely did not propose is told from
//! what it may have proposed; nothing waits longer than its deadline.

use std::sync::Arc;
use std::time::Duration;

use partita_core::decision::Answer;
use partita_core::id::Position;
use partita_core::planted::{Bug, planted};
use partita_storage::codec::Levels;
use partita_storage::engine::TableEngine;
use partita_storage::state::{Reader, StorageError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::batcher::{RETRY_AFTER, SubmitError};
use crate::environment::{SharedEnvironment, blocking};
use crate::errors::chain;
use crate::leadership::Leadership;
use crate::levels::{ActiveLevel, emitted};
use crate::peer::message::{Receipt, Request, Response, SubmitFailure};
use crate::peer::{Channel, ConnectionError, PeerAddress, PeerError, Peers};
use crate::proposal::EncodedCommands;

/// The most bytes of decisions read from the journal in one step.
const READ_BYTES: usize = 4 << 20;
/// A leader that hands over its leadership, or loses it, may still answer what it had taken.
const FAREWELL: Duration = Duration::from_millis(250);
/// More receipts than these are turned into answers on a thread that may block.
const READ_INLINE: usize = 16;

pub(crate) struct Forwarder<T> {
    peers: Peers,
    leadership: Leadership,
    reader: Reader<T>,
    position: watch::Receiver<Position>,
    environment: SharedEnvironment,
    levels: Levels,
    active_level: ActiveLevel,
}

impl<T: TableEngine> Forwarder<T> {
    /// Does not wait for a leader that was replaced: if it is silent, it may be so until the deadline.
    async fn ask(&self, leader: &PeerAddress, request: &Request, deadline: Instant) -> Result<Response, PeerError> {
        let pending = self.peers.send(leader, Channel::Bulk, request, deadline).await?;
        let replaced = async {
            self.leadership.replaced(leader).await;
            tokio::time::sleep(FAREWELL).await;
        };
        pending.response_unless(replaced).await
    }

    pub(crate) fn new(
        peers: Peers,
        leadership: Leadership,
        reader: Reader<T>,
        position: watch::Receiver<Position>,
        environment: SharedEnvironment,
        levels: Levels,
        active_level: ActiveLevel,
    ) -> Self {
        Self { peers, leadership, reader, position, environment, levels, active_level }
    }

    /// Has the leader decide commands, and answers once this node has applied what was decided.
    pub(crate) async fn submit(
        &self,
        leader: &PeerAddress,
        commands: EncodedCommands,
        deadline: Instant,
    ) -> Result<Vec<Answer>, SubmitError> {
        let count = commands.len();
        // The leader sets its own stamp.
        let sealed = commands.seal(emitted(&self.active_level, self.levels), self.environment.now());
        let pieces = sealed.into_iter().map(Into::into).collect();
        let receipts = match self.ask(leader, &Request::Submit(pieces), deadline).await {
            Ok(Response::Submit(result)) => result.map_err(submit_error)?,
            Err(PeerError::Unknown(_)) if planted(Bug::LostReportedAsNotSent) => return Err(SubmitError::NoLeader),
            // The leader did something; it did not say what.
            Ok(_) | Err(PeerError::Unknown(_)) => return Err(SubmitError::OutcomeUnknown),
            // As long as that: too much is on its way already.
            Err(PeerError::NotSent(reason)) if matches!(*reason, ConnectionError::Deadline) => {
                return Err(SubmitError::Overloaded { retry_after: RETRY_AFTER });
            }
            Err(PeerError::NotSent(_) | PeerError::Refused(_)) => return Err(SubmitError::NoLeader),
        };
        if receipts.len() != count {
            return Err(SubmitError::OutcomeUnknown);
        }
        let last = receipts.iter().map(|receipt| receipt.position()).max().unwrap_or_default();
        let mut position = self.position.clone();
        match timeout_at(deadline, position.wait_for(|reached| *reached >= last)).await {
            Ok(Ok(_)) => {}
            // They are decided, but this node cannot say how.
            Ok(Err(_)) | Err(_) => return Err(SubmitError::OutcomeUnknown),
        }
        let reader = self.reader.clone();
        let read = if count <= READ_INLINE {
            answers(&reader, &receipts)
        } else {
            blocking(&self.environment, move || answers(&reader, &receipts)).await.ok_or(SubmitError::OutcomeUnknown)?
        };
        read.map_err(|error| {
            self.environment.stop_process(&format!("the journal cannot be read: {}", chain(&error)));
            SubmitError::OutcomeUnknown
        })
    }
}

fn submit_error(failure: SubmitFailure) -> SubmitError {
    match failure {
        SubmitFailure::Overloaded { retry_after_ms } => {
            SubmitError::Overloaded { retry_after: Duration::from_millis(retry_after_ms.into()) }
        }
        // That the leader is shutting down is not this node's state: soon another leads.
        SubmitFailure::NoLeader | SubmitFailure::Stopping => SubmitError::NoLeader,
        // This node found them well-formed: the two run different programs. It proposed nothing.
        SubmitFailure::Malformed => SubmitError::NoLeader,
        SubmitFailure::OutcomeUnknown => SubmitError::OutcomeUnknown,
        SubmitFailure::ShortOfDisk(shortage) => SubmitError::ShortOfDisk(shortage),
    }
}

/// The answers behind receipts, all of which this node has applied.
fn answers<T: TableEngine>(reader: &Reader<T>, receipts: &[Receipt]) -> Result<Vec<Answer>, StorageError> {
    let mut answers = Vec::with_capacity(receipts.len());
    let mut left = receipts;
    while let Some(first) = left.first() {
        match *first {
            Receipt::Replayed(position) => answers.push(Answer::Replayed { position }),
            Receipt::KeyReused(position) => answers.push(Answer::KeyReused { position }),
            Receipt::Decided(first) => {
                let run = run_length(first, left);
                let decisions = reader.decisions(first, run, READ_BYTES)?;
                assert!(!decisions.is_empty(), "the journal has the decision at {first}, which was applied");
                left = &left[decisions.len()..];
                answers.extend(decisions.into_iter().map(|decision| Answer::Decided(Arc::new(decision))));
                continue;
            }
        }
        left = &left[1..];
    }
    Ok(answers)
}

/// How many of the receipts are of decisions that follow each other, from `first` on.
fn run_length(first: Position, receipts: &[Receipt]) -> usize {
    let mut next = first;
    let in_turn = receipts.iter().take_while(|receipt| {
        let follows = **receipt == Receipt::Decided(next);
        next = next.next();
        follows
    });
    in_turn.count()
}
