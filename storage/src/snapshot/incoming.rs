//! A checkpoint on its way in: what of it is there, and whether it is what it was said to be.

use super::SnapshotError;
use super::export::{HASHED_AT_ONCE, hash_file};
use super::files::{Files, Listed};
use super::home::INCOMING_MANIFEST;
use super::manifest::{FileRecord, Manifest};

/// A checkpoint whose files are durable, complete and as its manifest says.
#[derive(Clone, Debug)]
pub struct Verified {
    manifest: Manifest,
    directory: String,
}

impl Verified {
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }
}

#[derive(Debug)]
pub(super) struct Incoming {
    manifest: Manifest,
    directory: String,
    /// How many bytes of each file are there.
    lengths: Vec<u64>,
}

fn failed<'a>(operation: &'static str, path: &'a str) -> impl FnOnce(std::io::Error) -> SnapshotError + use<'a> {
    move |source| SnapshotError::Io { operation, path: path.to_owned(), source }
}

impl Incoming {
    /// What an earlier run received, if its manifest is whole.
    pub(super) fn resume(files: &impl Files, directory: &str) -> Result<Option<Self>, SnapshotError> {
        let read = files.read(INCOMING_MANIFEST).map_err(failed("read", INCOMING_MANIFEST))?;
        let Some(Ok(manifest)) = read.map(|bytes| Manifest::decode(&bytes)) else { return Ok(None) };
        let is_there = |listed: &Listed| listed.name == directory && listed.length.is_none();
        if !files.list("").map_err(failed("listed", ""))?.iter().any(is_there) {
            return Ok(None);
        }
        let mut incoming = Self { lengths: vec![0; manifest.files.len()], manifest, directory: directory.to_owned() };
        incoming.measure(files)?;
        Ok(Some(incoming))
    }

    /// Steps 1 and 2. `earlier` is what was being received until now: of it stays what the new one has, too.
    pub(super) fn begin(
        files: &impl Files,
        directory: &str,
        earlier: Option<Self>,
        manifest: &Manifest,
    ) -> Result<Self, SnapshotError> {
        if let Some(earlier) = earlier.filter(|earlier| earlier.directory == directory && earlier.manifest == *manifest)
        {
            return Ok(earlier);
        }
        let is_wanted = |name: &str, of: &Manifest| of.files.iter().find(|file| file.name == name).cloned();
        let known = read_manifest(files)?;
        for Listed { name, length: _ } in files.list(directory).map_err(failed("listed", directory))? {
            let (had, wanted) = (known.as_ref().and_then(|known| is_wanted(&name, known)), is_wanted(&name, manifest));
            if had.is_none() || had != wanted {
                let path = format!("{directory}/{name}");
                files.remove_file(&path).map_err(failed("removed", &path))?;
            }
        }
        files.make_directory(directory).map_err(failed("made", directory))?;
        files.sync_directory(directory).map_err(failed("synced", directory))?;
        files.remove_file(INCOMING_MANIFEST).map_err(failed("removed", INCOMING_MANIFEST))?;
        let write = failed("written", INCOMING_MANIFEST);
        files.write_at(INCOMING_MANIFEST, 0, &manifest.encode()).map_err(write)?;
        files.sync_file(INCOMING_MANIFEST).map_err(failed("synced", INCOMING_MANIFEST))?;
        files.sync_directory("").map_err(failed("synced", ""))?;
        let lengths = vec![0; manifest.files.len()];
        let mut begun = Self { manifest: manifest.clone(), directory: directory.to_owned(), lengths };
        begun.measure(files)?;
        Ok(begun)
    }

    /// Takes the lengths from the disk. What a crash left at a file's end may not be what was written; that is found
    /// when the file is read back.
    fn measure(&mut self, files: &impl Files) -> Result<(), SnapshotError> {
        let listed = files.list(&self.directory).map_err(failed("listed", &self.directory))?;
        for (file, length) in self.manifest.files.iter().zip(&mut self.lengths) {
            let path = format!("{}/{}", self.directory, file.name);
            let found = listed.iter().find(|listed| listed.name == file.name).and_then(|listed| listed.length);
            *length = found.unwrap_or(0);
            if *length > file.length {
                files.remove_file(&path).map_err(failed("removed", &path))?;
                *length = 0;
            }
        }
        Ok(())
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    pub(super) fn lengths(&self) -> &[u64] {
        &self.lengths
    }

    /// Step 3.
    pub(super) fn receive(
        &mut self,
        files: &impl Files,
        file: usize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        let (Some(record), Some(length)) = (self.manifest.files.get(file), self.lengths.get_mut(file)) else {
            return Err(SnapshotError::NotOffered);
        };
        let FileRecord { name, length: whole, hash: _ } = record;
        if offset != *length {
            return Err(SnapshotError::Misplaced { file: name.clone(), found: offset, expected: *length });
        }
        let end = u64::try_from(bytes.len()).ok().and_then(|count| offset.checked_add(count));
        let Some(end) = end.filter(|end| end <= whole) else {
            return Err(SnapshotError::Damaged { file: name.clone(), problem: "it is longer" });
        };
        let path = format!("{}/{name}", self.directory);
        files.write_at(&path, offset, bytes).map_err(failed("written", &path))?;
        *length = end;
        Ok(())
    }

    /// Steps 4 and 5, but for the head inside.
    pub(super) fn verify(&mut self, files: &impl Files) -> Result<Verified, SnapshotError> {
        let Self { manifest, directory, lengths } = self;
        for (file, found) in manifest.files.iter().zip(lengths.iter()) {
            if *found != file.length {
                let (file, expected) = (file.name.clone(), file.length);
                return Err(SnapshotError::Incomplete { file, found: *found, expected });
            }
            let path = format!("{directory}/{}", file.name);
            if file.length == 0 {
                files.write_at(&path, 0, &[]).map_err(failed("written", &path))?;
            }
            files.sync_file(&path).map_err(failed("synced", &path))?;
        }
        files.sync_directory(directory).map_err(failed("synced", directory))?;
        files.sync_directory("").map_err(failed("synced", ""))?;
        let listed = files.list(directory).map_err(failed("listed", directory))?;
        if let Some(surplus) = listed.iter().find(|found| !manifest.files.iter().any(|file| file.name == found.name)) {
            return Err(SnapshotError::Damaged { file: surplus.name.clone(), problem: "there is no such file" });
        }
        for (file, length) in manifest.files.iter().zip(lengths.iter_mut()) {
            let path = format!("{directory}/{}", file.name);
            let hash = hash_file(files, &path, file.length, HASHED_AT_ONCE).map_err(failed("read", &path))?;
            if hash != file.hash {
                files.remove_file(&path).map_err(failed("removed", &path))?;
                *length = 0;
                return Err(SnapshotError::Damaged { file: file.name.clone(), problem: "it has other bytes" });
            }
        }
        Ok(Verified { manifest: manifest.clone(), directory: directory.clone() })
    }
}

fn read_manifest(files: &impl Files) -> Result<Option<Manifest>, SnapshotError> {
    let read = files.read(INCOMING_MANIFEST).map_err(failed("read", INCOMING_MANIFEST))?;
    Ok(read.and_then(|bytes| Manifest::decode(&bytes).ok()))
}
