//! Stored and sent bytes of what only consensus knows: memberships, and what the state keeps of raft.
//!
//! Integers are little-endian; a count or a length is a `u32`. The records that carry these bytes (a log entry, a
//! checkpoint's head) have the checksums.

use std::collections::{BTreeMap, BTreeSet};

use partita_storage::log::EntryId;

use crate::raft_types::{Member, RaftLogId, RaftMembership, RaftStoredMembership, entry_id, raft_log_id};

const MEMBERSHIP_VERSION: u8 = 1;
const RAFT_STATE_VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what} ends too early")]
    Short { what: &'static str },
    #[error("{what} has bytes left over")]
    Long { what: &'static str },
    #[error("{what} has version {version}, which this program does not know")]
    Version { what: &'static str, version: u8 },
    #[error("{what} is not valid")]
    Invalid { what: &'static str },
}

/// Voters (one set, or two while they change) and every node's address.
pub(crate) fn encode_membership(membership: &RaftMembership) -> Vec<u8> {
    let mut out = vec![MEMBERSHIP_VERSION];
    let configs = membership.get_joint_config();
    put_count(&mut out, configs.len());
    for voters in configs {
        put_count(&mut out, voters.len());
        for voter in voters {
            out.extend_from_slice(&voter.to_le_bytes());
        }
    }
    let nodes: Vec<_> = membership.nodes().collect();
    put_count(&mut out, nodes.len());
    for (id, member) in nodes {
        out.extend_from_slice(&id.to_le_bytes());
        put_count(&mut out, member.address.len());
        out.extend_from_slice(member.address.as_bytes());
    }
    out
}

pub(crate) fn decode_membership(bytes: &[u8]) -> Result<RaftMembership, CodecError> {
    let mut input = Input { what: "a membership", bytes };
    let membership = membership(&mut input)?;
    input.end()?;
    Ok(membership)
}

fn membership(input: &mut Input<'_>) -> Result<RaftMembership, CodecError> {
    input.version(MEMBERSHIP_VERSION)?;
    let mut configs = Vec::new();
    for _ in 0..input.count()? {
        let mut voters = BTreeSet::new();
        for _ in 0..input.count()? {
            voters.insert(input.integer()?);
        }
        configs.push(voters);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..input.count()? {
        let id = input.integer()?;
        let length = input.count()?;
        let address = input.take(length)?.to_vec();
        let Ok(address) = String::from_utf8(address) else { return Err(input.invalid()) };
        nodes.insert(id, Member { address });
    }
    if configs.is_empty() {
        return Ok(RaftMembership::default());
    }
    let invalid = input.invalid();
    RaftMembership::new(configs, nodes).map_err(|_reason| invalid)
}

/// The last applied entry and the membership that held there: what a checkpoint keeps of raft.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RaftState {
    pub(crate) last: Option<RaftLogId>,
    pub(crate) membership: RaftStoredMembership,
}

impl RaftState {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![RAFT_STATE_VERSION];
        put_log_id(&mut out, self.last.as_ref());
        put_log_id(&mut out, self.membership.log_id().as_ref());
        out.extend_from_slice(&encode_membership(self.membership.membership()));
        out
    }

    /// Nothing at all is a state to which nothing was applied.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut input = Input { what: "the applied raft state", bytes };
        input.version(RAFT_STATE_VERSION)?;
        let last = input.log_id()?;
        let membership_id = input.log_id()?;
        let membership = membership(&mut input)?;
        input.end()?;
        Ok(Self { last, membership: RaftStoredMembership::new(membership_id, membership) })
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("members and addresses are few and short").to_le_bytes());
}

fn put_log_id(out: &mut Vec<u8>, id: Option<&RaftLogId>) {
    match id {
        None => out.push(0),
        Some(id) => {
            let EntryId { term, node, index } = entry_id(id);
            out.push(1);
            for number in [term, node, index] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}

struct Input<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(CodecError::Short { what: self.what })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    fn integer(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn count(&mut self) -> Result<usize, CodecError> {
        let count = u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken"));
        usize::try_from(count).map_err(|_too_large| self.invalid())
    }

    fn version(&mut self, known: u8) -> Result<(), CodecError> {
        let version = self.byte()?;
        if version == known { Ok(()) } else { Err(CodecError::Version { what: self.what, version }) }
    }

    fn log_id(&mut self) -> Result<Option<RaftLogId>, CodecError> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let (term, node, index) = (self.integer()?, self.integer()?, self.integer()?);
                Ok(Some(raft_log_id(EntryId { term, node, index })))
            }
            _ => Err(self.invalid()),
        }
    }

    fn end(&self) -> Result<(), CodecError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(CodecError::Long { what: self.what }) }
    }

    fn invalid(&self) -> CodecError {
        CodecError::Invalid { what: self.what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_members() -> RaftMembership {
        let address = |id: u64| Member { address: format!("n{id}:7000") };
        let nodes: BTreeMap<u64, Member> = [1, 2, 3].map(|id| (id, address(id))).into();
        RaftMembership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1])], nodes).unwrap()
    }

    #[test]
    fn stored_bytes_never_change() {
        let membership =
            RaftStoredMembership::new(Some(raft_log_id(EntryId { term: 1, node: 1, index: 4 })), three_members());
        let state = RaftState { last: Some(raft_log_id(EntryId { term: 2, node: 1, index: 9 })), membership };
        let hex: String = state.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "0101020000000000000001000000000000000900000000000000010100000000000000010000000000000004000000000000000102\
             00000002000000010000000000000002000000000000000100000001000000000000000300000001000000000000000700000\
             06e313a3730303002000000000000000700000\
             06e323a3730303003000000000000000700000\
             06e333a37303030"
        );
        assert_eq!(RaftState::decode(&state.encode()).unwrap(), state);
    }

    #[test]
    fn every_shorter_or_longer_input_is_refused() {
        let bytes = encode_membership(&three_members());
        for length in 0..bytes.len() {
            assert!(decode_membership(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(decode_membership(&longer), Err(CodecError::Long { what: "a membership" }));
    }
}
