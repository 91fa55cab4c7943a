//! openraft's state machine: hands committed entries to the applier's thread and waits until they are applied; an entry of
//! a command or two, behind which none waits, it has applied at once.
//!
//! Nothing is durable when `apply` returns: the raft log is. After a crash `applied_state` is the last durable
//! checkpoint's, and openraft replays the log from there. What openraft calls its current snapshot is that checkpoint
//! on this node's own disk, known by what it holds, which lets it purge the log behind it; what another node gets is
//! taken anew when it is sent ([`crate::snapshot`]), and so is never behind what was purged. Installed is only what
//! was received as files.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta};
use openraft::{EntryPayload, OptionalSend};
use partita_core::id::Position;
use partita_core::planted::{Bug, planted};
use partita_storage::codec::{Level, Levels};
use partita_storage::snapshot::{Exported, Verified};
use tokio::sync::{mpsc, oneshot, watch};

use crate::applier::{Applicable, ApplyHere, Durable, NotHere, Work};
use crate::codec::RaftState;
use crate::levels::ActiveLevel;
use crate::on_the_way::OnTheWay;
use crate::proposal::{Decoded, decode_proposal};
use crate::raft_types::{RaftLogId, RaftStoredMembership, TypeConfig};
use crate::snapshot::exports::Exports;

/// A checkpoint, beside its raft state.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotHandle {
    /// On this node's own disk.
    Own { position: Position },
    /// On its way to a follower already.
    Kept(Arc<Exported>),
    /// Received, whole and checked.
    Received(Arc<Verified>),
}

/// An entry of more commands is worth the way to the applier's thread: whoever applies it does nothing else meanwhile.
const APPLIED_HERE: usize = 2;

pub(crate) struct StateMachine {
    work: mpsc::Sender<Work>,
    here: Arc<dyn ApplyHere>,
    durable: watch::Receiver<Option<Durable>>,
    exports: Exports,
    state: RaftState,
    levels: Levels,
    active_level: watch::Sender<Option<Level>>,
    on_the_way: OnTheWay,
}

impl std::fmt::Debug for StateMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateMachine").field("state", &self.state).finish_non_exhaustive()
    }
}

impl StateMachine {
    /// `state` is what the applier has applied.
    pub(crate) fn new(
        work: mpsc::Sender<Work>,
        here: Arc<dyn ApplyHere>,
        durable: watch::Receiver<Option<Durable>>,
        exports: Exports,
        state: RaftState,
        levels: Levels,
    ) -> Self {
        let active_level = watch::Sender::new(state.level);
        Self { work, here, durable, exports, state, levels, active_level, on_the_way: OnTheWay::default() }
    }

    /// What holds after the last entry that was applied, or is about to be.
    pub(crate) fn active_level(&self) -> ActiveLevel {
        self.active_level.subscribe()
    }

    /// Where whoever proposes on this node may keep commands for it.
    pub(crate) fn on_the_way(&self) -> OnTheWay {
        self.on_the_way.clone()
    }

    /// The level that commands are proposed at from now on.
    fn set_level(&mut self, level: Option<Level>) {
        self.state.level = level;
        let changed = self.active_level.send_if_modified(|active| std::mem::replace(active, level) != level);
        if changed && let Some(level) = level {
            metrics::gauge!("partita_replicated_level").set(level.number());
        }
    }

    /// What was handed to the applier: everything committed, once openraft says that it is applied.
    pub(crate) fn raft_state(&self) -> &RaftState {
        &self.state
    }

    async fn send(&self, work: Work) -> Result<(), io::Error> {
        self.work.send(work).await.map_err(|_gone| stopped())
    }

    /// Asks for a checkpoint of everything applied so far.
    async fn checkpoint(&self) -> Result<oneshot::Receiver<Option<Durable>>, io::Error> {
        let (done, finished) = oneshot::channel();
        self.send(Work::Checkpoint { done }).await?;
        Ok(finished)
    }

    async fn install_received(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        verified: Arc<Verified>,
    ) -> Result<(), io::Error> {
        let state = RaftState::decode(&verified.manifest().applied.raft).map_err(io::Error::other)?;
        assert_eq!(state.last, meta.last_log_id, "openraft installs what was received");
        let (done, finished) = oneshot::channel();
        self.send(Work::Install { verified, done }).await?;
        finished.await.map_err(|_gone| stopped())?;
        self.set_level(state.level);
        self.state = state;
        Ok(())
    }

    /// Says whether it is applied already. `is_first`: everything before it is applied.
    async fn apply_entry(
        &mut self,
        (entry, responder): EntryResponder<TypeConfig>,
        is_first: bool,
    ) -> Result<bool, io::Error> {
        let pieces = match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(proposal) => {
                let decoded = match self.on_the_way.take(&proposal.0) {
                    Some(kept) => Decoded::of_kept(kept, self.state.level),
                    None => decode_proposal(&proposal.0, self.state.level, self.levels),
                };
                let Decoded { mut pieces, level } = decoded.map_err(io::Error::other)?;
                self.set_level(level);
                if planted(Bug::BatchReordered) {
                    pieces.reverse();
                    pieces.iter_mut().for_each(|piece| piece.reverse());
                }
                pieces
            }
            EntryPayload::Membership(membership) => {
                self.state.enter_membership(RaftStoredMembership::new(Some(entry.log_id), membership));
                Vec::new()
            }
        };
        self.state.last = Some(entry.log_id);
        let applied = self.state.applied().expect("its last entry was set just now");
        let mut entry = Applicable { applied, pieces, responder };
        if is_first && entry.commands() <= APPLIED_HERE {
            entry = match self.here.apply_here(entry) {
                Ok(()) => return Ok(true),
                Err(NotHere::Busy(entry)) => entry,
                Err(NotHere::Stopped) => return Err(stopped()),
            };
        }
        self.send(Work::Apply(entry)).await?;
        Ok(false)
    }
}

fn stopped() -> io::Error {
    io::Error::other("the applier's thread has stopped")
}

fn snapshot(durable: Durable) -> SnapshotOf<TypeConfig, SnapshotHandle> {
    let meta = SnapshotMeta { last_log_id: durable.raft.last, last_membership: durable.raft.membership };
    Snapshot { meta, snapshot: SnapshotHandle::Own { position: durable.position } }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<RaftLogId>, RaftStoredMembership), io::Error> {
        Ok((self.state.last, self.state.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut all_applied = true;
        while let Some(entry) = entries.try_next().await? {
            all_applied = self.apply_entry(entry, all_applied).await?;
        }
        if all_applied {
            return Ok(());
        }
        let (done, finished) = oneshot::channel();
        self.send(Work::Reached { done }).await?;
        finished.await.map_err(|_gone| stopped())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if force {
            return Some(self.get_snapshot_builder().await);
        }
        // Taken now, not when it is built: it must not be ahead of what openraft knows to be applied.
        let durable = self.durable.borrow().clone()?;
        Some(SnapshotBuilder(Source::Durable(durable)))
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder(match self.checkpoint().await {
            Ok(finished) => Source::Checkpoint(finished),
            Err(error) => Source::Failed(error),
        })
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        snapshot: SnapshotHandle,
    ) -> Result<(), io::Error> {
        match snapshot {
            SnapshotHandle::Received(verified) => return self.install_received(meta, verified).await,
            SnapshotHandle::Own { position } if position == Position::default() => {}
            SnapshotHandle::Kept(exported) => {
                let position = exported.manifest().head.position;
                let why = format!("the state at position {position} is on its way out, it cannot be installed");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            SnapshotHandle::Own { position } => {
                let why = format!("the state at position {position} was not received, it cannot be installed");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
        // openraft's own suite for stores passes a state without decisions from one to another.
        self.state.last = meta.last_log_id;
        self.state.enter_membership(meta.last_membership.clone());
        let Some(applied) = self.state.applied() else { return Ok(()) };
        self.send(Work::Apply(Applicable { applied, pieces: Vec::new(), responder: None })).await?;
        self.checkpoint().await?.await.map_err(|_gone| stopped())?;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, SnapshotHandle>>, io::Error> {
        // A follower that was interrupted goes on with the checkpoint it was getting.
        if let Some(exported) = self.exports.kept() {
            let RaftState { last, membership, .. } =
                RaftState::decode(&exported.manifest().applied.raft).map_err(io::Error::other)?;
            let meta = SnapshotMeta { last_log_id: last, last_membership: membership };
            return Ok(Some(Snapshot { meta, snapshot: SnapshotHandle::Kept(exported) }));
        }
        Ok(self.durable.borrow().clone().map(snapshot))
    }
}

#[derive(Debug)]
enum Source {
    Durable(Durable),
    Checkpoint(oneshot::Receiver<Option<Durable>>),
    Failed(io::Error),
}

/// Gives openraft what it needs to know of a checkpoint.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder(Source);

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, SnapshotHandle>, io::Error> {
        match &mut self.0 {
            Source::Durable(durable) => Ok(snapshot(durable.clone())),
            Source::Checkpoint(finished) => {
                let durable = finished.await.map_err(|_gone| stopped())?;
                // Where nothing was applied, a snapshot holds nothing.
                Ok(snapshot(durable.unwrap_or_default()))
            }
            Source::Failed(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}
