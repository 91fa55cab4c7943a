//! The thread that makes the raft log durable: many appends, one sync, then their callbacks.
//!
//! Everything that changes the log comes through one queue and is done in its order. A second thread keeps the
//! high-water mark: it syncs the newest acknowledged value when there is one, then pauses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use partita_storage::log::{EntryId, HighWater, LogEngine, LogEntry, LogError, LogWriter, MarkStore, Vote};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::environment::SharedEnvironment;
use crate::errors::chain;
use crate::raft_types::TypeConfig;

/// The most entries' bytes of one group: one write of the log's store.
const GROUP_BYTES: usize = 8 << 20;
/// The most requests looked at together.
const GROUP_REQUESTS: usize = 1_024;
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

/// What the rest of a node holds of the two threads.
pub(crate) struct AppenderHandle {
    pub(crate) requests: mpsc::UnboundedSender<LogRequest>,
    /// The last entry that is durable.
    pub(crate) synced: watch::Receiver<Option<u64>>,
}

/// Starts both threads. They end at [`LogRequest::Close`], or when every sender is gone.
pub(crate) fn start_appender<E: LogEngine, M: MarkStore>(
    writer: LogWriter<E, M>,
    environment: &SharedEnvironment,
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
    let appender = Appender {
        writer,
        acknowledged,
        synced: synced_sender,
        environment: Arc::clone(environment),
        _closing: closing,
    };
    environment.spawn_dedicated("log-append", Box::pin(appender.run(queue)));
    AppenderHandle { requests, synced }
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

struct Appender<E, M> {
    writer: LogWriter<E, M>,
    acknowledged: Arc<Notify>,
    synced: watch::Sender<Option<u64>>,
    environment: SharedEnvironment,
    /// Dropped, it ends the mark's thread.
    _closing: oneshot::Sender<()>,
}

impl<E: LogEngine, M: MarkStore> Appender<E, M> {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<LogRequest>) {
        let mut requests = Vec::new();
        while queue.recv_many(&mut requests, GROUP_REQUESTS).await > 0 {
            #[cfg(feature = "planted-bugs")]
            crate::planted::acknowledge_early(&mut requests).await;
            match self.handle(&mut requests) {
                Ok(None) => self.acknowledged.notify_one(),
                Ok(Some(done)) => {
                    if let Err(error) = self.writer.mark().sync() {
                        self.environment.stop_process(&chain(&error));
                        return;
                    }
                    drop(self);
                    acknowledge(done);
                    return;
                }
                Err(error) => {
                    // Nothing after this is acknowledged: the callbacks are dropped with the requests.
                    self.environment.stop_process(&chain(&error));
                    return;
                }
            }
        }
    }

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
        metrics::histogram!("partita_log_sync_seconds").record(began.elapsed().as_secs_f64());
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
