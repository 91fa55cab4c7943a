//! A node's data directory: whose it is, and that only one process uses it.
//!
//! `lock` is held with `flock` for the life of the process. `identity` is text with a checksum: format, cluster, node.
//! Beside them lie `log/` and `log.mark` (the raft log and its high-water mark) and `state/`.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The first line of the identity; the number is the format of the whole directory.
const FORMAT: &str = "partita data directory 1";

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
}

/// A cluster's random name, given when it is founded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    /// Held for its lock.
    _lock: File,
}

impl DataDirectory {
    /// Locks a directory that is there, whosever it is, and makes nothing.
    pub(crate) fn inspect(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |operation| move |source| DirectoryError::Io { path: path.to_owned(), operation, source };
        let identity = path.join("identity");
        let text = fs::read_to_string(&identity).map_err(failed("reading its identity failed"))?;
        let (cluster, _) =
            parse_identity(&text).map_err(|reason| DirectoryError::Damaged { path: identity, reason })?;
        let lock = File::open(path.join("lock")).map_err(failed("opening its lock failed"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), cluster, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("locking it failed")(source)),
        }
    }

    /// Opens the directory, or makes one for a cluster named `fresh`.
    pub(crate) fn open(path: &Path, node: u64, fresh: ClusterId) -> Result<Self, DirectoryError> {
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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("locking it failed")(source)),
        }
        let identity = path.join("identity");
        let cluster = match fs::read_to_string(&identity) {
            Ok(text) => {
                let (cluster, found) =
                    parse_identity(&text).map_err(|reason| DirectoryError::Damaged { path: identity, reason })?;
                if found != node {
                    return Err(DirectoryError::OtherNode { path: path.to_owned(), found, expected: node });
                }
                cluster
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if ["log", "log.mark", "state"].iter().any(|name| path.join(name).exists()) {
                    return Err(DirectoryError::IdentityMissing { path: path.to_owned() });
                }
                write_identity(path, fresh, node).map_err(failed("writing its identity failed"))?;
                fresh
            }
            Err(source) => return Err(failed("reading its identity failed")(source)),
        };
        Ok(Self { path: path.to_owned(), cluster, _lock: lock })
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn mark(&self) -> PathBuf {
        self.path.join("log.mark")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

fn identity_text(cluster: ClusterId, node: u64) -> String {
    let body = format!("{FORMAT}\ncluster {cluster}\nnode {node}\n");
    let checksum = crc32fast::hash(body.as_bytes());
    format!("{body}checksum {checksum:08x}\n")
}

fn parse_identity(text: &str) -> Result<(ClusterId, u64), &'static str> {
    let mut lines = text.lines();
    let (format, cluster, node) = (lines.next(), lines.next(), lines.next());
    if format != Some(FORMAT) {
        return Err("its format is unknown");
    }
    let cluster = cluster
        .and_then(|line| line.strip_prefix("cluster "))
        .and_then(parse_cluster)
        .ok_or("its cluster cannot be read")?;
    let node = node
        .and_then(|line| line.strip_prefix("node "))
        .and_then(|node| node.parse().ok())
        .ok_or("its node cannot be read")?;
    if identity_text(cluster, node) == text { Ok((cluster, node)) } else { Err("its checksum does not match") }
}

fn parse_cluster(hex: &str) -> Option<ClusterId> {
    let mut id = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(ClusterId(id))
}

/// Written beside, then renamed: it is whole or absent.
fn write_identity(directory: &Path, cluster: ClusterId, node: u64) -> io::Result<()> {
    let beside = directory.join("identity.new");
    let mut file = File::create(&beside)?;
    file.write_all(identity_text(cluster, node).as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, directory.join("identity"))?;
    sync_directory(directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    #[test]
    fn a_directory_is_one_process_and_one_node() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let open = DataDirectory::open(&path, 1, CLUSTER).unwrap();
        assert!(matches!(DataDirectory::open(&path, 1, CLUSTER), Err(DirectoryError::InUse { .. })));
        drop(open);
        assert!(matches!(
            DataDirectory::open(&path, 2, CLUSTER),
            Err(DirectoryError::OtherNode { found: 1, expected: 2, .. })
        ));
        let again = DataDirectory::open(&path, 1, ClusterId([9; 16])).unwrap();
        assert_eq!(again.cluster, CLUSTER);
    }

    #[test]
    fn stored_bytes_never_change() {
        let text = "partita data directory 1\ncluster 07070707070707070707070707070707\nnode 1\nchecksum a583025b\n";
        assert_eq!(identity_text(CLUSTER, 1), text);
        assert_eq!(parse_identity(text), Ok((CLUSTER, 1)));
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(String::from_utf8(bytes).is_ok_and(|text| parse_identity(&text).is_err()), "byte {at}");
        }
    }

    #[test]
    fn data_without_an_identity_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        assert!(matches!(
            DataDirectory::open(directory.path(), 1, CLUSTER),
            Err(DirectoryError::IdentityMissing { .. })
        ));
    }
}
