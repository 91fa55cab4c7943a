//! What a raft log stores, and its bytes: entry, vote and purge point. Payloads are opaque here.
//!
//! Every record is `version (1 byte) ‖ fields ‖ CRC-32 (4 bytes, little-endian)`; integers are little-endian.
//! An entry's checksum also covers its index, which is its key, so that a record in the wrong place is damage.

use std::fmt;

use bytes::Bytes;

use super::LogError;

/// The version byte of every record of the log.
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Version, kind, term and node of an entry's record, before its payload.
const ENTRY_HEADER_BYTES: usize = 18;

/// Which entry: its index, and the leader (term and node) that proposed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    pub term: u64,
    pub node: u64,
    pub index: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {} (node {})", self.index, self.term, self.node)
    }
}

/// What an entry's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A new leader's first entry: no payload.
    Blank,
    /// Commands for the state machine.
    Commands,
    /// A membership of the cluster.
    Membership,
}

impl EntryKind {
    fn byte(self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Commands => 1,
            Self::Membership => 2,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Blank),
            1 => Some(Self::Commands),
            2 => Some(Self::Membership),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub id: EntryId,
    pub kind: EntryKind,
    pub payload: Bytes,
}

impl LogEntry {
    /// What the entry weighs in caches and bounded reads.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.payload.len() + ENTRY_HEADER_BYTES + CHECKSUM_BYTES
    }
}

/// Whom this node voted for in which term, and whether that leader has been accepted by a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    pub term: u64,
    pub node: u64,
    pub committed: bool,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = if self.committed { "committed" } else { "granted" };
        write!(f, "the vote of term {} for node {} ({committed})", self.term, self.node)
    }
}

pub(super) fn encode_entry(entry: &LogEntry) -> Vec<u8> {
    let mut record = Vec::with_capacity(entry.weight_bytes());
    record.push(VERSION);
    record.push(entry.kind.byte());
    record.extend_from_slice(&entry.id.term.to_le_bytes());
    record.extend_from_slice(&entry.id.node.to_le_bytes());
    record.extend_from_slice(&entry.payload);
    let checksum = entry_checksum(entry.id.index, &record);
    record.extend_from_slice(&checksum.to_le_bytes());
    record
}

pub(super) fn decode_entry(index: u64, record: Vec<u8>) -> Result<LogEntry, LogError> {
    let damaged = |reason| LogError::Damaged { record: format!("entry {index}"), reason };
    let Some(body) = record.len().checked_sub(CHECKSUM_BYTES).filter(|body| *body >= ENTRY_HEADER_BYTES) else {
        return Err(damaged("it is too short"));
    };
    if entry_checksum(index, &record[..body]).to_le_bytes() != record[body..] {
        return Err(damaged("its checksum does not match"));
    }
    if record[0] != VERSION {
        return Err(damaged("its version is unknown"));
    }
    let kind = EntryKind::from_byte(record[1]).ok_or_else(|| damaged("its kind is unknown"))?;
    let id = EntryId { index, term: integer(&record[2..10]), node: integer(&record[10..18]) };
    let payload = Bytes::from(record).slice(ENTRY_HEADER_BYTES..body);
    Ok(LogEntry { id, kind, payload })
}

fn entry_checksum(index: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

pub(super) fn encode_vote(vote: Vote) -> Vec<u8> {
    let mut record = vec![VERSION];
    record.extend_from_slice(&vote.term.to_le_bytes());
    record.extend_from_slice(&vote.node.to_le_bytes());
    record.push(u8::from(vote.committed));
    seal(record)
}

pub(super) fn decode_vote(record: &[u8]) -> Result<Vote, LogError> {
    let body = open(record, 18, "vote")?;
    let committed = match body[17] {
        0 => false,
        1 => true,
        _ => return Err(LogError::Damaged { record: "vote".to_owned(), reason: "its flag is neither 0 nor 1" }),
    };
    Ok(Vote { term: integer(&body[1..9]), node: integer(&body[9..17]), committed })
}

pub(super) fn encode_entry_id(id: EntryId) -> Vec<u8> {
    let mut record = vec![VERSION];
    record.extend_from_slice(&id.index.to_le_bytes());
    record.extend_from_slice(&id.term.to_le_bytes());
    record.extend_from_slice(&id.node.to_le_bytes());
    seal(record)
}

pub(super) fn decode_entry_id(record: &[u8], name: &'static str) -> Result<EntryId, LogError> {
    let body = open(record, 25, name)?;
    Ok(EntryId { index: integer(&body[1..9]), term: integer(&body[9..17]), node: integer(&body[17..25]) })
}

/// Appends the checksum.
pub(super) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

/// The body of a record of exactly `body_bytes`, its checksum and version checked.
fn open<'a>(record: &'a [u8], body_bytes: usize, name: &'static str) -> Result<&'a [u8], LogError> {
    let damaged = |reason| LogError::Damaged { record: name.to_owned(), reason };
    if record.len() != body_bytes + CHECKSUM_BYTES {
        return Err(damaged("it has another length"));
    }
    let (body, checksum) = record.split_at(body_bytes);
    if crc32fast::hash(body).to_le_bytes() != *checksum {
        return Err(damaged("its checksum does not match"));
    }
    if body[0] != VERSION {
        return Err(damaged("its version is unknown"));
    }
    Ok(body)
}

pub(super) fn integer(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("callers slice eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn stored_bytes_never_change() {
        let id = EntryId { index: 7, term: 3, node: 2 };
        let entry = LogEntry { id, kind: EntryKind::Commands, payload: Bytes::from_static(b"abc") };
        assert_eq!(hex(&encode_entry(&entry)), "010103000000000000000200000000000000616263fbd3d032");
        assert_eq!(
            hex(&encode_vote(Vote { term: 3, node: 2, committed: true })),
            "010300000000000000020000000000000001383a2282"
        );
        assert_eq!(hex(&encode_entry_id(id)), "01070000000000000003000000000000000200000000000000791ab116");
    }

    #[test]
    fn records_come_back_as_they_were() {
        for kind in [EntryKind::Blank, EntryKind::Commands, EntryKind::Membership] {
            let entry =
                LogEntry { id: EntryId { index: 9, term: 1, node: 4 }, kind, payload: Bytes::from_static(b"xyz") };
            assert_eq!(decode_entry(9, encode_entry(&entry)).unwrap(), entry);
        }
        let vote = Vote { term: 8, node: 1, committed: false };
        assert_eq!(decode_vote(&encode_vote(vote)).unwrap(), vote);
    }

    #[test]
    fn any_flipped_byte_and_a_wrong_place_are_damage() {
        let entry = LogEntry {
            id: EntryId { index: 9, term: 1, node: 4 },
            kind: EntryKind::Commands,
            payload: Bytes::from_static(b"xyz"),
        };
        let record = encode_entry(&entry);
        assert!(decode_entry(8, record.clone()).is_err());
        for at in 0..record.len() {
            let mut flipped = record.clone();
            flipped[at] ^= 0x10;
            assert!(decode_entry(9, flipped).is_err(), "byte {at}");
        }
        assert!(decode_entry(9, record[..10].to_vec()).is_err());
    }
}
