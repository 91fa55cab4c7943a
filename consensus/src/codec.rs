//! Stored and sent bytes of what only consensus knows: memberships, and what the state keeps of raft.
//!
//! Integers are little-endian; a count or a length is a `u32`. The records that carry these bytes (a log entry, a
//! checkpoint's head) have the checksums.

use std::collections::{BTreeMap, BTreeSet};

use partita_storage::codec::Level;
use partita_storage::log::EntryId;
use partita_storage::state::Applied;

use crate::raft_types::{Instance, Member, RaftLogId, RaftMembership, RaftStoredMembership, entry_id, raft_log_id};

/// Version 1 had addresses alone.
const MEMBERSHIP_VERSION: u8 = 2;
/// Version 1 had neither the level nor the ids of former members.
const RAFT_STATE_VERSION: u8 = 2;
/// A member's flags.
const STANDBY: u8 = 1;
const HAS_INSTANCE: u8 = 2;

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

/// Voters (one set, or two while they change), and of every node its address, who took it up, and whether it stands by.
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
        put_text(&mut out, &member.address);
        put_member_flags(&mut out, member);
    }
    out
}

fn put_member_flags(out: &mut Vec<u8>, member: &Member) {
    let standby = if member.standby { STANDBY } else { 0 };
    match member.instance {
        None => out.push(standby),
        Some(Instance(drawn)) => {
            out.push(standby | HAS_INSTANCE);
            out.extend_from_slice(&drawn);
        }
    }
}

fn member_flags(input: &mut Input<'_>) -> Result<(Option<Instance>, bool), CodecError> {
    let flags = input.byte()?;
    if flags & !(STANDBY | HAS_INSTANCE) != 0 {
        return Err(input.invalid());
    }
    let instance = match flags & HAS_INSTANCE {
        0 => None,
        _ => Some(Instance(input.take(16)?.try_into().expect("sixteen bytes were taken"))),
    };
    Ok((instance, flags & STANDBY != 0))
}

pub(crate) fn decode_membership(bytes: &[u8]) -> Result<RaftMembership, CodecError> {
    let mut input = Input::new("a membership", bytes);
    let membership = membership(&mut input)?;
    input.end()?;
    Ok(membership)
}

fn membership(input: &mut Input<'_>) -> Result<RaftMembership, CodecError> {
    let version = input.version(MEMBERSHIP_VERSION)?;
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
        let address = input.text()?;
        let (instance, standby) = if version == 1 { (None, false) } else { member_flags(input)? };
        nodes.insert(id, Member { address, instance, standby });
    }
    if configs.is_empty() {
        return Ok(RaftMembership::default());
    }
    let invalid = input.invalid();
    RaftMembership::new(configs, nodes).map_err(|_reason| invalid)
}

/// The last applied entry and what held there: what a checkpoint keeps of raft.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RaftState {
    pub(crate) last: Option<RaftLogId>,
    pub(crate) membership: RaftStoredMembership,
    /// The active level of the replicated rules; none while no batch was applied.
    pub(crate) level: Option<Level>,
    /// Every id that ever was in a membership: none is given again.
    pub(crate) node_ids: BTreeSet<u64>,
}

impl RaftState {
    /// Takes over what is now the membership.
    pub(crate) fn enter_membership(&mut self, membership: RaftStoredMembership) {
        self.node_ids.extend(node_ids(membership.membership()));
        self.membership = membership;
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![RAFT_STATE_VERSION];
        put_log_id(&mut out, self.last.as_ref());
        put_log_id(&mut out, self.membership.log_id().as_ref());
        out.extend_from_slice(&encode_membership(self.membership.membership()));
        out.push(Level::byte_of(self.level));
        put_count(&mut out, self.node_ids.len());
        self.node_ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
        out
    }

    /// What the state database keeps of it; nothing where nothing was applied.
    pub(crate) fn applied(&self) -> Option<Applied> {
        self.last.map(|last| Applied { index: last.index, level: self.level, raft: self.encode() })
    }

    /// Nothing at all is a state to which nothing was applied.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut input = Input::new("the applied raft state", bytes);
        let version = input.version(RAFT_STATE_VERSION)?;
        let last = input.log_id()?;
        let membership_id = input.log_id()?;
        let membership = membership(&mut input)?;
        let (level, node_ids) = match version {
            // It was written while there was one level.
            1 => (Some(Level::FIRST), node_ids(&membership).collect()),
            _ => (Level::new(input.byte()?), take_node_ids(&mut input)?),
        };
        input.end()?;
        Ok(Self { last, membership: RaftStoredMembership::new(membership_id, membership), level, node_ids })
    }
}

fn node_ids(membership: &RaftMembership) -> impl Iterator<Item = u64> {
    membership.nodes().map(|(id, _)| *id)
}

fn take_node_ids(input: &mut Input<'_>) -> Result<BTreeSet<u64>, CodecError> {
    let mut ids = BTreeSet::new();
    for _ in 0..input.count()? {
        let id = input.integer()?;
        if ids.last().is_some_and(|last| *last >= id) {
            return Err(input.invalid());
        }
        ids.insert(id);
    }
    Ok(ids)
}

pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("what is counted has far fewer than 2^32 parts").to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_log_id(out: &mut Vec<u8>, id: Option<&RaftLogId>) {
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

/// Bytes that are still to be read; `what` they are is for errors.
pub(crate) struct Input<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(CodecError::Short { what: self.what })?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, CodecError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid()),
        }
    }

    pub(crate) fn short(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    pub(crate) fn integer(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    pub(crate) fn count(&mut self) -> Result<usize, CodecError> {
        usize::try_from(self.short()?).map_err(|_too_large| self.invalid())
    }

    pub(crate) fn text(&mut self) -> Result<String, CodecError> {
        let length = self.count()?;
        let text = self.take(length)?.to_vec();
        String::from_utf8(text).map_err(|_source| self.invalid())
    }

    /// The version, which is from 1 to the last `known` one.
    pub(crate) fn version(&mut self, known: u8) -> Result<u8, CodecError> {
        let version = self.byte()?;
        if (1..=known).contains(&version) { Ok(version) } else { Err(CodecError::Version { what: self.what, version }) }
    }

    pub(crate) fn log_id(&mut self) -> Result<Option<RaftLogId>, CodecError> {
        match self.byte()? {
            0 => Ok(None),
            1 => Ok(Some(raft_log_id(self.entry_id()?))),
            _ => Err(self.invalid()),
        }
    }

    pub(crate) fn entry_id(&mut self) -> Result<EntryId, CodecError> {
        let (term, node, index) = (self.integer()?, self.integer()?, self.integer()?);
        Ok(EntryId { term, node, index })
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(CodecError::Long { what: self.what }) }
    }

    pub(crate) fn invalid(&self) -> CodecError {
        CodecError::Invalid { what: self.what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two voters that become one, and a learner that stands by.
    fn three_members() -> RaftMembership {
        let member = |id: u64| Member {
            address: format!("n{id}:7000"),
            instance: (id > 1).then_some(Instance([u8::try_from(id).unwrap(); 16])),
            standby: id == 3,
        };
        let nodes: BTreeMap<u64, Member> = [1, 2, 3].map(|id| (id, member(id))).into();
        RaftMembership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1])], nodes).unwrap()
    }

    fn log_id(term: u64, index: u64) -> RaftLogId {
        raft_log_id(EntryId { term, node: 1, index })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn stored_bytes_never_change() {
        let membership = RaftStoredMembership::new(Some(log_id(1, 4)), three_members());
        let node_ids = [1, 2, 3, 7].into();
        let state = RaftState { last: Some(log_id(2, 9)), membership, level: Level::new(3), node_ids };
        assert_eq!(
            hex(&state.encode()),
            "0201020000000000000001000000000000000900000000000000\
             01010000000000000001000000000000000400000000000000\
             0202000000020000000100000000000000020000000000000001000000010000000000000003000000\
             0100000000000000070000006e313a3730303000\
             0200000000000000070000006e323a373030300202020202020202020202020202020202\
             0300000000000000070000006e333a373030300303030303030303030303030303030303\
             03040000000100000000000000020000000000000003000000000000000700000000000000"
        );
        assert_eq!(RaftState::decode(&state.encode()).unwrap(), state);
    }

    #[test]
    fn the_first_version_is_still_read() {
        let first = bytes(
            "0101020000000000000001000000000000000900000000000000010100000000000000010000000000000004000000000000000102\
             00000002000000010000000000000002000000000000000100000001000000000000000300000001000000000000000700000\
             06e313a3730303002000000000000000700000\
             06e323a3730303003000000000000000700000\
             06e333a37303030",
        );
        let read = RaftState::decode(&first).unwrap();
        let addresses: Vec<Member> = read.membership.membership().nodes().map(|(_, member)| member.clone()).collect();
        let alone = |address: &str| Member { address: address.to_owned(), instance: None, standby: false };
        assert_eq!(addresses, [alone("n1:7000"), alone("n2:7000"), alone("n3:7000")]);
        assert_eq!((read.last, read.level, read.node_ids), (Some(log_id(2, 9)), Some(Level::FIRST), [1, 2, 3].into()));
    }

    #[test]
    fn an_id_that_was_a_members_stays_known() {
        let mut state = RaftState::default();
        state.enter_membership(RaftStoredMembership::new(Some(log_id(1, 1)), three_members()));
        assert_eq!(state.node_ids, [1, 2, 3].into());
        let founder = BTreeMap::from([(1, Member::default())]);
        let alone = RaftMembership::new(vec![BTreeSet::from([1])], founder).unwrap();
        state.enter_membership(RaftStoredMembership::new(Some(log_id(1, 2)), alone));
        assert_eq!(state.node_ids, [1, 2, 3].into());
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
