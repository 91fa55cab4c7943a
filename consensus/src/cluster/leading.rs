//! What only the leader does: it decides whether a change is made, and proposes it.
//!
//! One change at a time. Each begins with a confirmation that this node still leads and has applied everything
//! committed, so that the ids it compares with are all that ever were; and each is proposed only if the
//! membership is still the one it was decided on. A change is one raft entry: at most one voter comes or goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::Precondition;
use openraft::{ChangeMembers, EntryPayload, Instant as _, RaftMetrics, ReadPolicy, ServerState};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::change::{Change, ChangeRefusal, check_address};
use super::message::{Failure, Join};
use super::status::{LeaderView, Progress};
use crate::codec::RaftState;
use crate::raft_types::{Member, RaftMembership, TypeConfig};
use crate::state_machine::StateMachine;

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// A follower that answered within this time lives: the longest election timeout.
const LIVE: Duration = Duration::from_secs(2);
/// Raft entries that a node may lack and yet vote or lead: it gets them within moments.
pub(super) const CAUGHT_UP_ENTRIES: u64 = 100;
/// How long a new leader may take to show itself.
const TAKE_OVER: Duration = Duration::from_secs(4);

/// The leader's part of a node; of use only while it leads.
#[derive(Debug)]
pub(crate) struct Leading {
    raft: Raft,
    node_id: u64,
    turn: Mutex<()>,
}

/// What a change is decided on.
struct Basis<'a> {
    state: RaftState,
    voters: BTreeSet<u64>,
    nodes: BTreeMap<u64, Member>,
    /// No other change begins before this one has ended.
    _turn: MutexGuard<'a, ()>,
}

impl Leading {
    pub(super) fn new(raft: Raft, node_id: u64) -> Self {
        Self { raft, node_id, turn: Mutex::default() }
    }

    /// Takes a node in as a learner, or knows it again.
    pub(super) async fn join(&self, join: &Join, deadline: Instant) -> Result<(), Failure> {
        let Join { node_id, address, instance, standby } = join;
        check_address(address)?;
        let basis = self.begin(deadline).await?;
        let greatest = basis.greatest_id();
        let member = match basis.nodes.get(node_id) {
            Some(member) if member.instance == Some(*instance) => return Ok(()),
            Some(member) if basis.is_announced(*node_id) => {
                if member.address != *address {
                    let (announced, address) = (member.address.clone(), address.clone());
                    return Err(ChangeRefusal::OtherAddress { node_id: *node_id, announced, address }.into());
                }
                Member { instance: Some(*instance), ..member.clone() }
            }
            Some(_) => return Err(ChangeRefusal::IdIsMember { node_id: *node_id, greatest }.into()),
            None => {
                basis.check_new(*node_id, address)?;
                Member { address: address.clone(), instance: Some(*instance), standby: *standby }
            }
        };
        self.enter(basis, *node_id, member, deadline).await
    }

    pub(super) async fn change(&self, change: &Change, deadline: Instant) -> Result<(), Failure> {
        match change {
            Change::Add { node_id, address, standby } => self.announce(*node_id, address, *standby, deadline).await,
            Change::Promote { node_id } => self.promote(*node_id, deadline).await,
            Change::Remove { node_id } => self.remove(*node_id, deadline).await,
            Change::TransferLeader { to } => {
                let basis = self.begin(deadline).await?;
                self.transfer(&basis, *to, deadline).await
            }
        }
    }

    /// What the leader knows beside the membership; nothing if this node does not lead.
    pub(super) fn view(&self) -> Option<LeaderView> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return None;
        }
        let members = metrics.membership_config.membership().nodes();
        let followers = members.map(|(id, _)| *id).filter(|id| *id != self.node_id);
        let followers = followers.map(|id| progress(&metrics, id)).collect();
        let committed_index = metrics.local_committed.as_ref().map(|id| id.index);
        Some(LeaderView { last_index: metrics.last_log_index, committed_index, followers })
    }

    /// Learners that want to vote and could.
    pub(super) fn promotable(&self) -> Vec<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return Vec::new();
        }
        let membership = metrics.membership_config.membership();
        let wants = |id: &u64| {
            membership.get_node(id).is_some_and(|member| member.instance.is_some() && !member.standby)
                && check_caught_up(progress(&metrics, *id)).is_ok()
        };
        membership.learner_ids().filter(wants).collect()
    }

    /// Corrects this node's own address in the membership: a node that was alone had none.
    pub(super) async fn correct_address(&self, address: &str, deadline: Instant) -> Result<(), Failure> {
        let basis = self.begin(deadline).await?;
        let Some(member) = basis.nodes.get(&self.node_id).filter(|member| member.address != address) else {
            return Ok(());
        };
        let member = Member { address: address.to_owned(), ..member.clone() };
        self.enter(basis, self.node_id, member, deadline).await
    }

    async fn announce(&self, node_id: u64, address: &str, standby: bool, deadline: Instant) -> Result<(), Failure> {
        check_address(address)?;
        let basis = self.begin(deadline).await?;
        let member = Member { address: address.to_owned(), instance: None, standby };
        if basis.is_announced(node_id) && basis.nodes.get(&node_id) == Some(&member) {
            return Ok(());
        }
        if basis.nodes.contains_key(&node_id) {
            let greatest = basis.greatest_id();
            return Err(ChangeRefusal::IdIsMember { node_id, greatest }.into());
        }
        basis.check_new(node_id, address)?;
        self.enter(basis, node_id, member, deadline).await
    }

    async fn promote(&self, node_id: u64, deadline: Instant) -> Result<(), Failure> {
        let mut basis = self.begin(deadline).await?;
        if !basis.nodes.contains_key(&node_id) {
            return Err(ChangeRefusal::NotAMember { node_id }.into());
        }
        if basis.is_announced(node_id) {
            return Err(ChangeRefusal::NotComeYet { node_id }.into());
        }
        if !basis.voters.insert(node_id) {
            return Ok(());
        }
        check_caught_up(self.progress(node_id))?;
        self.append(basis, deadline).await
    }

    async fn remove(&self, node_id: u64, deadline: Instant) -> Result<(), Failure> {
        let mut basis = self.begin(deadline).await?;
        if !basis.nodes.contains_key(&node_id) {
            return Err(ChangeRefusal::NotAMember { node_id }.into());
        }
        if basis.voters.contains(&node_id) {
            self.check_quorum_without(&basis, node_id)?;
        }
        if node_id == self.node_id {
            // Not by its own hand: the next leader does it when it is asked again.
            self.transfer(&basis, None, deadline).await?;
            return Err(Failure::NoLeader);
        }
        basis.voters.remove(&node_id);
        basis.nodes.remove(&node_id);
        self.append(basis, deadline).await
    }

    /// A cluster that could commit nothing any more could not even be given a voter back.
    fn check_quorum_without(&self, basis: &Basis<'_>, node_id: u64) -> Result<(), ChangeRefusal> {
        let left: Vec<u64> = basis.voters.iter().copied().filter(|voter| *voter != node_id).collect();
        if left.is_empty() {
            return Err(ChangeRefusal::LastVoter { node_id });
        }
        let lives = |voter: &&u64| **voter == self.node_id || is_live(self.progress(**voter));
        let count = |number: usize| u64::try_from(number).expect("voters are few");
        let (voters, live) = (count(left.len()), count(left.iter().filter(lives).count()));
        let needed = voters / 2 + 1;
        if live < needed { Err(ChangeRefusal::NoQuorumLeft { node_id, voters, live, needed }) } else { Ok(()) }
    }

    async fn transfer(&self, basis: &Basis<'_>, to: Option<u64>, deadline: Instant) -> Result<(), Failure> {
        let target = match to {
            Some(node_id) if node_id == self.node_id => return Ok(()),
            Some(node_id) if !basis.voters.contains(&node_id) => {
                return Err(ChangeRefusal::NotAVoter { node_id }.into());
            }
            Some(node_id) => node_id,
            None => {
                let others = basis.voters.iter().filter(|voter| **voter != self.node_id);
                let live = others.map(|voter| self.progress(*voter)).filter(|progress| is_live(*progress));
                live.max_by_key(|progress| progress.matched_index).ok_or(ChangeRefusal::NobodyElse)?.node_id
            }
        };
        check_caught_up(self.progress(target))?;
        if self.raft.trigger().transfer_leader(target).await.is_err() {
            return Err(Failure::Stopping);
        }
        let deadline = deadline.min(Instant::now() + TAKE_OVER);
        let patience = deadline.saturating_duration_since(Instant::now());
        let taken =
            |metrics: &RaftMetrics<TypeConfig>| metrics.current_leader.is_some_and(|leader| leader != self.node_id);
        match self.raft.wait(Some(patience)).metrics(taken, "another node leads").await {
            Ok(metrics) if to.is_none() || metrics.current_leader == Some(target) => Ok(()),
            Ok(_) | Err(_) => Err(ChangeRefusal::NotTakenOver { node_id: target }.into()),
        }
    }

    /// Waits for its turn, and for everything committed to be applied.
    async fn begin(&self, deadline: Instant) -> Result<Basis<'_>, Failure> {
        let turn = timeout_at(deadline, self.turn.lock()).await.map_err(|_elapsed| Failure::Busy)?;
        match timeout_at(deadline, self.raft.ensure_linearizable(ReadPolicy::ReadIndex)).await {
            Ok(Ok(_read_log_id)) => {}
            Ok(Err(RaftError::Fatal(_stopped))) => return Err(Failure::Stopping),
            Ok(Err(RaftError::APIError(_))) | Err(_) => return Err(Failure::NoLeader),
        }
        let asked = self.raft.with_state_machine(|machine| {
            let state = machine.raft_state().clone();
            Box::pin(async move { state })
        });
        let state = match timeout_at(deadline, asked).await {
            Ok(Ok(state)) => state,
            Ok(Err(_stopped)) => return Err(Failure::Stopping),
            Err(_elapsed) => return Err(Failure::Busy),
        };
        let membership = state.membership.membership();
        let [voters] = membership.get_joint_config().as_slice() else { return Err(Failure::Busy) };
        let voters = voters.clone();
        let nodes = membership.nodes().map(|(id, member)| (*id, member.clone())).collect();
        Ok(Basis { state, voters, nodes, _turn: turn })
    }

    /// Puts a member in, or another description of it in its place.
    async fn enter(&self, basis: Basis<'_>, id: u64, member: Member, deadline: Instant) -> Result<(), Failure> {
        let change = ChangeMembers::SetNodes(BTreeMap::from([(id, member)]));
        let entered = self.raft.change_membership_if(change, true, [basis.unchanged()]);
        outcome(timeout_at(deadline, entered).await)
    }

    /// Proposes the membership that the basis has become.
    async fn append(&self, basis: Basis<'_>, deadline: Instant) -> Result<(), Failure> {
        let unchanged = basis.unchanged();
        let membership =
            RaftMembership::new(vec![basis.voters], basis.nodes).expect("there are voters, each with its node");
        let appended = self.raft.append_membership(membership, EntryPayload::Blank, [unchanged]);
        outcome(timeout_at(deadline, appended).await)
    }

    fn progress(&self, node_id: u64) -> Progress {
        progress(&self.raft.metrics().borrow_watched(), node_id)
    }
}

impl Basis<'_> {
    fn unchanged(&self) -> Precondition<TypeConfig> {
        Precondition::LastMembershipLogId { last_membership_log_id: *self.state.membership.log_id() }
    }

    fn is_announced(&self, node_id: u64) -> bool {
        self.nodes.get(&node_id).is_some_and(|member| member.instance.is_none()) && !self.voters.contains(&node_id)
    }

    fn greatest_id(&self) -> u64 {
        self.state.node_ids.last().copied().unwrap_or(0)
    }

    /// Whether an id and an address may be given to a new member.
    fn check_new(&self, node_id: u64, address: &str) -> Result<(), ChangeRefusal> {
        if node_id == 0 {
            return Err(ChangeRefusal::BadId);
        }
        if self.state.node_ids.contains(&node_id) {
            return Err(ChangeRefusal::IdWasMember { node_id, greatest: self.greatest_id() });
        }
        match self.nodes.iter().find(|(_, member)| member.address == address) {
            Some((id, _)) => Err(ChangeRefusal::AddressTaken { address: address.to_owned(), node_id: *id }),
            None => Ok(()),
        }
    }
}

impl From<ChangeRefusal> for Failure {
    fn from(refusal: ChangeRefusal) -> Self {
        Self::Refused(refusal)
    }
}

fn progress(metrics: &RaftMetrics<TypeConfig>, node_id: u64) -> Progress {
    let matched = metrics.replication.as_ref().and_then(|all| all.get(&node_id)).copied().flatten();
    let matched_index = matched.map(|id| id.index);
    let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
    let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&node_id)).copied().flatten();
    Progress {
        node_id,
        matched_index,
        lag_entries: next(metrics.last_log_index).saturating_sub(next(matched_index)),
        heard: heard.map(|heard| heard.elapsed()),
    }
}

fn is_live(progress: Progress) -> bool {
    progress.heard.is_some_and(|heard| heard < LIVE)
}

fn check_caught_up(progress: Progress) -> Result<(), ChangeRefusal> {
    let Progress { node_id, lag_entries: entries, .. } = progress;
    if !is_live(progress) {
        return Err(ChangeRefusal::Silent { node_id });
    }
    if entries > CAUGHT_UP_ENTRIES { Err(ChangeRefusal::Behind { node_id, entries }) } else { Ok(()) }
}

type Proposed<T> = Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

fn outcome<T>(proposed: Result<Proposed<T>, tokio::time::error::Elapsed>) -> Result<(), Failure> {
    match proposed {
        Ok(Ok(_response)) => Ok(()),
        // openraft says so only of what it did not append.
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => Err(Failure::NoLeader),
        Ok(Err(RaftError::APIError(
            ClientWriteError::PreconditionFailed(_)
            | ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ),
        ))) => Err(Failure::Busy),
        Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
            impossible @ (ChangeMembershipError::EmptyMembership(_)
            | ChangeMembershipError::LearnerNotFound(_)
            | ChangeMembershipError::UnsupportedMembershipTransition(_)
            | ChangeMembershipError::NodeMetadataChanged(_)),
        )))) => panic!("a change of one member is a valid one: {impossible}"),
        Ok(Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)))) | Err(_) => Err(Failure::OutcomeUnknown),
        Ok(Err(RaftError::Fatal(_stopped))) => Err(Failure::OutcomeUnknown),
    }
}
