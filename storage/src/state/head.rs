//! Where the stored state stands: one record that a checkpoint writes together with all tables.

use partita_core::id::BookId;
use partita_core::state::Head;

use super::error::{OpenError, StorageError};
use super::horizon::KeyClass;
use crate::codec::{CodecError, Level, Levels, Reader, Stored, Writer, decode_record};
use crate::engine::{KeyRange, Table, TableRead};
use crate::tree::Frontier;

/// The layout of the State DB that this program reads and writes.
pub const STATE_FORMAT: u16 = 2;

/// The last raft entry that the state includes; what `raft` means is the consensus crate's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub index: u64,
    /// The replicated level that holds after it; none while no batch was applied.
    pub level: Option<Level>,
    /// Log id, membership and what else raft's state is.
    pub raft: Vec<u8>,
}

/// The record under [`HEAD_KEY`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRecord {
    pub format: u16,
    pub head: Head,
    pub applied: Applied,
    /// Of the hash tree over all decisions.
    pub tree: Frontier,
}

impl Stored for HeadRecord {
    fn put(&self, writer: &mut Writer) {
        let Self { format, head, applied: Applied { index, level, raft }, tree } = self;
        format.put(writer);
        Level::byte_of(*level).put(writer);
        head.put(writer);
        index.put(writer);
        raft.put(writer);
        tree.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let format = Stored::take(reader)?;
        let level = Level::new(reader.byte()?);
        Ok(Self {
            format,
            head: Stored::take(reader)?,
            applied: Applied { index: Stored::take(reader)?, level, raft: Stored::take(reader)? },
            tree: Stored::take(reader)?,
        })
    }
}

pub const HEAD_KEY: &[u8] = b"head";
/// Key horizons stand under this, the book (big-endian) and the class's tag.
pub const HORIZON_PREFIX: &[u8] = b"keys/";

pub(crate) fn horizon_key(book: BookId, class: KeyClass) -> Vec<u8> {
    [HORIZON_PREFIX, &book.0.to_be_bytes(), &[class.tag()]].concat()
}

/// The book and class of a horizon's key.
pub(crate) fn parse_horizon_key(key: &[u8]) -> Option<(BookId, KeyClass)> {
    let (book, tag) = key.strip_prefix(HORIZON_PREFIX)?.split_first_chunk::<4>()?;
    let class = KeyClass::ALL.into_iter().find(|class| [class.tag()] == tag)?;
    Some((BookId(u32::from_be_bytes(*book)), class))
}

/// The stored head, if its level is one of those that are known; `None` in an empty database.
pub fn read_head(engine: &impl TableRead, known: Levels) -> Result<Option<HeadRecord>, OpenError> {
    let Some(bytes) = engine.get(Table::Meta, HEAD_KEY)? else {
        for table in Table::ALL {
            // Journal blocks may have been written before the first head.
            let found = engine.scan(table, &KeyRange::all(), crate::engine::Direction::Forward, 1)?;
            if table != Table::Journal && !found.is_empty() {
                return Err(OpenError::NoHead);
            }
        }
        return Ok(None);
    };
    let record: HeadRecord = decode_record(&bytes).map_err(|source| StorageError::Corrupt {
        table: Table::Meta,
        key: HEAD_KEY.to_vec(),
        source,
    })?;
    if record.format != STATE_FORMAT {
        return Err(OpenError::Format { found: record.format, known: STATE_FORMAT });
    }
    if let Some(level) = record.applied.level {
        known.check(level)?;
    }
    Ok(Some(record))
}
