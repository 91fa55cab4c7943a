//! The changes that a cluster's operator can ask for, and why one is not made.

use std::fmt;

use crate::codec::{CodecError, Input, put_text};

/// The longest address of a member: a host name of DNS, a colon and a port.
pub(crate) const ADDRESS_BYTES: usize = 260;

/// A change of who the members are, or of who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Announces a node before it comes: no other can take its id then.
    Add {
        node_id: u64,
        address: String,
        standby: bool,
    },
    /// Lets a learner vote.
    Promote {
        node_id: u64,
    },
    Remove {
        node_id: u64,
    },
    /// To this voter, or to the one whose log is longest.
    TransferLeader {
        to: Option<u64>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { node_id, address, standby: _ } => write!(f, "add node {node_id} at {address}"),
            Self::Promote { node_id } => write!(f, "promote node {node_id}"),
            Self::Remove { node_id } => write!(f, "remove node {node_id}"),
            Self::TransferLeader { to: Some(to) } => write!(f, "transfer leadership to node {to}"),
            Self::TransferLeader { to: None } => f.write_str("transfer leadership"),
        }
    }
}

/// Why the leader does not make a change. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    #[error("{address:?} is no address of a node: host:port is, of at most 260 bytes")]
    BadAddress { address: String },
    #[error("node ids begin at 1")]
    BadId,
    #[error(
        "node {node_id} is a member already, and whoever asks is not that node. If that node lost its data, remove it \
         from the cluster and let it join again, on an empty directory, under a new id, such as one above {greatest}"
    )]
    IdIsMember { node_id: u64, greatest: u64 },
    #[error(
        "id {node_id} was a member's before, and no id is given twice: a node without its data would break the promises of \
         the one that had it. Join under a new id, such as one above {greatest}"
    )]
    IdWasMember { node_id: u64, greatest: u64 },
    #[error("{address} is the address of node {node_id}")]
    AddressTaken { address: String, node_id: u64 },
    #[error("node {node_id} was announced at {announced}, and comes from {address}")]
    OtherAddress { node_id: u64, announced: String, address: String },
    #[error("node {node_id} is not a member")]
    NotAMember { node_id: u64 },
    #[error("node {node_id} is not a voter")]
    NotAVoter { node_id: u64 },
    #[error("node {node_id} was announced and has not come yet")]
    NotComeYet { node_id: u64 },
    #[error("the leader has not heard from node {node_id} lately")]
    Silent { node_id: u64 },
    #[error("node {node_id} is {entries} raft entries behind the leader: let it catch up first")]
    Behind { node_id: u64, entries: u64 },
    #[error("node {node_id} is the only voter: without it there is no cluster")]
    LastVoter { node_id: u64 },
    #[error(
        "of the {voters} voters that would be left only {live} answer, and {needed} are needed: without node {node_id} \
         the cluster would stand still. Bring a voter back first"
    )]
    NoQuorumLeft { node_id: u64, voters: u64, live: u64, needed: u64 },
    #[error("node {node_id} did not take the lead over in time")]
    NotTakenOver { node_id: u64 },
    #[error("there is no other voter that could lead")]
    NobodyElse,
}

/// Why a change was not made, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("this node runs alone: start it with --raft-listen to make it the first of a cluster")]
    Alone,
    #[error(transparent)]
    Refused(#[from] ChangeRefusal),
    #[error("no leader is known that could make the change; nothing was changed")]
    NoLeader,
    #[error("another change is under way; nothing was changed")]
    Busy,
    #[error("whether the change was made is not known: the cluster's status says it")]
    OutcomeUnknown,
    #[error("the node is shutting down; nothing was changed")]
    ShuttingDown,
}

pub(super) fn check_address(address: &str) -> Result<(), ChangeRefusal> {
    let refused = || ChangeRefusal::BadAddress { address: address.chars().take(ADDRESS_BYTES).collect() };
    let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && host.chars().all(|char| char.is_ascii_graphic());
    if is_host && is_port && address.len() <= ADDRESS_BYTES { Ok(()) } else { Err(refused()) }
}

impl Change {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Add { node_id, address, standby } => {
                out.push(0);
                out.extend_from_slice(&node_id.to_le_bytes());
                put_text(out, address);
                out.push(u8::from(*standby));
            }
            Self::Promote { node_id } => {
                out.push(1);
                out.extend_from_slice(&node_id.to_le_bytes());
            }
            Self::Remove { node_id } => {
                out.push(2);
                out.extend_from_slice(&node_id.to_le_bytes());
            }
            Self::TransferLeader { to } => {
                out.push(3);
                put_optional(out, *to);
            }
        }
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::Add { node_id: input.integer()?, address: input.text()?, standby: input.flag()? },
            1 => Self::Promote { node_id: input.integer()? },
            2 => Self::Remove { node_id: input.integer()? },
            3 => Self::TransferLeader { to: take_optional(input)? },
            _ => return Err(input.invalid()),
        })
    }
}

impl ChangeRefusal {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, text: Option<&str>, numbers: &[u64]| {
            out.push(tag);
            if let Some(text) = text {
                put_text(out, text);
            }
            numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        };
        match self {
            Self::BadAddress { address } => put(0, Some(address), &[]),
            Self::BadId => put(1, None, &[]),
            Self::IdIsMember { node_id, greatest } => put(2, None, &[*node_id, *greatest]),
            Self::IdWasMember { node_id, greatest } => put(3, None, &[*node_id, *greatest]),
            Self::AddressTaken { address, node_id } => put(4, Some(address), &[*node_id]),
            Self::OtherAddress { node_id, announced, address } => {
                put(5, Some(announced), &[]);
                put_text(out, address);
                out.extend_from_slice(&node_id.to_le_bytes());
            }
            Self::NotAMember { node_id } => put(6, None, &[*node_id]),
            Self::NotAVoter { node_id } => put(7, None, &[*node_id]),
            Self::NotComeYet { node_id } => put(8, None, &[*node_id]),
            Self::Silent { node_id } => put(9, None, &[*node_id]),
            Self::Behind { node_id, entries } => put(10, None, &[*node_id, *entries]),
            Self::LastVoter { node_id } => put(11, None, &[*node_id]),
            Self::NoQuorumLeft { node_id, voters, live, needed } => put(12, None, &[*node_id, *voters, *live, *needed]),
            Self::NotTakenOver { node_id } => put(13, None, &[*node_id]),
            Self::NobodyElse => put(14, None, &[]),
        }
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::BadAddress { address: input.text()? },
            1 => Self::BadId,
            2 => Self::IdIsMember { node_id: input.integer()?, greatest: input.integer()? },
            3 => Self::IdWasMember { node_id: input.integer()?, greatest: input.integer()? },
            4 => Self::AddressTaken { address: input.text()?, node_id: input.integer()? },
            5 => Self::OtherAddress { announced: input.text()?, address: input.text()?, node_id: input.integer()? },
            6 => Self::NotAMember { node_id: input.integer()? },
            7 => Self::NotAVoter { node_id: input.integer()? },
            8 => Self::NotComeYet { node_id: input.integer()? },
            9 => Self::Silent { node_id: input.integer()? },
            10 => Self::Behind { node_id: input.integer()?, entries: input.integer()? },
            11 => Self::LastVoter { node_id: input.integer()? },
            12 => Self::NoQuorumLeft {
                node_id: input.integer()?,
                voters: input.integer()?,
                live: input.integer()?,
                needed: input.integer()?,
            },
            13 => Self::NotTakenOver { node_id: input.integer()? },
            14 => Self::NobodyElse,
            _ => return Err(input.invalid()),
        })
    }
}

pub(super) fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    out.push(u8::from(number.is_some()));
    if let Some(number) = number {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

pub(super) fn take_optional(input: &mut Input<'_>) -> Result<Option<u64>, CodecError> {
    Ok(if input.flag()? { Some(input.integer()?) } else { None })
}
