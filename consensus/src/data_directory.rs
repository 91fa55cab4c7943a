//! A node's data directory: whose it is, and that only one process uses it.
//!
//! `lock` is held with `flock` for the life of the process. `identity` is text with a checksum: format, cluster, node
//! and, of a node that joined, what it joined as: such a node never founds, even if it has no log yet. Beside them lie `log/` and `log.mark` (the raft log and its high-water mark) and `state/`. A node that joins has no
//! identity before it is taken in; `joining` keeps what it asks as, so that it is known when it asks again.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::raft_types::Instance;

/// The first line of the identity; the number is the format of the whole directory.
const FORMAT: &str = "partita data directory 1";
const JOINING_FORMAT: &str = "partita joining 1";

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("the data directory {path} cannot be used: {operation}")]
    Io {
        path: PathBuf,
        operation: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the data directory {path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("{path} is not an identity that this program wrote: {reason}")]
    Damaged { path: PathBuf, reason: &'static str },
    #[error("the data directory {path} holds data but no identity: it is damaged, or not Partita's")]
    IdentityMissing { path: PathBuf },
    #[error("the data directory {path} belongs to node {found}, but this is node {expected}")]
    OtherNode { path: PathBuf, found: u64, expected: u64 },
    #[error(
        "the data directory {path} began to join a cluster and was not taken in yet: go on with --join, or remove the \
         directory to begin anew"
    )]
    JoinUnfinished { path: PathBuf },
}

/// A cluster's random name, given when it is founded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A locked data directory.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    pub(crate) cluster: ClusterId,
    /// What it was taken in as; the founder has none.
    pub(crate) instance: Option<Instance>,
    /// Held for its lock.
    _lock: File,
}

/// A locked directory in which there is nothing yet, but perhaps the beginning of a join.
#[derive(Debug)]
pub(crate) struct EmptyDirectory {
    path: PathBuf,
    node: u64,
    joining: Option<Instance>,
    lock: File,
}

/// What the identity says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    cluster: ClusterId,
    node: u64,
    instance: Option<Instance>,
}

/// What a directory turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    Ours(DataDirectory),
    Empty(EmptyDirectory),
}

/// Whose directory this is; nothing where it is empty or absent. It is not locked: only a hint for who starts a node.
pub fn recorded_node(path: &Path) -> Result<Option<u64>, DirectoryError> {
    Ok(match read_identity(path)? {
        Some(owner) => Some(owner.node),
        None => read_joining(path)?.map(|(node, _instance)| node),
    })
}

impl DataDirectory {
    /// Locks a directory that is there, whosever it is, and makes nothing.
    pub(crate) fn inspect(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |operation| move |source| DirectoryError::Io { path: path.to_owned(), operation, source };
        let Some(owner) = read_identity(path)? else {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(failed("reading its identity failed")(missing));
        };
        let lock = File::open(path.join("lock")).map_err(failed("opening its lock failed"))?;
        take(&lock, path)?;
        Ok(Self::of(path, owner, lock))
    }

    /// Locks a node's directory, which is made where it does not exist.
    pub(crate) fn open(path: &Path, node: u64) -> Result<Opened, DirectoryError> {
        let failed = |operation| move |source| DirectoryError::Io { path: path.to_owned(), operation, source };
        fs::create_dir_all(path).map_err(failed("creating it failed"))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent).map_err(failed("syncing its parent failed"))?;
        }
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("opening its lock failed"))?;
        take(&lock, path)?;
        let ours = |found: u64| match found == node {
            true => Ok(()),
            false => Err(DirectoryError::OtherNode { path: path.to_owned(), found, expected: node }),
        };
        if let Some(owner) = read_identity(path)? {
            ours(owner.node)?;
            return Ok(Opened::Ours(Self::of(path, owner, lock)));
        }
        let signs = ["log", "log.mark", "state", "state-1", "state.current", "incoming.manifest"];
        if signs.iter().any(|name| path.join(name).exists()) {
            return Err(DirectoryError::IdentityMissing { path: path.to_owned() });
        }
        let joining = read_joining(path)?;
        if let Some((found, _instance)) = joining {
            ours(found)?;
        }
        let joining = joining.map(|(_node, instance)| instance);
        Ok(Opened::Empty(EmptyDirectory { path: path.to_owned(), node, joining, lock }))
    }

    fn of(path: &Path, owner: Owner, lock: File) -> Self {
        Self { path: path.to_owned(), cluster: owner.cluster, instance: owner.instance, _lock: lock }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn mark(&self) -> PathBuf {
        self.path.join("log.mark")
    }

    /// Where the state's directories lie.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl EmptyDirectory {
    /// Makes it the directory of a cluster's founder.
    pub(crate) fn found(self, cluster: ClusterId) -> Result<DataDirectory, DirectoryError> {
        match self.joining {
            // It may have been taken in without knowing it: as a founder it would be a second ledger under one id.
            Some(_) => Err(DirectoryError::JoinUnfinished { path: self.path }),
            None => self.belong(cluster),
        }
    }

    /// What this node asks to be taken in as: `drawn`, or what an earlier start drew.
    pub(crate) fn instance(&mut self, drawn: Instance) -> Result<Instance, DirectoryError> {
        if let Some(instance) = self.joining {
            return Ok(instance);
        }
        let operation = "noting down what it joins as failed";
        write_whole(&self.path, "joining", &joining_text(self.node, drawn)).map_err(|source| DirectoryError::Io {
            path: self.path.clone(),
            operation,
            source,
        })?;
        self.joining = Some(drawn);
        Ok(drawn)
    }

    /// Makes it the directory of a member that was taken in.
    pub(crate) fn joined(self, cluster: ClusterId) -> Result<DataDirectory, DirectoryError> {
        self.belong(cluster)
    }

    fn belong(self, cluster: ClusterId) -> Result<DataDirectory, DirectoryError> {
        let Self { path, node, joining, lock } = self;
        let failed = |operation| {
            let path = path.clone();
            move |source| DirectoryError::Io { path, operation, source }
        };
        let owner = Owner { cluster, node, instance: joining };
        write_whole(&path, "identity", &identity_text(owner)).map_err(failed("writing its identity failed"))?;
        if joining.is_some() {
            // Left behind by a crash it does no harm: the identity counts.
            fs::remove_file(path.join("joining")).map_err(failed("removing what it joined as failed"))?;
        }
        Ok(DataDirectory::of(&path, owner, lock))
    }
}

fn take(lock: &File, path: &Path) -> Result<(), DirectoryError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => {
            Err(DirectoryError::Io { path: path.to_owned(), operation: "locking it failed", source })
        }
    }
}

fn read_identity(directory: &Path) -> Result<Option<Owner>, DirectoryError> {
    read_text(directory, "identity", "reading its identity failed", parse_identity)
}

fn read_joining(directory: &Path) -> Result<Option<(u64, Instance)>, DirectoryError> {
    read_text(directory, "joining", "reading what it joins as failed", parse_joining)
}

/// A file's content, where there is the file.
fn read_text<T>(
    directory: &Path,
    name: &str,
    operation: &'static str,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<Option<T>, DirectoryError> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map(Some).map_err(|reason| DirectoryError::Damaged { path, reason }),
        // Of what is no directory the caller learns when it tries to make one.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(DirectoryError::Io { path: directory.to_owned(), operation, source }),
    }
}

fn with_checksum(body: &str) -> String {
    format!("{body}checksum {:08x}\n", crc32fast::hash(body.as_bytes()))
}

fn identity_text(owner: Owner) -> String {
    let Owner { cluster, node, instance } = owner;
    let instance = instance.map(|instance| format!("instance {instance}\n")).unwrap_or_default();
    with_checksum(&format!("{FORMAT}\ncluster {cluster}\nnode {node}\n{instance}"))
}

fn joining_text(node: u64, instance: Instance) -> String {
    with_checksum(&format!("{JOINING_FORMAT}\nnode {node}\ninstance {instance}\n"))
}

fn parse_identity(text: &str) -> Result<Owner, &'static str> {
    let mut lines = text.lines();
    if lines.next() != Some(FORMAT) {
        return Err("its format is unknown");
    }
    let cluster = value(lines.next(), "cluster ").and_then(parse_hex).map(ClusterId);
    let cluster = cluster.ok_or("its cluster cannot be read")?;
    let node = value(lines.next(), "node ").and_then(|node| node.parse().ok()).ok_or("its node cannot be read")?;
    let instance = value(lines.next(), "instance ").and_then(parse_hex).map(Instance);
    let owner = Owner { cluster, node, instance };
    if identity_text(owner) == text { Ok(owner) } else { Err("its checksum does not match") }
}

fn parse_joining(text: &str) -> Result<(u64, Instance), &'static str> {
    let mut lines = text.lines();
    if lines.next() != Some(JOINING_FORMAT) {
        return Err("its format is unknown");
    }
    let node = value(lines.next(), "node ").and_then(|node| node.parse().ok()).ok_or("its node cannot be read")?;
    let instance = value(lines.next(), "instance ").and_then(parse_hex).map(Instance);
    let instance = instance.ok_or("its instance cannot be read")?;
    if joining_text(node, instance) == text { Ok((node, instance)) } else { Err("its checksum does not match") }
}

fn value<'a>(line: Option<&'a str>, name: &str) -> Option<&'a str> {
    line.and_then(|line| line.strip_prefix(name))
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(hex: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(id)
}

/// Written beside, then renamed: it is whole or absent.
fn write_whole(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let beside = directory.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(name))?;
    sync_directory(directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId([7; 16]);
    const INSTANCE: Instance = Instance([8; 16]);

    fn empty(path: &Path, node: u64) -> EmptyDirectory {
        match DataDirectory::open(path, node).unwrap() {
            Opened::Empty(empty) => empty,
            Opened::Ours(ours) => panic!("{ours:?} is not empty"),
        }
    }

    #[test]
    fn a_directory_is_one_process_and_one_node() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        assert_eq!(recorded_node(&path).unwrap(), None);
        let open = empty(&path, 1).found(CLUSTER).unwrap();
        assert!(matches!(DataDirectory::open(&path, 1), Err(DirectoryError::InUse { .. })));
        drop(open);
        assert!(matches!(DataDirectory::open(&path, 2), Err(DirectoryError::OtherNode { found: 1, expected: 2, .. })));
        assert_eq!(recorded_node(&path).unwrap(), Some(1));
        assert!(matches!(DataDirectory::open(&path, 1).unwrap(), Opened::Ours(ours) if ours.cluster == CLUSTER));
    }

    #[test]
    fn a_join_goes_on_as_what_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut first = empty(path, 4);
        assert_eq!(first.instance(INSTANCE).unwrap(), INSTANCE);
        drop(first);
        assert_eq!(recorded_node(path).unwrap(), Some(4));
        assert!(matches!(DataDirectory::open(path, 5), Err(DirectoryError::OtherNode { found: 4, .. })));
        let founder = empty(path, 4).found(CLUSTER).unwrap_err();
        assert!(matches!(founder, DirectoryError::JoinUnfinished { .. }), "{founder}");
        let mut again = empty(path, 4);
        assert_eq!(again.instance(Instance([9; 16])).unwrap(), INSTANCE);
        assert_eq!(again.joined(CLUSTER).unwrap().instance, Some(INSTANCE));
        assert!(!path.join("joining").exists());
        let ours = DataDirectory::open(path, 4).unwrap();
        assert!(matches!(ours, Opened::Ours(ours) if ours.cluster == CLUSTER && ours.instance == Some(INSTANCE)));
    }

    #[test]
    fn stored_bytes_never_change() {
        let founder = Owner { cluster: CLUSTER, node: 1, instance: None };
        let text = "partita data directory 1\ncluster 07070707070707070707070707070707\nnode 1\nchecksum a583025b\n";
        assert_eq!(identity_text(founder), text);
        assert_eq!(parse_identity(text), Ok(founder));
        each_damaged(text, |text| parse_identity(text).is_err());
        let joined = Owner { cluster: CLUSTER, node: 4, instance: Some(INSTANCE) };
        let text = "partita data directory 1\ncluster 07070707070707070707070707070707\nnode 4\n\
                    instance 08080808080808080808080808080808\nchecksum e3cd6db6\n";
        assert_eq!(identity_text(joined), text);
        assert_eq!(parse_identity(text), Ok(joined));
        each_damaged(text, |text| parse_identity(text).is_err());
        let text = "partita joining 1\nnode 4\ninstance 08080808080808080808080808080808\nchecksum ae70e693\n";
        assert_eq!(joining_text(4, INSTANCE), text);
        assert_eq!(parse_joining(text), Ok((4, INSTANCE)));
        each_damaged(text, |text| parse_joining(text).is_err());
    }

    fn each_damaged(text: &str, is_refused: impl Fn(&str) -> bool) {
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(String::from_utf8(bytes).is_ok_and(|text| is_refused(&text)), "byte {at}");
        }
    }

    #[test]
    fn data_without_an_identity_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        assert!(matches!(DataDirectory::open(directory.path(), 1), Err(DirectoryError::IdentityMissing { .. })));
    }
}
