//! The types that openraft is configured with, and their conversions to the raft log's own.

use std::fmt;

use bytes::Bytes;
use openraft::alias::{CommittedLeaderIdOf, EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::vote::RaftLeaderIdExt;
use openraft::{EntryPayload, LogId};
use partita_core::decision::Answer;
use partita_storage::log::{EntryId, EntryKind, LogEntry, Vote};

use crate::codec::{CodecError, decode_membership, encode_membership};
use crate::data_directory::write_hex;

openraft::declare_raft_types!(
    /// Partita's raft.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Answers,
        NodeId = u64,
        Node = Member,
        AsyncRuntime = crate::raft_runtime::RaftRuntime,
);

pub(crate) type RaftEntry = EntryOf<TypeConfig>;
pub(crate) type RaftLogId = LogIdOf<TypeConfig>;
pub(crate) type RaftMembership = openraft::Membership<u64, Member>;
pub(crate) type RaftStoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type RaftVote = VoteOf<TypeConfig>;
type Leader = CommittedLeaderIdOf<TypeConfig>;

/// What a node draws when it first asks to be taken in: tells it from another that calls itself the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance(pub(crate) [u8; 16]);

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// A member of the cluster, as its membership has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where its raft traffic goes; empty where the node is alone.
    pub(crate) address: String,
    /// Who took up the id. The founder has none, nor has a member that was announced and has not come yet.
    pub(crate) instance: Option<Instance>,
    /// Stays a learner until it is promoted by hand.
    pub(crate) standby: bool,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Encoded commands of many callers: one raft entry (see [`crate::proposal`]).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of commands", self.0.len())
    }
}

/// The state machine's answers to the commands of one raft entry, in their order.
#[derive(Debug, Default)]
pub(crate) struct Answers(pub(crate) Vec<Answer>);

pub(crate) fn raft_log_id(id: EntryId) -> RaftLogId {
    LogId::new(Leader::new_committed(id.term, id.node), id.index)
}

pub(crate) fn entry_id(id: &RaftLogId) -> EntryId {
    EntryId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn raft_vote(vote: Vote) -> RaftVote {
    let raft = RaftVote::new(vote.term, vote.node);
    RaftVote { committed: vote.committed, ..raft }
}

pub(crate) fn stored_vote(vote: &RaftVote) -> Vote {
    Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn stored_entry(entry: &RaftEntry) -> LogEntry {
    let (kind, payload) = match &entry.payload {
        EntryPayload::Blank => (EntryKind::Blank, Bytes::new()),
        EntryPayload::Normal(proposal) => (EntryKind::Commands, proposal.0.clone()),
        EntryPayload::Membership(membership) => (EntryKind::Membership, Bytes::from(encode_membership(membership))),
    };
    LogEntry { id: entry_id(&entry.log_id), kind, payload }
}

pub(crate) fn raft_entry(entry: LogEntry) -> Result<RaftEntry, CodecError> {
    let payload = match entry.kind {
        EntryKind::Blank => EntryPayload::Blank,
        EntryKind::Commands => EntryPayload::Normal(Proposal(entry.payload)),
        EntryKind::Membership => EntryPayload::Membership(decode_membership(&entry.payload)?),
    };
    Ok(RaftEntry { log_id: raft_log_id(entry.id), payload })
}
