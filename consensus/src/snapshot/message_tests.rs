//! The bytes of what is said about snapshots: they never change, and nothing shorter or longer passes for one.

use bytes::Bytes;
use partita_storage::log::Vote;
use partita_storage::snapshot::CheckpointId;

use super::message::{SnapshotRequest, SnapshotResponse};
use crate::codec::{CodecError, Input};

const ID: CheckpointId = CheckpointId([7; 32]);
const VOTE: Vote = Vote { term: 3, node: 2, committed: true };

fn requests() -> Vec<SnapshotRequest> {
    vec![
        SnapshotRequest::Offer { vote: VOTE, manifest: Bytes::from_static(b"ab") },
        SnapshotRequest::Part { id: ID, file: 5, offset: 9, bytes: Bytes::from_static(b"abc") },
        SnapshotRequest::Install { id: ID },
    ]
}

fn responses() -> Vec<SnapshotResponse> {
    vec![
        SnapshotResponse::Accepted { lengths: vec![0, 70_000] },
        SnapshotResponse::Written,
        SnapshotResponse::Working,
        SnapshotResponse::Installed { vote: VOTE },
        SnapshotResponse::OfferAgain,
        SnapshotResponse::HigherVote { vote: VOTE },
        SnapshotResponse::Failed { reason: "why".to_owned() },
    ]
}

fn bytes(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

fn whole<T>(bytes: &[u8], take: impl FnOnce(&mut Input<'_>) -> Result<T, CodecError>) -> Result<T, CodecError> {
    let mut input = Input::new("a test", bytes);
    let value = take(&mut input)?;
    input.end()?;
    Ok(value)
}

#[test]
fn sent_bytes_never_change() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sent: Vec<String> = requests()
        .iter()
        .map(|request| hex(bytes(|out| request.put(out))))
        .chain(responses().iter().map(|response| hex(bytes(|out| response.put(out)))))
        .collect();
    let (id, vote) = ("07".repeat(32), "0300000000000000020000000000000001");
    let expected = [
        format!("00{vote}020000006162"),
        format!("01{id}050000000900000000000000c241243503000000616263"),
        format!("02{id}"),
        "0002000000000000000000000070110100".to_owned() + "00000000",
        "01".to_owned(),
        "02".to_owned(),
        format!("03{vote}"),
        "04".to_owned(),
        format!("05{vote}"),
        "0603000000776879".to_owned(),
    ];
    assert_eq!(sent, expected);
}

#[test]
fn every_damaged_shorter_or_longer_input_is_refused() {
    for request in requests() {
        let sent = bytes(|out| request.put(out));
        assert_eq!(whole(&sent, SnapshotRequest::take).as_ref(), Ok(&request));
        assert!((0..sent.len()).all(|length| whole(&sent[..length], SnapshotRequest::take).is_err()), "{request:?}");
        assert!(whole(&[&sent[..], &[0]].concat(), SnapshotRequest::take).is_err(), "{request:?}");
    }
    for response in responses() {
        let sent = bytes(|out| response.put(out));
        assert_eq!(whole(&sent, SnapshotResponse::take).as_ref(), Ok(&response));
        assert!((0..sent.len()).all(|length| whole(&sent[..length], SnapshotResponse::take).is_err()), "{response:?}");
        assert!(whole(&[&sent[..], &[0]].concat(), SnapshotResponse::take).is_err(), "{response:?}");
    }
    let mut part = bytes(|out| requests()[1].put(out));
    *part.last_mut().unwrap() ^= 1;
    assert!(whole(&part, SnapshotRequest::take).is_err(), "a part's checksum");
}
