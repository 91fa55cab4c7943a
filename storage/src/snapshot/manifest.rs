//! What a checkpoint as files consists of: the manifest that goes before it, stays with a backup, and is checked
//! against the files and against what stands inside them.

use std::fmt;

use partita_core::state::Head;

use crate::codec::{CodecError, Level, Reader, Stored, Writer, open, seal};
use crate::state::{Applied, HeadRecord};
use crate::tree::Hash;

/// The version of a manifest's bytes.
pub const MANIFEST_VERSION: u8 = 1;
/// A name of RocksDB's own is shorter than this.
const MAX_NAME_BYTES: usize = 64;

/// One file: its name in the checkpoint's directory, its length and the BLAKE3 of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    pub name: String,
    pub length: u64,
    pub hash: Hash,
}

/// All files of a checkpoint, and where it stands. What it says of the state was read from inside the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The State DB's.
    pub format: u16,
    pub head: Head,
    /// Of the hash tree over all decisions.
    pub head_hash: Hash,
    pub applied: Applied,
    /// In the order of their names.
    pub files: Vec<FileRecord>,
}

/// The BLAKE3 of a manifest's bytes: which checkpoint it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId(pub Hash);

impl fmt::Display for CheckpointId {
    /// The first eight bytes: enough for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

stored_struct!(FileRecord { name, length, hash });

impl Manifest {
    pub(super) fn of(record: HeadRecord, files: Vec<FileRecord>) -> Self {
        let HeadRecord { format, head, applied, tree } = record;
        Self { format, head, head_hash: tree.root(), applied, files }
    }

    /// Whether a checkpoint with this head is the one that is meant.
    pub(super) fn is_of(&self, record: &HeadRecord) -> bool {
        let HeadRecord { format, head, applied, tree } = record;
        self.format == *format && self.head == *head && self.applied == *applied && self.head_hash == tree.root()
    }

    /// The length of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        seal(MANIFEST_VERSION, |writer| {
            let Self { format, head, head_hash, applied: Applied { index, level, raft }, files } = self;
            format.put(writer);
            Level::byte_of(*level).put(writer);
            head.put(writer);
            head_hash.put(writer);
            index.put(writer);
            raft.put(writer);
            files.put(writer);
        })
    }

    /// Checks the names, too: they may come from outside, and become paths.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = open("a checkpoint's manifest", MANIFEST_VERSION, bytes)?;
        let manifest = Self::take(&mut reader)?;
        reader.finish()?;
        if !manifest.files.is_sorted_by(|left, right| left.name < right.name) {
            return Err(CodecError::Invalid { what: "a manifest", rule: "in the order of its files' names" });
        }
        if !manifest.files.iter().all(|file| is_file_name(&file.name)) {
            return Err(CodecError::Invalid { what: "a file's name", rule: "letters, digits, dots, '-' and '_'" });
        }
        if manifest.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length)).is_none() {
            return Err(CodecError::Invalid { what: "a manifest", rule: "of files that fit on a disk" });
        }
        Ok(manifest)
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let format = Stored::take(reader)?;
        let level = Level::new(reader.byte()?);
        Ok(Self {
            format,
            head: Stored::take(reader)?,
            head_hash: Stored::take(reader)?,
            applied: Applied { index: Stored::take(reader)?, level, raft: Stored::take(reader)? },
            files: Stored::take(reader)?,
        })
    }

    #[must_use]
    pub fn id(&self) -> CheckpointId {
        CheckpointId(*blake3::hash(&self.encode()).as_bytes())
    }
}

/// A plain file of the directory itself, which no path leads out of.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.starts_with('.') && name.bytes().all(is_plain)
}

impl Stored for CheckpointId {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Hash::take(reader).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use partita_core::id::{BookId, Position};
    use partita_core::time::Timestamp;

    fn manifest(names: &[&str]) -> Manifest {
        let file = |name: &&str| FileRecord { name: (*name).to_owned(), length: 70_000, hash: [7; 32] };
        Manifest {
            format: 1,
            head: Head { position: Position(9), time: Timestamp(5), last_book: BookId(2) },
            head_hash: [3; 32],
            applied: Applied { index: 4, level: Level::new(1), raft: vec![1, 2] },
            files: names.iter().map(file).collect(),
        }
    }

    #[test]
    fn stored_bytes_never_change() {
        let bytes = manifest(&["000009.sst", "CURRENT"]).encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (threes, sevens) = ("03".repeat(32), "07".repeat(32));
        assert_eq!(
            hex,
            format!(
                "010101090a02{threes}04020102020a3030303030392e737374fc70110100{sevens}0743555252454e54fc70110100{sevens}{}",
                "2c1fd3ca"
            )
        );
    }

    #[test]
    fn every_damaged_shorter_or_longer_input_is_refused() {
        let bytes = manifest(&["000009.sst", "CURRENT"]).encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest(&["000009.sst", "CURRENT"])));
        for at in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..at]).is_err(), "{at} bytes");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Manifest::decode(&flipped).is_err(), "byte {at}");
        }
        assert!(Manifest::decode(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn names_are_plain_and_in_order() {
        for names in [&["../identity"][..], &["a/b"], &[".."], &[""], &["b", "a"], &["a", "a"], &["a\0"]] {
            assert!(Manifest::decode(&manifest(names).encode()).is_err(), "{names:?}");
        }
    }
}
