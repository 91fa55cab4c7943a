//! The cluster as a node's callers use it: what it is like, and changes to it, from any node.
//!
//! A change is handed to the leader, and to the next one if that turns out not to lead any more, until it is decided
//! or the deadline has passed. What may have been done is never done again: it ends as "unknown".

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver as _;
use partita_core::id::Position;
use partita_storage::codec::Level;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::change::{Change, ChangeError};
use super::leading::{Leading, Raft};
use super::message::{ClusterRequest, ClusterResponse, Failure};
use super::status::{ClusterStatus, LeaderView, LocalStatus, MemberStatus, NodeReport, Progress, Standing};
use crate::leadership::{Leader, Leadership, Metrics, leads};
use crate::node::{Identity, Role};
use crate::peer::message::{Request, Response};
use crate::peer::{Channel, PeerAddress, PeerError, Peers};
use crate::raft_types::{Member, TypeConfig};

/// Between two attempts to find a leader.
const PAUSE: Duration = Duration::from_millis(50);
/// What the other nodes may take to say how they are; a status without some of them is better than none.
const REPORTS: Duration = Duration::from_secs(1);

/// A node's view of its cluster. Clones are the same one.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}

struct Inner {
    raft: Raft,
    metrics: Metrics,
    identity: Identity,
    leadership: Leadership,
    /// None where the node runs alone.
    peers: Option<Peers>,
    leading: Leading,
    position: watch::Receiver<Position>,
}

impl Cluster {
    pub(crate) fn new(
        raft: Raft,
        identity: Identity,
        leadership: Leadership,
        peers: Option<Peers>,
        position: watch::Receiver<Position>,
    ) -> Self {
        let leading = Leading::new(raft.clone(), identity.node_id);
        let metrics = raft.metrics();
        Self(Arc::new(Inner { raft, metrics, identity, leadership, peers, leading, position }))
    }

    /// What is known of the cluster. Of nodes that cannot be reached, and while nobody leads, less is known.
    pub async fn status(&self, deadline: Instant) -> ClusterStatus {
        let (known, members) = self.members();
        let deadline = deadline.min(Instant::now() + REPORTS);
        let reports = members.iter().map(|(id, member)| self.report_of(*id, member, deadline));
        let (view, reports) = tokio::join!(self.view(deadline), join_all(reports));
        let progress =
            |id: u64| view.as_ref().and_then(|view| view.followers.iter().find(|of| of.node_id == id).copied());
        let members = members.iter().zip(reports);
        let members = members.map(|((id, member), report)| MemberStatus {
            node_id: *id,
            address: member.address.clone(),
            standing: standing(member, known.voters.contains(id)),
            progress: progress(*id),
            report,
        });
        let state = self.applied_state().await;
        ClusterStatus {
            cluster: self.0.identity.cluster,
            node_id: self.0.identity.node_id,
            leader: known.leader,
            term: known.term,
            level: state.as_ref().map_or(0, |state| Level::byte_of(state.level)),
            greatest_node_id: state.as_ref().and_then(|state| state.node_ids.last().copied()).unwrap_or(0),
            last_index: view.as_ref().and_then(|view| view.last_index),
            committed_index: view.as_ref().and_then(|view| view.committed_index),
            members: members.collect(),
        }
    }

    /// What this node knows by itself, at once.
    #[must_use]
    pub fn local(&self) -> LocalStatus {
        let followers = self.0.leading.view().map(|view| view.followers).unwrap_or_default();
        let metrics = self.0.metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let count = |number: usize| u64::try_from(number).expect("members are few");
        LocalStatus {
            role: Role::of(&metrics),
            term: metrics.current_term,
            leader: leader(&metrics),
            last_index: metrics.last_log_index,
            committed_index: metrics.local_committed.map(|id| id.index),
            voters: count(membership.voter_ids().count()),
            learners: count(membership.learner_ids().count()),
            followers,
        }
    }

    /// Has the leader make a change.
    pub async fn change(&self, change: Change, deadline: Instant) -> Result<(), ChangeError> {
        if self.0.peers.is_none() {
            return Err(ChangeError::Alone);
        }
        let request = ClusterRequest::Change(change);
        loop {
            let (failure, pause) = match self.ask_leader(&request, deadline).await {
                ClusterResponse::Changed => return Ok(()),
                ClusterResponse::Failed(Failure::Refused(refusal)) => return Err(refusal.into()),
                ClusterResponse::Failed(Failure::OutcomeUnknown) => return Err(ChangeError::OutcomeUnknown),
                ClusterResponse::Failed(Failure::NoLeader) => (ChangeError::NoLeader, PAUSE),
                ClusterResponse::Failed(Failure::Busy) => (ChangeError::Busy, PAUSE),
                ClusterResponse::Failed(Failure::Stopping) => (ChangeError::ShuttingDown, PAUSE),
                ClusterResponse::Joined(_) | ClusterResponse::View(_) | ClusterResponse::Report(_) => {
                    return Err(ChangeError::OutcomeUnknown);
                }
            };
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    /// Answers another node, or one that wants to become one (`from_outside`).
    pub(crate) async fn handle(
        &self,
        request: ClusterRequest,
        from_outside: bool,
        deadline: Instant,
    ) -> ClusterResponse {
        match &request {
            ClusterRequest::Report => ClusterResponse::Report(self.own_report()),
            // Handed on once: who gets it from a member leads, or nobody does.
            ClusterRequest::Join(_) if from_outside => self.ask_leader(&request, deadline).await,
            ClusterRequest::Join(_) | ClusterRequest::Change(_) | ClusterRequest::View => {
                self.lead(&request, deadline).await
            }
        }
    }

    pub(super) fn leading(&self) -> &Leading {
        &self.0.leading
    }

    pub(super) fn leads(&self) -> bool {
        leads(&self.0.metrics.borrow_watched())
    }

    pub(super) fn node_id(&self) -> u64 {
        self.0.identity.node_id
    }

    /// Of this node, where the membership has it.
    pub(super) fn own_address(&self) -> Option<String> {
        let metrics = self.0.metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&self.0.identity.node_id).map(|member| member.address.clone())
    }

    /// What the leader knows, if some member of the membership that this node has leads; asked of each.
    pub(super) async fn view_of_any_leader(&self, deadline: Instant) -> Option<LeaderView> {
        let (_known, members) = self.members();
        let asked = members.iter().filter(|(id, _)| *id != self.node_id()).map(|(id, member)| async move {
            let to = PeerAddress { address: member.address.clone(), node_id: Some(*id) };
            match self.send(&to, &ClusterRequest::View, deadline).await {
                ClusterResponse::View(view) => Some((*id, view)),
                ClusterResponse::Joined(_)
                | ClusterResponse::Changed
                | ClusterResponse::Report(_)
                | ClusterResponse::Failed(_) => None,
            }
        });
        join_all(asked).await.into_iter().flatten().next().map(|(leader, mut view)| {
            // The leader itself is a member, too.
            view.followers.push(Progress { node_id: leader, matched_index: None, lag_entries: 0, heard: None });
            view
        })
    }

    async fn ask_leader(&self, request: &ClusterRequest, deadline: Instant) -> ClusterResponse {
        match self.0.leadership.now() {
            Leader::Unknown => ClusterResponse::Failed(Failure::NoLeader),
            Leader::Own => self.lead(request, deadline).await,
            Leader::Other(leader) => self.send(&leader, request, deadline).await,
        }
    }

    /// One attempt; what was not sent was not done.
    async fn send(&self, to: &PeerAddress, request: &ClusterRequest, deadline: Instant) -> ClusterResponse {
        let Some(peers) = &self.0.peers else { return ClusterResponse::Failed(Failure::NoLeader) };
        let failure = match peers.call(to, Channel::Control, &Request::Cluster(request.clone()), deadline).await {
            Ok(Response::Cluster(response)) => return response,
            Err(PeerError::NotSent(_) | PeerError::Refused(_)) => Failure::NoLeader,
            Ok(_) | Err(PeerError::Unknown(_)) => Failure::OutcomeUnknown,
        };
        ClusterResponse::Failed(failure)
    }

    /// Does it here.
    async fn lead(&self, request: &ClusterRequest, deadline: Instant) -> ClusterResponse {
        let leading = &self.0.leading;
        let done = match request {
            ClusterRequest::Join(join) => {
                leading.join(join, deadline).await.map(|()| ClusterResponse::Joined(self.0.identity.cluster))
            }
            ClusterRequest::Change(change) => leading.change(change, deadline).await.map(|()| ClusterResponse::Changed),
            ClusterRequest::View => leading.view().map(ClusterResponse::View).ok_or(Failure::NoLeader),
            ClusterRequest::Report => Ok(ClusterResponse::Report(self.own_report())),
        };
        done.unwrap_or_else(ClusterResponse::Failed)
    }

    async fn view(&self, deadline: Instant) -> Option<LeaderView> {
        match self.ask_leader(&ClusterRequest::View, deadline).await {
            ClusterResponse::View(view) => Some(view),
            ClusterResponse::Joined(_)
            | ClusterResponse::Changed
            | ClusterResponse::Report(_)
            | ClusterResponse::Failed(_) => None,
        }
    }

    async fn report_of(&self, id: u64, member: &Member, deadline: Instant) -> Option<NodeReport> {
        if id == self.0.identity.node_id {
            return Some(self.own_report());
        }
        let to = PeerAddress { address: member.address.clone(), node_id: Some(id) };
        match self.send(&to, &ClusterRequest::Report, deadline).await {
            ClusterResponse::Report(report) => Some(report),
            ClusterResponse::Joined(_)
            | ClusterResponse::Changed
            | ClusterResponse::View(_)
            | ClusterResponse::Failed(_) => None,
        }
    }

    fn own_report(&self) -> NodeReport {
        let metrics = self.0.metrics.borrow_watched();
        NodeReport {
            role: Role::of(&metrics),
            term: metrics.current_term,
            leader: leader(&metrics),
            applied_index: metrics.last_applied.map(|id| id.index),
            position: self.0.position.borrow().0,
            newest_level: self.0.identity.levels.newest().number(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn members(&self) -> (Known, Vec<(u64, Member)>) {
        let metrics = self.0.metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let known =
            Known { leader: leader(&metrics), term: metrics.current_term, voters: membership.voter_ids().collect() };
        (known, membership.nodes().map(|(id, member)| (*id, member.clone())).collect())
    }

    async fn applied_state(&self) -> Option<crate::codec::RaftState> {
        let asked = self.0.raft.with_state_machine(|machine| {
            let state = machine.raft_state().clone();
            Box::pin(async move { state })
        });
        asked.await.ok()
    }
}

struct Known {
    leader: Option<u64>,
    term: u64,
    voters: std::collections::BTreeSet<u64>,
}

/// A leader that no quorum answers counts as none.
fn leader(metrics: &RaftMetrics<TypeConfig>) -> Option<u64> {
    metrics.current_leader.filter(|leader| *leader != metrics.id || leads(metrics))
}

fn standing(member: &Member, votes: bool) -> Standing {
    match member {
        _ if votes => Standing::Voter,
        Member { instance: None, .. } => Standing::Announced,
        Member { standby: true, .. } => Standing::Standby,
        Member { standby: false, .. } => Standing::Learner,
    }
}
