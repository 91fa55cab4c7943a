//! Who leads, as far as this node knows now.
//!
//! openraft's leader goes on leading by itself however long no quorum answers it. Here it does not: a leader that no
//! quorum has acknowledged within the election timeout may have been replaced, so it takes no writes and confirms no
//! reads until one does.

use std::time::Duration;

use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use openraft::{Instant as _, Raft, RaftMetrics, ServerState};
use partita_core::planted::{Bug, planted};

use crate::peer::PeerAddress;
use crate::raft_types::TypeConfig;
use crate::state_machine::StateMachine;

pub(crate) type Metrics = WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>;

/// A follower that hears from no leader for twice this (openraft's lease), and then for this long or up to as much
/// again, asks for votes: 1.35 to 1.8 s, the soonest of them.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_millis(450);
/// A leader without a quorum's answer for this long counts as none: others are about to elect another.
const QUORUM_SILENCE: Duration = Duration::from_millis(1_200);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    Own,
    Other(PeerAddress),
    Unknown,
}

#[derive(Clone)]
pub(crate) struct Leadership {
    node_id: u64,
    metrics: Metrics,
    /// Changes with the leader and the members, and not with every entry.
    server: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

impl Leadership {
    pub(crate) fn new(node_id: u64, raft: &Raft<TypeConfig, StateMachine>) -> Self {
        Self { node_id, metrics: raft.metrics(), server: raft.server_metrics() }
    }

    pub(crate) fn now(&self) -> Leader {
        let metrics = self.metrics.borrow_watched();
        match metrics.current_leader {
            Some(leader) if leader == self.node_id => {
                if leads(&metrics) {
                    Leader::Own
                } else {
                    Leader::Unknown
                }
            }
            Some(leader) => match metrics.membership_config.membership().get_node(&leader) {
                Some(member) => Leader::Other(PeerAddress { address: member.address.clone(), node_id: Some(leader) }),
                None => Leader::Unknown,
            },
            None => Leader::Unknown,
        }
    }

    /// Returns when this node does not take `leader` for the leader any more.
    pub(crate) async fn replaced(&self, leader: &PeerAddress) {
        let mut server = self.server.clone();
        while matches!(self.now(), Leader::Other(now) if now == *leader) {
            if server.changed().await.is_err() {
                // Raft has ended: nothing will be known any more.
                return;
            }
        }
    }

    /// The entry up to which this node has applied, as raft last said.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.metrics.borrow_watched().last_applied.map(|id| id.index)
    }
}

/// Whether the node of these metrics leads and a quorum has lately said so.
pub(crate) fn leads(metrics: &RaftMetrics<TypeConfig>) -> bool {
    if metrics.state != ServerState::Leader {
        return false;
    }
    let mut voters = metrics.membership_config.voter_ids();
    if voters.next() == Some(metrics.id) && voters.next().is_none() {
        return true;
    }
    let accepts = planted(Bug::IsolatedLeaderAccepts);
    accepts || metrics.last_quorum_acked.is_some_and(|acked| acked.elapsed() < QUORUM_SILENCE)
}
