//! What nodes say to each other about the cluster itself, and its bytes (see `peer::message`).

use super::change::{Change, ChangeRefusal};
use super::status::{LeaderView, NodeReport};
use crate::codec::{CodecError, Input, put_text};
use crate::data_directory::ClusterId;
use crate::raft_types::Instance;

/// A node that asks to be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) node_id: u64,
    /// Where its peers reach it.
    pub(crate) address: String,
    pub(crate) instance: Instance,
    /// It is to stay a learner.
    pub(crate) standby: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterRequest {
    /// Of a node that is in no cluster yet, or handed on to the leader by the member that it asked.
    Join(Join),
    /// Only the leader makes changes.
    Change(Change),
    /// How far the members are. Only the leader knows.
    View,
    /// What the asked node says of itself.
    Report,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterResponse {
    /// Taken in, now or when this was first asked.
    Joined(ClusterId),
    /// Changed, or as it was asked for already.
    Changed,
    View(LeaderView),
    Report(NodeReport),
    Failed(Failure),
}

/// Why a request was not granted. All but the last: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused(ChangeRefusal),
    /// The asked node does not lead, or not any more.
    NoLeader,
    Busy,
    Stopping,
    OutcomeUnknown,
}

impl ClusterRequest {
    /// Whether a node that is in no cluster yet may ask this.
    pub(crate) fn is_from_outside(&self) -> bool {
        match self {
            Self::Join(_) => true,
            Self::Change(_) | Self::View | Self::Report => false,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Join(Join { node_id, address, instance, standby }) => {
                out.push(0);
                out.extend_from_slice(&node_id.to_le_bytes());
                put_text(out, address);
                out.extend_from_slice(&instance.0);
                out.push(u8::from(*standby));
            }
            Self::Change(change) => {
                out.push(1);
                change.put(out);
            }
            Self::View => out.push(2),
            Self::Report => out.push(3),
        }
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::Join(Join {
                node_id: input.integer()?,
                address: input.text()?,
                instance: Instance(sixteen(input)?),
                standby: input.flag()?,
            }),
            1 => Self::Change(Change::take(input)?),
            2 => Self::View,
            3 => Self::Report,
            _ => return Err(input.invalid()),
        })
    }
}

impl ClusterResponse {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Joined(cluster) => {
                out.push(0);
                out.extend_from_slice(&cluster.0);
            }
            Self::Changed => out.push(1),
            Self::View(view) => {
                out.push(2);
                view.put(out);
            }
            Self::Report(report) => {
                out.push(3);
                report.put(out);
            }
            Self::Failed(failure) => {
                out.push(4);
                failure.put(out);
            }
        }
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::Joined(ClusterId(sixteen(input)?)),
            1 => Self::Changed,
            2 => Self::View(LeaderView::take(input)?),
            3 => Self::Report(NodeReport::take(input)?),
            4 => Self::Failed(Failure::take(input)?),
            _ => return Err(input.invalid()),
        })
    }
}

impl Failure {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refused(refusal) => {
                out.push(0);
                refusal.put(out);
            }
            Self::NoLeader => out.push(1),
            Self::Busy => out.push(2),
            Self::Stopping => out.push(3),
            Self::OutcomeUnknown => out.push(4),
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::Refused(ChangeRefusal::take(input)?),
            1 => Self::NoLeader,
            2 => Self::Busy,
            3 => Self::Stopping,
            4 => Self::OutcomeUnknown,
            _ => return Err(input.invalid()),
        })
    }
}

fn sixteen(input: &mut Input<'_>) -> Result<[u8; 16], CodecError> {
    Ok(input.take(16)?.try_into().expect("sixteen bytes were taken"))
}
