//! Checkpoints as files: how a state leaves a node, for another one or for a backup, and how one takes the place of a
//! node's own.
//!
//! A checkpoint is a directory of files that RocksDB linked right after everything was made durable, and a
//! [`Manifest`]: their names, lengths and hashes, and where the state stands, read from inside the checkpoint.
//!
//! # The steps of an install
//!
//! | | Step | A crash after it leaves |
//! |---|---|---|
//! | 1 | files that the new checkpoint does not have are removed from the directory that receives (`state-N+1`) | the old state, and files for another attempt |
//! | 2 | `incoming.manifest` is written and synced, then its name | the same; the next start goes on from the lengths it finds |
//! | 3 | each chunk is written at the end of its file | the same |
//! | 4 | every file is synced, then their names, then the directory's own | the same |
//! | 5 | every file is read back: its hash, then the head inside all of them; one that differs is removed and fetched again | the same |
//! | 6 | `state.current.new` is written and synced: the directory's name, and the raft entry it was installed at | the same; the file is removed at the next start |
//! | 7 | it takes the place of `state.current` | the old state or the new one |
//! | 8 | the data directory is synced | the new state, beside an old raft log |
//! | 9 | `incoming.manifest` is removed | the same |
//! | 10 | the new directory is opened, and readers are led to it | the same |
//! | 11 | the raft log is purged up to the state | the new state |
//! | 12 | the old directory is removed when its last reader is gone | the same; what is not current is removed at the next start |
//!
//! Step 7 is the one moment of the change: there is always one whole state that `state.current` names (`state`, where
//! there is no such file), and no directory is ever renamed or written while it is current under another name. Before
//! it, what conflicts in the raft log was truncated, for which its high-water mark was lowered durably; between 8 and
//! 11 the log may end before the state, which only a state that says it was installed just there may do.

pub mod export;
pub mod files;
pub mod home;
mod incoming;
pub mod manifest;
pub mod memory;
pub mod store;

use std::io;

use crate::codec::CodecError;
use crate::engine::EngineError;
use crate::state::OpenError;

pub use export::{ExportDirectory, Exported};
pub use files::{DiskFiles, Files};
pub use home::{Checkpoints, StateHome, current_directory};
pub use incoming::Verified;
pub use manifest::{CheckpointId, FileRecord, Manifest};
pub use memory::MemoryStore;
pub use store::{DiskStore, TableStore};

/// What can go wrong with a checkpoint's files.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{path} cannot be {operation}")]
    Io {
        operation: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the state in a checkpoint cannot be used")]
    State(#[source] OpenError),
    #[error("{path} is damaged: {problem}")]
    Pointer { path: &'static str, problem: &'static str },
    #[error("the manifest of a checkpoint cannot be used")]
    Manifest(#[from] CodecError),
    #[error("{file} is not as the manifest says: {problem}")]
    Damaged { file: String, problem: &'static str },
    #[error("{file} is not complete: {found} of {expected} bytes")]
    Incomplete { file: String, found: u64, expected: u64 },
    #[error("a part of {file} begins at {found}, but {expected} bytes are there")]
    Misplaced { file: String, found: u64, expected: u64 },
    #[error("the checkpoint stands elsewhere than its manifest says")]
    OtherHead,
    #[error("there is no state in it")]
    Empty,
    #[error("no checkpoint is being received")]
    NotOffered,
}
