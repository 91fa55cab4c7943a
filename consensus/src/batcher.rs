//! Merges the commands of concurrent callers into proposals, and tells each caller what became of its own.
//!
//! The queue before the proposal is bounded: what does not fit is refused while it has left no trace. Once proposed,
//! a command may be decided whatever happens to its caller; so a wait that ends early then ends as "unknown". A few
//! proposals are in flight at a time, so that encoding, the log's sync and applying overlap; while they are, the next
//! one grows. Nobody is kept waiting for company.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use partita_core::decision::{Answer, Command};
use partita_core::time::Timestamp;
use partita_core::wellformed::Malformed;
use partita_storage::codec::{Level, Levels};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::applier::approximate;
use crate::disk::{DiskGuard, Shortage};
use crate::environment::SharedEnvironment;
use crate::levels::{ActiveLevel, emitted};
use crate::on_the_way::OnTheWay;
use crate::proposal::{EncodedCommands, EncodedPiece, ProposalBytes};
use crate::raft_types::{Proposal, TypeConfig};
use crate::state_machine::StateMachine;

/// Proposals between the batcher and their answers.
const IN_FLIGHT: usize = 4;
/// Commands that may wait to be proposed.
const QUEUE_COMMANDS: usize = 200_000;
/// Bytes that may wait to be proposed.
const QUEUE_BYTES: usize = 64 << 20;
/// Where more wait, the commands of the last are kept as bytes only, which are a quarter of their size.
const KEPT_COMMANDS: usize = 32_768;
/// What a refused caller is told to wait: the queue above drains well within it.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why commands have no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("no leader is known; nothing was proposed")]
    NoLeader,
    #[error("too much is waiting; nothing was proposed")]
    Overloaded { retry_after: Duration },
    #[error("the disk is short: {} bytes are free, {} are needed; nothing was proposed", .0.free_bytes, .0.needed_bytes)]
    ShortOfDisk(Shortage),
    #[error("the node is shutting down; nothing was proposed")]
    ShuttingDown,
    #[error("malformed: {0}; nothing was proposed")]
    Malformed(#[from] Malformed),
    #[error("whether the commands were decided is not known; send them again with the same keys")]
    OutcomeUnknown,
}

/// What became of a piece.
type PieceResult = Result<Vec<Answer>, SubmitError>;

struct Piece {
    encoded: EncodedPiece,
    level: Level,
    stamp: Timestamp,
    since: Instant,
    ticket: Arc<Ticket>,
    answer: oneshot::Sender<PieceResult>,
}

/// Shared by the pieces of one caller: proposed all, or withdrawn all.
#[derive(Debug)]
struct Ticket(AtomicU8);

const WAITING: u8 = 0;
const PROPOSED: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Whether the pieces may be proposed; from then on they cannot be withdrawn.
    fn propose(&self) -> bool {
        match self.0.compare_exchange(WAITING, PROPOSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(state) => state == PROPOSED,
        }
    }

    /// Whether nothing was proposed, and now never will be.
    fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What waits to be proposed.
#[derive(Debug, Default)]
struct Depth {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

impl Depth {
    /// Takes room for commands, unless there is none. One caller always fits into an empty queue.
    fn reserve(&self, commands: usize, bytes: usize) -> bool {
        let waiting = self.commands.fetch_add(commands, Ordering::AcqRel);
        let waiting_bytes = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = waiting == 0 || (waiting + commands <= QUEUE_COMMANDS && waiting_bytes + bytes <= QUEUE_BYTES);
        if !fits {
            self.release(commands, bytes);
        }
        fits
    }

    fn release(&self, commands: usize, bytes: usize) {
        self.commands.fetch_sub(commands, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Takes commands in. Clones share one queue.
#[derive(Clone, Debug)]
pub(crate) struct Batcher {
    pieces: mpsc::UnboundedSender<Piece>,
    depth: Arc<Depth>,
    flights: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
    environment: SharedEnvironment,
    levels: Levels,
    active_level: ActiveLevel,
    disk: DiskGuard,
}

impl Batcher {
    /// Starts the task that proposes.
    pub(crate) fn start(
        raft: Raft<TypeConfig, StateMachine>,
        environment: SharedEnvironment,
        levels: Levels,
        active_level: ActiveLevel,
        disk: DiskGuard,
        on_the_way: OnTheWay,
    ) -> Self {
        let (pieces, queue) = mpsc::unbounded_channel();
        let depth = Arc::new(Depth::default());
        let flights = Arc::new(Semaphore::new(IN_FLIGHT));
        let proposer = Proposer { raft, depth: Arc::clone(&depth), flights: Arc::clone(&flights), on_the_way };
        tokio::spawn(proposer.run(queue));
        Self { pieces, depth, flights, closing: Arc::default(), environment, levels, active_level, disk }
    }

    pub(crate) fn queued_commands(&self) -> usize {
        self.depth.commands.load(Ordering::Acquire)
    }

    /// [`Batcher::submit_encoded`].
    pub(crate) async fn submit(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Answer>, SubmitError> {
        self.submit_encoded(encoded(commands)?, deadline).await
    }

    /// Stamps the commands with the clock and waits for their answers, in their order.
    pub(crate) async fn submit_encoded(
        &self,
        mut commands: EncodedCommands,
        deadline: Instant,
    ) -> Result<Vec<Answer>, SubmitError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(SubmitError::ShuttingDown);
        }
        if let Some(shortage) = self.disk.shortage() {
            return Err(SubmitError::ShortOfDisk(shortage));
        }
        let stamp = self.environment.now();
        let level = emitted(&self.active_level, self.levels);
        let count = commands.len();
        if self.queued_commands() + count > KEPT_COMMANDS {
            commands.keep_bytes_only();
        }
        let pieces = commands.into_pieces();
        let bytes = pieces.iter().map(EncodedPiece::bytes).sum();
        if !self.depth.reserve(count, bytes) {
            return Err(SubmitError::Overloaded { retry_after: RETRY_AFTER });
        }
        metrics::gauge!("partita_queue_commands")
            .set(approximate(self.queued_commands().try_into().unwrap_or(u64::MAX)));
        let ticket = Arc::new(Ticket(AtomicU8::new(WAITING)));
        let mut waits = Vec::with_capacity(pieces.len());
        let since = Instant::now();
        for encoded in pieces {
            let (answer, wait) = oneshot::channel();
            waits.push(wait);
            let piece = Piece { encoded, level, stamp, since, ticket: Arc::clone(&ticket), answer };
            if self.pieces.send(piece).is_err() {
                // The queue's end is the process's: nobody else drains it.
                return Err(SubmitError::ShuttingDown);
            }
        }
        match tokio::time::timeout_at(deadline, gather(waits, count)).await {
            Ok(result) => result,
            Err(_elapsed) if ticket.withdraw() => Err(SubmitError::Overloaded { retry_after: RETRY_AFTER }),
            Err(_elapsed) => Err(SubmitError::OutcomeUnknown),
        }
    }

    /// Takes no more, and waits until what was taken is answered, or the deadline.
    pub(crate) async fn drain(&self, deadline: Instant) {
        self.closing.store(true, Ordering::Release);
        let all = u32::try_from(IN_FLIGHT).expect("it is small");
        let drained = async {
            loop {
                let flights = self.flights.acquire_many(all).await.expect("the semaphore is never closed");
                if self.queued_commands() == 0 {
                    return;
                }
                drop(flights);
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            tracing::warn!(
                "shutting down with unanswered commands: their callers are told that the outcome is unknown"
            );
        }
    }
}

/// Commands in the form of the log, if all are well-formed.
pub(crate) fn encoded(commands: Vec<Command>) -> Result<EncodedCommands, Malformed> {
    let mut encoded = EncodedCommands::for_about(commands.len());
    for command in commands {
        encoded.push_command(command)?;
    }
    Ok(encoded)
}

/// The answers of all pieces. Where some were proposed and others not, the whole is unknown.
async fn gather(waits: Vec<oneshot::Receiver<PieceResult>>, count: usize) -> Result<Vec<Answer>, SubmitError> {
    let mut answers = Vec::with_capacity(count);
    let mut failure: Option<SubmitError> = None;
    let mut any_answered = false;
    for wait in waits {
        match wait.await.unwrap_or(Err(SubmitError::OutcomeUnknown)) {
            Ok(mut found) => {
                any_answered = true;
                answers.append(&mut found);
            }
            Err(error) => {
                failure = Some(match failure {
                    Some(before) if before != error => SubmitError::OutcomeUnknown,
                    _ => error,
                });
            }
        }
    }
    match failure {
        None => Ok(answers),
        Some(_) if any_answered => Err(SubmitError::OutcomeUnknown),
        Some(error) => Err(error),
    }
}

/// Callers of one proposal, in the order of their commands.
type Callers = Vec<(usize, oneshot::Sender<PieceResult>)>;

struct Proposer {
    raft: Raft<TypeConfig, StateMachine>,
    depth: Arc<Depth>,
    flights: Arc<Semaphore>,
    on_the_way: OnTheWay,
}

impl Proposer {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Piece>) {
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(piece) => piece,
                None => match queue.recv().await {
                    Some(piece) => piece,
                    None => return,
                },
            };
            let flights = Arc::clone(&self.flights);
            let flight = flights.acquire_owned().await.expect("the semaphore is never closed");
            let mut proposal = ProposalBytes::default();
            let mut callers = Callers::new();
            metrics::histogram!("partita_queue_seconds").record(first.since.elapsed().as_secs_f64());
            self.add(first, &mut proposal, &mut callers);
            while let Ok(piece) = queue.try_recv() {
                if !proposal.has_room_for(&piece.encoded) {
                    left_over = Some(piece);
                    break;
                }
                self.add(piece, &mut proposal, &mut callers);
            }
            if !callers.is_empty() {
                let (proposal, kept) = proposal.finish();
                let proposal = Bytes::from(proposal);
                if let Some(kept) = kept {
                    self.on_the_way.keep(proposal.clone(), kept);
                }
                self.propose(proposal, callers, flight).await;
            }
        }
    }

    fn add(&self, piece: Piece, proposal: &mut ProposalBytes, callers: &mut Callers) {
        let commands = piece.encoded.commands();
        self.depth.release(commands, piece.encoded.bytes());
        if piece.ticket.propose() {
            proposal.push(piece.encoded, piece.level, piece.stamp);
            callers.push((commands, piece.answer));
        }
    }

    async fn propose(&self, proposal: Bytes, callers: Callers, flight: OwnedSemaphorePermit) {
        let commands: usize = callers.iter().map(|(commands, _)| commands).sum();
        metrics::histogram!("partita_proposal_commands").record(u32::try_from(commands).unwrap_or(u32::MAX));
        metrics::histogram!("partita_proposal_bytes").record(u32::try_from(proposal.len()).unwrap_or(u32::MAX));
        let (responder, committed, finished) = ProgressResponder::new();
        let proposed = Instant::now();
        if self.raft.client_write_ff(Proposal(proposal.clone()), Some(responder)).await.is_err() {
            // Raft has stopped and never saw it.
            self.on_the_way.take(&proposal);
            refuse(callers, &SubmitError::ShuttingDown);
            return;
        }
        let on_the_way = self.on_the_way.clone();
        tokio::spawn(async move {
            if committed.await.is_ok() {
                metrics::histogram!("partita_replicate_seconds").record(proposed.elapsed().as_secs_f64());
            }
            let outcome = finished.await;
            // It may never be applied here.
            on_the_way.take(&proposal);
            drop(flight);
            match outcome {
                Ok(result) => answer(result, callers),
                Err(_dropped) => refuse(callers, &SubmitError::OutcomeUnknown),
            }
        });
    }
}

fn answer(result: ClientWriteResult<TypeConfig>, callers: Callers) {
    let response = match result {
        Ok(response) => response,
        // openraft says so only of what it did not append.
        Err(ClientWriteError::ForwardToLeader(_)) => return refuse(callers, &SubmitError::NoLeader),
        Err(
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_),
        ) => return refuse(callers, &SubmitError::OutcomeUnknown),
    };
    let mut answers = response.data.0.into_iter();
    for (commands, caller) in callers {
        let own: Vec<Answer> = answers.by_ref().take(commands).collect();
        assert_eq!(own.len(), commands, "every command has an answer");
        // A caller whose deadline passed was told that the outcome is unknown.
        let _gone = caller.send(Ok(own));
    }
}

fn refuse(callers: Callers, error: &SubmitError) {
    for (_, caller) in callers {
        let _gone = caller.send(Err(error.clone()));
    }
}
