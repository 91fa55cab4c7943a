//! Backups: a checkpoint's files and its manifest in a directory, and the bytes in which a node sends them.
//!
//! Sent are the manifest's length (`u32`, little-endian), the manifest, and the files one after the other in its order.
//! A backup without its `manifest` is none: it is written last. [`restore`] makes one the beginning of a new cluster:
//! journal, keys, positions and heads stay; who were members, the log and the cluster's name do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use partita_core::id::Position;
use partita_storage::codec::Levels;
use partita_storage::log::EntryId;
use partita_storage::snapshot::{
    Checkpoints, DiskFiles, DiskStore, Exported, Files, Manifest, SnapshotError, StateHome,
};

use crate::codec::{CodecError, RaftState};
use crate::data_directory::{ClusterId, DataDirectory, DirectoryError, Opened};
use crate::raft_types::{Member, RaftMembership, RaftStoredMembership, raft_log_id};

/// The manifest's name in a backup.
pub const MANIFEST_FILE: &str = "manifest";
/// Bytes sent or copied in one step.
const STEP_BYTES: usize = 1 << 20;
/// A manifest takes about seventy bytes for each file of up to 256 MiB.
const MANIFEST_BYTES: usize = 16 << 20;
/// For opening a restored state once.
const ENGINE_BYTES: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path} cannot be {operation}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not empty: a backup has a directory of its own")]
    NotEmpty { path: PathBuf },
    #[error("{path} is damaged: {problem}")]
    Damaged { path: PathBuf, problem: &'static str },
    #[error("{path} is damaged")]
    Manifest {
        path: PathBuf,
        #[source]
        source: partita_storage::codec::CodecError,
    },
    #[error("what the node sent is no backup: {problem}")]
    Sent { problem: &'static str },
    #[error("the node sent only a part of the backup")]
    Short,
    #[error("the backup's state cannot be used")]
    State(#[from] SnapshotError),
    #[error("the backup's record of raft cannot be read")]
    RaftState(#[from] CodecError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the data directory {path} is in use already: a backup is restored into an empty one")]
    InUse { path: PathBuf },
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> BackupError + use<'a> {
    move |source| BackupError::Io { operation, path: path.to_owned(), source }
}

/// A checkpoint on its way to whoever makes a backup of it. The files go when it is dropped.
#[derive(Debug)]
pub struct BackupStream {
    exported: Arc<Exported>,
    /// The file that is being sent; none before the manifest.
    file: Option<usize>,
    offset: u64,
}

impl BackupStream {
    #[must_use]
    pub fn new(exported: Exported) -> Self {
        Self { exported: Arc::new(exported), file: None, offset: 0 }
    }

    /// Where the state stands in it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.exported.manifest().head.position
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let manifest = self.exported.manifest();
        let encoded = u64::try_from(manifest.encode().len()).expect("64 bits");
        4 + encoded + manifest.bytes()
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, SnapshotError>> {
        let Some(file) = self.file else {
            self.file = Some(0);
            let encoded = self.exported.manifest().encode();
            let length = u32::try_from(encoded.len()).expect("a manifest is bounded");
            return Some(Ok(Bytes::from([&length.to_le_bytes()[..], &encoded].concat())));
        };
        let record = self.exported.manifest().files.get(file)?;
        let step = usize::try_from(record.length - self.offset).map_or(STEP_BYTES, |left| left.min(STEP_BYTES));
        let (exported, offset) = (Arc::clone(&self.exported), self.offset);
        self.offset += u64::try_from(step).expect("64 bits");
        if self.offset == record.length {
            (self.file, self.offset) = (Some(file + 1), 0);
        }
        let read = tokio::task::spawn_blocking(move || exported.read(file, offset, step)).await;
        let read = read.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()));
        Some(read.map(Bytes::from))
    }
}

/// A backup that is being written.
pub struct BackupWriter {
    directory: PathBuf,
    /// What of the manifest has come.
    head: Vec<u8>,
    manifest: Option<Manifest>,
    file: usize,
    open: Option<(File, blake3::Hasher, u64)>,
}

impl fmt::Debug for BackupWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupWriter").field("directory", &self.directory).field("file", &self.file).finish()
    }
}

impl BackupWriter {
    /// Begins one in a directory that is empty or does not exist.
    pub fn create(directory: &Path) -> Result<Self, BackupError> {
        fs::create_dir_all(directory).map_err(failed("made", directory))?;
        let mut found = fs::read_dir(directory).map_err(failed("read", directory))?;
        if found.next().is_some() {
            return Err(BackupError::NotEmpty { path: directory.to_owned() });
        }
        Ok(Self { directory: directory.to_owned(), head: vec![], manifest: None, file: 0, open: None })
    }

    /// Takes the next bytes that a node sent.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), BackupError> {
        if self.manifest.is_none() {
            bytes = self.read_manifest(bytes)?;
        }
        while !bytes.is_empty() {
            let Some(manifest) = &self.manifest else { return Ok(()) };
            let Some(record) = manifest.files.get(self.file) else {
                return Err(BackupError::Sent { problem: "more comes than its manifest says" });
            };
            let (name, length) = (record.name.clone(), record.length);
            let path = self.directory.join(&name);
            let (file, hasher, written) = match &mut self.open {
                Some(open) => open,
                None => {
                    let file = File::create(&path).map_err(failed("made", &path))?;
                    self.open.insert((file, blake3::Hasher::new(), 0))
                }
            };
            let step = usize::try_from(length - *written).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, later) = bytes.split_at(step);
            file.write_all(now).map_err(failed("written", &path))?;
            hasher.update(now);
            *written += u64::try_from(step).expect("64 bits");
            bytes = later;
            if *written == length {
                self.end_file()?;
            }
        }
        Ok(())
    }

    /// Takes what belongs to the manifest, and returns the rest.
    fn read_manifest<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], BackupError> {
        self.head.extend_from_slice(bytes);
        let Some((length, encoded)) = self.head.split_first_chunk::<4>() else { return Ok(&[]) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MANIFEST_BYTES {
            return Err(BackupError::Sent { problem: "it does not begin with a manifest" });
        }
        if encoded.len() < length {
            return Ok(&[]);
        }
        let path = self.directory.join(MANIFEST_FILE);
        let manifest = Manifest::decode(&encoded[..length]).map_err(|source| BackupError::Manifest { path, source })?;
        let surplus = encoded.len() - length;
        self.manifest = Some(manifest);
        self.skip_empty()?;
        Ok(&bytes[bytes.len() - surplus..])
    }

    /// Files without bytes: none of them comes, all of them are there.
    fn skip_empty(&mut self) -> Result<(), BackupError> {
        while let Some(record) = self.manifest.as_ref().and_then(|manifest| manifest.files.get(self.file))
            && record.length == 0
        {
            let path = self.directory.join(&record.name);
            File::create(&path).and_then(|file| file.sync_all()).map_err(failed("made", &path))?;
            self.file += 1;
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), BackupError> {
        let Some((file, hasher, _)) = self.open.take() else { return Ok(()) };
        let Some(record) = self.manifest.as_ref().and_then(|manifest| manifest.files.get(self.file)) else {
            return Ok(());
        };
        let path = self.directory.join(&record.name);
        if *hasher.finalize().as_bytes() != record.hash {
            return Err(BackupError::Damaged { path, problem: "it was damaged on its way" });
        }
        file.sync_all().map_err(failed("synced", &path))?;
        self.file += 1;
        self.skip_empty()
    }

    /// Completes it: now it is a backup.
    pub fn finish(self) -> Result<Manifest, BackupError> {
        let Some(manifest) = self.manifest else { return Err(BackupError::Short) };
        if self.file < manifest.files.len() {
            return Err(BackupError::Short);
        }
        sync(&self.directory)?;
        let path = self.directory.join(MANIFEST_FILE);
        let mut file = File::create(&path).map_err(failed("made", &path))?;
        file.write_all(&manifest.encode()).map_err(failed("written", &path))?;
        file.sync_all().map_err(failed("synced", &path))?;
        sync(&self.directory)?;
        Ok(manifest)
    }
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(failed("synced", directory))
}

/// Checks every byte of a backup.
pub fn check_backup(backup: &Path) -> Result<Manifest, BackupError> {
    let path = backup.join(MANIFEST_FILE);
    let bytes = fs::read(&path).map_err(failed("read", &path))?;
    let manifest = Manifest::decode(&bytes).map_err(|source| BackupError::Manifest { path, source })?;
    for record in &manifest.files {
        let path = backup.join(&record.name);
        let found = fs::metadata(&path).map_err(failed("read", &path))?;
        if found.len() != record.length {
            return Err(BackupError::Damaged { path, problem: "it has another length than the manifest says" });
        }
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(&path).map_err(failed("read", &path))?;
        io::copy(&mut file, &mut hasher).map_err(failed("read", &path))?;
        if *hasher.finalize().as_bytes() != record.hash {
            return Err(BackupError::Damaged { path, problem: "it has other bytes than the manifest says" });
        }
    }
    Ok(manifest)
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// The new cluster's.
    pub cluster: ClusterId,
}

/// Makes a backup the state of the first node of a new cluster, in a data directory that is empty or does not exist.
/// Every byte of the backup is checked before anything is made. What an interrupted restore leaves has no identity,
/// and no node starts on it.
pub fn restore(backup: &Path, data: &Path, node_id: u64) -> Result<Restored, BackupError> {
    let manifest = check_backup(backup)?;
    let empty = match DataDirectory::open(data, node_id)? {
        Opened::Empty(empty) => empty,
        Opened::Ours(_) => return Err(BackupError::InUse { path: data.to_owned() }),
    };
    let home = StateHome::recover(DiskStore::new(data, ENGINE_BYTES), Levels::OWN)?;
    copy_files(&manifest, &DiskFiles::new(backup), &home)?;
    let verified = home.verify()?;
    home.adopt(&verified, alone(&RaftState::decode(&manifest.applied.raft)?, &manifest, node_id)?)?;
    let cluster = ClusterId(rand::random());
    empty.found(cluster)?;
    Ok(Restored { manifest, cluster })
}

fn copy_files(manifest: &Manifest, from: &DiskFiles, to: &dyn Checkpoints) -> Result<(), BackupError> {
    let lengths = to.begin(manifest)?;
    for (place, (record, mut offset)) in manifest.files.iter().zip(lengths).enumerate() {
        while offset < record.length {
            let step = usize::try_from(record.length - offset).map_or(STEP_BYTES, |left| left.min(STEP_BYTES));
            let path = from.path(&record.name);
            let bytes = from.read_at(&record.name, offset, step).map_err(failed("read", &path))?;
            to.receive(place, offset, &bytes)?;
            offset += u64::try_from(step).expect("64 bits");
        }
    }
    Ok(())
}

/// What a state keeps of raft as the first of a new cluster's: this node is the only member, and the log begins right
/// behind the entry that was applied last. That counts as one of term 0, before any election.
fn alone(
    before: &RaftState,
    manifest: &Manifest,
    node_id: u64,
) -> Result<partita_storage::state::Applied, BackupError> {
    let last = raft_log_id(EntryId { term: 0, node: node_id, index: manifest.applied.index });
    let members = BTreeMap::from([(node_id, Member::default())]);
    let membership = RaftMembership::new(vec![BTreeSet::from([node_id])], members)
        .map_err(|_reason| CodecError::Invalid { what: "a membership of one" })?;
    let mut state = RaftState { last: Some(last), node_ids: BTreeSet::new(), ..before.clone() };
    state.enter_membership(RaftStoredMembership::new(Some(last), membership));
    state.applied().ok_or(BackupError::State(SnapshotError::Empty))
}
