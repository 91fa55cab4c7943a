//! Damage to a stopped node's files, the kind that disks and operators do.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::HarnessError;

/// Every file below a directory whose name ends so, in order.
pub fn files(directory: &Path, ending: &str) -> Result<Vec<PathBuf>, HarnessError> {
    let cannot = |source| HarnessError::File { path: directory.to_owned(), what: "cannot be listed", source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub fn length(path: &Path) -> Result<u64, HarnessError> {
    let cannot = |source| HarnessError::File { path: path.to_owned(), what: "cannot be examined", source };
    Ok(fs::metadata(path).map_err(cannot)?.len())
}

/// Turns every bit of one byte around.
pub fn flip(path: &Path, offset: u64) -> Result<(), HarnessError> {
    let flipped = || {
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&[!byte[0]])
    };
    flipped().map_err(|source| HarnessError::File {
        path: path.to_owned(),
        what: "no byte can be flipped in it",
        source,
    })
}

/// Cuts a file off.
pub fn truncate(path: &Path, length: u64) -> Result<(), HarnessError> {
    let cut = || fs::OpenOptions::new().write(true).open(path)?.set_len(length);
    cut().map_err(|source| HarnessError::File { path: path.to_owned(), what: "cannot be cut off", source })
}

pub fn copy(from: &Path, to: &Path) -> Result<(), HarnessError> {
    let cannot = |source| HarnessError::File { path: from.to_owned(), what: "cannot be copied", source };
    fs::create_dir_all(to).map_err(cannot)?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(cannot)?;
        }
    }
    Ok(())
}
