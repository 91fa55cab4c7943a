//! How tables lie in directories: what a node needs of a kind of engine to open one, to copy it while it is written,
//! and to leave it behind.

use std::fmt;
use std::path::Path;

use super::files::{DiskFiles, Files};
use crate::codec::Levels;
use crate::engine::{EngineError, RocksEngine, TableEngine};
use crate::state::{HeadRecord, OpenError, read_head};

/// For looking at a checkpoint's head.
const LOOK_BYTES: usize = 8 << 20;

/// Engines in the directories below a node's data directory.
pub trait TableStore: fmt::Debug + Send + Sync + 'static {
    type Engine: TableEngine;
    type Files: Files;

    fn files(&self) -> &Self::Files;

    /// Opens the engine of a directory, which is made where there is none.
    fn open(&self, directory: &str) -> Result<Self::Engine, EngineError>;

    /// The head inside a checkpoint that nobody has open, if its level is one of those that are known. Changes nothing.
    fn head(&self, directory: &str, known: Levels) -> Result<Option<HeadRecord>, OpenError>;

    /// Everything that was written, as files in a directory that does not exist yet. They cost little: RocksDB links
    /// them. The engine goes on being written afterwards.
    fn checkpoint(&self, engine: &Self::Engine, directory: &str) -> Result<(), EngineError>;

    /// Another directory has taken the place of this engine's: it does no more work of its own, and its directory is
    /// removed once nobody reads it.
    fn retire(&self, engine: &Self::Engine, directory: &str);
}

/// RocksDB below a data directory.
#[derive(Clone, Debug)]
pub struct DiskStore {
    files: DiskFiles,
    memory_bytes: usize,
}

impl DiskStore {
    /// `memory_bytes` is for each engine's memtables and block cache; see [`RocksEngine::open`].
    #[must_use]
    pub fn new(root: &Path, memory_bytes: usize) -> Self {
        Self { files: DiskFiles::new(root), memory_bytes }
    }
}

impl TableStore for DiskStore {
    type Engine = RocksEngine;
    type Files = DiskFiles;

    fn files(&self) -> &DiskFiles {
        &self.files
    }

    fn open(&self, directory: &str) -> Result<RocksEngine, EngineError> {
        RocksEngine::open(&self.files.path(directory), self.memory_bytes)
    }

    fn head(&self, directory: &str, known: Levels) -> Result<Option<HeadRecord>, OpenError> {
        read_head(&RocksEngine::open_read_only(&self.files.path(directory), LOOK_BYTES)?, known)
    }

    fn checkpoint(&self, engine: &RocksEngine, directory: &str) -> Result<(), EngineError> {
        engine.checkpoint(&self.files.path(directory))
    }

    fn retire(&self, engine: &RocksEngine, directory: &str) {
        engine.retire(self.files.path(directory));
    }
}
