//! The one stored and wire form of core's types: versioned, checksummed, fixed by golden bytes.
//!
//! Everything that is written to a disk or sent to another node is encoded here. Decoding checks what the types
//! promise (amounts above zero, balanced entries, well-formed names), so that no bytes pass an invariant by.
//! Nothing of the library below ([`primitive`]) is visible outside. JSON is the edge's business, not known here.
//!
//! Stored bytes never change their meaning: a new field or variant gets a new tag or version, and the test over
//! `testdata/golden` fails when any byte moves.

#[macro_use]
mod macros;
mod chart;
mod commands;
mod decision;
mod document;
mod entry;
mod error;
mod finance;
#[cfg(test)]
mod golden;
pub mod keys;
pub mod level;
mod names;
mod operation;
mod period;
mod primitive;
mod record;
#[cfg(test)]
pub(crate) mod samples;

use partita_core::decision::{Command, Decision, Origin};
use partita_core::id::{BookId, Fingerprint, Position};
use partita_core::operation::{Operation, OperationKind};
use partita_core::time::Timestamp;

use crate::hashing::Hash;

pub use commands::{CommandHead, CommandsWriter};
pub use error::CodecError;
pub use level::{Level, LevelError, Levels};
pub use primitive::{Reader, Stored, Writer};
pub use record::{EntryPage, RECORD_VERSION, decode_record, encode_record, open, seal, write_record};

/// The version of a batch of commands.
pub const BATCH_VERSION: u8 = 1;
/// The version of a decision's bytes.
pub const DECISION_VERSION: u8 = 1;

/// Commands that were proposed together, at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub level: Level,
    pub commands: Vec<Command>,
}

/// A batch of commands, as one raft entry carries it: sealed, with its replicated level in front.
#[must_use]
pub fn encode_commands(commands: &[Command], level: Level) -> Vec<u8> {
    seal(BATCH_VERSION, |writer| {
        level.put(writer);
        writer.length(commands.len());
        for command in commands {
            command.put(writer);
        }
    })
}

/// A batch, if its level is one of those that are known; nothing may follow it.
pub fn decode_commands(bytes: &[u8], known: Levels) -> Result<Batch, CodecError> {
    let mut commands = Vec::new();
    let level = decode_commands_behind(bytes, known, &mut commands)?;
    Ok(Batch { level, commands })
}

/// The same, its commands behind those that there are. After an error some of them may be.
pub fn decode_commands_behind(bytes: &[u8], known: Levels, commands: &mut Vec<Command>) -> Result<Level, CodecError> {
    let mut reader = open("a batch of commands", BATCH_VERSION, bytes)?;
    let level = known.check(Level::take(&mut reader)?)?;
    reader.list_behind(commands)?;
    reader.finish()?;
    Ok(level)
}

/// A decision's canonical bytes: what the journal keeps and what the hash tree's leaf is taken of.
///
/// They depend on nothing but the decision, so that equal heads mean equal decisions on every replica. The
/// checksum belongs to the block around them.
#[must_use]
pub fn encode_decision(decision: &Decision) -> Vec<u8> {
    let mut writer = Writer::with_capacity(256);
    write_decision(decision, &mut writer);
    writer.into_vec()
}

/// [`encode_decision`] behind what `writer` has.
pub fn write_decision(decision: &Decision, writer: &mut Writer) {
    writer.byte(DECISION_VERSION);
    decision.put(writer);
}

/// The decision of these bytes.
pub fn decode_decision(bytes: &[u8]) -> Result<Decision, CodecError> {
    let mut reader = Reader::new(bytes);
    let found = reader.byte()?;
    if found != DECISION_VERSION {
        return Err(CodecError::Version { what: "a decision", found, known: DECISION_VERSION });
    }
    let decision = Decision::take(&mut reader)?;
    reader.finish()?;
    Ok(decision)
}

/// The book and the operation of these bytes, without the rest.
pub fn decode_decision_operation(bytes: &[u8]) -> Result<(BookId, OperationKind), CodecError> {
    let mut reader = Reader::new(bytes);
    let found = reader.byte()?;
    if found != DECISION_VERSION {
        return Err(CodecError::Version { what: "a decision", found, known: DECISION_VERSION });
    }
    let (_position, _recorded_at) = (Position::take(&mut reader)?, Timestamp::take(&mut reader)?);
    let book = BookId::take(&mut reader)?;
    let _origin = Origin::take(&mut reader)?;
    Ok((book, OperationKind::take(&mut reader)?))
}

/// The fingerprint of a request: of its values as parsed, before any default is filled in.
#[must_use]
pub fn fingerprint(operation: &Operation) -> Fingerprint {
    let mut writer = Writer::with_capacity(256);
    operation.put(&mut writer);
    fingerprint_of(blake3::hash(writer.as_slice()).as_bytes())
}

/// [`fingerprint`], of the hash of an operation's bytes.
fn fingerprint_of(hash: &Hash) -> Fingerprint {
    let (head, _) = hash.split_first_chunk::<16>().expect("a BLAKE3 hash has 32 bytes");
    Fingerprint(*head)
}
