//! The raft log: entries, vote and purge point in a RocksDB of their own, with a high-water mark beside it.
//!
//! Nothing here knows openraft or starts a thread. [`RaftLog`] is what everybody may hold (staging and
//! reading); [`LogWriter`] belongs to the one thread that makes entries durable. The store underneath is
//! passed in, so that the simulator and the crash tests run the same code over a store that loses what was
//! not synced.

pub mod engine;
pub mod entry;
pub mod mark;
pub mod memory;
pub mod raft_log;
pub mod rocks;
mod tail;

use std::io;
use std::path::PathBuf;

pub use engine::{LogEngine, LogWrite, Note};
pub use entry::{EntryId, EntryKind, LogEntry, Vote};
pub use mark::{HighWater, Mark, MarkStore};
pub use raft_log::{LogState, LogWriter, RaftLog, open_log};
pub use rocks::RocksLog;

/// Why the log could not do what was asked. All of them stop the process: an fsync that failed once is
/// never tried again, and a log that is wrong is never guessed right.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log database failed to {operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: rocksdb::Error,
    },
    #[error("the high-water mark could not be {operation} ({path})")]
    Mark {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the raft log's {record} is damaged: {reason}")]
    Damaged { record: String, reason: &'static str },
    #[error("the raft log has no entry {index}, though it holds entries around it")]
    Missing { index: u64 },
    #[error("entry {index} does not follow the raft log's last entry {last}")]
    Gap { index: u64, last: u64 },
    #[error(
        "the raft log ends at {found} but {acknowledged} was acknowledged: acknowledged writes are missing, \
         so this node must not start; rejoin it under a new id"
    )]
    ShorterThanMark { found: String, acknowledged: String },
    #[error("the raft log's high-water mark is missing or unreadable although the log is not empty ({path})")]
    MarkLost { path: PathBuf },
    #[error("the store has stopped")]
    Stopped,
}
