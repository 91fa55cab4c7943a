//! The records of the tables: balances, documents, keys, counters; and the seal around every stored record.
//!
//! A sealed record is its version (one byte), its payload, and the CRC-32 (IEEE, little-endian) of both:
//! any single flipped byte of it is found when it is read.

use partita_core::state::{BookTotals, EntryRecord, Head, KeyRecord, Movement, OpenItem, Subaccount, Sums};

use super::{CodecError, Reader, Stored, Writer};
use partita_core::id::Position;

/// The version of every table record.
pub const RECORD_VERSION: u8 = 1;

const CHECKSUM_BYTES: usize = 4;

/// Puts version and checksum around what `write` writes.
pub fn seal(version: u8, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    seal_behind(&mut bytes, version, write);
    bytes
}

/// [`seal`] behind what `bytes` has.
fn seal_behind(bytes: &mut Vec<u8>, version: u8, write: impl FnOnce(&mut Writer)) {
    let start = bytes.len();
    let mut writer = Writer::from_vec(std::mem::take(bytes));
    writer.byte(version);
    write(&mut writer);
    *bytes = writer.into_vec();
    let checksum = crc32fast::hash(&bytes[start..]);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// The payload of a sealed record, its checksum and version checked.
pub fn open<'a>(what: &'static str, version: u8, bytes: &'a [u8]) -> Result<Reader<'a>, CodecError> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(CodecError::Truncated)?;
    let (stored, computed) = (u32::from_le_bytes(*checksum), crc32fast::hash(body));
    if stored != computed {
        return Err(CodecError::Checksum { stored, computed });
    }
    let (found, payload) = body.split_first().ok_or(CodecError::Truncated)?;
    if *found != version {
        return Err(CodecError::Version { what, found: *found, known: version });
    }
    Ok(Reader::new(payload))
}

/// A table's value as its record.
#[must_use]
pub fn encode_record<T: Stored>(value: &T) -> Vec<u8> {
    seal(RECORD_VERSION, |writer| value.put(writer))
}

/// [`encode_record`] behind what `bytes` has.
pub fn write_record<T: Stored>(value: &T, bytes: &mut Vec<u8>) {
    seal_behind(bytes, RECORD_VERSION, |writer| value.put(writer));
}

/// A table's value from its record, all of it.
pub fn decode_record<T: Stored>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = open("a table record", RECORD_VERSION, bytes)?;
    let value = T::take(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

stored_struct!(OpenItem { sums, since });
stored_struct!(Sums { debits, credits, pending_debits, pending_credits });
stored_struct!(Subaccount { sums, chain, greatest_date });
stored_struct!(Movement { debits, credits });
stored_struct!(KeyRecord { position, fingerprint });
stored_struct!(BookTotals { last_entry, last_account, registered_currencies, sums });
stored_struct!(Head { position, time, last_book });

/// The records of entries that follow each other, the first of them given by the row's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    pub records: Vec<EntryRecord>,
}

/// Positions are counted on from the entry before: entries stand in the journal in their order.
impl Stored for EntryPage {
    fn put(&self, writer: &mut Writer) {
        writer.length(self.records.len());
        let mut before = 0;
        for EntryRecord { position, index, reversed_by } in &self.records {
            position.0.checked_sub(before).expect("an entry never stands before an earlier one").put(writer);
            index.put(writer);
            reversed_by.put(writer);
            before = position.0;
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = reader.length()?;
        let mut records = Vec::with_capacity(count.min(256));
        let mut before = 0u64;
        for _ in 0..count {
            before = before
                .checked_add(u64::take(reader)?)
                .ok_or(CodecError::Invalid { what: "a page of entries", rule: "positions of 64 bits" })?;
            let (index, reversed_by) = (Stored::take(reader)?, Stored::take(reader)?);
            records.push(EntryRecord { position: Position(before), index, reversed_by });
        }
        Ok(Self { records })
    }
}
