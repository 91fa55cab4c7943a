//! What is known of a cluster: of its members by the leader, and of each by itself.

use std::time::Duration;

use super::change::{put_optional, take_optional};
use crate::codec::{CodecError, Input, put_count, put_text};
use crate::data_directory::ClusterId;
use crate::node::Role;

/// A cluster as one node sees it, with what the others said when they were asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    pub cluster: ClusterId,
    /// The node that was asked.
    pub node_id: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// The active level of the replicated rules; 0 before the first commands.
    pub level: u8,
    /// The greatest id that ever was a member's: those above it are free for sure.
    pub greatest_node_id: u64,
    /// Of the leader's log; absent while there is none.
    pub last_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub members: Vec<MemberStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub node_id: u64,
    /// Of its raft traffic.
    pub address: String,
    pub standing: Standing,
    /// What the leader knows; absent of the leader itself.
    pub progress: Option<Progress>,
    /// What it said of itself; absent if it did not answer.
    pub report: Option<NodeReport>,
}

/// What a member is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Voter,
    /// It votes as soon as it has caught up.
    Learner,
    /// A learner until it is promoted by hand.
    Standby,
    /// Nobody has come under its id yet.
    Announced,
}

/// How far a follower is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub node_id: u64,
    /// The last raft entry that it has for sure.
    pub matched_index: Option<u64>,
    /// Raft entries of the leader's log that it may lack.
    pub lag_entries: u64,
    /// Since it last answered; absent if it never did.
    pub heard: Option<Duration>,
}

/// What one node knows without asking any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalStatus {
    pub role: Role,
    pub term: u64,
    pub leader: Option<u64>,
    pub last_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub voters: u64,
    pub learners: u64,
    /// Of the leader: how far the others are.
    pub followers: Vec<Progress>,
}

/// What the leader knows beside the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaderView {
    pub(crate) last_index: Option<u64>,
    pub(crate) committed_index: Option<u64>,
    pub(crate) followers: Vec<Progress>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    pub role: Role,
    pub term: u64,
    pub leader: Option<u64>,
    pub applied_index: Option<u64>,
    /// The last decision applied.
    pub position: u64,
    /// The newest level that its program knows.
    pub newest_level: u8,
    /// Of its program.
    pub version: String,
}

impl LeaderView {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_optional(out, self.last_index);
        put_optional(out, self.committed_index);
        put_count(out, self.followers.len());
        for Progress { node_id, matched_index, lag_entries, heard } in &self.followers {
            out.extend_from_slice(&node_id.to_le_bytes());
            put_optional(out, *matched_index);
            out.extend_from_slice(&lag_entries.to_le_bytes());
            put_optional(out, heard.map(|heard| heard.as_millis().try_into().unwrap_or(u64::MAX)));
        }
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let (last_index, committed_index) = (take_optional(input)?, take_optional(input)?);
        let mut followers = Vec::new();
        for _ in 0..input.count()? {
            followers.push(Progress {
                node_id: input.integer()?,
                matched_index: take_optional(input)?,
                lag_entries: input.integer()?,
                heard: take_optional(input)?.map(Duration::from_millis),
            });
        }
        Ok(Self { last_index, committed_index, followers })
    }
}

impl NodeReport {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(match self.role {
            Role::Leader => 0,
            Role::Candidate => 1,
            Role::Follower => 2,
            Role::Learner => 3,
            Role::Stopped => 4,
        });
        out.extend_from_slice(&self.term.to_le_bytes());
        put_optional(out, self.leader);
        put_optional(out, self.applied_index);
        out.extend_from_slice(&self.position.to_le_bytes());
        out.push(self.newest_level);
        put_text(out, &self.version);
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let role = match input.byte()? {
            0 => Role::Leader,
            1 => Role::Candidate,
            2 => Role::Follower,
            3 => Role::Learner,
            4 => Role::Stopped,
            _ => return Err(input.invalid()),
        };
        Ok(Self {
            role,
            term: input.integer()?,
            leader: take_optional(input)?,
            applied_index: take_optional(input)?,
            position: input.integer()?,
            newest_level: input.byte()?,
            version: input.text()?,
        })
    }
}
