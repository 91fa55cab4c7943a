//! Getting a checkpoint from the leader: the follower's side.
//!
//! One is received at a time; an offer of a later leader takes the place of another's. Parts go to the disk as they
//! come, so that a node that stops in between goes on where it was. The install runs by itself once it is asked for:
//! whoever asks again is told how it stands.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::storage::{Snapshot, SnapshotMeta};
use parking_lot::Mutex;
use partita_storage::log::Vote;
use partita_storage::snapshot::{CheckpointId, Checkpoints, Manifest, SnapshotError, Verified};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::message::{SnapshotRequest, SnapshotResponse};
use crate::codec::RaftState;
use crate::environment::{SharedEnvironment, blocking};
use crate::errors::chain;
use crate::raft_types::{TypeConfig, raft_vote, stored_vote};
use crate::state_machine::{SnapshotHandle, StateMachine};

/// Whoever asks how an install stands waits so long for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clones share what is being received.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    checkpoints: Arc<dyn Checkpoints>,
    raft: Raft<TypeConfig, StateMachine>,
    environment: SharedEnvironment,
    transfer: Arc<Mutex<Option<Transfer>>>,
}

#[derive(Clone, Debug)]
struct Transfer {
    id: CheckpointId,
    vote: Vote,
    /// Since the install was asked for.
    outcome: Option<watch::Receiver<SnapshotResponse>>,
}

impl Transfer {
    fn is_installing(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| *outcome.borrow() == SnapshotResponse::Working)
    }
}

impl Receiver {
    pub(crate) fn new(
        checkpoints: Arc<dyn Checkpoints>,
        raft: Raft<TypeConfig, StateMachine>,
        environment: SharedEnvironment,
    ) -> Self {
        Self { checkpoints, raft, environment, transfer: Arc::default() }
    }

    /// Answers one request; `deadline` is when nobody waits any more.
    pub(crate) async fn handle(&self, request: SnapshotRequest, deadline: Instant) -> SnapshotResponse {
        match request {
            SnapshotRequest::Offer { vote, manifest } => match Manifest::decode(&manifest) {
                Ok(manifest) => self.offer(vote, manifest).await,
                Err(error) => SnapshotResponse::Failed { reason: chain(&error) },
            },
            SnapshotRequest::Part { id, file, offset, bytes } => {
                if !self.is_receiving(id) {
                    return SnapshotResponse::OfferAgain;
                }
                let place = usize::try_from(file).expect("32 bits");
                let written = self.blocking(move |checkpoints| checkpoints.receive(place, offset, &bytes)).await;
                match written {
                    Ok(()) => SnapshotResponse::Written,
                    Err(error) => again_or_failed(&error),
                }
            }
            SnapshotRequest::Install { id } => self.install(id, deadline).await,
        }
    }

    fn is_receiving(&self, id: CheckpointId) -> bool {
        self.transfer.lock().as_ref().is_some_and(|transfer| transfer.id == id && transfer.outcome.is_none())
    }

    async fn offer(&self, vote: Vote, manifest: Manifest) -> SnapshotResponse {
        let own = stored_vote(&self.raft.metrics().borrow_watched().vote);
        if own > vote {
            return SnapshotResponse::HigherVote { vote: own };
        }
        let id = manifest.id();
        {
            let mut transfer = self.transfer.lock();
            match transfer.as_ref() {
                Some(known) if known.is_installing() => return SnapshotResponse::Working,
                Some(known) if known.vote > vote => return SnapshotResponse::HigherVote { vote: known.vote },
                Some(Transfer { id: known, outcome: Some(outcome), .. }) if *known == id => {
                    let ended = outcome.borrow().clone();
                    if let SnapshotResponse::Installed { .. } = ended {
                        return ended;
                    }
                }
                Some(_) | None => {}
            }
            *transfer = Some(Transfer { id, vote, outcome: None });
        }
        let (position, bytes) = (manifest.head.position.0, manifest.bytes());
        tracing::info!(%id, position, bytes, "a snapshot is received");
        match self.blocking(move |checkpoints| checkpoints.begin(&manifest)).await {
            Ok(lengths) => SnapshotResponse::Accepted { lengths },
            Err(error) => SnapshotResponse::Failed { reason: chain(&error) },
        }
    }

    async fn install(&self, id: CheckpointId, deadline: Instant) -> SnapshotResponse {
        let mut outcome = {
            let mut transfer = self.transfer.lock();
            let Some(transfer) = transfer.as_mut().filter(|transfer| transfer.id == id) else {
                return SnapshotResponse::OfferAgain;
            };
            transfer.outcome.get_or_insert_with(|| self.start_install(transfer.vote)).clone()
        };
        let until = deadline.min(Instant::now() + PATIENCE);
        let ended = timeout_at(until, outcome.wait_for(|outcome| *outcome != SnapshotResponse::Working)).await;
        match ended {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_gone)) => SnapshotResponse::Failed { reason: "the node is shutting down".to_owned() },
            Err(_elapsed) => SnapshotResponse::Working,
        }
    }

    fn start_install(&self, vote: Vote) -> watch::Receiver<SnapshotResponse> {
        let (ended, outcome) = watch::channel(SnapshotResponse::Working);
        let receiver = self.clone();
        tokio::spawn(async move {
            let outcome = receiver.verify_and_install(vote).await;
            ended.send_replace(outcome);
        });
        outcome
    }

    async fn verify_and_install(&self, vote: Vote) -> SnapshotResponse {
        let verified = match self.blocking(|checkpoints| checkpoints.verify()).await {
            Ok(verified) => verified,
            Err(error) => return again_or_failed(&error),
        };
        let installed = self.install_verified(vote, verified).await;
        // openraft had no need of it, perhaps: then what was received is of no use.
        if let Err(error) = self.blocking(|checkpoints| checkpoints.discard()).await {
            tracing::warn!(error = chain(&error), "what was received of a snapshot stays until the next one");
        }
        installed
    }

    async fn install_verified(&self, vote: Vote, verified: Verified) -> SnapshotResponse {
        let state = match RaftState::decode(&verified.manifest().applied.raft) {
            Ok(state) => state,
            Err(error) => return SnapshotResponse::Failed { reason: chain(&error) },
        };
        let meta = SnapshotMeta { last_log_id: state.last, last_membership: state.membership };
        let snapshot = Snapshot { meta, snapshot: SnapshotHandle::Received(Arc::new(verified)) };
        match self.raft.install_full_snapshot(raft_vote(vote), snapshot).await {
            Ok(answer) => SnapshotResponse::Installed { vote: stored_vote(&answer.vote) },
            Err(error) => SnapshotResponse::Failed { reason: chain(&error) },
        }
    }

    /// Runs what waits for a disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Checkpoints) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let checkpoints = Arc::clone(&self.checkpoints);
        let done = blocking(&self.environment, move || work(&*checkpoints)).await;
        done.expect("the task that waits for it ends with the runtime too")
    }
}

/// What was damaged is gone, or was never there: the sender learns from the next offer what is missing.
fn again_or_failed(error: &SnapshotError) -> SnapshotResponse {
    match error {
        SnapshotError::Damaged { .. }
        | SnapshotError::Incomplete { .. }
        | SnapshotError::Misplaced { .. }
        | SnapshotError::NotOffered => {
            tracing::warn!(error = chain(error), "a part of a snapshot is to come again");
            SnapshotResponse::OfferAgain
        }
        SnapshotError::Io { .. }
        | SnapshotError::Engine(_)
        | SnapshotError::State(_)
        | SnapshotError::Pointer { .. }
        | SnapshotError::Manifest(_)
        | SnapshotError::OtherHead
        | SnapshotError::Empty => SnapshotResponse::Failed { reason: chain(error) },
    }
}
