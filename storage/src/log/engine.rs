//! What the raft log asks of the store underneath: atomic, durable batches and bounded scans.

use super::LogError;

/// A single value beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Whom this node last voted for.
    Vote,
    /// The last entry that was purged.
    Purged,
}

/// One step of a batch, in order.
#[derive(Clone, Debug)]
pub enum LogWrite {
    Entry {
        index: u64,
        record: Vec<u8>,
    },
    Note {
        note: Note,
        record: Vec<u8>,
    },
    /// Removes the entries `first ..= last`.
    Remove {
        first: u64,
        last: u64,
    },
}

/// A store for one raft log. Records are opaque here.
pub trait LogEngine: Send + Sync + 'static {
    /// Writes all of the batch or none of it, and returns when it is durable.
    fn commit(&self, batch: &[LogWrite]) -> Result<(), LogError>;

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, LogError>;

    /// Entries from `first` on, up to and including `last`, in order of their indexes; ends once the records
    /// weigh `limit_bytes` or more, so that at least one is returned where there is one.
    fn scan(&self, first: u64, last: u64, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError>;

    fn first_index(&self) -> Result<Option<u64>, LogError>;

    fn last_index(&self) -> Result<Option<u64>, LogError>;
}
