//! What can go wrong with stored state. Every message names the table and the key.

use partita_core::id::Position;

use crate::codec::{CodecError, LevelError};
use crate::engine::{EngineError, Table};
use crate::journal::block::BlockError;

/// Stored state that cannot be read or written. Always fatal: the node stops, nothing is guessed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("table {}, key {}: {source}", table.name(), hex(key))]
    Corrupt { table: Table, key: Vec<u8>, source: CodecError },
    #[error("the journal's block that begins at position {first}: {source}")]
    Block { first: Position, source: BlockError },
    #[error("the journal has no decision at position {position}, though the head is behind it")]
    Gap { position: Position },
    #[error("table {}, key {}: {problem}", table.name(), hex(key))]
    Inconsistent { table: Table, key: Vec<u8>, problem: &'static str },
}

/// Why a state database is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the state database has format {found}, this program knows {known}")]
    Format { found: u16, known: u16 },
    #[error("the state database is of a replicated level that this program does not know")]
    Level(#[from] LevelError),
    #[error("the state database has records but no head: it is not a ledger's, or it was damaged")]
    NoHead,
}

impl From<EngineError> for OpenError {
    fn from(error: EngineError) -> Self {
        Self::Storage(error.into())
    }
}

/// A key for a message: as text where it is text.
fn hex(key: &[u8]) -> String {
    use std::fmt::Write;
    key.iter().fold(String::with_capacity(key.len()), |mut text, byte| {
        match byte {
            0x21..=0x7E => text.push(char::from(*byte)),
            _ => write!(text, "\\{byte:02x}").expect("writing to a string cannot fail"),
        }
        text
    })
}
