//! The thread that makes the raft log durable: many appends, one sync, then their callbacks.
//!
//! Everything that changes the log comes through one queue and is done in its order; only a single write that finds the
//! queue empty and the disk quick is synced by whoever appends it, unless others have to be sent it meanwhile: that is
//! sooner than waking the thread and being woken by it. Another thread keeps the high-water mark: it syncs the newest
//! acknowledged value when there is one, then pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use partita_core::planted::{Bug, planted};
use partita_storage::log::{EntryId, HighWater, LogEngine, LogEntry, LogError, LogWriter, MarkStore, Vote};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::environment::{SharedEnvironment, in_place_of_a_thread};
use crate::errors::chain;
use crate::raft_types::TypeConfig;

/// The most entries' bytes of one group: one write of the log's store.
const GROUP_BYTES: usize = 8 << 20;
/// The most requests looked at together.
const GROUP_REQUESTS: usize = 1_024;
/// The most bytes of an append that is synced where it is made: a single write. Many waiting ones share a sync of the thread.
const HERE_BYTES: usize = 1_024;
/// Between two syncs of the mark. An acknowledged write is unguarded by the mark for at most this long and one
/// sync: should the log's tail be damaged before, the damage would pass for a torn write.
const MARK_PAUSE: Duration = Duration::from_millis(5);

pub(crate) enum LogRequest {
    Append {
        entries: Vec<LogEntry>,
        callback: IOFlushed<TypeConfig>,
    },
    SaveVote {
        vote: Vote,
        done: oneshot::Sender<()>,
    },
    Truncate {
        keep: Option<u64>,
        done: oneshot::Sender<()>,
    },
    Purge {
        upto: EntryId,
        done: oneshot::Sender<()>,
    },
    /// Syncs the mark and ends both threads.
    Close {
        done: oneshot::Sender<()>,
    },
}

/// The way to the log. Clones share one queue.
#[derive(Clone)]
pub(crate) struct LogQueue {
    requests: mpsc::UnboundedSender<LogRequest>,
    /// Requests that are sent and not done.
    waiting: Arc<AtomicUsize>,
    here: Arc<dyn AppendHere>,
}

/// The append thread is gone: it has stopped the process, or the log was closed.
#[derive(Debug)]
pub(crate) struct AppenderStopped;

impl LogQueue {
    pub(crate) fn send(&self, request: LogRequest) -> Result<(), AppenderStopped> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.requests.send(request).map_err(|_gone| AppenderStopped)
    }

    /// Appends staged entries: at once, where that is sooner, or through the queue.
    pub(crate) fn append(
        &self,
        entries: Vec<LogEntry>,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), AppenderStopped> {
        let is_single = entries.iter().map(LogEntry::weight_bytes).sum::<usize>() <= HERE_BYTES;
        let (entries, callback) = if is_single && self.waiting.load(Ordering::Acquire) == 0 {
            match self.here.append_here(entries, callback) {
                Ok(()) => return Ok(()),
                Err(NotHere(entries, callback)) => (entries, callback),
            }
        } else {
            (entries, callback)
        };
        self.send(LogRequest::Append { entries, callback })
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(crate) async fn closed(&self) {
        self.requests.closed().await;
    }
}

/// Appends where nothing waits in the queue.
trait AppendHere: Send + Sync {
    fn append_here(&self, entries: Vec<LogEntry>, callback: IOFlushed<TypeConfig>) -> Result<(), NotHere>;
}

/// The append has to go through the queue.
struct NotHere(Vec<LogEntry>, IOFlushed<TypeConfig>);

/// What the rest of a node holds of the two threads.
pub(crate) struct AppenderHandle {
    pub(crate) queue: LogQueue,
    /// The last entry that is durable.
    pub(crate) synced: watch::Receiver<Option<u64>>,
}

/// Starts both threads. They end at [`LogRequest::Close`], or when every sender is gone. `replicates_as`: this node's
/// id, unless it is alone.
pub(crate) fn start_appender<E: LogEngine, M: MarkStore>(
    writer: LogWriter<E, M>,
    environment: &SharedEnvironment,
    replicates_as: Option<u64>,
) -> AppenderHandle {
    let (requests, queue) = mpsc::unbounded_channel();
    let found = writer.log().state();
    let (synced_sender, synced) = watch::channel(found.last.or(found.purged).map(|id| id.index));
    let acknowledged = Arc::new(Notify::new());
    let (closing, closed) = oneshot::channel();
    let mark = writer.mark();
    environment.spawn_dedicated(
        "log-mark",
        Box::pin(keep_mark(mark, Arc::clone(&acknowledged), closed, Arc::clone(environment))),
    );
    let appender = Appender { writer, acknowledged, synced: synced_sender, last_sync: None, _closing: closing };
    let waiting = Arc::new(AtomicUsize::new(0));
    let shared = Arc::new(Shared {
        appender: Mutex::new(Some(appender)),
        waiting: Arc::clone(&waiting),
        replicates_as,
        environment: Arc::clone(environment),
    });
    environment.spawn_dedicated("log-append", Box::pin(run(Arc::clone(&shared), queue)));
    AppenderHandle { queue: LogQueue { requests, waiting, here: shared }, synced }
}

async fn keep_mark<M: MarkStore>(
    mark: Arc<HighWater<M>>,
    acknowledged: Arc<Notify>,
    mut closed: oneshot::Receiver<()>,
    environment: SharedEnvironment,
) {
    loop {
        tokio::select! {
            () = acknowledged.notified() => {}
            _ = &mut closed => return,
        }
        if let Err(error) = mark.sync() {
            environment.stop_process(&chain(&error));
            return;
        }
        tokio::time::sleep(MARK_PAUSE).await;
    }
}

/// Nobody has an appender once the log is closed, or could not be written.
struct Shared<E, M> {
    appender: Mutex<Option<Appender<E, M>>>,
    waiting: Arc<AtomicUsize>,
    replicates_as: Option<u64>,
    environment: SharedEnvironment,
}

impl<E: LogEngine, M: MarkStore> AppendHere for Shared<E, M> {
    fn append_here(&self, entries: Vec<LogEntry>, callback: IOFlushed<TypeConfig>) -> Result<(), NotHere> {
        // Planted is what the thread does too early.
        if planted(Bug::AcknowledgeBeforeSync) {
            return Err(NotHere(entries, callback));
        }
        // A leader sends its entries to the others once it has appended them: syncs of theirs must not wait for its own.
        if entries.iter().any(|entry| self.replicates_as == Some(entry.id.node)) {
            return Err(NotHere(entries, callback));
        }
        let Some(mut place) = self.appender.try_lock() else { return Err(NotHere(entries, callback)) };
        let may_wait =
            |appender: &Appender<E, M>| appender.last_sync.is_some_and(|last| self.environment.may_wait_for_disk(last));
        // What was sent before is done by now, or comes first.
        let nothing_waits = self.waiting.load(Ordering::Acquire) == 0;
        let Some(appender) = place.as_mut().filter(|appender| nothing_waits && may_wait(appender)) else {
            return Err(NotHere(entries, callback));
        };
        let mut group = Group::default();
        group.push(entries, callback);
        let appended = in_place_of_a_thread(&self.environment, "appending to the log", || appender.append(&mut group));
        match appended {
            Some(Ok(())) => appender.acknowledged.notify_one(),
            Some(Err(error)) => {
                *place = None;
                self.environment.stop_process(&chain(&error));
            }
            None => *place = None,
        }
        Ok(())
    }
}

/// The append thread.
async fn run<E: LogEngine, M: MarkStore>(shared: Arc<Shared<E, M>>, mut queue: mpsc::UnboundedReceiver<LogRequest>) {
    let mut requests = Vec::new();
    while queue.recv_many(&mut requests, GROUP_REQUESTS).await > 0 {
        #[cfg(feature = "planted-bugs")]
        crate::planted::acknowledge_early(&mut requests).await;
        let count = requests.len();
        let mut place = shared.appender.lock();
        let Some(appender) = place.as_mut() else { return };
        match appender.handle(&mut requests) {
            Ok(None) => appender.acknowledged.notify_one(),
            Ok(Some(done)) => {
                if let Err(error) = appender.writer.mark().sync() {
                    shared.environment.stop_process(&chain(&error));
                    return;
                }
                *place = None;
                acknowledge(done);
                return;
            }
            Err(error) => {
                // Nothing after this is acknowledged: the callbacks are dropped with the requests.
                *place = None;
                shared.environment.stop_process(&chain(&error));
                return;
            }
        }
        shared.waiting.fetch_sub(count, Ordering::AcqRel);
    }
}

struct Appender<E, M> {
    writer: LogWriter<E, M>,
    acknowledged: Arc<Notify>,
    synced: watch::Sender<Option<u64>>,
    /// What the last append took.
    last_sync: Option<Duration>,
    /// Dropped, it ends the mark's thread.
    _closing: oneshot::Sender<()>,
}

impl<E: LogEngine, M: MarkStore> Appender<E, M> {
    /// Does the requests in their order; returns the answer of a `Close`.
    fn handle(&mut self, requests: &mut Vec<LogRequest>) -> Result<Option<oneshot::Sender<()>>, LogError> {
        let mut group = Group::default();
        for request in requests.drain(..) {
            match request {
                LogRequest::Append { entries, callback } => {
                    group.push(entries, callback);
                    if group.bytes >= GROUP_BYTES {
                        self.append(&mut group)?;
                    }
                }
                LogRequest::SaveVote { vote, done } => {
                    self.append(&mut group)?;
                    self.writer.save_vote(vote)?;
                    acknowledge(done);
                }
                LogRequest::Truncate { keep, done } => {
                    self.append(&mut group)?;
                    self.synced.send_replace(keep);
                    self.writer.truncate_after(keep)?;
                    acknowledge(done);
                }
                LogRequest::Purge { upto, done } => {
                    self.append(&mut group)?;
                    self.writer.purge_upto(upto)?;
                    // Behind an installed state the log goes on where that ends.
                    self.synced.send_modify(|synced| *synced = (*synced).max(Some(upto.index)));
                    acknowledge(done);
                }
                LogRequest::Close { done } => {
                    self.append(&mut group)?;
                    return Ok(Some(done));
                }
            }
        }
        self.append(&mut group)?;
        Ok(None)
    }

    fn append(&mut self, group: &mut Group) -> Result<(), LogError> {
        if group.callbacks.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        self.writer.append(&group.entries)?;
        if let Some(last) = group.entries.last() {
            self.synced.send_replace(Some(last.id.index));
        }
        let took = began.elapsed();
        self.last_sync = Some(took);
        metrics::histogram!("partita_log_sync_seconds").record(took.as_secs_f64());
        metrics::histogram!("partita_log_group_appends")
            .record(u32::try_from(group.callbacks.len()).unwrap_or(u32::MAX));
        for callback in group.callbacks.drain(..) {
            callback.io_completed(Ok(()));
        }
        group.entries.clear();
        group.bytes = 0;
        Ok(())
    }
}

/// Whoever asked may have gone away: what was asked is durable all the same.
fn acknowledge(done: oneshot::Sender<()>) {
    let _gone = done.send(());
}

#[derive(Default)]
struct Group {
    entries: Vec<LogEntry>,
    callbacks: Vec<IOFlushed<TypeConfig>>,
    bytes: usize,
}

impl Group {
    fn push(&mut self, entries: Vec<LogEntry>, callback: IOFlushed<TypeConfig>) {
        self.bytes += entries.iter().map(LogEntry::weight_bytes).sum::<usize>();
        self.entries.extend(entries);
        self.callbacks.push(callback);
    }
}
