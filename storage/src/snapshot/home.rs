//! Where a node's state lies: which directory is current, what a crash left beside it, and the change from one to
//! the next. The steps are listed in [`super`].

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::SnapshotError;
use super::export::{ExportDirectory, HASHED_AT_ONCE, hash_file};
use super::files::{Files, Listed};
use super::incoming::{Incoming, Verified};
use super::manifest::{FileRecord, Manifest};
use super::store::TableStore;
use crate::codec::{Levels, encode_record};
use crate::engine::{Batch, EngineError, Table, TableEngine};
use crate::state::{Applied, HEAD_KEY, HeadRecord};

/// The directory of a state that was never installed.
pub(super) const FIRST_DIRECTORY: &str = "state";
/// Names the directory that is current, where that is another one.
const POINTER: &str = "state.current";
const POINTER_NEW: &str = "state.current.new";
/// Of the checkpoint that is being received.
pub(super) const INCOMING_MANIFEST: &str = "incoming.manifest";
/// Checkpoints on their way out.
const OUTGOING: &str = "outgoing-";
/// The pointer's first line.
const POINTER_FORMAT: &str = "partita state 1";

/// Which directory is current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Current {
    /// How many states were installed before it.
    generation: u64,
    /// The raft entry that the state included when it was installed; `None` for one that never was.
    installed: Option<u64>,
}

impl Current {
    fn directory(self) -> String {
        match self.generation {
            0 => FIRST_DIRECTORY.to_owned(),
            generation => format!("{FIRST_DIRECTORY}-{generation}"),
        }
    }

    /// Where the next state is received.
    fn next(self, installed: u64) -> Self {
        Self { generation: self.generation + 1, installed: Some(installed) }
    }

    fn encode(self) -> Option<String> {
        let body = format!("{POINTER_FORMAT}\ndirectory {}\ninstalled {}\n", self.directory(), self.installed?);
        let checksum = crc32fast::hash(body.as_bytes());
        Some(format!("{body}checksum {checksum:08x}\n"))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let generation = lines.next()?.strip_prefix("directory state-")?.parse().ok()?;
        let installed = lines.next()?.strip_prefix("installed ")?.parse().ok()?;
        let found = Self { generation, installed: Some(installed) };
        (found.encode()? == text).then_some(found)
    }
}

fn failed<'a>(operation: &'static str, path: &'a str) -> impl FnOnce(std::io::Error) -> SnapshotError + use<'a> {
    move |source| SnapshotError::Io { operation, path: path.to_owned(), source }
}

fn read_current(files: &impl Files) -> Result<Current, SnapshotError> {
    let Some(bytes) = files.read(POINTER).map_err(failed("read", POINTER))? else { return Ok(Current::default()) };
    let found = std::str::from_utf8(&bytes).ok().and_then(Current::decode);
    found.ok_or(SnapshotError::Pointer { path: POINTER, problem: "it is not what this program wrote" })
}

/// The directory of the current state, for looking at it. Changes nothing.
pub fn current_directory(files: &impl Files) -> Result<String, SnapshotError> {
    read_current(files).map(Current::directory)
}

/// Checkpoints of one node on their way out and in, whatever kind of engine they are of.
pub trait Checkpoints: Debug + Send + Sync + 'static {
    /// Begins to receive a checkpoint, or goes on with one. Returns how many bytes of each file are there.
    fn begin(&self, manifest: &Manifest) -> Result<Vec<u64>, SnapshotError>;

    /// Writes the next bytes of a file, which is named by its place in the manifest.
    fn receive(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError>;

    /// Makes what was received durable and checks all of it. After [`SnapshotError::Damaged`], what was damaged is
    /// gone and can be received again.
    fn verify(&self) -> Result<Verified, SnapshotError>;

    /// Forgets what was received and not installed.
    fn discard(&self) -> Result<(), SnapshotError>;

    /// Reads what is on its way out.
    fn read(&self, directory: &str, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, SnapshotError>;

    /// The files of a checkpoint on its way out, hashed, and its head, read from inside it.
    fn describe(&self, directory: &str) -> Result<Manifest, SnapshotError>;

    /// Removes a checkpoint that nobody sends any more.
    fn remove(&self, directory: &str);
}

/// A node's state among its files.
#[derive(Debug)]
pub struct StateHome<S> {
    store: S,
    /// The replicated levels that the program knows.
    levels: Levels,
    current: Mutex<Current>,
    incoming: Mutex<Option<Incoming>>,
    exports: AtomicU64,
}

impl<S: TableStore> StateHome<S> {
    /// Finds the current state, and removes what a crash left of others: only what was received in part stays.
    pub fn recover(store: S, levels: Levels) -> Result<Self, SnapshotError> {
        let files = store.files();
        let current = read_current(files)?;
        let receiving = current.next(0).directory();
        let incoming = Incoming::resume(files, &receiving)?;
        for Listed { name, length } in files.list("").map_err(failed("listed", ""))? {
            let is_state =
                name.strip_prefix(FIRST_DIRECTORY).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            let is_kept = name == current.directory() || (incoming.is_some() && name == receiving);
            if length.is_none() && ((is_state && !is_kept) || name.starts_with(OUTGOING)) {
                tracing::info!(directory = name, "what an earlier run left is removed");
                files.remove_directory(&name).map_err(failed("removed", &name))?;
            }
        }
        files.remove_file(POINTER_NEW).map_err(failed("removed", POINTER_NEW))?;
        if incoming.is_none() {
            files.remove_file(INCOMING_MANIFEST).map_err(failed("removed", INCOMING_MANIFEST))?;
        }
        Ok(Self {
            current: Mutex::new(current),
            incoming: Mutex::new(incoming),
            exports: AtomicU64::new(0),
            levels,
            store,
        })
    }

    #[cfg(test)]
    pub(crate) fn files(&self) -> &S::Files {
        self.store.files()
    }

    /// The raft entry that the current state included when it was installed: up to there, and only while the state
    /// has not gone on, the raft log may end before the state. `None` for a state that was never installed.
    #[must_use]
    pub fn installed(&self) -> Option<u64> {
        self.current.lock().installed
    }

    /// Opens the current state.
    pub fn open(&self) -> Result<S::Engine, EngineError> {
        let directory = self.current.lock().directory();
        self.store.open(&directory)
    }

    /// Everything that was written to the current state, as files of their own.
    pub fn export(self: &Arc<Self>, engine: &S::Engine) -> Result<ExportDirectory, SnapshotError> {
        let directory = format!("{OUTGOING}{}", self.exports.fetch_add(1, Ordering::Relaxed));
        let guard = ExportDirectory::new(self.clone(), directory.clone());
        self.store.checkpoint(engine, &directory)?;
        Ok(guard)
    }

    /// Puts a received state in the place of the current one, whose engine is `old`: steps 6 to 10. After an error
    /// the process must stop: either state may be the one that the next start finds.
    pub fn install(&self, verified: &Verified, old: &S::Engine) -> Result<S::Engine, SnapshotError> {
        let before = self.current.lock().directory();
        self.switch(verified, verified.manifest().applied.index)?;
        let engine = self.open()?;
        self.store.retire(old, &before);
        Ok(engine)
    }

    /// Makes a received state the one that this directory begins with, its raft entries replaced by `applied`: for
    /// a node of another cluster.
    pub fn adopt(&self, verified: &Verified, applied: Applied) -> Result<(), SnapshotError> {
        let directory = verified.directory();
        let index = applied.index;
        let record =
            self.store.head(directory, self.levels).map_err(SnapshotError::State)?.ok_or(SnapshotError::Empty)?;
        let engine = self.store.open(directory)?;
        let mut batch = Batch::new();
        batch.put(Table::Meta, HEAD_KEY.to_vec(), encode_record(&HeadRecord { applied, ..record }));
        engine.write(batch)?;
        engine.flush()?;
        drop(engine);
        self.switch(verified, index)
    }

    fn switch(&self, verified: &Verified, installed: u64) -> Result<(), SnapshotError> {
        let files = self.store.files();
        let mut current = self.current.lock();
        let next = current.next(installed);
        assert_eq!(verified.directory(), next.directory(), "a checkpoint is installed once, and none in between");
        let text = next.encode().expect("a state that follows another was installed");
        files.remove_file(POINTER_NEW).map_err(failed("removed", POINTER_NEW))?;
        files.write_at(POINTER_NEW, 0, text.as_bytes()).map_err(failed("written", POINTER_NEW))?;
        files.sync_file(POINTER_NEW).map_err(failed("synced", POINTER_NEW))?;
        files.rename(POINTER_NEW, POINTER).map_err(failed("renamed", POINTER_NEW))?;
        files.sync_directory("").map_err(failed("synced", ""))?;
        *current = next;
        *self.incoming.lock() = None;
        files.remove_file(INCOMING_MANIFEST).map_err(failed("removed", INCOMING_MANIFEST))
    }
}

impl<S: TableStore> Checkpoints for StateHome<S> {
    fn begin(&self, manifest: &Manifest) -> Result<Vec<u64>, SnapshotError> {
        let directory = self.current.lock().next(0).directory();
        let mut incoming = self.incoming.lock();
        let begun = Incoming::begin(self.store.files(), &directory, incoming.take(), manifest)?;
        let lengths = begun.lengths().to_vec();
        *incoming = Some(begun);
        Ok(lengths)
    }

    fn receive(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut incoming = self.incoming.lock();
        incoming.as_mut().ok_or(SnapshotError::NotOffered)?.receive(self.store.files(), file, offset, bytes)
    }

    fn verify(&self) -> Result<Verified, SnapshotError> {
        let mut incoming = self.incoming.lock();
        let received = incoming.as_mut().ok_or(SnapshotError::NotOffered)?;
        let verified = received.verify(self.store.files())?;
        let inside = self
            .store
            .head(verified.directory(), self.levels)
            .map_err(SnapshotError::State)?
            .ok_or(SnapshotError::Empty)?;
        if verified.manifest().is_of(&inside) { Ok(verified) } else { Err(SnapshotError::OtherHead) }
    }

    fn discard(&self) -> Result<(), SnapshotError> {
        let Some(received) = self.incoming.lock().take() else { return Ok(()) };
        let files = self.store.files();
        files.remove_file(INCOMING_MANIFEST).map_err(failed("removed", INCOMING_MANIFEST))?;
        files.remove_directory(received.directory()).map_err(failed("removed", received.directory()))
    }

    fn read(&self, directory: &str, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, SnapshotError> {
        let path = format!("{directory}/{file}");
        self.store.files().read_at(&path, offset, length).map_err(failed("read", &path))
    }

    fn describe(&self, directory: &str) -> Result<Manifest, SnapshotError> {
        let files = self.store.files();
        let record =
            self.store.head(directory, self.levels).map_err(SnapshotError::State)?.ok_or(SnapshotError::Empty)?;
        let mut described = vec![];
        for Listed { name, length } in files.list(directory).map_err(failed("listed", directory))? {
            let Some(length) = length else { continue };
            let path = format!("{directory}/{name}");
            let hash = hash_file(files, &path, length, HASHED_AT_ONCE).map_err(failed("read", &path))?;
            described.push(FileRecord { name, length, hash });
        }
        let manifest = Manifest::of(record, described);
        // What is sent must be what is taken: names that no receiver takes are found here.
        Manifest::decode(&manifest.encode())?;
        Ok(manifest)
    }

    fn remove(&self, directory: &str) {
        if let Err(error) = self.store.files().remove_directory(directory) {
            tracing::warn!(directory, %error, "a checkpoint cannot be removed; the next start tries again");
        }
    }
}

#[cfg(test)]
mod pointer_tests {
    use super::*;

    #[test]
    fn stored_bytes_never_change() {
        let current = Current { generation: 3, installed: Some(70_000) };
        let text = "partita state 1\ndirectory state-3\ninstalled 70000\nchecksum 5c3b1af4\n";
        assert_eq!(current.encode().as_deref(), Some(text));
        assert_eq!(Current::decode(text), Some(current));
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(String::from_utf8(bytes).is_ok_and(|text| Current::decode(&text).is_none()), "byte {at}");
        }
    }
}
