//! The few things that are done to files while a checkpoint is received, installed or removed, and a disk that does
//! them. Another one, in memory, loses what was not synced: see [`super::memory`].
//!
//! Paths are relative to the data directory, with `/` between their parts; the data directory itself is the empty path.
//! Names are checked by whoever takes them from outside ([`super::manifest`]).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What stands in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// A file's; a directory has none.
    pub length: Option<u64>,
}

/// A tree of files. Nothing is durable before the file is synced, and its name not before its directory is.
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// Makes a directory where there is none.
    fn make_directory(&self, path: &str) -> io::Result<()>;

    /// In the order of the names; nothing where there is no such directory.
    fn list(&self, directory: &str) -> io::Result<Vec<Listed>>;

    /// A whole file; `None` where there is none.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Exactly `length` bytes from `offset` on.
    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes into a file, which is made where there is none.
    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    fn sync_file(&self, path: &str) -> io::Result<()>;

    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Puts a file in the place of another.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if it is there.
    fn remove_file(&self, path: &str) -> io::Result<()>;

    /// Removes a directory and everything in it, if it is there.
    fn remove_directory(&self, path: &str) -> io::Result<()>;
}

/// The files below one directory of a disk.
#[derive(Clone, Debug)]
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

/// What was to be removed may be gone already.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Files for DiskFiles {
    fn make_directory(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Listed>> {
        let found = match fs::read_dir(self.path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            found => found?,
        };
        let mut listed = vec![];
        for entry in found {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            listed.push(Listed { name, length: metadata.is_file().then_some(metadata.len()) });
        }
        listed.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(listed)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        File::open(self.path(path))?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path(path))?;
        file.write_all_at(bytes, offset)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        gone(fs::remove_file(self.path(path)))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        gone(fs::remove_dir_all(self.path(path)))
    }
}
