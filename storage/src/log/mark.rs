//! The high-water mark: what was acknowledged last, in a file of its own beside the log.
//!
//! RocksDB takes some damage at the end of its write-ahead log for a torn write and drops it. The mark is what
//! tells lost acknowledged entries from a torn tail: a log shorter than its mark does not open. It is raised
//! after every acknowledgement and synced at most every few milliseconds by the caller's own thread (the
//! unguarded window), and lowered durably *before* entries are removed.
//!
//! The file is preallocated and written in place: two slots 4 KiB apart, used in turn, so that a torn write
//! leaves the other. A slot: `"PMARK" ‖ version ‖ sequence (8) ‖ flags (1) ‖ last index, term, node (24) ‖
//! vote term, node (16) ‖ CRC-32`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use partita_core::planted::{Bug, planted};

use super::LogError;
use super::entry::{EntryId, Vote, integer, seal};

const MAGIC: &[u8; 5] = b"PMARK";
const VERSION: u8 = 1;
/// Slots are this far apart, so that no sector holds both.
const SLOT_STRIDE: usize = 4096;
const SLOT_BYTES: usize = 5 + 1 + 8 + 1 + 24 + 16 + 4;
/// The file's size.
pub const MARK_BYTES: usize = 2 * SLOT_STRIDE;

const HAS_LAST: u8 = 1;
const HAS_VOTE: u8 = 2;
const VOTE_COMMITTED: u8 = 4;

/// What was acknowledged last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub last: Option<EntryId>,
    pub vote: Option<Vote>,
}

/// Where a mark lies.
pub trait MarkStore: Send + Sync + 'static {
    /// `None` where it was never created.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;
    /// Makes [`MARK_BYTES`] zeros, durably.
    fn create(&self) -> io::Result<()>;
    /// Writes in place, and returns when it is durable.
    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()>;
    /// For messages.
    fn path(&self) -> PathBuf;
}

/// The mark as a file.
#[derive(Debug)]
pub struct MarkFile {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl MarkFile {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Mutex::new(None) }
    }
}

impl MarkStore for MarkFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.path) {
            Ok(bytes) => {
                *self.file.lock() = Some(OpenOptions::new().write(true).open(&self.path)?);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        file.write_all(&[0; MARK_BYTES])?;
        file.sync_all()?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        *self.file.lock() = Some(file);
        Ok(())
    }

    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.lock();
        let file = file.as_ref().ok_or_else(|| io::Error::other("the mark was neither loaded nor created"))?;
        file.write_all_at(bytes, u64::try_from(offset).expect("two slots"))?;
        file.sync_data()
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

#[derive(Debug)]
struct Slots {
    /// Of the slot written last.
    sequence: u64,
    stored: Mark,
}

/// The mark of one log: its value now, and the value that is durable.
#[derive(Debug)]
pub struct HighWater<M> {
    store: M,
    current: Mutex<Mark>,
    /// Held while syncing, so that a lowered mark cannot be overtaken by an older, higher one.
    slots: Mutex<Slots>,
}

impl<M: MarkStore> HighWater<M> {
    /// Loads the mark, or creates one for a log that is empty.
    pub(super) fn open(store: M, log_is_empty: bool) -> Result<Self, LogError> {
        let failed = |operation, source| LogError::Mark { operation, path: store.path(), source };
        let bytes = store.load().map_err(|source| failed("read", source))?;
        let newest = bytes.as_deref().and_then(newest_slot);
        let slots = match newest {
            Some((sequence, stored)) => Slots { sequence, stored },
            // A mark of zeros is one whose creation was all that happened.
            None if log_is_empty => {
                store.create().map_err(|source| failed("created", source))?;
                Slots { sequence: 0, stored: Mark::default() }
            }
            None => return Err(LogError::MarkLost { path: store.path() }),
        };
        let mark = Self { current: Mutex::new(slots.stored), slots: Mutex::new(slots), store };
        if newest.is_none() {
            mark.write(&mut mark.slots.lock(), Mark::default())?;
        }
        Ok(mark)
    }

    /// What was acknowledged last.
    #[must_use]
    pub fn current(&self) -> Mark {
        *self.current.lock()
    }

    pub(super) fn raise(&self, mark: Mark) {
        let mut current = self.current.lock();
        let falls = mark.last.map(|last| last.index) < current.last.map(|last| last.index);
        if !(falls && planted(Bug::MarkNotLowered)) {
            *current = mark;
        }
    }

    /// Makes the current value durable; returns whether there was anything to do.
    pub fn sync(&self) -> Result<bool, LogError> {
        let mut slots = self.slots.lock();
        let mark = self.current();
        if slots.stored == mark {
            return Ok(false);
        }
        self.write(&mut slots, mark)?;
        Ok(true)
    }

    /// Lowers the mark and returns when that is durable.
    pub(super) fn lower(&self, mark: Mark) -> Result<(), LogError> {
        let mut slots = self.slots.lock();
        self.raise(mark);
        self.write(&mut slots, mark)
    }

    fn write(&self, slots: &mut Slots, mark: Mark) -> Result<(), LogError> {
        let sequence = slots.sequence + 1;
        let offset = if sequence.is_multiple_of(2) { 0 } else { SLOT_STRIDE };
        self.store.store(offset, &encode_slot(sequence, mark)).map_err(|source| LogError::Mark {
            operation: "written",
            path: self.store.path(),
            source,
        })?;
        *slots = Slots { sequence, stored: mark };
        Ok(())
    }
}

fn encode_slot(sequence: u64, mark: Mark) -> Vec<u8> {
    let mut slot = MAGIC.to_vec();
    slot.push(VERSION);
    slot.extend_from_slice(&sequence.to_le_bytes());
    let mut flags = 0;
    if mark.last.is_some() {
        flags |= HAS_LAST;
    }
    if let Some(vote) = mark.vote {
        flags |= HAS_VOTE;
        if vote.committed {
            flags |= VOTE_COMMITTED;
        }
    }
    slot.push(flags);
    let last = mark.last.unwrap_or(EntryId { term: 0, node: 0, index: 0 });
    let vote = mark.vote.unwrap_or(Vote { term: 0, node: 0, committed: false });
    for number in [last.index, last.term, last.node, vote.term, vote.node] {
        slot.extend_from_slice(&number.to_le_bytes());
    }
    seal(slot)
}

fn decode_slot(slot: &[u8]) -> Option<(u64, Mark)> {
    let body = slot.len().checked_sub(4)?;
    if crc32fast::hash(&slot[..body]).to_le_bytes() != slot[body..] || slot[..5] != *MAGIC || slot[5] != VERSION {
        return None;
    }
    let flags = slot[14];
    let number = |at: usize| integer(&slot[at..at + 8]);
    let last = (flags & HAS_LAST != 0).then(|| EntryId { index: number(15), term: number(23), node: number(31) });
    let vote = (flags & HAS_VOTE != 0).then(|| Vote {
        term: number(39),
        node: number(47),
        committed: flags & VOTE_COMMITTED != 0,
    });
    Some((number(6), Mark { last, vote }))
}

fn newest_slot(file: &[u8]) -> Option<(u64, Mark)> {
    let slots = [0, SLOT_STRIDE].map(|offset| file.get(offset..offset + SLOT_BYTES).and_then(decode_slot));
    slots.into_iter().flatten().max_by_key(|(sequence, _)| *sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(index: u64) -> Mark {
        Mark { last: Some(EntryId { index, term: 2, node: 1 }), vote: Some(Vote { term: 2, node: 1, committed: true }) }
    }

    #[test]
    fn stored_bytes_never_change() {
        let hex: String = encode_slot(5, mark(9)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "504d41524b0105000000000000000709000000000000000200000000000000010000000000000002000000000000000100000000000000e3195b2c"
        );
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark");
        let high = HighWater::open(MarkFile::new(&path), true).unwrap();
        for index in 1..=4 {
            high.raise(mark(index));
            assert!(high.sync().unwrap());
            assert!(!high.sync().unwrap());
        }
        drop(high);
        let mut bytes = std::fs::read(&path).unwrap();
        let newest = newest_slot(&bytes).unwrap();
        assert_eq!(newest.1, mark(4));
        let offset = if newest.0.is_multiple_of(2) { 0 } else { SLOT_STRIDE };
        bytes[offset + 20] ^= 1;
        assert_eq!(newest_slot(&bytes).unwrap().1, mark(3));
    }
}
