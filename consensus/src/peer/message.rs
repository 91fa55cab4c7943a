//! What nodes say to each other: requests and their answers, and their bytes.
//!
//! The first byte says which; integers are little-endian, a count or a length is a `u32`. The frame around a message
//! has the checksum, the handshake has settled the version. Payloads of log entries are slices of the frame they
//! came in.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use partita_core::id::Position;
use partita_storage::log::{EntryKind, LogEntry, Vote};

use crate::cluster::message::{ClusterRequest, ClusterResponse};
use crate::codec::{CodecError, Input, put_count, put_log_id};
use crate::disk::Shortage;
use crate::raft_types::{
    RaftLogId, RaftVote, TypeConfig, raft_entry, raft_log_id, raft_vote, stored_entry, stored_vote,
};
use crate::snapshot::message::{SnapshotRequest, SnapshotResponse};

/// What a node asks of another.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Entries of the log or, without any, a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Encoded commands to propose, as `partita_storage::codec::encode_commands` makes them. Only the leader does.
    Submit(Vec<Bytes>),
    /// Up to which entry a read has to wait. Only the leader knows.
    ReadIndex,
    Snapshot(SnapshotRequest),
    Cluster(ClusterRequest),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    PreVote(VoteResponse<TypeConfig>),
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    Submit(Result<Vec<Receipt>, SubmitFailure>),
    ReadIndex(Result<RaftLogId, ReadIndexFailure>),
    Snapshot(SnapshotResponse),
    Cluster(ClusterResponse),
}

/// What became of a forwarded command, and where the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    Decided(Position),
    Replayed(Position),
    KeyReused(Position),
}

impl Receipt {
    pub(crate) fn position(self) -> Position {
        match self {
            Self::Decided(position) | Self::Replayed(position) | Self::KeyReused(position) => position,
        }
    }
}

/// Why the leader gives no receipts. All but the last: nothing was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitFailure {
    /// It does not lead, or not any more.
    NoLeader,
    Overloaded {
        retry_after_ms: u32,
    },
    ShortOfDisk(Shortage),
    Stopping,
    Malformed,
    OutcomeUnknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadIndexFailure {
    /// It does not lead, or no quorum confirmed that it does.
    NoLeader,
    Stopping,
}

impl Request {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Append(append) => {
                out.push(0);
                put_append(out, append);
            }
            Self::Vote(vote) => {
                out.push(1);
                put_vote_request(out, vote);
            }
            Self::PreVote(vote) => {
                out.push(2);
                put_vote_request(out, vote);
            }
            Self::TransferLeader(transfer) => {
                out.push(3);
                put_vote(out, transfer.from_leader());
                out.extend_from_slice(&transfer.to_node_id().to_le_bytes());
                put_log_id(out, transfer.last_log_id());
            }
            Self::Submit(pieces) => {
                out.push(4);
                put_count(out, pieces.len());
                for piece in pieces {
                    put_count(out, piece.len());
                    out.extend_from_slice(piece);
                }
            }
            Self::ReadIndex => out.push(5),
            Self::Snapshot(request) => {
                out.push(6);
                request.put(out);
            }
            Self::Cluster(request) => {
                out.push(7);
                request.put(out);
            }
        }
    }

    pub(crate) fn take(frame: &Bytes) -> Result<Self, CodecError> {
        let mut input = Input::new("a request", frame);
        let request = match input.byte()? {
            0 => Self::Append(take_append(&mut input, frame)?),
            1 => Self::Vote(take_vote_request(&mut input)?),
            2 => Self::PreVote(take_vote_request(&mut input)?),
            3 => Self::TransferLeader(TransferLeaderRequest::new(
                take_vote(&mut input)?,
                input.integer()?,
                input.log_id()?,
            )),
            4 => {
                let mut pieces = Vec::new();
                for _ in 0..input.count()? {
                    let length = input.count()?;
                    pieces.push(frame.slice_ref(input.take(length)?));
                }
                Self::Submit(pieces)
            }
            5 => Self::ReadIndex,
            6 => Self::Snapshot(SnapshotRequest::take(&mut input)?),
            7 => Self::Cluster(ClusterRequest::take(&mut input)?),
            _ => return Err(input.invalid()),
        };
        input.end()?;
        Ok(request)
    }
}

impl Response {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Append(append) => {
                out.push(0);
                put_append_response(out, append);
            }
            Self::Vote(vote) => {
                out.push(1);
                put_vote_response(out, vote);
            }
            Self::PreVote(vote) => {
                out.push(2);
                put_vote_response(out, vote);
            }
            Self::TransferLeader(transfer) => {
                out.push(3);
                put_transfer_response(out, transfer);
            }
            Self::Submit(result) => {
                out.push(4);
                put_submit_response(out, result.as_deref());
            }
            Self::ReadIndex(result) => {
                out.push(5);
                match result {
                    Ok(id) => put_log_id(out, Some(id)),
                    Err(ReadIndexFailure::NoLeader) => out.push(2),
                    Err(ReadIndexFailure::Stopping) => out.push(3),
                }
            }
            Self::Snapshot(response) => {
                out.push(6);
                response.put(out);
            }
            Self::Cluster(response) => {
                out.push(7);
                response.put(out);
            }
        }
    }

    pub(crate) fn take(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input::new("an answer", bytes);
        let response = match input.byte()? {
            0 => Self::Append(take_append_response(&mut input)?),
            1 => Self::Vote(take_vote_response(&mut input)?),
            2 => Self::PreVote(take_vote_response(&mut input)?),
            3 => Self::TransferLeader(take_transfer_response(&mut input)?),
            4 => Self::Submit(take_submit_response(&mut input)?),
            5 => Self::ReadIndex(take_read_index(&mut input)?),
            6 => Self::Snapshot(SnapshotResponse::take(&mut input)?),
            7 => Self::Cluster(ClusterResponse::take(&mut input)?),
            _ => return Err(input.invalid()),
        };
        input.end()?;
        Ok(response)
    }
}

fn put_append(out: &mut Vec<u8>, append: &AppendEntriesRequest<TypeConfig>) {
    put_vote(out, &append.vote);
    put_log_id(out, append.prev_log_id.as_ref());
    put_log_id(out, append.leader_commit.as_ref());
    put_count(out, append.entries.len());
    for entry in &append.entries {
        let LogEntry { id, kind, payload } = stored_entry(entry);
        out.push(match kind {
            EntryKind::Blank => 0,
            EntryKind::Commands => 1,
            EntryKind::Membership => 2,
        });
        for number in [id.term, id.node, id.index] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_count(out, payload.len());
        out.extend_from_slice(&payload);
    }
}

fn take_append(input: &mut Input<'_>, frame: &Bytes) -> Result<AppendEntriesRequest<TypeConfig>, CodecError> {
    let vote = take_vote(input)?;
    let prev_log_id = input.log_id()?;
    let leader_commit = input.log_id()?;
    let mut entries = Vec::new();
    for _ in 0..input.count()? {
        let kind = match input.byte()? {
            0 => EntryKind::Blank,
            1 => EntryKind::Commands,
            2 => EntryKind::Membership,
            _ => return Err(input.invalid()),
        };
        let id = input.entry_id()?;
        let length = input.count()?;
        let payload = frame.slice_ref(input.take(length)?);
        entries.push(raft_entry(LogEntry { id, kind, payload })?);
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

fn put_append_response(out: &mut Vec<u8>, response: &AppendEntriesResponse<TypeConfig>) {
    match response {
        AppendEntriesResponse::Success => out.push(0),
        AppendEntriesResponse::PartialSuccess(upto) => {
            out.push(1);
            put_log_id(out, upto.as_ref());
        }
        AppendEntriesResponse::Conflict => out.push(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.push(3);
            put_vote(out, vote);
        }
    }
}

fn take_append_response(input: &mut Input<'_>) -> Result<AppendEntriesResponse<TypeConfig>, CodecError> {
    match input.byte()? {
        0 => Ok(AppendEntriesResponse::Success),
        1 => Ok(AppendEntriesResponse::PartialSuccess(input.log_id()?)),
        2 => Ok(AppendEntriesResponse::Conflict),
        3 => Ok(AppendEntriesResponse::HigherVote(take_vote(input)?)),
        _ => Err(input.invalid()),
    }
}

fn put_vote(out: &mut Vec<u8>, vote: &RaftVote) {
    let Vote { term, node, committed } = stored_vote(vote);
    out.extend_from_slice(&term.to_le_bytes());
    out.extend_from_slice(&node.to_le_bytes());
    out.push(u8::from(committed));
}

fn take_vote(input: &mut Input<'_>) -> Result<RaftVote, CodecError> {
    let (term, node, committed) = (input.integer()?, input.integer()?, input.flag()?);
    Ok(raft_vote(Vote { term, node, committed }))
}

fn put_vote_request(out: &mut Vec<u8>, request: &VoteRequest<TypeConfig>) {
    put_vote(out, &request.vote);
    put_log_id(out, request.last_log_id.as_ref());
    out.push(u8::from(request.leadership_transfer));
}

fn take_vote_request(input: &mut Input<'_>) -> Result<VoteRequest<TypeConfig>, CodecError> {
    let (vote, last_log_id, leadership_transfer) = (take_vote(input)?, input.log_id()?, input.flag()?);
    Ok(VoteRequest { vote, last_log_id, leadership_transfer })
}

fn put_vote_response(out: &mut Vec<u8>, response: &VoteResponse<TypeConfig>) {
    put_vote(out, &response.vote);
    out.push(u8::from(response.vote_granted));
    put_log_id(out, response.last_log_id.as_ref());
}

fn take_vote_response(input: &mut Input<'_>) -> Result<VoteResponse<TypeConfig>, CodecError> {
    let (vote, vote_granted, last_log_id) = (take_vote(input)?, input.flag()?, input.log_id()?);
    Ok(VoteResponse { vote, vote_granted, last_log_id })
}

fn put_transfer_response(out: &mut Vec<u8>, response: &TransferLeaderResponse<TypeConfig>) {
    match response {
        Ok(()) => out.push(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.push(1);
            put_vote(out, expected);
            put_vote(out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.push(2);
            put_log_id(out, expected.as_ref());
            put_log_id(out, actual.as_ref());
        }
    }
}

fn take_transfer_response(input: &mut Input<'_>) -> Result<TransferLeaderResponse<TypeConfig>, CodecError> {
    match input.byte()? {
        0 => Ok(Ok(())),
        1 => Ok(Err(TransferLeaderError::VoteChanged { expected: take_vote(input)?, actual: take_vote(input)? })),
        2 => Ok(Err(TransferLeaderError::LogNotFlushed { expected: input.log_id()?, actual: input.log_id()? })),
        _ => Err(input.invalid()),
    }
}

fn put_submit_response(out: &mut Vec<u8>, result: Result<&[Receipt], &SubmitFailure>) {
    match result {
        Ok(receipts) => {
            out.push(0);
            put_count(out, receipts.len());
            for receipt in receipts {
                let (tag, position) = match receipt {
                    Receipt::Decided(position) => (0, position),
                    Receipt::Replayed(position) => (1, position),
                    Receipt::KeyReused(position) => (2, position),
                };
                out.push(tag);
                out.extend_from_slice(&position.0.to_le_bytes());
            }
        }
        Err(SubmitFailure::NoLeader) => out.push(1),
        Err(SubmitFailure::Overloaded { retry_after_ms }) => {
            out.push(2);
            out.extend_from_slice(&retry_after_ms.to_le_bytes());
        }
        Err(SubmitFailure::Stopping) => out.push(3),
        Err(SubmitFailure::Malformed) => out.push(4),
        Err(SubmitFailure::OutcomeUnknown) => out.push(5),
        Err(SubmitFailure::ShortOfDisk(Shortage { free_bytes, needed_bytes })) => {
            out.push(6);
            out.extend_from_slice(&free_bytes.to_le_bytes());
            out.extend_from_slice(&needed_bytes.to_le_bytes());
        }
    }
}

fn take_submit_response(input: &mut Input<'_>) -> Result<Result<Vec<Receipt>, SubmitFailure>, CodecError> {
    Ok(match input.byte()? {
        0 => {
            let mut receipts = Vec::new();
            for _ in 0..input.count()? {
                let (tag, position) = (input.byte()?, Position(input.integer()?));
                receipts.push(match tag {
                    0 => Receipt::Decided(position),
                    1 => Receipt::Replayed(position),
                    2 => Receipt::KeyReused(position),
                    _ => return Err(input.invalid()),
                });
            }
            Ok(receipts)
        }
        1 => Err(SubmitFailure::NoLeader),
        2 => Err(SubmitFailure::Overloaded { retry_after_ms: input.short()? }),
        3 => Err(SubmitFailure::Stopping),
        4 => Err(SubmitFailure::Malformed),
        5 => Err(SubmitFailure::OutcomeUnknown),
        6 => Err(SubmitFailure::ShortOfDisk(Shortage { free_bytes: input.integer()?, needed_bytes: input.integer()? })),
        _ => return Err(input.invalid()),
    })
}

fn take_read_index(input: &mut Input<'_>) -> Result<Result<RaftLogId, ReadIndexFailure>, CodecError> {
    match input.byte()? {
        1 => Ok(Ok(raft_log_id(input.entry_id()?))),
        2 => Ok(Err(ReadIndexFailure::NoLeader)),
        3 => Ok(Err(ReadIndexFailure::Stopping)),
        _ => Err(input.invalid()),
    }
}
