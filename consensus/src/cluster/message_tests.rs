//! The bytes of what nodes say about the cluster: they never change, and nothing shorter or longer passes for one.

use std::time::Duration;

use super::change::{Change, ChangeRefusal};
use super::message::{ClusterRequest, ClusterResponse, Failure, Join};
use super::status::{LeaderView, NodeReport, Progress};
use crate::codec::Input;
use crate::data_directory::ClusterId;
use crate::node::Role;
use crate::raft_types::Instance;

fn requests() -> Vec<ClusterRequest> {
    let address = "n4:7071".to_owned();
    let join = Join { node_id: 4, address: address.clone(), instance: Instance([8; 16]), standby: true };
    vec![
        ClusterRequest::Join(join),
        ClusterRequest::Change(Change::Add { node_id: 4, address, standby: false }),
        ClusterRequest::Change(Change::Promote { node_id: 4 }),
        ClusterRequest::Change(Change::Remove { node_id: 4 }),
        ClusterRequest::Change(Change::TransferLeader { to: Some(4) }),
        ClusterRequest::Change(Change::TransferLeader { to: None }),
        ClusterRequest::View,
        ClusterRequest::Report,
    ]
}

fn refusals() -> Vec<ChangeRefusal> {
    let (node_id, greatest) = (4, 7);
    let text = || "n4:7071".to_owned();
    vec![
        ChangeRefusal::BadAddress { address: text() },
        ChangeRefusal::BadId,
        ChangeRefusal::IdIsMember { node_id, greatest },
        ChangeRefusal::IdWasMember { node_id, greatest },
        ChangeRefusal::AddressTaken { address: text(), node_id },
        ChangeRefusal::OtherAddress { node_id, announced: text(), address: "n5:7071".to_owned() },
        ChangeRefusal::NotAMember { node_id },
        ChangeRefusal::NotAVoter { node_id },
        ChangeRefusal::NotComeYet { node_id },
        ChangeRefusal::Silent { node_id },
        ChangeRefusal::Behind { node_id, entries: 1_000 },
        ChangeRefusal::LastVoter { node_id },
        ChangeRefusal::NoQuorumLeft { node_id, voters: 3, live: 1, needed: 2 },
        ChangeRefusal::NotTakenOver { node_id },
        ChangeRefusal::NobodyElse,
    ]
}

fn responses() -> Vec<ClusterResponse> {
    let followers = vec![
        Progress { node_id: 2, matched_index: Some(9), lag_entries: 1, heard: Some(Duration::from_millis(250)) },
        Progress { node_id: 3, matched_index: None, lag_entries: 11, heard: None },
    ];
    let report = NodeReport {
        role: Role::Follower,
        term: 3,
        leader: Some(1),
        applied_index: Some(9),
        position: 100,
        newest_level: 1,
        version: "0.1.0".to_owned(),
    };
    let mut all = vec![
        ClusterResponse::Joined(ClusterId([7; 16])),
        ClusterResponse::Changed,
        ClusterResponse::View(LeaderView { last_index: Some(10), committed_index: Some(9), followers }),
        ClusterResponse::Report(report.clone()),
        ClusterResponse::Report(NodeReport { role: Role::Candidate, leader: None, applied_index: None, ..report }),
        ClusterResponse::Failed(Failure::NoLeader),
        ClusterResponse::Failed(Failure::Busy),
        ClusterResponse::Failed(Failure::Stopping),
        ClusterResponse::Failed(Failure::OutcomeUnknown),
    ];
    all.extend(refusals().into_iter().map(|refusal| ClusterResponse::Failed(Failure::Refused(refusal))));
    all
}

fn bytes(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

fn take_request(bytes: &[u8]) -> Option<ClusterRequest> {
    let mut input = Input::new("a request", bytes);
    ClusterRequest::take(&mut input).ok().filter(|_| input.end().is_ok())
}

fn take_response(bytes: &[u8]) -> Option<ClusterResponse> {
    let mut input = Input::new("an answer", bytes);
    ClusterResponse::take(&mut input).ok().filter(|_| input.end().is_ok())
}

#[test]
fn sent_bytes_never_change() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let requests = requests().into_iter().map(|it| format!("{it:?}\n{}\n", hex(bytes(|out| it.put(out)))));
    let responses = responses().into_iter().map(|it| format!("{it:?}\n{}\n", hex(bytes(|out| it.put(out)))));
    let sent: String = requests.chain(responses).collect();
    assert_eq!(sent, include_str!("../../testdata/cluster_messages.txt"), "it is now:\n{sent}");
}

#[test]
fn messages_come_back_as_they_were_and_no_others() {
    for request in requests() {
        let sent = bytes(|out| request.put(out));
        assert_eq!(take_request(&sent).as_ref(), Some(&request));
        for length in 0..sent.len() {
            assert_eq!(take_request(&sent[..length]), None, "{request:?}: {length} bytes");
        }
        assert_eq!(take_request(&[&sent[..], &[0]].concat()), None, "{request:?}: a byte more");
    }
    for response in responses() {
        let sent = bytes(|out| response.put(out));
        assert_eq!(take_response(&sent).as_ref(), Some(&response));
        for length in 0..sent.len() {
            assert_eq!(take_response(&sent[..length]), None, "{response:?}: {length} bytes");
        }
        assert_eq!(take_response(&[&sent[..], &[0]].concat()), None, "{response:?}: a byte more");
    }
}
