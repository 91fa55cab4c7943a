//! The raft log itself: what is stored, what is only staged, and the checks on opening.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use partita_core::planted::{Bug, planted};

use super::LogError;
use super::engine::{LogEngine, LogWrite, Note};
use super::entry::{
    EntryId, LogEntry, Vote, decode_entry, decode_entry_id, decode_vote, encode_entry, encode_entry_id, encode_vote,
};
use super::mark::{HighWater, Mark, MarkStore};
use super::tail::Tail;

/// Where the log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    pub purged: Option<EntryId>,
    /// The last entry, staged ones included; the purge point where there is none.
    pub last: Option<EntryId>,
}

#[derive(Debug)]
struct View {
    purged: Option<EntryId>,
    last: Option<EntryId>,
    /// The first entry held, where there is any.
    first_index: Option<u64>,
    /// The last entry that is durable.
    durable: Option<u64>,
    vote: Option<Vote>,
    tail: Tail,
}

struct Shared<E> {
    engine: E,
    view: Mutex<View>,
}

/// A handle for staging and reading. Clones share one log.
pub struct RaftLog<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Clone for RaftLog<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<E> fmt::Debug for RaftLog<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftLog").field("view", &self.shared.view).finish_non_exhaustive()
    }
}

/// The one writer of a log: everything it does is durable when it returns.
pub struct LogWriter<E, M> {
    log: RaftLog<E>,
    mark: Arc<HighWater<M>>,
}

impl<E, M: fmt::Debug> fmt::Debug for LogWriter<E, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").field("log", &self.log).field("mark", &self.mark).finish()
    }
}

/// Opens a log and checks it against its high-water mark. `tail_bytes` bounds the recent entries kept decoded.
pub fn open_log<E: LogEngine, M: MarkStore>(
    engine: E,
    mark: M,
    tail_bytes: usize,
) -> Result<LogWriter<E, M>, LogError> {
    let vote = engine.note(Note::Vote)?.map(|record| decode_vote(&record)).transpose()?;
    let purged = engine.note(Note::Purged)?.map(|record| decode_entry_id(&record, "purge point")).transpose()?;
    let mut first_index = engine.first_index()?;
    let mut last = purged;
    if let Some(index) = engine.last_index()? {
        last = Some(stored_entry(&engine, index)?.id);
    } else {
        first_index = None;
    }
    if let (Some(purged), Some(first)) = (purged, first_index)
        && first != purged.index + 1
    {
        return Err(LogError::Missing { index: purged.index + 1 });
    }
    let log_is_empty = vote.is_none() && last.is_none();
    let mark = HighWater::open(mark, log_is_empty)?;
    check_against_mark(&engine, mark.current(), purged, last, vote)?;
    // What lies in the log beyond its mark was acknowledged or may be: from now on it counts.
    mark.raise(Mark { last, vote });
    let durable = last.map(|id| id.index);
    let view = View { purged, last, first_index, durable, vote, tail: Tail::new(tail_bytes) };
    let log = RaftLog { shared: Arc::new(Shared { engine, view: Mutex::new(view) }) };
    Ok(LogWriter { log, mark: Arc::new(mark) })
}

fn stored_entry<E: LogEngine>(engine: &E, index: u64) -> Result<LogEntry, LogError> {
    let (found, record) = engine.scan(index, index, 1)?.pop().ok_or(LogError::Missing { index })?;
    decode_entry(found, record)
}

fn check_against_mark<E: LogEngine>(
    engine: &E,
    mark: Mark,
    purged: Option<EntryId>,
    last: Option<EntryId>,
    vote: Option<Vote>,
) -> Result<(), LogError> {
    let shorter = |found: String, acknowledged: String| Err(LogError::ShorterThanMark { found, acknowledged });
    let nothing = || "nothing".to_owned();
    if let Some(acknowledged) = mark.vote
        && vote.is_none_or(|vote| vote < acknowledged)
    {
        return shorter(vote.map_or_else(nothing, |vote| vote.to_string()), acknowledged.to_string());
    }
    let Some(acknowledged) = mark.last else { return Ok(()) };
    let Some(last) = last.filter(|last| last.index >= acknowledged.index) else {
        return shorter(last.map_or_else(nothing, |last| last.to_string()), acknowledged.to_string());
    };
    let found = match purged {
        Some(purged) if acknowledged.index < purged.index => return Ok(()),
        Some(purged) if acknowledged.index == purged.index => purged,
        _ if acknowledged.index == last.index => last,
        _ => stored_entry(engine, acknowledged.index)?.id,
    };
    if found == acknowledged { Ok(()) } else { shorter(found.to_string(), acknowledged.to_string()) }
}

impl<E: LogEngine> RaftLog<E> {
    #[must_use]
    pub fn state(&self) -> LogState {
        let view = self.shared.view.lock();
        LogState { purged: view.purged, last: view.last }
    }

    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.shared.view.lock().vote
    }

    /// Makes entries readable at once; [`LogWriter::append`] makes them durable. They follow the last entry;
    /// only an empty log begins anywhere.
    pub fn stage(&self, entries: &[LogEntry]) -> Result<(), LogError> {
        let mut view = self.shared.view.lock();
        for entry in entries {
            let index = entry.id.index;
            if let Some(last) = view.last
                && index != last.index + 1
            {
                return Err(LogError::Gap { index, last: last.index });
            }
            view.first_index.get_or_insert(index);
            view.last = Some(entry.id);
            view.tail.push(entry.clone());
        }
        Ok(())
    }

    /// Entries from `first` to before `end`, without holes: at least one where the log has one, then up to
    /// `limit_bytes`. What was purged before `first` or is not there yet is left out.
    pub fn read(&self, first: u64, end: u64, limit_bytes: usize) -> Result<Vec<LogEntry>, LogError> {
        loop {
            let (from, to, purged) = {
                let view = self.shared.view.lock();
                let (Some(held), Some(last)) = (view.first_index, view.last) else { return Ok(Vec::new()) };
                let from = first.max(held);
                let to = end.min(last.index + 1);
                if from >= to {
                    return Ok(Vec::new());
                }
                let tail_first = view.tail.first_index().unwrap_or(last.index + 1);
                if from >= tail_first {
                    return Ok(view.tail.read(from, to, limit_bytes));
                }
                (from, to.min(tail_first), view.purged)
            };
            let records = self.shared.engine.scan(from, to - 1, limit_bytes)?;
            let mut entries = Vec::with_capacity(records.len());
            for (expected, (index, record)) in (from..).zip(records) {
                if index != expected {
                    break;
                }
                entries.push(decode_entry(index, record)?);
            }
            if !entries.is_empty() {
                return Ok(entries);
            }
            if self.state().purged == purged {
                return Err(LogError::Missing { index: from });
            }
            // Purged in between: look again.
        }
    }
}

impl<E: LogEngine, M: MarkStore> LogWriter<E, M> {
    /// A handle for staging and reading.
    #[must_use]
    pub fn log(&self) -> RaftLog<E> {
        self.log.clone()
    }

    /// The mark, for the thread that syncs it.
    #[must_use]
    pub fn mark(&self) -> Arc<HighWater<M>> {
        Arc::clone(&self.mark)
    }

    /// Makes staged entries durable, all with one sync.
    pub fn append(&mut self, entries: &[LogEntry]) -> Result<(), LogError> {
        let Some(last) = entries.last() else { return Ok(()) };
        let batch: Vec<LogWrite> = entries
            .iter()
            .map(|entry| LogWrite::Entry { index: entry.id.index, record: encode_entry(entry) })
            .collect();
        self.log.shared.engine.commit(&batch)?;
        let mut view = self.log.shared.view.lock();
        view.durable = Some(last.id.index);
        view.tail.shrink(last.id.index);
        self.mark.raise(Mark { last: Some(last.id), vote: view.vote });
        Ok(())
    }

    pub fn save_vote(&mut self, vote: Vote) -> Result<(), LogError> {
        if planted(Bug::VoteNotSynced) {
            self.log.shared.view.lock().vote = Some(vote);
            return Ok(());
        }
        self.log.shared.engine.commit(&[LogWrite::Note { note: Note::Vote, record: encode_vote(vote) }])?;
        let mut view = self.log.shared.view.lock();
        view.vote = Some(vote);
        drop(view);
        let last = self.mark.current().last;
        self.mark.raise(Mark { last, vote: Some(vote) });
        Ok(())
    }

    /// Removes every entry after `keep` (all, where `None`). The mark is lowered durably before.
    pub fn truncate_after(&mut self, keep: Option<u64>) -> Result<(), LogError> {
        let (first, last, held) = {
            let view = self.log.shared.view.lock();
            let Some(last) = view.last.filter(|_| view.first_index.is_some()) else { return Ok(()) };
            (keep.map_or(0, |keep| keep + 1), last.index, view.first_index)
        };
        if first > last {
            return Ok(());
        }
        let kept = match keep {
            Some(keep) if held.is_some_and(|held| held <= keep) => Some(self.entry(keep)?.id),
            _ => self.log.state().purged,
        };
        let vote = self.log.vote();
        if !planted(Bug::MarkNotLowered) {
            self.mark.lower(Mark { last: kept, vote })?;
        }
        if !planted(Bug::TruncateNotSynced) {
            self.log.shared.engine.commit(&[LogWrite::Remove { first, last }])?;
        }
        let mut view = self.log.shared.view.lock();
        view.tail.remove_from(first);
        view.last = kept;
        view.durable = kept.map(|id| id.index);
        if view.first_index.is_some_and(|held| held >= first) {
            view.first_index = None;
        }
        Ok(())
    }

    /// Removes every entry up to and including `upto`, which may lie beyond the last one.
    pub fn purge_upto(&mut self, upto: EntryId) -> Result<(), LogError> {
        let first = {
            let view = self.log.shared.view.lock();
            if view.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(());
            }
            view.first_index
        };
        let mut batch = vec![LogWrite::Note { note: Note::Purged, record: encode_entry_id(upto) }];
        if let Some(first) = first.filter(|first| *first <= upto.index) {
            batch.push(LogWrite::Remove { first, last: upto.index });
        }
        self.log.shared.engine.commit(&batch)?;
        let mut view = self.log.shared.view.lock();
        view.tail.remove_upto(upto.index);
        view.purged = Some(upto);
        if view.last.is_none_or(|last| last.index <= upto.index) {
            view.last = Some(upto);
            view.first_index = None;
        } else if first.is_some_and(|first| first <= upto.index) {
            view.first_index = Some(upto.index + 1);
        }
        Ok(())
    }

    fn entry(&self, index: u64) -> Result<LogEntry, LogError> {
        self.log.read(index, index + 1, 1)?.pop().ok_or(LogError::Missing { index })
    }
}

#[cfg(test)]
#[path = "raft_log_tests.rs"]
mod tests;
