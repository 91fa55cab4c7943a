//! The cluster itself: what it is like, and changes of its members and its leader. They are no decisions of the ledger
//! and have no idempotency keys: asked for again, what is so already is answered as done.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use partita_consensus::cluster::change::{Change, ChangeError, ChangeRefusal};
use partita_consensus::cluster::status::{ClusterStatus, MemberStatus, Standing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, json};
use crate::body::JsonBody;
use crate::path::PathArgs;
use crate::problem::{Code, Problem, ProblemJson};
use crate::write::{EmptyForm, MaybeForm};
use partita_consensus::Role;

/// The cluster, as the asked node sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cluster)]
pub struct ClusterJson {
    /// Its random name, given when it was founded.
    pub cluster: String,
    /// The node that answers.
    pub node_id: u64,
    /// Null while nobody leads.
    pub leader: Option<u64>,
    pub term: u64,
    /// The active level of the replicated rules.
    pub level: u8,
    /// An id that a new node may take, as any above it: none is given twice.
    pub next_node_id: u64,
    /// Of the leader's raft log; null while nobody leads.
    pub last_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub members: Vec<MemberJson>,
}

/// One member.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberJson {
    pub node_id: u64,
    /// Where its peers reach it.
    pub address: String,
    /// voter; learner (votes once it has caught up); standby (a learner until it is promoted); announced (has not come)
    pub standing: &'static str,
    /// leader, candidate, follower, learner or stopped, as it says itself; null if it did not answer
    pub role: Option<&'static str>,
    /// The last raft entry that the leader knows it to have; null for the leader, or while nobody leads.
    pub matched_index: Option<u64>,
    /// Raft entries that it may lack of the leader's log.
    pub lag_entries: Option<u64>,
    /// Milliseconds since the leader last heard from it.
    pub heard_ms: Option<u64>,
    pub applied_index: Option<u64>,
    /// The last decision that it has applied.
    pub position: Option<u64>,
    /// The newest level that its program knows, and the program's version.
    pub newest_level: Option<u8>,
    pub version: Option<String>,
}

/// A node that is announced before it comes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewMember)]
#[serde(deny_unknown_fields)]
pub struct AddForm {
    pub node_id: u64,
    /// Where its peers will reach it: host:port.
    pub address: String,
    /// It stays a learner until it is promoted.
    #[serde(default)]
    pub standby: bool,
}

/// Who is to lead.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = TransferLeader)]
#[serde(deny_unknown_fields)]
pub struct TransferForm {
    /// Left out: the voter whose log is longest.
    pub node_id: Option<u64>,
}

impl ClusterJson {
    fn of(status: ClusterStatus) -> Self {
        Self {
            cluster: status.cluster.to_string(),
            node_id: status.node_id,
            leader: status.leader,
            term: status.term,
            level: status.level,
            next_node_id: status.greatest_node_id + 1,
            last_index: status.last_index,
            committed_index: status.committed_index,
            members: status.members.into_iter().map(MemberJson::of).collect(),
        }
    }
}

impl MemberJson {
    fn of(member: MemberStatus) -> Self {
        let MemberStatus { node_id, address, standing, progress, report } = member;
        let heard = progress.and_then(|progress| progress.heard);
        Self {
            node_id,
            address,
            standing: match standing {
                Standing::Voter => "voter",
                Standing::Learner => "learner",
                Standing::Standby => "standby",
                Standing::Announced => "announced",
            },
            role: report.as_ref().map(|report| role_name(report.role)),
            matched_index: progress.and_then(|progress| progress.matched_index),
            lag_entries: progress.map(|progress| progress.lag_entries),
            heard_ms: heard.map(|heard| u64::try_from(heard.as_millis()).unwrap_or(u64::MAX)),
            applied_index: report.as_ref().and_then(|report| report.applied_index),
            position: report.as_ref().map(|report| report.position),
            newest_level: report.as_ref().map(|report| report.newest_level),
            version: report.map(|report| report.version),
        }
    }
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Candidate => "candidate",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}

/// Members, leader, progress. Answered by every node, also while nobody leads; what nobody could say is null.
#[utoipa::path(get, path = "/v1/cluster", tag = "cluster",
    responses((status = 200, body = ClusterJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>) -> Response {
    status(&app, StatusCode::OK).await
}

/// Announces a node: its id is kept for it, and it joins with it. Nodes that nobody announced may join, too.
#[utoipa::path(post, path = "/v1/cluster/members", tag = "cluster", request_body = AddForm,
    responses((status = 201, body = ClusterJson), (status = "default", body = ProblemJson)))]
pub async fn add(State(app): State<App>, body: JsonBody) -> Result<Response, Problem> {
    let change =
        body.read(|AddForm { node_id, address, standby }| Ok(Change::Add { node_id, address, standby })).await?;
    make(&app, change, StatusCode::CREATED).await
}

/// Removes a member for good: it cannot come back under its id.
#[utoipa::path(delete, path = "/v1/cluster/members/{id}", tag = "cluster", params(("id" = u64, Path)),
    responses((status = 200, body = ClusterJson), (status = "default", body = ProblemJson)))]
pub async fn remove(State(app): State<App>, path: PathArgs) -> Result<Response, Problem> {
    make(&app, Change::Remove { node_id: path.member()? }, StatusCode::OK).await
}

/// Lets a learner vote. One that is not on standby is promoted by itself once it has caught up.
#[utoipa::path(post, path = "/v1/cluster/members/{id}/promote", tag = "cluster", params(("id" = u64, Path)),
    responses((status = 200, body = ClusterJson), (status = "default", body = ProblemJson)))]
pub async fn promote(State(app): State<App>, path: PathArgs, body: MaybeForm<EmptyForm>) -> Result<Response, Problem> {
    let change = Change::Promote { node_id: path.member()? };
    body.read(|EmptyForm {}| Ok(())).await?;
    make(&app, change, StatusCode::OK).await
}

/// Hands the lead to another voter.
#[utoipa::path(post, path = "/v1/cluster/transfer-leader", tag = "cluster", request_body = TransferForm,
    responses((status = 200, body = ClusterJson), (status = "default", body = ProblemJson)))]
pub async fn transfer_leader(State(app): State<App>, body: MaybeForm<TransferForm>) -> Result<Response, Problem> {
    let change = body.read(|TransferForm { node_id }| Ok(Change::TransferLeader { to: node_id })).await?;
    make(&app, change, StatusCode::OK).await
}

/// The answer shows the cluster after the change.
async fn make(app: &App, change: Change, status_code: StatusCode) -> Result<Response, Problem> {
    tracing::info!(%change, "a change of the cluster was asked for");
    app.node().cluster().change(change, App::deadline()).await.map_err(change_problem)?;
    Ok(status(app, status_code).await)
}

async fn status(app: &App, status_code: StatusCode) -> Response {
    json(status_code, &ClusterJson::of(app.node().cluster().status(App::deadline()).await))
}

fn change_problem(error: ChangeError) -> Problem {
    let detail = error.to_string();
    match error {
        ChangeError::Alone => Problem::new(Code::NotClustered, detail),
        ChangeError::Refused(refusal) => refusal_problem(&refusal, detail),
        ChangeError::NoLeader => Problem::new(Code::NoLeader, detail),
        ChangeError::Busy => Problem::new(Code::ChangeInProgress, detail),
        ChangeError::OutcomeUnknown => Problem::new(Code::OutcomeUnknown, detail),
        ChangeError::ShuttingDown => Problem::new(Code::ShuttingDown, detail),
    }
}

fn refusal_problem(refusal: &ChangeRefusal, detail: String) -> Problem {
    match refusal {
        ChangeRefusal::BadAddress { .. } => Problem::malformed(detail).at("/address"),
        ChangeRefusal::BadId => Problem::malformed(detail).at("/node_id"),
        ChangeRefusal::NotAMember { .. } => Problem::not_found(detail),
        ChangeRefusal::IdIsMember { node_id: _, greatest } | ChangeRefusal::IdWasMember { node_id: _, greatest } => {
            Problem::new(Code::MembershipRefused, detail).with("next_node_id", greatest + 1)
        }
        ChangeRefusal::Behind { node_id: _, entries } => {
            Problem::new(Code::MembershipRefused, detail).with("lag_entries", *entries)
        }
        ChangeRefusal::AddressTaken { .. }
        | ChangeRefusal::OtherAddress { .. }
        | ChangeRefusal::NotAVoter { .. }
        | ChangeRefusal::NotComeYet { .. }
        | ChangeRefusal::Silent { .. }
        | ChangeRefusal::LastVoter { .. }
        | ChangeRefusal::NoQuorumLeft { .. }
        | ChangeRefusal::NotTakenOver { .. }
        | ChangeRefusal::NobodyElse => Problem::new(Code::MembershipRefused, detail),
    }
}
