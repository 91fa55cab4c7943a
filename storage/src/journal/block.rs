//! A journal block: some decisions of one raft entry, in order, with what they moved.
//!
//! ```text
//! header   version u8 = 1 · count u32 · first position u64 · first and last recorded_at i64 · raft index u64
//! offsets  count × u32: where each decision ends, counted from the first one's beginning
//! body     the decisions' canonical bytes
//! footer   per (book, account, currency) touched, in that order: debits, credits, least and greatest effective date
//! checksum CRC-32 of all before it
//! ```
//!
//! Fixed-width numbers are little-endian; the footer is in the codec's form. Blocks are cut inside one raft entry, so
//! that equal logs give equal blocks; a decision above [`BLOCK_BYTES`] has a block of its own.

use std::collections::BTreeMap;

use partita_core::decision::{Decision, Outcome};
use partita_core::entry::Side;
use partita_core::id::{AccountId, BookId, CurrencyId, Position};
use partita_core::state::ControlKey;
use partita_core::time::{Date, Timestamp};

use crate::codec::{CodecError, Reader, Stored, Writer, decode_decision};

/// Decisions of a block have at most this many bytes together, unless one alone has more. Part of the format.
pub const BLOCK_BYTES: usize = 32 * 1024;
/// The version of a block's bytes.
pub const BLOCK_VERSION: u8 = 1;

const HEADER_BYTES: usize = 1 + 4 + 8 + 8 + 8 + 8;
const OFFSET_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub count: u32,
    pub first: Position,
    pub first_recorded_at: Timestamp,
    pub last_recorded_at: Timestamp,
    /// The raft entry whose decisions these are.
    pub raft_index: u64,
}

impl Header {
    /// The last decision's position.
    #[must_use]
    pub fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }
}

/// What a block's decisions posted to one account in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    pub book: BookId,
    pub account: AccountId,
    pub currency: CurrencyId,
    pub debits: i128,
    pub credits: i128,
    pub least_date: Date,
    pub greatest_date: Date,
}

stored_struct!(Total { book, account, currency, debits, credits, least_date, greatest_date });

/// Why bytes are not a journal block, or a block not what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("the block is damaged")]
    Codec(
        #[from]
        #[source]
        CodecError,
    ),
    #[error("the block's offsets do not fit its decisions")]
    Offsets,
    #[error("the block holds no decision {position}")]
    Outside { position: Position },
    #[error("decision {found} stands where decision {expected} belongs")]
    Misplaced { expected: Position, found: Position },
}

/// Gathers the decisions of one block.
#[derive(Clone, Debug)]
pub struct BlockBuilder {
    raft_index: u64,
    first: Option<(Position, Timestamp)>,
    last_recorded_at: Timestamp,
    ends: Vec<u32>,
    body: Vec<u8>,
    totals: BTreeMap<ControlKey, Total>,
}

impl BlockBuilder {
    #[must_use]
    pub fn new(raft_index: u64) -> Self {
        Self {
            raft_index,
            first: None,
            last_recorded_at: Timestamp(0),
            ends: Vec::new(),
            body: Vec::new(),
            totals: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The position of its first decision: the block's key.
    #[must_use]
    pub fn first(&self) -> Option<Position> {
        self.first.map(|(position, _)| position)
    }

    /// Whether a decision of so many bytes belongs into this block; otherwise finish it and begin another.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        self.is_empty() || self.body.len() + bytes <= BLOCK_BYTES
    }

    /// Appends a decision with its canonical bytes.
    ///
    /// # Panics
    /// If its position does not follow, or ledger time stands still: a gap in the journal must never be written.
    pub fn push(&mut self, decision: &Decision, bytes: &[u8]) {
        match self.first {
            None => self.first = Some((decision.position, decision.recorded_at)),
            Some((first, _)) => {
                let count = u64::try_from(self.ends.len()).expect("a count fits 64 bits");
                assert_eq!(decision.position.0, first.0 + count, "positions of a block have no gap");
                assert!(decision.recorded_at > self.last_recorded_at, "ledger time is strictly increasing");
            }
        }
        self.last_recorded_at = decision.recorded_at;
        self.body.extend_from_slice(bytes);
        self.ends.push(u32::try_from(self.body.len()).expect("a raft entry's decisions are far below 4 GiB"));
        if let Outcome::Accepted(effects) = &decision.outcome {
            for entry in &effects.entries {
                for line in &entry.lines {
                    self.add(
                        decision.book,
                        line.account,
                        line.currency,
                        line.side,
                        line.amount.minor(),
                        entry.effective_date,
                    );
                }
            }
        }
    }

    fn add(&mut self, book: BookId, account: AccountId, currency: CurrencyId, side: Side, minor: i128, date: Date) {
        let total = self.totals.entry(ControlKey { book, account, currency }).or_insert(Total {
            book,
            account,
            currency,
            debits: 0,
            credits: 0,
            least_date: date,
            greatest_date: date,
        });
        match side {
            Side::Debit => total.debits += minor,
            Side::Credit => total.credits += minor,
        }
        total.least_date = total.least_date.min(date);
        total.greatest_date = total.greatest_date.max(date);
    }

    /// The bytes of a decision that is in this block already.
    #[must_use]
    pub fn decision_bytes(&self, position: Position) -> Option<&[u8]> {
        let (first, _) = self.first?;
        let index = usize::try_from(position.0.checked_sub(first.0)?).ok()?;
        let end = widen(*self.ends.get(index)?);
        let start = index.checked_sub(1).map_or(0, |before| widen(self.ends[before]));
        Some(&self.body[start..end])
    }

    /// The block's bytes.
    ///
    /// # Panics
    /// Without any decision: there is no empty block.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let (first, first_recorded_at) = self.first.expect("a block has a decision");
        let footer_estimate = self.totals.len() * 32;
        let size = HEADER_BYTES + self.ends.len() * OFFSET_BYTES + self.body.len() + footer_estimate + CHECKSUM_BYTES;
        let mut bytes = Vec::with_capacity(size);
        bytes.push(BLOCK_VERSION);
        bytes.extend_from_slice(&u32::try_from(self.ends.len()).expect("counted by offsets of 32 bits").to_le_bytes());
        bytes.extend_from_slice(&first.0.to_le_bytes());
        bytes.extend_from_slice(&first_recorded_at.0.to_le_bytes());
        bytes.extend_from_slice(&self.last_recorded_at.0.to_le_bytes());
        bytes.extend_from_slice(&self.raft_index.to_le_bytes());
        for end in &self.ends {
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        bytes.extend_from_slice(&self.body);
        let mut writer = Writer::from_vec(bytes);
        writer.length(self.totals.len());
        for total in self.totals.values() {
            total.put(&mut writer);
        }
        let mut bytes = writer.into_vec();
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// An offset as an index into memory.
fn widen(offset: u32) -> usize {
    usize::try_from(offset).expect("addresses have at least 32 bits")
}

/// A block whose checksum and structure were found right.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    header: Header,
    offsets: &'a [u8],
    body: &'a [u8],
    footer: &'a [u8],
}

impl<'a> Block<'a> {
    /// Checks checksum, version and offsets. Decisions are decoded when they are asked for.
    pub fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(CodecError::Truncated)?;
        let (stored, computed) = (u32::from_le_bytes(*checksum), crc32fast::hash(content));
        if stored != computed {
            return Err(CodecError::Checksum { stored, computed }.into());
        }
        let (header, rest) = content.split_at_checked(HEADER_BYTES).ok_or(CodecError::Truncated)?;
        let header = read_header(header)?;
        let table_bytes = widen(header.count) * OFFSET_BYTES;
        let (offsets, rest) = rest.split_at_checked(table_bytes).ok_or(CodecError::Truncated)?;
        let mut end = 0;
        for offset in offsets.chunks_exact(OFFSET_BYTES) {
            let next = offset_of(offset);
            if next <= end {
                return Err(BlockError::Offsets);
            }
            end = next;
        }
        let (body, footer) = rest.split_at_checked(end).ok_or(BlockError::Offsets)?;
        Ok(Self { header, offsets, body, footer })
    }

    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The canonical bytes of a decision.
    pub fn decision_bytes(&self, position: Position) -> Result<&'a [u8], BlockError> {
        let index = position
            .0
            .checked_sub(self.header.first.0)
            .and_then(|index| u32::try_from(index).ok())
            .filter(|index| *index < self.header.count)
            .ok_or(BlockError::Outside { position })?;
        Ok(self.bytes_at(widen(index)))
    }

    /// A decision, which must be the one that stands at `position`.
    pub fn decision(&self, position: Position) -> Result<Decision, BlockError> {
        let decision = decode_decision(self.decision_bytes(position)?)?;
        if decision.position == position {
            Ok(decision)
        } else {
            Err(BlockError::Misplaced { expected: position, found: decision.position })
        }
    }

    /// All decisions' bytes in order, with the positions they stand at.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &'a [u8])> + '_ {
        (self.header.first.0..=self.header.last().0)
            .zip(0..)
            .map(|(position, index)| (Position(position), self.bytes_at(index)))
    }

    /// What its decisions moved, in the order of (book, account, currency).
    pub fn totals(&self) -> Result<Vec<Total>, BlockError> {
        let mut reader = Reader::new(self.footer);
        let totals = Vec::take(&mut reader)?;
        reader.finish()?;
        Ok(totals)
    }

    fn bytes_at(&self, index: usize) -> &'a [u8] {
        let end_of = |index: usize| offset_of(&self.offsets[index * OFFSET_BYTES..(index + 1) * OFFSET_BYTES]);
        let start = index.checked_sub(1).map_or(0, end_of);
        &self.body[start..end_of(index)]
    }
}

fn read_header(bytes: &[u8]) -> Result<Header, BlockError> {
    let (version, rest) = bytes.split_first().ok_or(CodecError::Truncated)?;
    if *version != BLOCK_VERSION {
        let what = "a journal block";
        return Err(CodecError::Version { what, found: *version, known: BLOCK_VERSION }.into());
    }
    let mut reader = Reader::new(rest);
    let header = Header {
        count: u32::from_le_bytes(reader.array()?),
        first: Position(u64::from_le_bytes(reader.array()?)),
        first_recorded_at: Timestamp(i64::from_le_bytes(reader.array()?)),
        last_recorded_at: Timestamp(i64::from_le_bytes(reader.array()?)),
        raft_index: u64::from_le_bytes(reader.array()?),
    };
    // An empty block, or one whose positions would pass 64 bits, was never written.
    if header.count == 0 || header.first.0.checked_add(u64::from(header.count)).is_none() {
        return Err(BlockError::Offsets);
    }
    Ok(header)
}

fn offset_of(bytes: &[u8]) -> usize {
    widen(u32::from_le_bytes(bytes.try_into().expect("an offset has four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{encode_decision, samples};

    fn build(decisions: &[Decision]) -> Vec<u8> {
        let mut builder = BlockBuilder::new(9);
        for decision in decisions {
            let bytes = encode_decision(decision);
            assert!(builder.fits(bytes.len()));
            builder.push(decision, &bytes);
            assert_eq!(builder.decision_bytes(decision.position), Some(&bytes[..]));
        }
        builder.finish()
    }

    #[test]
    fn a_block_gives_back_its_decisions_and_totals() {
        let decisions = samples::block_decisions();
        let bytes = build(&decisions);
        let block = Block::open(&bytes).unwrap();
        assert_eq!(block.header().first, decisions[0].position);
        assert_eq!(block.header().last(), decisions.last().unwrap().position);
        assert_eq!(block.header().raft_index, 9);
        assert_eq!(block.header().first_recorded_at, decisions[0].recorded_at);
        assert_eq!(block.header().last_recorded_at, decisions.last().unwrap().recorded_at);
        let read: Vec<Decision> = block.iter().map(|(position, _)| block.decision(position).unwrap()).collect();
        assert_eq!(read, decisions);
        let totals = block.totals().unwrap();
        assert!(!totals.is_empty());
        assert_eq!(
            totals.iter().map(|total| total.debits).sum::<i128>(),
            totals.iter().map(|total| total.credits).sum::<i128>()
        );
        for outside in [Position(decisions[0].position.0 - 1), decisions.last().unwrap().position.next()] {
            assert_eq!(block.decision(outside), Err(BlockError::Outside { position: outside }));
        }
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let bytes = build(&samples::block_decisions());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Block::open(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        for shorter in 0..bytes.len() {
            assert!(Block::open(&bytes[..shorter]).is_err(), "{shorter} bytes");
        }
    }

    #[test]
    fn a_large_decision_has_a_block_of_its_own() {
        let decision = samples::block_decisions().remove(0);
        let builder = BlockBuilder::new(1);
        assert!(builder.fits(10 * BLOCK_BYTES));
        let mut builder = builder;
        builder.push(&decision, &vec![0; BLOCK_BYTES]);
        assert!(!builder.fits(1));
    }
}
