//! The records of the tables: balances, documents, keys, counters; and the seal around every stored record.
//!
//! A sealed record is its version (one byte), its payload, and the CRC-32 (IEEE, little-endian) of both:
//! any single flipped byte of it is found when it is read.

use partita_core::state::{BookTotals, EntryRecord, Head, KeyRecord, Movement, OpenItem, Subaccount, Sums};

use super::{CodecError, Reader, Stored, Writer};

/// The version of every table record.
pub const RECORD_VERSION: u8 = 1;

const CHECKSUM_BYTES: usize = 4;

/// Puts version and checksum around what `write` writes.
pub fn seal(version: u8, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.byte(version);
    write(&mut writer);
    let mut bytes = writer.into_vec();
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
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
stored_struct!(EntryRecord { position, index, reversed_by });
stored_struct!(BookTotals { last_entry, last_account, registered_currencies, sums });
stored_struct!(Head { position, time, last_book });
