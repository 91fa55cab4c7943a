//! A checkpoint on its way out: it stays on the disk until the last who reads it lets go.

use std::io;
use std::sync::Arc;

use super::SnapshotError;
use super::files::Files;
use super::home::Checkpoints;
use super::manifest::Manifest;
use crate::tree::Hash;

/// Bytes read in one step to be hashed.
pub(super) const HASHED_AT_ONCE: usize = 1 << 20;

/// The BLAKE3 of a file's first `length` bytes.
pub(super) fn hash_file(files: &impl Files, path: &str, length: u64, at_once: usize) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < length {
        let step = usize::try_from(length - offset).map_or(at_once, |left| left.min(at_once));
        hasher.update(&files.read_at(path, offset, step)?);
        offset += u64::try_from(step).expect("64 bits");
    }
    Ok(*hasher.finalize().as_bytes())
}

/// A directory of linked files, removed when this is dropped.
#[derive(Debug)]
pub struct ExportDirectory {
    home: Arc<dyn Checkpoints>,
    directory: String,
}

impl ExportDirectory {
    pub(super) fn new(home: Arc<dyn Checkpoints>, directory: String) -> Self {
        Self { home, directory }
    }

    /// Reads everything once, to hash it.
    pub fn describe(self) -> Result<Exported, SnapshotError> {
        let manifest = self.home.describe(&self.directory)?;
        Ok(Exported { manifest, directory: self })
    }
}

impl Drop for ExportDirectory {
    fn drop(&mut self) {
        self.home.remove(&self.directory);
    }
}

/// A checkpoint with its manifest.
#[derive(Debug)]
pub struct Exported {
    manifest: Manifest,
    directory: ExportDirectory,
}

impl Exported {
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the file at that place in the manifest.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn read(&self, file: usize, offset: u64, length: usize) -> Result<Vec<u8>, SnapshotError> {
        let ExportDirectory { home, directory } = &self.directory;
        home.read(directory, &self.manifest.files[file].name, offset, length)
    }
}
