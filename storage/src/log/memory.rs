//! Stores in memory that lose what was not synced, and that stop at a chosen step: what the simulator and the
//! crash tests run the real log over.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::LogError;
use super::engine::{LogEngine, LogWrite, Note};
use super::entry::{EntryId, LogEntry, Vote, decode_entry, decode_entry_id, decode_vote};
use super::mark::{MARK_BYTES, MarkStore};

/// Counts the steps (each write, each sync) of all stores that share it, and stops them at the chosen one.
#[derive(Clone, Debug)]
pub struct Power {
    steps: Arc<AtomicU64>,
    /// The step at which the power goes; `u64::MAX` for never.
    stop_at: Arc<AtomicU64>,
}

impl Power {
    #[must_use]
    pub fn steady() -> Self {
        Self::failing_at(u64::MAX)
    }

    /// Steps count from 0: the step `stop_at` and all after it fail.
    #[must_use]
    pub fn failing_at(stop_at: u64) -> Self {
        Self { steps: Arc::new(AtomicU64::new(0)), stop_at: Arc::new(AtomicU64::new(stop_at)) }
    }

    /// From now on `steps` more succeed, and none after them.
    pub fn fail_after(&self, steps: u64) {
        self.stop_at.store(self.steps() + steps, Ordering::SeqCst);
    }

    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        self.steps() > self.stop_at.load(Ordering::SeqCst)
    }

    pub(crate) fn step(&self) -> Result<(), LogError> {
        let stop_at = self.stop_at.load(Ordering::SeqCst);
        if self.steps.fetch_add(1, Ordering::SeqCst) >= stop_at { Err(LogError::Stopped) } else { Ok(()) }
    }
}

/// What a power cut leaves of what was written but not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    Kept,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    entries: BTreeMap<u64, Vec<u8>>,
    notes: BTreeMap<Note, Vec<u8>>,
}

impl Contents {
    fn write(&mut self, batch: &[LogWrite]) {
        for write in batch {
            match write {
                LogWrite::Entry { index, record } => {
                    self.entries.insert(*index, record.clone());
                }
                LogWrite::Note { note, record } => {
                    self.notes.insert(*note, record.clone());
                }
                LogWrite::Remove { first, last } => {
                    let mut removed = self.entries.split_off(first);
                    self.entries.append(&mut removed.split_off(&last.saturating_add(1)));
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Disk<T> {
    written: T,
    synced: T,
}

/// A raft log's store in memory. Clones are handles of one store.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    disk: Arc<Mutex<Disk<Contents>>>,
    power: Power,
}

impl MemoryLog {
    #[must_use]
    pub fn new(power: Power) -> Self {
        Self { disk: Arc::default(), power }
    }

    /// The store as the next process finds it.
    #[must_use]
    pub fn after_power_cut(&self, unsynced: Unsynced, power: Power) -> Self {
        let disk = self.disk.lock();
        let left = match unsynced {
            Unsynced::Lost => disk.synced.clone(),
            Unsynced::Kept => disk.written.clone(),
        };
        Self { disk: Arc::new(Mutex::new(Disk { written: left.clone(), synced: left })), power }
    }

    /// The vote that a power cut now would leave.
    #[must_use]
    pub fn synced_vote(&self) -> Option<Vote> {
        self.disk.lock().synced.notes.get(&Note::Vote).and_then(|record| decode_vote(record).ok())
    }

    /// Up to where a power cut now would leave the log purged.
    #[must_use]
    pub fn synced_purged(&self) -> Option<EntryId> {
        self.disk.lock().synced.notes.get(&Note::Purged).and_then(|record| decode_entry_id(record, "purge point").ok())
    }

    /// The entry that a power cut now would leave at `index`.
    #[must_use]
    pub fn synced_entry(&self, index: u64) -> Option<LogEntry> {
        let record = self.disk.lock().synced.entries.get(&index).cloned()?;
        decode_entry(index, record).ok()
    }

    /// The last entry that a power cut now would leave, its purge point where there is none.
    #[must_use]
    pub fn synced_last(&self) -> Option<EntryId> {
        let last = self.disk.lock().synced.entries.last_key_value().map(|(index, _)| *index);
        last.and_then(|index| self.synced_entry(index)).map(|entry| entry.id).or_else(|| self.synced_purged())
    }
}

impl LogEngine for MemoryLog {
    fn commit(&self, batch: &[LogWrite]) -> Result<(), LogError> {
        self.power.step()?;
        let mut disk = self.disk.lock();
        disk.written.write(batch);
        self.power.step()?;
        // Whatever was written before is synced already: a step that failed is the last one.
        disk.synced.write(batch);
        Ok(())
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.disk.lock().written.notes.get(&note).cloned())
    }

    fn scan(&self, first: u64, last: u64, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        if first > last {
            return Ok(Vec::new());
        }
        let disk = self.disk.lock();
        let mut found = Vec::new();
        let mut bytes = 0;
        for (index, record) in disk.written.entries.range(first..=last) {
            bytes += record.len();
            found.push((*index, record.clone()));
            if bytes >= limit_bytes {
                break;
            }
        }
        Ok(found)
    }

    fn first_index(&self) -> Result<Option<u64>, LogError> {
        Ok(self.disk.lock().written.entries.first_key_value().map(|(index, _)| *index))
    }

    fn last_index(&self) -> Result<Option<u64>, LogError> {
        Ok(self.disk.lock().written.entries.last_key_value().map(|(index, _)| *index))
    }
}

/// A high-water mark in memory. Clones are handles of one store.
#[derive(Clone, Debug)]
pub struct MemoryMark {
    disk: Arc<Mutex<Disk<Vec<u8>>>>,
    power: Power,
}

impl MemoryMark {
    #[must_use]
    pub fn new(power: Power) -> Self {
        Self { disk: Arc::default(), power }
    }

    /// The mark as the next process finds it.
    #[must_use]
    pub fn after_power_cut(&self, unsynced: Unsynced, power: Power) -> Self {
        let disk = self.disk.lock();
        let left = match unsynced {
            Unsynced::Lost => disk.synced.clone(),
            Unsynced::Kept => disk.written.clone(),
        };
        Self { disk: Arc::new(Mutex::new(Disk { written: left.clone(), synced: left })), power }
    }
}

impl MarkStore for MemoryMark {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.disk.lock().written.clone();
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    fn create(&self) -> io::Result<()> {
        self.power.step().map_err(io::Error::other)?;
        let mut disk = self.disk.lock();
        disk.written = vec![0; MARK_BYTES];
        self.power.step().map_err(io::Error::other)?;
        disk.synced = disk.written.clone();
        Ok(())
    }

    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.power.step().map_err(io::Error::other)?;
        let mut disk = self.disk.lock();
        disk.written[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.power.step().map_err(io::Error::other)?;
        disk.synced = disk.written.clone();
        Ok(())
    }

    fn path(&self) -> std::path::PathBuf {
        "memory".into()
    }
}
