//! openraft's network over the connections to other nodes.
//!
//! Entries go one message behind the other, several unanswered at a time, on the bulk channel; heartbeats and votes on
//! the control channel, so that they never wait behind them. openraft's time limits are those of a request with one
//! answer; a stream of appends is bounded by the connection's own life (`docs/cluster.md`).

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::entry::RaftEntry as _;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EntryPayload, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use tokio::time::Instant;

use crate::peer::message::{Request, Response};
use crate::peer::{Channel, PeerAddress, PeerError, Peers};
use crate::raft_types::{Member, RaftLogId, TypeConfig, stored_vote};
use crate::snapshot::exports::Exports;
use crate::snapshot::send::{PeerWay, send};
use crate::state_machine::SnapshotHandle;

/// Appends on their way to one follower: the most messages, and the bytes after which no more are added.
const IN_FLIGHT: usize = 64;
const IN_FLIGHT_BYTES: usize = 16 << 20;
/// What a follower may take to make entries durable. A dead connection is found out long before.
const APPEND_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Network {
    peers: Peers,
    exports: Exports,
}

/// One follower, reached over one channel.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    peers: Peers,
    to: PeerAddress,
    channel: Channel,
    exports: Exports,
}

impl Network {
    pub(crate) fn new(peers: Peers, exports: Exports) -> Self {
        Self { peers, exports }
    }

    fn follower(&self, target: u64, member: &Member, channel: Channel) -> Follower {
        let to = PeerAddress { address: member.address.clone(), node_id: Some(target) };
        Follower { peers: self.peers.clone(), to, channel, exports: self.exports.clone() }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Follower;

    async fn new_client(&mut self, target: u64, member: &Member) -> Follower {
        self.follower(target, member, Channel::Bulk)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Follower {
        self.follower(target, member, Channel::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, member: &Member) -> Follower {
        self.follower(target, member, Channel::Snapshot)
    }
}

/// A peer that answers something else than was asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is to another question")]
struct OtherAnswer;

/// After what was surely not done openraft waits a little; after the rest it asks again.
fn rpc_error(error: &PeerError) -> RPCError<TypeConfig> {
    match error {
        PeerError::NotSent(_) | PeerError::Refused(_) => Unreachable::new(error).into(),
        PeerError::Unknown(_) => NetworkError::new(error).into(),
    }
}

fn other_answer() -> RPCError<TypeConfig> {
    NetworkError::new(&OtherAnswer).into()
}

impl Follower {
    /// Asks on the control channel, within openraft's limit.
    async fn ask(&self, request: Request, option: &RPCOption) -> Result<Response, RPCError<TypeConfig>> {
        let deadline = Instant::now() + option.soft_ttl();
        self.peers.call(&self.to, Channel::Control, &request, deadline).await.map_err(|error| rpc_error(&error))
    }

    async fn send(&self, append: AppendEntriesRequest<TypeConfig>) -> Append {
        let prev = append.prev_log_id;
        let last = append.entries.last().map(|entry| entry.log_id()).or(prev);
        let bytes = append.entries.iter().map(weight_bytes).sum();
        let deadline = Instant::now() + APPEND_DEADLINE;
        let sent = self.peers.send(&self.to, self.channel, &Request::Append(append), deadline).await;
        let answer = async { sent?.response().await }.boxed();
        Append { prev, last, bytes, answer }
    }
}

fn weight_bytes(entry: &crate::raft_types::RaftEntry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

/// A message on its way.
struct Append {
    prev: Option<RaftLogId>,
    last: Option<RaftLogId>,
    bytes: usize,
    answer: BoxFuture<'static, Result<Response, PeerError>>,
}

type Appended = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

impl Append {
    fn appended(&self, answer: Result<Response, PeerError>) -> Appended {
        match answer {
            Ok(Response::Append(answer)) => Ok(answer.into_stream_result(self.prev, self.last)),
            Ok(_) => Err(other_answer()),
            Err(error) => Err(rpc_error(&error)),
        }
    }
}

/// Appends that follow each other without waiting for answers, which come back in the same order.
struct Pipeline<S> {
    follower: Follower,
    /// None when it has ended.
    input: Option<S>,
    sent: VecDeque<Append>,
    sent_bytes: usize,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> Pipeline<S> {
    /// The next answer and, unless it ends the stream, what comes after.
    async fn next(mut self) -> Option<(Appended, Option<Self>)> {
        loop {
            let has_room = self.sent.len() < IN_FLIGHT && self.sent_bytes < IN_FLIGHT_BYTES;
            tokio::select! {
                biased;
                answer = oldest(&mut self.sent), if !self.sent.is_empty() => {
                    let append = self.sent.pop_front().expect("its answer has come");
                    self.sent_bytes -= append.bytes;
                    let appended = append.appended(answer);
                    // What was sent behind a conflict conflicts too; openraft begins again elsewhere.
                    let goes_on = matches!(appended, Ok(Ok(_)));
                    return Some((appended, goes_on.then_some(self)));
                }
                request = next_of(&mut self.input), if has_room && self.input.is_some() => match request {
                    Some(request) => {
                        let append = self.follower.send(request).await;
                        self.sent_bytes += append.bytes;
                        self.sent.push_back(append);
                    }
                    None => self.input = None,
                },
                else => return None,
            }
        }
    }
}

async fn oldest(sent: &mut VecDeque<Append>) -> Result<Response, PeerError> {
    match sent.front_mut() {
        Some(append) => (&mut append.answer).await,
        None => std::future::pending().await,
    }
}

async fn next_of<S: Stream + Unpin>(input: &mut Option<S>) -> Option<S::Item> {
    match input {
        Some(input) => input.next().await,
        None => std::future::pending().await,
    }
}

impl RaftNetworkV2<TypeConfig> for Follower {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let Response::Append(answer) = self.ask(Request::Append(rpc), &option).await? else {
            return Err(other_answer());
        };
        Ok(answer)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let pipeline = Pipeline { follower: self.clone(), input: Some(input), sent: VecDeque::new(), sent_bytes: 0 };
        let answers = stream::unfold(Some(pipeline), |pipeline| async { pipeline?.next().await });
        async move { Ok(answers.boxed()) }.boxed()
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let Response::Vote(answer) = self.ask(Request::Vote(rpc), &option).await? else { return Err(other_answer()) };
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let Response::PreVote(answer) = self.ask(Request::PreVote(rpc), &option).await? else {
            return Err(other_answer());
        };
        Ok(answer)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotHandle>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let way = PeerWay { peers: &self.peers, to: &self.to };
        send(&self.exports, &way, stored_vote(&vote), snapshot, cancel).await
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let Response::TransferLeader(answer) = self.ask(Request::TransferLeader(rpc), &option).await? else {
            return Err(other_answer());
        };
        Ok(answer)
    }
}
