//! What this node does for its peers: raft's messages go to raft, commands to the batcher if it leads, questions about
//! reads to the barrier, snapshots to their receiver, what concerns the cluster to its operations.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::Raft;
use openraft::errors::{Infallible, RaftError};
use partita_core::decision::Answer;
use partita_storage::codec::{CodecError, Levels, decode_commands};
use tokio::time::Instant;

use crate::barrier::Barrier;
use crate::batcher::{Batcher, SubmitError};
use crate::cluster::operations::Cluster;
use crate::leadership::{Leader, Leadership};
use crate::peer::message::{Receipt, Request, Response, SubmitFailure};
use crate::peer::{Caller, Handler, Refusal};
use crate::raft_types::TypeConfig;
use crate::snapshot::receive::Receiver;
use crate::state_machine::StateMachine;

/// The leader gives up this much before the node that waits for it, so that its answer still arrives.
const WAY_BACK: Duration = Duration::from_millis(100);

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) raft: Raft<TypeConfig, StateMachine>,
    pub(crate) batcher: Batcher,
    pub(crate) barrier: Barrier,
    pub(crate) leadership: Leadership,
    pub(crate) levels: Levels,
    pub(crate) snapshots: Receiver,
    pub(crate) cluster: Cluster,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Handler for Requests {
    fn handle(
        &self,
        caller: Caller,
        request: Request,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Response, Refusal>> {
        let Self { raft, batcher, barrier, leadership, levels, snapshots, cluster } = self.clone();
        match request {
            Request::Append(append) => {
                async move { raft.append_entries(append).await.map(Response::Append).map_err(stopped) }.boxed()
            }
            Request::Vote(vote) => async move { raft.vote(vote).await.map(Response::Vote).map_err(stopped) }.boxed(),
            Request::PreVote(vote) => {
                async move { raft.pre_vote(vote).await.map(Response::PreVote).map_err(stopped) }.boxed()
            }
            Request::TransferLeader(transfer) => async move {
                let answer = raft.handle_transfer_leader(transfer).await;
                answer.map(Response::TransferLeader).map_err(|_fatal| Refusal::Stopping)
            }
            .boxed(),
            Request::Submit(pieces) => async move {
                let result = match leadership.now() {
                    Leader::Own => submit(&batcher, &pieces, levels, deadline - WAY_BACK).await,
                    Leader::Other(_) | Leader::Unknown => Err(SubmitFailure::NoLeader),
                };
                Ok(Response::Submit(result))
            }
            .boxed(),
            Request::ReadIndex => async move { Ok(Response::ReadIndex(barrier.read_index(deadline).await)) }.boxed(),
            Request::Snapshot(request) => {
                let deadline = deadline - WAY_BACK;
                async move { Ok(Response::Snapshot(snapshots.handle(request, deadline).await)) }.boxed()
            }
            Request::Cluster(request) => async move {
                let response = cluster.handle(request, !caller.knows_cluster, deadline - WAY_BACK).await;
                Ok(Response::Cluster(response))
            }
            .boxed(),
        }
    }
}

/// Only the end of raft keeps it from answering its own messages.
fn stopped(error: RaftError<TypeConfig, Infallible>) -> Refusal {
    match error {
        RaftError::Fatal(_) => Refusal::Stopping,
        RaftError::APIError(never) => match never {},
    }
}

async fn submit(
    batcher: &Batcher,
    pieces: &[Bytes],
    levels: Levels,
    deadline: Instant,
) -> Result<Vec<Receipt>, SubmitFailure> {
    let decoded: Result<Vec<_>, CodecError> = pieces.iter().map(|piece| decode_commands(piece, levels)).collect();
    let batches = decoded.map_err(|_unreadable| SubmitFailure::Malformed)?;
    let commands = batches.into_iter().flat_map(|batch| batch.commands).collect();
    match batcher.submit(commands, deadline).await {
        Ok(answers) => Ok(answers.iter().map(receipt).collect()),
        Err(SubmitError::NoLeader) => Err(SubmitFailure::NoLeader),
        Err(SubmitError::Overloaded { retry_after }) => {
            let retry_after_ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
            Err(SubmitFailure::Overloaded { retry_after_ms })
        }
        Err(SubmitError::ShortOfDisk(shortage)) => Err(SubmitFailure::ShortOfDisk(shortage)),
        Err(SubmitError::ShuttingDown) => Err(SubmitFailure::Stopping),
        Err(SubmitError::Malformed(_)) => Err(SubmitFailure::Malformed),
        Err(SubmitError::OutcomeUnknown) => Err(SubmitFailure::OutcomeUnknown),
    }
}

fn receipt(answer: &Answer) -> Receipt {
    match answer {
        Answer::Decided(decision) => Receipt::Decided(decision.position),
        Answer::Replayed { position } => Receipt::Replayed(*position),
        Answer::KeyReused { position } => Receipt::KeyReused(*position),
    }
}
