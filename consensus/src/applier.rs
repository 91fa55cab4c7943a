//! The two threads that own the state: one applies committed entries, the other makes checkpoints durable. Small entries are
//! applied by whoever committed them ([`ApplyHere`]), who then holds what the first thread otherwise has.
//!
//! The applier never waits for a checkpoint unless the generation that fills is over its bound while the one before
//! is still being written, or the state leaves as files or is replaced. Whatever fails here stops the process, and
//! nothing is answered after it; only a state that cannot leave as files is its caller's concern.

use std::sync::Arc;
use std::time::Instant;

use openraft::storage::ApplyResponder;
use partita_core::decision::Command;
use partita_core::id::Position;
use partita_core::planted::{Bug, planted};
use partita_storage::snapshot::{ExportDirectory, SnapshotError, StateHome, TableStore, Verified};
use partita_storage::state::{Applied, Applier, Checkpointer, Reader, Sealed, StateConfig, StorageError, open_state};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::codec::RaftState;
use crate::environment::{SharedEnvironment, in_place_of_a_thread};
use crate::errors::chain;
use crate::raft_types::{Answers, TypeConfig};

/// Entries decoded and waiting to be applied. They are up to about a megabyte each.
const QUEUE_ENTRIES: usize = 8;

/// One committed entry.
pub(crate) struct Applicable {
    pub(crate) applied: Applied,
    /// The commands in their order, in any pieces.
    pub(crate) pieces: Vec<Vec<Command>>,
    /// Who proposed it on this node, if anybody still waits.
    pub(crate) responder: Option<ApplyResponder<TypeConfig>>,
}

impl Applicable {
    /// How many.
    pub(crate) fn commands(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

pub(crate) enum Work {
    Apply(Applicable),
    /// Answered when everything before it is applied.
    Reached {
        done: oneshot::Sender<()>,
    },
    /// Makes everything before it durable.
    Checkpoint {
        done: oneshot::Sender<Option<Durable>>,
    },
    /// Makes everything before it durable, and that leave as files. What comes after it is not kept waiting for the
    /// disk.
    Export {
        done: oneshot::Sender<Result<ExportDirectory, SnapshotError>>,
    },
    /// Puts a received state in the place of this node's.
    Install {
        verified: Arc<Verified>,
        done: oneshot::Sender<()>,
    },
    /// As a checkpoint; ends both threads.
    Close {
        done: oneshot::Sender<()>,
    },
}

/// The last durable checkpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) raft: RaftState,
    pub(crate) position: Position,
}

/// Whether applied indexes have to follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contiguity {
    Asserted,
    /// openraft's own suite for stores skips indexes on purpose.
    #[cfg(test)]
    Unchecked,
}

/// Applies an entry at once, on the thread of whoever asks: handing a single write to another thread and its answer back
/// takes longer than applying it. Only for entries of a few commands behind which no [`Work`] waits.
pub(crate) trait ApplyHere: Send + Sync {
    /// Gives the entry back where it has to go the way of [`Work`]: the applier is busy, or must wait for a checkpoint.
    fn apply_here(&self, entry: Applicable) -> Result<(), NotHere>;
}

pub(crate) enum NotHere {
    Busy(Applicable),
    Stopped,
}

/// What the rest of a node holds of the two threads.
pub(crate) struct ApplierHandle {
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) here: Arc<dyn ApplyHere>,
    pub(crate) durable: watch::Receiver<Option<Durable>>,
    pub(crate) position: watch::Receiver<Position>,
}

/// A state that was opened: where it lies, and the hands on it.
pub(crate) struct OpenState<S: TableStore> {
    pub(crate) home: Arc<StateHome<S>>,
    pub(crate) config: StateConfig,
    pub(crate) applier: Applier<S::Engine>,
    pub(crate) checkpointer: Checkpointer<S::Engine>,
    pub(crate) reader: Reader<S::Engine>,
}

/// What the checkpoint thread does, in this order.
enum Order<E> {
    Write(Box<CheckpointOrder>),
    Export {
        done: oneshot::Sender<Result<ExportDirectory, SnapshotError>>,
    },
    /// Another state has taken the place of the one that was written.
    Replace {
        checkpointer: Checkpointer<E>,
        durable: Durable,
        done: oneshot::Sender<()>,
    },
}

struct CheckpointOrder {
    sealed: Sealed,
    /// The last entry that it includes.
    index: Option<u64>,
    position: Position,
    done: oneshot::Sender<()>,
}

/// Starts both threads. `recovered` is what the state held when it was opened, `synced` the last entry that is durable
/// in this node's log.
pub(crate) fn start_applier<S: TableStore>(
    state: OpenState<S>,
    recovered: RaftState,
    contiguity: Contiguity,
    synced: watch::Receiver<Option<u64>>,
    environment: &SharedEnvironment,
) -> ApplierHandle {
    let OpenState { home, config, applier, checkpointer, reader } = state;
    let position = applier.position();
    let last_index = recovered.last.map(|id| id.index);
    let found = recovered.last.is_some().then_some(Durable { raft: recovered, position });
    let (durable_sender, durable) = watch::channel(found);
    let (position_sender, position) = watch::channel(position);
    let (orders, order_queue) = mpsc::unbounded_channel();
    let (work, work_queue) = mpsc::channel(QUEUE_ENTRIES);
    let writer = CheckpointThread {
        home: Arc::clone(&home),
        checkpointer,
        synced,
        durable: durable_sender,
        environment: environment.clone(),
    };
    let (ended, checkpoints_ended) = oneshot::channel();
    let checkpoints = async move {
        writer.run(order_queue).await;
        let _gone = ended.send(());
    };
    environment.spawn_dedicated("checkpoint", Box::pin(checkpoints));
    let thread = ApplierThread {
        home,
        config,
        reader,
        environment: environment.clone(),
        applier,
        last_index,
        contiguity,
        orders,
        checkpoints_ended: Some(checkpoints_ended),
        under_way: None,
        position: position_sender,
        durable: durable.clone(),
    };
    let here = Arc::new(Shared { thread: Mutex::new(Some(thread)), environment: environment.clone() });
    environment.spawn_dedicated("apply", Box::pin(run(Arc::clone(&here), work_queue)));
    ApplierHandle { work, here, durable, position }
}

/// The applier's thread has it while it works; nobody once that has ended.
struct Shared<S: TableStore> {
    thread: Mutex<Option<ApplierThread<S>>>,
    environment: SharedEnvironment,
}

impl<S: TableStore> ApplyHere for Shared<S> {
    fn apply_here(&self, entry: Applicable) -> Result<(), NotHere> {
        let Ok(mut thread) = self.thread.try_lock() else { return Err(NotHere::Busy(entry)) };
        let Some(thread) = thread.as_mut() else { return Err(NotHere::Stopped) };
        if thread.applier.must_wait() {
            return Err(NotHere::Busy(entry));
        }
        match in_place_of_a_thread(&self.environment, "applying an entry", || thread.apply_now(entry)) {
            Some(Ok(())) => Ok(()),
            Some(Err(CheckpointsStopped)) | None => Err(NotHere::Stopped),
        }
    }
}

/// The applier's thread.
async fn run<S: TableStore>(shared: Arc<Shared<S>>, mut queue: mpsc::Receiver<Work>) {
    while let Some(work) = queue.recv().await {
        let mut place = shared.thread.lock().await;
        let Some(thread) = place.as_mut() else { return };
        let outcome = match work {
            Work::Apply(entry) => thread.apply(entry).await,
            Work::Reached { done } => {
                let _gone = done.send(());
                Ok(())
            }
            Work::Checkpoint { done } => thread.checkpoint().await.map(|()| {
                let _gone = done.send(thread.durable.borrow().clone());
            }),
            Work::Export { done } => thread.export(done).await,
            Work::Install { verified, done } => thread.install(&verified).await.map(|()| {
                let _gone = done.send(());
            }),
            Work::Close { done } => {
                let closed = thread.checkpoint().await;
                let checkpoints_ended = thread.checkpoints_ended.take();
                // Without orders to come the other thread ends. Whoever asked may end the process next: a database
                // that is closed during that locks what is not there any more.
                *place = None;
                if closed.is_ok() {
                    if let Some(ended) = checkpoints_ended {
                        let _gone = ended.await;
                    }
                    let _gone = done.send(());
                }
                return;
            }
        };
        if let Err(CheckpointsStopped) = outcome {
            break;
        }
    }
    *shared.thread.lock().await = None;
}

struct ApplierThread<S: TableStore> {
    home: Arc<StateHome<S>>,
    config: StateConfig,
    /// Everybody's: it is led to a state that was installed.
    reader: Reader<S::Engine>,
    environment: SharedEnvironment,
    applier: Applier<S::Engine>,
    last_index: Option<u64>,
    contiguity: Contiguity,
    orders: mpsc::UnboundedSender<Order<S::Engine>>,
    /// Comes when the checkpoint thread has let go of the state.
    checkpoints_ended: Option<oneshot::Receiver<()>>,
    under_way: Option<oneshot::Receiver<()>>,
    position: watch::Sender<Position>,
    durable: watch::Receiver<Option<Durable>>,
}

/// The checkpoint thread is gone: it has stopped the process, or is about to.
struct CheckpointsStopped;

impl<S: TableStore> ApplierThread<S> {
    async fn apply(&mut self, entry: Applicable) -> Result<(), CheckpointsStopped> {
        while self.applier.must_wait() {
            self.finish_checkpoint().await?;
            self.order_checkpoint()?;
        }
        self.apply_now(entry)
    }

    fn apply_now(&mut self, mut entry: Applicable) -> Result<(), CheckpointsStopped> {
        self.follow(entry.applied.index);
        if planted(Bug::OwnClockDecides) {
            entry.pieces.iter_mut().flatten().for_each(|command| command.stamp = self.environment.now());
        }
        let began = Instant::now();
        let count = entry.commands();
        let answers = self.applier.apply_pieces(entry.applied, entry.pieces);
        assert_eq!(answers.len(), count, "every command has an answer");
        let position = self.applier.position();
        self.position.send_if_modified(|seen| std::mem::replace(seen, position) != position);
        metrics::histogram!("partita_apply_seconds").record(began.elapsed().as_secs_f64());
        let journal = self.applier.journal_work();
        metrics::histogram!("partita_journal_seconds").record(journal.spent.as_secs_f64());
        metrics::counter!("partita_journal_bytes_total").increment(u64::try_from(journal.bytes).unwrap_or(u64::MAX));
        metrics::gauge!("partita_applied_position").set(approximate(position.0));
        if let Some(responder) = entry.responder {
            responder.send(Answers(answers));
        }
        if self.applier.checkpoint_due() && self.is_idle()? {
            self.order_checkpoint()?;
        }
        Ok(())
    }

    fn follow(&mut self, index: u64) {
        match self.contiguity {
            Contiguity::Asserted => {
                let expected = self.last_index.map_or(0, |last| last + 1);
                assert_eq!(index, expected, "raft entries are applied one after the other, none twice");
            }
            #[cfg(test)]
            Contiguity::Unchecked => {}
        }
        self.last_index = Some(index);
    }

    /// Makes everything applied so far durable.
    async fn checkpoint(&mut self) -> Result<(), CheckpointsStopped> {
        self.finish_checkpoint().await?;
        self.order_checkpoint()?;
        self.finish_checkpoint().await
    }

    /// Whether no checkpoint is under way.
    fn is_idle(&mut self) -> Result<bool, CheckpointsStopped> {
        let Some(finished) = &mut self.under_way else { return Ok(true) };
        match finished.try_recv() {
            Ok(()) => {
                self.under_way = None;
                Ok(true)
            }
            Err(oneshot::error::TryRecvError::Empty) => Ok(false),
            Err(oneshot::error::TryRecvError::Closed) => Err(CheckpointsStopped),
        }
    }

    fn order_checkpoint(&mut self) -> Result<(), CheckpointsStopped> {
        let Some(sealed) = self.applier.seal() else { return Ok(()) };
        let (done, finished) = oneshot::channel();
        let position = self.applier.position();
        self.order(Order::Write(Box::new(CheckpointOrder { sealed, index: self.last_index, position, done })))?;
        self.under_way = Some(finished);
        Ok(())
    }

    fn order(&self, order: Order<S::Engine>) -> Result<(), CheckpointsStopped> {
        self.orders.send(order).map_err(|_gone| CheckpointsStopped)
    }

    async fn export(
        &mut self,
        done: oneshot::Sender<Result<ExportDirectory, SnapshotError>>,
    ) -> Result<(), CheckpointsStopped> {
        self.finish_checkpoint().await?;
        self.order_checkpoint()?;
        self.order(Order::Export { done })
    }

    /// What was applied here and is not on the disk is let go: the received state includes it.
    async fn install(&mut self, verified: &Verified) -> Result<(), CheckpointsStopped> {
        self.finish_checkpoint().await?;
        let (checkpointer, durable) = self.replace(verified).map_err(|why| {
            self.environment.stop_process(&format!("a received state cannot be installed: {why}"));
            CheckpointsStopped
        })?;
        let position = durable.position;
        let (done, replaced) = oneshot::channel();
        self.order(Order::Replace { checkpointer, durable, done })?;
        replaced.await.map_err(|_gone| CheckpointsStopped)?;
        self.position.send_replace(position);
        metrics::gauge!("partita_applied_position").set(approximate(position.0));
        tracing::info!(position = position.0, "a received state is installed");
        Ok(())
    }

    fn replace(&mut self, verified: &Verified) -> Result<(Checkpointer<S::Engine>, Durable), String> {
        let engine = self.home.install(verified, &self.applier.engine()).map_err(|error| chain(&error))?;
        let (applier, checkpointer, reader) = open_state(engine, self.config).map_err(|error| chain(&error))?;
        let raft = RaftState::decode(&applier.applied().raft).map_err(|error| chain(&error))?;
        self.last_index = raft.last.map(|last| last.index);
        self.reader.lead_to(&reader);
        self.applier = applier;
        Ok((checkpointer, Durable { raft, position: self.applier.position() }))
    }

    async fn finish_checkpoint(&mut self) -> Result<(), CheckpointsStopped> {
        match self.under_way.take() {
            None => Ok(()),
            Some(finished) => finished.await.map_err(|_gone| CheckpointsStopped),
        }
    }
}

/// For gauges: exact up to 2^53.
pub(crate) fn approximate(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).expect("32 bits are left");
    let low = u32::try_from(count & u64::from(u32::MAX)).expect("32 bits are left");
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

struct CheckpointThread<S: TableStore> {
    home: Arc<StateHome<S>>,
    checkpointer: Checkpointer<S::Engine>,
    synced: watch::Receiver<Option<u64>>,
    durable: watch::Sender<Option<Durable>>,
    environment: SharedEnvironment,
}

impl<S: TableStore> CheckpointThread<S> {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order<S::Engine>>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Write(order) => {
                    // A quorum may have made entries durable that this node's log does not hold yet. A state that
                    // includes them would be ahead of its log after a crash.
                    let ahead = planted(Bug::CheckpointAheadOfLog);
                    if self.synced.wait_for(|synced| ahead || *synced >= order.index).await.is_err() {
                        return;
                    }
                    #[cfg(feature = "planted-bugs")]
                    crate::planted::balances_first(&self.checkpointer, &order.sealed).await;
                    if let Err(error) = self.write(*order) {
                        self.environment.stop_process(&format!("a checkpoint failed: {}", chain(&error)));
                        return;
                    }
                }
                Order::Export { done } => {
                    let _gone = done.send(self.home.export(self.checkpointer.engine()));
                }
                Order::Replace { checkpointer, durable, done } => {
                    self.checkpointer = checkpointer;
                    self.durable.send_replace(Some(durable));
                    let _gone = done.send(());
                }
            }
        }
    }

    fn write(&mut self, order: CheckpointOrder) -> Result<(), StorageError> {
        let began = Instant::now();
        let applied = self.checkpointer.write(order.sealed)?;
        let raft = RaftState::decode(&applied.raft).expect("it was encoded by this program when it was applied");
        metrics::histogram!("partita_checkpoint_seconds").record(began.elapsed().as_secs_f64());
        self.durable.send_replace(Some(Durable { raft, position: order.position }));
        let _gone = order.done.send(());
        Ok(())
    }
}
