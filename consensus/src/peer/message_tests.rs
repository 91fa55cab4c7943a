//! The bytes of every message: they never change, and nothing shorter or longer passes for one.

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use partita_core::id::Position;
use partita_storage::codec::{Level, Levels};
use partita_storage::log::{EntryId, Vote};

use super::handshake::{Hello, Welcome};
use super::message::{ReadIndexFailure, Receipt, Request, Response, SubmitFailure};
use super::{Channel, PeerIdentity, Refusal};
use crate::Shortage;
use crate::data_directory::ClusterId;
use crate::raft_types::{Member, Proposal, RaftEntry, RaftLogId, RaftMembership, RaftVote, raft_log_id, raft_vote};

fn id(index: u64) -> RaftLogId {
    raft_log_id(EntryId { term: 3, node: 2, index })
}

fn vote(committed: bool) -> RaftVote {
    raft_vote(Vote { term: 3, node: 2, committed })
}

fn requests() -> Vec<(&'static str, Request)> {
    let member = Member { address: "n2:7000".to_owned(), ..Member::default() };
    let membership =
        RaftMembership::new(vec![[2].into()], [(2, member)].into_iter().collect::<std::collections::BTreeMap<_, _>>())
            .unwrap();
    let entries = vec![
        RaftEntry { log_id: id(8), payload: EntryPayload::Blank },
        RaftEntry { log_id: id(9), payload: EntryPayload::Normal(Proposal(Bytes::from_static(b"abc"))) },
        RaftEntry { log_id: id(10), payload: EntryPayload::Membership(membership) },
    ];
    let append =
        AppendEntriesRequest { vote: vote(true), prev_log_id: Some(id(7)), entries, leader_commit: Some(id(6)) };
    let heartbeat = AppendEntriesRequest { vote: vote(true), prev_log_id: None, entries: vec![], leader_commit: None };
    let ask = VoteRequest { vote: vote(false), last_log_id: Some(id(7)), leadership_transfer: true };
    vec![
        ("append", Request::Append(append)),
        ("heartbeat", Request::Append(heartbeat)),
        ("vote", Request::Vote(ask.clone())),
        ("pre-vote", Request::PreVote(VoteRequest { last_log_id: None, leadership_transfer: false, ..ask })),
        ("transfer-leader", Request::TransferLeader(TransferLeaderRequest::new(vote(true), 5, Some(id(7))))),
        ("submit", Request::Submit(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")])),
        ("read-index", Request::ReadIndex),
    ]
}

fn responses() -> Vec<(&'static str, Response)> {
    let receipts = vec![Receipt::Decided(Position(5)), Receipt::Replayed(Position(2)), Receipt::KeyReused(Position(3))];
    let granted = VoteResponse { vote: vote(false), vote_granted: true, last_log_id: Some(id(7)) };
    let changed = TransferLeaderError::VoteChanged { expected: vote(true), actual: vote(false) };
    let behind = TransferLeaderError::LogNotFlushed { expected: Some(id(7)), actual: None };
    let shortage = Shortage { free_bytes: 700, needed_bytes: 1_024 };
    vec![
        ("append success", Response::Append(AppendEntriesResponse::Success)),
        ("append partial", Response::Append(AppendEntriesResponse::PartialSuccess(Some(id(7))))),
        ("append conflict", Response::Append(AppendEntriesResponse::Conflict)),
        ("append higher-vote", Response::Append(AppendEntriesResponse::HigherVote(vote(true)))),
        ("vote granted", Response::Vote(granted.clone())),
        ("pre-vote refused", Response::PreVote(VoteResponse { vote_granted: false, last_log_id: None, ..granted })),
        ("transfer-leader accepted", Response::TransferLeader(Ok(()))),
        ("transfer-leader vote", Response::TransferLeader(Err(changed))),
        ("transfer-leader log", Response::TransferLeader(Err(behind))),
        ("submit receipts", Response::Submit(Ok(receipts))),
        ("submit no-leader", Response::Submit(Err(SubmitFailure::NoLeader))),
        ("submit overloaded", Response::Submit(Err(SubmitFailure::Overloaded { retry_after_ms: 1_000 }))),
        ("submit short-of-disk", Response::Submit(Err(SubmitFailure::ShortOfDisk(shortage)))),
        ("submit stopping", Response::Submit(Err(SubmitFailure::Stopping))),
        ("submit malformed", Response::Submit(Err(SubmitFailure::Malformed))),
        ("submit unknown", Response::Submit(Err(SubmitFailure::OutcomeUnknown))),
        ("read-index", Response::ReadIndex(Ok(id(7)))),
        ("read-index no-leader", Response::ReadIndex(Err(ReadIndexFailure::NoLeader))),
        ("read-index stopping", Response::ReadIndex(Err(ReadIndexFailure::Stopping))),
    ]
}

fn levels(oldest: u8, newest: u8) -> Levels {
    Levels::between(Level::new(oldest).unwrap(), Level::new(newest).unwrap()).unwrap()
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let (own, named) = (ClusterId([1; 16]), ClusterId([2; 16]));
    vec![
        ("version", Refusal::Version { oldest: 1, newest: 2 }),
        ("other-cluster", Refusal::OtherCluster { own, named }),
        ("other-node", Refusal::OtherNode { own: 1, expected: 2 }),
        ("same-node", Refusal::SameNode { node: 1 }),
        ("levels", Refusal::Levels { own: levels(1, 2), named: levels(3, 4) }),
        ("cluster-not-named", Refusal::ClusterNotNamed),
        ("unreadable", Refusal::Unreadable),
        ("unavailable", Refusal::Unavailable { reason: "why".to_owned() }),
        ("stopping", Refusal::Stopping),
        ("active-level", Refusal::ActiveLevel { active: Level::FIRST.next(), known: levels(1, 1) }),
    ]
}

fn hellos() -> Vec<(&'static str, Hello)> {
    let identity = PeerIdentity { cluster: Some(ClusterId([1; 16])), node_id: 4, levels: levels(1, 2) };
    let outside = PeerIdentity { cluster: None, ..identity };
    vec![
        ("member", Hello { identity, active: Level::new(2), expected: Some(5), channel: Channel::Bulk }),
        ("outside", Hello { identity: outside, active: None, expected: None, channel: Channel::Control }),
    ]
}

fn welcome(hello: &Hello) -> Welcome {
    Welcome { identity: hello.identity, active: hello.active }
}

fn hex(put: impl FnOnce(&mut Vec<u8>)) -> String {
    bytes(put).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(put: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    put(&mut out);
    Bytes::from(out)
}

#[test]
fn sent_bytes_never_change() {
    let mut lines = Vec::new();
    lines.extend(requests().iter().map(|(name, it)| format!("request {name}: {}", hex(|out| it.put(out)))));
    lines.extend(responses().iter().map(|(name, it)| format!("answer {name}: {}", hex(|out| it.put(out)))));
    lines.extend(refusals().iter().map(|(name, it)| format!("refusal {name}: {}", hex(|out| it.put(out)))));
    lines.extend(hellos().iter().map(|(name, it)| format!("hello {name}: {}", hex(|out| it.put(out)))));
    lines.extend(hellos().iter().map(|(name, it)| format!("welcome {name}: {}", hex(|out| welcome(it).put(out)))));
    let sent = lines.join("\n") + "\n";
    assert_eq!(sent, include_str!("../../testdata/peer_messages.txt"), "it is now:\n{sent}");
}

#[test]
fn messages_come_back_as_they_were() {
    for (name, request) in requests() {
        let sent = bytes(|out| request.put(out));
        // openraft's requests cannot be compared; their bytes can.
        let again = Request::take(&sent).unwrap();
        assert_eq!(bytes(|out| again.put(out)), sent, "{name}");
    }
    for (name, response) in responses() {
        assert_eq!(Response::take(&bytes(|out| response.put(out))), Ok(response), "{name}");
    }
    for (name, refusal) in refusals() {
        assert_eq!(Refusal::take(&bytes(|out| refusal.put(out))), Ok(refusal), "{name}");
    }
    for (name, hello) in hellos() {
        assert_eq!(Hello::take(&bytes(|out| hello.put(out))), Ok(Ok(hello)), "{name}");
        let welcome = welcome(&hello);
        assert_eq!(Welcome::take(&bytes(|out| welcome.put(out))), Ok(welcome), "{name}");
    }
}

fn check_lengths(name: &str, whole: &Bytes, is_read: impl Fn(&Bytes) -> bool) {
    assert!(is_read(whole), "{name}");
    for length in 0..whole.len() {
        assert!(!is_read(&whole.slice(..length)), "{name}: {length} bytes");
    }
    let longer = bytes(|out| {
        out.extend_from_slice(whole);
        out.push(0);
    });
    assert!(!is_read(&longer), "{name}: a byte more");
}

#[test]
fn every_shorter_or_longer_input_is_refused() {
    for (name, request) in requests() {
        check_lengths(name, &bytes(|out| request.put(out)), |input| Request::take(input).is_ok());
    }
    for (name, response) in responses() {
        check_lengths(name, &bytes(|out| response.put(out)), |input| Response::take(input).is_ok());
    }
    for (name, refusal) in refusals() {
        check_lengths(name, &bytes(|out| refusal.put(out)), |input| Refusal::take(input).is_ok());
    }
    for (name, hello) in hellos() {
        check_lengths(name, &bytes(|out| hello.put(out)), |input| Hello::take(input).is_ok());
        check_lengths(name, &bytes(|out| welcome(&hello).put(out)), |input| Welcome::take(input).is_ok());
    }
}

#[test]
fn a_hello_of_another_version_is_told_which_are_spoken() {
    let mut hello = bytes(|out| hellos()[0].1.put(out)).to_vec();
    hello[7] = 2;
    hello[8] = 9;
    hello.truncate(9);
    hello.extend_from_slice(b"whatever a later version says here");
    assert_eq!(Hello::take(&hello), Ok(Err(Refusal::Version { oldest: 1, newest: 1 })));
}
