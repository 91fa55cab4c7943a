//! Bringing a checkpoint to a follower: the leader's side.
//!
//! A transfer that ends early is begun again by openraft, with the same checkpoint as long as that is of use; what the
//! follower has already is not sent again. Every question has a deadline; where the follower works on an install it
//! is asked again for as long as that may take.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::alias::SnapshotOf;
use openraft::errors::{ReplicationClosed, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse as RaftAnswer;
use partita_storage::log::Vote;
use partita_storage::snapshot::{CheckpointId, Exported, SnapshotError};
use tokio::time::{Instant, sleep, sleep_until};

use super::exports::{ExportError, Exports};
use super::message::{SnapshotRequest, SnapshotResponse};
use crate::errors::chain;
use crate::peer::message::{Request, Response};
use crate::peer::{Channel, PeerAddress, PeerError, Peers};
use crate::raft_types::{TypeConfig, raft_vote};
use crate::state_machine::SnapshotHandle;

/// Bytes of a file in one message.
const PART_BYTES: usize = 1 << 20;
/// Half of a gigabit line, so that writes get through beside it.
const BYTES_PER_SECOND: u64 = 64 << 20;
/// For one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two questions whether an install is done.
const PAUSE: Duration = Duration::from_millis(50);
/// A follower reads back and opens what it got within this.
const INSTALL: Duration = Duration::from_secs(600);
/// A follower may ask for the same checkpoint this often: it was restarted, or a file came damaged.
const OFFERS: usize = 5;

/// Why a transfer ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the checkpoint cannot be read")]
    Read(#[from] SnapshotError),
    #[error("the follower cannot be reached")]
    Peer(#[from] PeerError),
    #[error("the follower answered what was not asked")]
    OutOfPlace,
    #[error("the follower cannot install it: {reason}")]
    Failed { reason: String },
    #[error("the follower did not get it right {OFFERS} times")]
    NeverRight,
    #[error("the follower did not install it in time")]
    InstallDeadline,
}

/// The way to one follower.
pub(crate) trait Way: Send + Sync {
    fn ask(
        &self,
        request: SnapshotRequest,
        deadline: Instant,
    ) -> impl Future<Output = Result<SnapshotResponse, SendError>> + Send;
}

/// Over the connection for snapshots.
#[derive(Debug)]
pub(crate) struct PeerWay<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) to: &'a PeerAddress,
}

impl Way for PeerWay<'_> {
    async fn ask(&self, request: SnapshotRequest, deadline: Instant) -> Result<SnapshotResponse, SendError> {
        match self.peers.call(self.to, Channel::Snapshot, &Request::Snapshot(request), deadline).await? {
            Response::Snapshot(response) => Ok(response),
            Response::Append(_)
            | Response::Vote(_)
            | Response::PreVote(_)
            | Response::TransferLeader(_)
            | Response::Submit(_)
            | Response::ReadIndex(_)
            | Response::Cluster(_) => Err(SendError::OutOfPlace),
        }
    }
}

/// What openraft asks of a network: brings the state to a follower, and returns the vote that it has then.
pub(crate) async fn send<W: Way>(
    exports: &Exports,
    way: &W,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, SnapshotHandle>,
    cancelled: impl Future<Output = ReplicationClosed> + Send,
) -> Result<RaftAnswer<TypeConfig>, StreamingError<TypeConfig>> {
    let transfer = async {
        // openraft takes it from here that the follower has everything up to the snapshot's last entry.
        let least = snapshot.meta.last_log_id.map(|last| last.index);
        let exported = match snapshot.snapshot {
            SnapshotHandle::Kept(exported) => exported,
            SnapshotHandle::Own { .. } | SnapshotHandle::Received(_) => exports.take(least).await?,
        };
        let _hold = exports.hold(&exported);
        let vote = Transfer { exports, exported: &exported, id: exported.manifest().id(), way, vote }.run().await?;
        exports.done(exported).await;
        Ok::<Vote, SendError>(vote)
    };
    tokio::select! {
        closed = cancelled => Err(closed.into()),
        ended = transfer => match ended {
            Ok(vote) => Ok(RaftAnswer::new(raft_vote(vote))),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "a snapshot was not brought to a follower; it is tried again");
                Err(Unreachable::from_string(error).into())
            }
        },
    }
}

struct Transfer<'a, W> {
    exports: &'a Exports,
    exported: &'a Arc<Exported>,
    id: CheckpointId,
    way: &'a W,
    vote: Vote,
}

impl<W: Way> Transfer<'_, W> {
    async fn run(&self) -> Result<Vote, SendError> {
        let manifest = self.exported.manifest();
        let (position, bytes) = (manifest.head.position.0, manifest.bytes());
        tracing::info!(id = %self.id, position, bytes, "a snapshot is sent");
        for _ in 0..OFFERS {
            let lengths = match self.offer().await? {
                Offered::Accepted(lengths) => lengths,
                Offered::Ended(vote) => return Ok(vote),
            };
            if self.send_files(&lengths).await? == Sent::All
                && let Some(vote) = self.install().await?
            {
                tracing::info!(id = %self.id, position, "a snapshot was installed by a follower");
                return Ok(vote);
            }
        }
        Err(SendError::NeverRight)
    }

    async fn ask(&self, request: SnapshotRequest) -> Result<SnapshotResponse, SendError> {
        self.way.ask(request, Instant::now() + ANSWER).await
    }

    async fn offer(&self) -> Result<Offered, SendError> {
        let until = Instant::now() + INSTALL;
        let manifest = Bytes::from(self.exported.manifest().encode());
        loop {
            let offer = SnapshotRequest::Offer { vote: self.vote, manifest: manifest.clone() };
            match self.ask(offer).await? {
                SnapshotResponse::Accepted { lengths } => return Ok(Offered::Accepted(lengths)),
                SnapshotResponse::Installed { vote } | SnapshotResponse::HigherVote { vote } => {
                    return Ok(Offered::Ended(vote));
                }
                // Another one, or this one: its sender lost the answer.
                SnapshotResponse::Working if Instant::now() < until => sleep(PAUSE).await,
                SnapshotResponse::Working => return Err(SendError::InstallDeadline),
                SnapshotResponse::Failed { reason } => return Err(SendError::Failed { reason }),
                SnapshotResponse::Written | SnapshotResponse::OfferAgain => return Err(SendError::OutOfPlace),
            }
        }
    }

    async fn send_files(&self, lengths: &[u64]) -> Result<Sent, SendError> {
        let files = &self.exported.manifest().files;
        if lengths.len() != files.len() {
            return Err(SendError::OutOfPlace);
        }
        let mut pace = Pace::new();
        for (place, (file, have)) in files.iter().zip(lengths).enumerate() {
            let mut offset = *have;
            while offset < file.length {
                let step = usize::try_from(file.length - offset).map_or(PART_BYTES, |left| left.min(PART_BYTES));
                let bytes = self.read(place, offset, step).await?;
                offset += u64::try_from(step).expect("64 bits");
                match self.ask(self.part(place, offset, bytes)).await? {
                    SnapshotResponse::Written => {}
                    SnapshotResponse::OfferAgain => return Ok(Sent::Part),
                    SnapshotResponse::Failed { reason } => return Err(SendError::Failed { reason }),
                    SnapshotResponse::Accepted { .. }
                    | SnapshotResponse::Working
                    | SnapshotResponse::Installed { .. }
                    | SnapshotResponse::HigherVote { .. } => return Err(SendError::OutOfPlace),
                }
                metrics::counter!("partita_snapshot_sent_bytes_total").increment(u64::try_from(step).expect("64 bits"));
                pace.after(step).await;
            }
        }
        Ok(Sent::All)
    }

    /// The part that ends at `end`.
    fn part(&self, place: usize, end: u64, bytes: Bytes) -> SnapshotRequest {
        let offset = end - u64::try_from(bytes.len()).expect("64 bits");
        let file = u32::try_from(place).expect("a checkpoint's files are counted in thousands");
        SnapshotRequest::Part { id: self.id, file, offset, bytes }
    }

    async fn read(&self, file: usize, offset: u64, length: usize) -> Result<Bytes, SendError> {
        Ok(Bytes::from(self.exports.read(self.exported, file, offset, length).await??))
    }

    /// `None`: what the follower has is not right, and has to be offered again.
    async fn install(&self) -> Result<Option<Vote>, SendError> {
        let until = Instant::now() + INSTALL;
        loop {
            match self.ask(SnapshotRequest::Install { id: self.id }).await? {
                SnapshotResponse::Installed { vote } | SnapshotResponse::HigherVote { vote } => return Ok(Some(vote)),
                SnapshotResponse::Working if Instant::now() < until => sleep(PAUSE).await,
                SnapshotResponse::Working => return Err(SendError::InstallDeadline),
                SnapshotResponse::OfferAgain => return Ok(None),
                SnapshotResponse::Failed { reason } => return Err(SendError::Failed { reason }),
                SnapshotResponse::Accepted { .. } | SnapshotResponse::Written => return Err(SendError::OutOfPlace),
            }
        }
    }
}

enum Offered {
    Accepted(Vec<u64>),
    /// There is nothing to do; the follower's vote.
    Ended(Vote),
}

#[derive(PartialEq, Eq)]
enum Sent {
    All,
    /// The follower knows nothing of it any more.
    Part,
}

/// Keeps a transfer to its rate.
struct Pace {
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    async fn after(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).expect("64 bits");
        self.next += Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / BYTES_PER_SECOND);
        sleep_until(self.next).await;
        // What was slower by itself is not made up for.
        self.next = self.next.max(Instant::now() - PAUSE);
    }
}
