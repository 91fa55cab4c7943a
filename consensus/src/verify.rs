//! Verification of a stopped node's data directory: locked meanwhile, and left as it is.

use std::path::Path;

use partita_storage::engine::{EngineError, RocksEngine};
use partita_storage::snapshot::{DiskFiles, SnapshotError, current_directory};
use partita_storage::verify::Report;

use crate::data_directory::{DataDirectory, DirectoryError};

/// For blocks on their way from the tables; what is rebuilt is held besides.
const CACHE_BYTES: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the state's files cannot be used")]
    Files(#[from] SnapshotError),
}

/// Rebuilds the stored state from its journal and compares. What was found wrong is in the report.
pub fn verify(data: &Path) -> Result<Report, VerifyError> {
    let directory = DataDirectory::inspect(data)?;
    let files = DiskFiles::new(directory.path());
    let state = files.path(&current_directory(&files)?);
    let engine = RocksEngine::open_read_only(&state, CACHE_BYTES)?;
    Ok(partita_storage::verify::verify(&engine))
}
