//! openraft's log store over the raft log: it stages entries at once and leaves durability to the appender.

use std::fmt::{self, Debug};
use std::io;
use std::ops::{Bound, RangeBounds};

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use openraft::OptionalSend;
use openraft::alias::LeaderIdOf;
use openraft::errors::LeaderChanged;
use openraft::storage::{IOFlushed, LeaderBoundedStreamError, LogState, RaftLogReader, RaftLogStorage};
use partita_storage::log::{LogEngine, LogEntry, RaftLog};
use tokio::sync::oneshot;

use crate::appender::{AppenderStopped, LogQueue, LogRequest};
use crate::raft_types::{
    RaftEntry, RaftLogId, RaftVote, TypeConfig, entry_id, raft_entry, raft_log_id, raft_vote, stored_entry, stored_vote,
};

/// The most bytes read from the log in one step.
const READ_BYTES: usize = 4 << 20;
/// The most bytes of entries in one message to a follower.
const MESSAGE_BYTES: usize = 2 << 20;

pub(crate) struct LogStore<E> {
    log: RaftLog<E>,
    queue: LogQueue,
}

pub(crate) struct LogReader<E> {
    log: RaftLog<E>,
}

impl<E: LogEngine> LogStore<E> {
    pub(crate) fn new(log: RaftLog<E>, queue: LogQueue) -> Self {
        Self { log, queue }
    }

    /// Hands a request to the append thread and waits until it is durable.
    async fn request(&self, request: impl FnOnce(oneshot::Sender<()>) -> LogRequest) -> Result<(), io::Error> {
        let (done, finished) = oneshot::channel();
        self.queue.send(request(done)).map_err(stopped)?;
        finished.await.map_err(|_gone| stopped(AppenderStopped))
    }
}

fn stopped(AppenderStopped: AppenderStopped) -> io::Error {
    io::Error::other("the append thread has stopped")
}

impl<E> fmt::Debug for LogReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl<E: LogEngine> LogReader<E> {
    /// Entries from `first` to before `end`, in steps of bounded size.
    fn stream(&self, first: u64, end: u64) -> impl Stream<Item = Result<RaftEntry, io::Error>> + Send + use<E> {
        let steps = stream::try_unfold((self.log.clone(), first), move |(log, next)| async move {
            let found = read(&log, next, end, READ_BYTES)?;
            Ok::<_, io::Error>(found.last().map(|entry| entry.id.index + 1).map(|next| (found, (log, next))))
        });
        steps
            .map_ok(|found| stream::iter(found.into_iter().map(|entry| raft_entry(entry).map_err(io::Error::other))))
            .try_flatten()
    }
}

fn read<E: LogEngine>(log: &RaftLog<E>, first: u64, end: u64, limit_bytes: usize) -> Result<Vec<LogEntry>, io::Error> {
    log.read(first, end, limit_bytes).map_err(io::Error::other)
}

/// The range as first index and the index to stop before.
fn ends<RB: RangeBounds<u64>>(range: &RB) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (first, end)
}

impl<E: LogEngine> RaftLogReader<TypeConfig> for LogReader<E> {
    async fn leader_bounded_stream<RB>(
        &mut self,
        leader: LeaderIdOf<TypeConfig>,
        range: RB,
    ) -> impl Stream<Item = Result<RaftEntry, LeaderBoundedStreamError<TypeConfig>>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (first, end) = ends(&range);
        let log = self.log.clone();
        // The vote is looked at again after each entry was read: entries of another leader may follow a change.
        let steps = stream::try_unfold((log, Some(first)), move |(log, next)| async move {
            let Some(next) = next else { return Ok(None) };
            check_leader(&log, leader)?;
            let found = read(&log, next, end, READ_BYTES)?;
            check_leader(&log, leader)?;
            let after = found.last().map(|entry| entry.id.index + 1);
            Ok::<_, LeaderBoundedStreamError<TypeConfig>>(Some((found, (log, after))))
        });
        steps
            .map_ok(|found| {
                stream::iter(
                    found.into_iter().map(|entry| raft_entry(entry).map_err(|error| io::Error::other(error).into())),
                )
            })
            .try_flatten()
            .boxed()
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<RaftEntry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (first, end) = ends(&range);
        self.stream(first, end)
    }

    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<RaftEntry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (first, end) = ends(&range);
        self.stream(first, end).try_collect().await
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.log.vote().map(raft_vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        let found = read(&self.log, start, end, MESSAGE_BYTES)?;
        found.into_iter().map(|entry| raft_entry(entry).map_err(io::Error::other)).collect()
    }
}

fn check_leader<E: LogEngine>(
    log: &RaftLog<E>,
    leader: LeaderIdOf<TypeConfig>,
) -> Result<(), LeaderBoundedStreamError<TypeConfig>> {
    let vote = log.vote().map(raft_vote);
    match vote {
        Some(vote) if vote.leader_id() == &leader && vote.is_committed() => Ok(()),
        other => Err(LeaderChanged::new(leader, other).into()),
    }
}

impl<E: LogEngine> RaftLogStorage<TypeConfig> for LogStore<E> {
    type LogReader = LogReader<E>;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.log.state();
        Ok(LogState { last_purged_log_id: state.purged.map(raft_log_id), last_log_id: state.last.map(raft_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        LogReader { log: self.log.clone() }
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        let vote = stored_vote(vote);
        self.request(|done| LogRequest::SaveVote { vote, done }).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().map(|entry| stored_entry(&entry)).collect();
        self.log.stage(&entries).map_err(io::Error::other)?;
        self.queue.append(entries, callback).map_err(stopped)
    }

    async fn truncate_after(&mut self, last_log_id: Option<RaftLogId>) -> Result<(), io::Error> {
        let keep = last_log_id.map(|id| id.index);
        self.request(|done| LogRequest::Truncate { keep, done }).await
    }

    async fn purge(&mut self, log_id: RaftLogId) -> Result<(), io::Error> {
        let upto = entry_id(&log_id);
        self.request(|done| LogRequest::Purge { upto, done }).await
    }
}
