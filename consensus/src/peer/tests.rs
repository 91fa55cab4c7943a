//! Calls over loopback: order, refusals, deadlines, broken connections, and bytes that are no frames.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use parking_lot::Mutex;
use partita_core::id::Position;
use partita_storage::codec::{Level, LevelError, Levels};
use partita_storage::log::{EntryId, Vote};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::connection::split;
use super::frame::{self, Kind};
use super::handshake::{Hello, Welcome};
use super::message::{Receipt, Request, Response, SubmitFailure};
use super::{
    Caller, Channel, ConnectionError, FRAME_BYTES, Handler, Listener, PeerAddress, PeerError, PeerIdentity, Peers,
    Refusal, Security, Socket,
};
use crate::data_directory::ClusterId;
use crate::raft_types::{raft_log_id, raft_vote};
use crate::testing::{in_ms, soon};

const CLUSTER: ClusterId = ClusterId([1; 16]);

pub(super) fn identity(node_id: u64) -> PeerIdentity {
    PeerIdentity { cluster: Some(CLUSTER), node_id, levels: Levels::OWN }
}

/// Keeps appends in the order they came; answers a submission with its sizes once the gate is open, and nothing else.
#[derive(Debug)]
struct Clerk {
    appended: Mutex<Vec<u64>>,
    callers: Mutex<Vec<Caller>>,
    gate: watch::Sender<bool>,
}

impl Handler for Clerk {
    fn handle(
        &self,
        caller: Caller,
        request: Request,
        _deadline: Instant,
    ) -> BoxFuture<'static, Result<Response, Refusal>> {
        self.callers.lock().push(caller);
        let mut gate = self.gate.subscribe();
        let answer = match request {
            Request::Append(append) => {
                self.appended.lock().push(append.prev_log_id.unwrap().index);
                Ok(Response::Append(AppendEntriesResponse::Success))
            }
            Request::Submit(pieces) => {
                let receipts =
                    pieces.iter().map(|piece| Receipt::Decided(Position(piece.len().try_into().unwrap()))).collect();
                Ok(Response::Submit(Ok(receipts)))
            }
            Request::Vote(_)
            | Request::PreVote(_)
            | Request::TransferLeader(_)
            | Request::ReadIndex
            | Request::Snapshot(_)
            | Request::Cluster(_) => Err(Refusal::Unavailable { reason: "this is a test".to_owned() }),
        };
        async move {
            gate.wait_for(|is_open| *is_open).await.unwrap();
            answer
        }
        .boxed()
    }
}

struct Server {
    clerk: Arc<Clerk>,
    address: SocketAddr,
    listener: Listener,
}

async fn serve(node_id: u64) -> Server {
    serve_at("127.0.0.1:0".parse().unwrap(), node_id).await
}

async fn serve_at(address: SocketAddr, node_id: u64) -> Server {
    serve_as(address, Peers::new(identity(node_id), Security::Plain)).await
}

async fn serve_as(address: SocketAddr, peers: Peers) -> Server {
    let clerk =
        Arc::new(Clerk { appended: Mutex::default(), callers: Mutex::default(), gate: watch::Sender::new(true) });
    let socket = Socket::bind(address).await.unwrap();
    let address = socket.address();
    let listener = Listener::start(socket, &peers, clerk.clone());
    Server { clerk, address, listener }
}

fn to(address: SocketAddr, node_id: u64) -> PeerAddress {
    PeerAddress { address: address.to_string(), node_id: Some(node_id) }
}

fn append(index: u64) -> Request {
    let vote = raft_vote(Vote { term: 1, node: 1, committed: true });
    let prev_log_id = Some(raft_log_id(EntryId { term: 1, node: 1, index }));
    Request::Append(AppendEntriesRequest { vote, prev_log_id, entries: vec![], leader_commit: None })
}

fn submission(bytes: usize) -> Request {
    Request::Submit(vec![Bytes::from(vec![7; bytes])])
}

fn receipt(bytes: u64) -> Response {
    Response::Submit(Ok(vec![Receipt::Decided(Position(bytes))]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_pipelined_and_arrive_in_their_order() {
    let server = serve(2).await;
    let peers = Peers::new(identity(1), Security::Plain);
    let to = to(server.address, 2);
    server.clerk.gate.send_replace(false);
    let mut waiting = Vec::new();
    for index in 0..200 {
        waiting.push(peers.send(&to, Channel::Bulk, &append(index), soon()).await.unwrap());
    }
    // All are there before any is answered.
    while server.clerk.appended.lock().len() < 200 {
        tokio::task::yield_now().await;
    }
    server.clerk.gate.send_replace(true);
    for pending in waiting {
        assert_eq!(pending.response().await.unwrap(), Response::Append(AppendEntriesResponse::Success));
    }
    assert_eq!(*server.clerk.appended.lock(), (0..200).collect::<Vec<_>>());
    let caller = Caller { node_id: 1, knows_cluster: true, levels: Levels::OWN, channel: Channel::Bulk };
    assert!(server.clerk.callers.lock().iter().all(|found| *found == caller));
    assert_eq!(peers.levels().of(2), Some(Levels::OWN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_do_not_hold_up_another_channel() {
    let server = serve(2).await;
    let peers = Peers::new(identity(1), Security::Plain);
    let to = to(server.address, 2);
    let long = FRAME_BYTES - 64;
    let bulk = peers.send(&to, Channel::Bulk, &submission(long), soon()).await.unwrap();
    let heartbeat = peers.call(&to, Channel::Control, &append(1), soon()).await.unwrap();
    assert_eq!(heartbeat, Response::Append(AppendEntriesResponse::Success));
    assert_eq!(bulk.response().await.unwrap(), receipt(long.try_into().unwrap()));
    let too_long = peers.call(&to, Channel::Bulk, &submission(FRAME_BYTES), soon()).await.unwrap_err();
    assert!(
        matches!(&too_long, PeerError::NotSent(reason) if matches!(**reason, ConnectionError::TooLong { .. })),
        "{too_long:?}"
    );
}

/// Both know level 1, but the log is at level 2 already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_the_active_level_is_refused_and_learns_of_it() {
    let second = Level::FIRST.next();
    let ahead = Peers::new(PeerIdentity { levels: Levels::upto(second), ..identity(2) }, Security::Plain);
    let (_raised, active) = watch::channel(Some(second));
    ahead.levels().tell(active);
    let server = serve_as("127.0.0.1:0".parse().unwrap(), ahead.clone()).await;
    let older = Peers::new(PeerIdentity { levels: Levels::upto(Level::FIRST), ..identity(1) }, Security::Plain);
    let known = Levels::upto(Level::FIRST);
    let refused = older.call(&to(server.address, 2), Channel::Control, &append(1), soon()).await.unwrap_err();
    let expected = Refusal::ActiveLevel { active: second, known };
    assert!(matches!(&refused, PeerError::Refused(refusal) if *refusal == expected), "{refused:?}");
    let error = timeout_at(soon(), older.levels().left_behind(known)).await.unwrap();
    assert_eq!(error, LevelError::Unknown { found: second, known });
    assert_eq!(*server.clerk.callers.lock(), []);

    // The other way round: who is ahead calls, and who is behind hears of it.
    let server = serve_as("127.0.0.1:0".parse().unwrap(), Peers::new(identity(3), Security::Plain)).await;
    let refused = ahead.call(&to(server.address, 3), Channel::Control, &append(1), soon()).await.unwrap_err();
    assert!(matches!(&refused, PeerError::Refused(refusal) if *refusal == expected), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_and_told_why() {
    let server = serve(2).await;
    let refused = async |identity: PeerIdentity, node_id: Option<u64>| {
        let to = PeerAddress { address: server.address.to_string(), node_id };
        match Peers::new(identity, Security::Plain).call(&to, Channel::Control, &append(1), soon()).await {
            Err(PeerError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let other = ClusterId([2; 16]);
    let foreign = PeerIdentity { cluster: Some(other), ..identity(1) };
    assert_eq!(refused(foreign, Some(2)).await, Refusal::OtherCluster { own: CLUSTER, named: other });
    assert_eq!(refused(identity(1), Some(3)).await, Refusal::OtherNode { own: 2, expected: 3 });
    assert_eq!(refused(identity(2), None).await, Refusal::SameNode { node: 2 });
    let newer = Levels::upto(Levels::OWN.newest().next().next());
    let upgraded = PeerIdentity { levels: newer, ..identity(1) };
    assert_eq!(refused(upgraded, Some(2)).await, Refusal::Levels { own: Levels::OWN, named: newer });
    let outside = PeerIdentity { cluster: None, ..identity(1) };
    assert_eq!(refused(outside, Some(2)).await, Refusal::ClusterNotNamed);
    assert_eq!(*server.clerk.callers.lock(), []);
    // A request may be refused too, and the connection goes on.
    let peers = Peers::new(identity(1), Security::Plain);
    let to = to(server.address, 2);
    let refusal = peers.call(&to, Channel::Control, &Request::ReadIndex, soon()).await.unwrap_err();
    assert!(matches!(refusal, PeerError::Refused(Refusal::Unavailable { .. })), "{refusal:?}");
    peers.call(&to, Channel::Control, &append(1), soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let server = serve(2).await;
    let peers = Peers::new(identity(1), Security::Plain);
    let address = server.address;
    server.clerk.gate.send_replace(false);
    let unknown = peers.call(&to(address, 2), Channel::Bulk, &submission(1), in_ms(100)).await.unwrap_err();
    assert!(
        matches!(&unknown, PeerError::Unknown(reason) if matches!(**reason, ConnectionError::Deadline)),
        "{unknown:?}"
    );
    let waiting = peers.send(&to(address, 2), Channel::Bulk, &submission(1), soon()).await.unwrap();
    while server.clerk.callers.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(server);
    let unknown = timeout_at(soon(), waiting.response()).await.unwrap().unwrap_err();
    assert!(matches!(unknown, PeerError::Unknown(_)), "{unknown:?}");
    let not_sent = peers.call(&to(address, 2), Channel::Bulk, &submission(1), soon()).await.unwrap_err();
    assert!(
        matches!(&not_sent, PeerError::NotSent(reason) if matches!(**reason, ConnectionError::Connect(_))),
        "{not_sent:?}"
    );
    // It comes back, and the next request finds it.
    let _server = serve_at(address, 2).await;
    assert_eq!(peers.call(&to(address, 2), Channel::Bulk, &submission(5), soon()).await.unwrap(), receipt(5));
}

/// Says hello as `node` does, and takes the answer.
async fn shake_hands(address: SocketAddr, node: u64) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let hello = Hello { identity: identity(node), active: None, expected: None, channel: Channel::Bulk };
    stream.write_all(&frame::encode(Kind::Hello, 0, 0, |out| hello.put(out))).await.unwrap();
    let length = usize::try_from(stream.read_u32_le().await.unwrap()).unwrap();
    let mut welcome = vec![0; length];
    stream.read_exact(&mut welcome).await.unwrap();
    stream
}

/// What the other side does with a stream that it should not go on with.
async fn ends(mut stream: TcpStream) -> bool {
    let mut left = Vec::new();
    match timeout_at(soon(), stream.read_to_end(&mut left)).await.unwrap() {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_frames_end_their_connection_and_nothing_else() {
    let server = serve(2).await;
    // Before the handshake: HTTP, silence after a length, a frame that is too long, a request.
    for bytes in [
        b"GET / HTTP/1.1\r\nhost: n2\r\n\r\n".to_vec(),
        vec![0xff; 64],
        513_u32.to_le_bytes().to_vec(),
        frame::encode(Kind::Request, 1, 0, |out| Request::ReadIndex.put(out)).to_vec(),
        frame::encode(Kind::Hello, 0, 0, |out| out.extend_from_slice(b"partisan")).to_vec(),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        assert!(ends(stream).await, "{bytes:?}");
    }
    // After it: a flipped byte, a frame that is too long, an answer that nobody asked for.
    let mut flipped = frame::encode(Kind::Request, 1, 0, |out| Request::ReadIndex.put(out)).to_vec();
    flipped[10] ^= 1;
    let too_long = u32::try_from(FRAME_BYTES + 1).unwrap().to_le_bytes().to_vec();
    let answer = Response::Submit(Err(SubmitFailure::NoLeader));
    let answer = frame::encode(Kind::Response, 1, 0, |out| answer.put(out)).to_vec();
    for bytes in [flipped, too_long, answer] {
        let mut stream = shake_hands(server.address, 1).await;
        stream.write_all(&bytes).await.unwrap();
        assert!(ends(stream).await, "{bytes:?}");
    }
    // A well-formed frame of an unknown request is answered.
    let mut stream = shake_hands(server.address, 1).await;
    stream.write_all(&frame::encode(Kind::Request, 9, 0, |out| out.push(0xee))).await.unwrap();
    let unreadable = frame::encode(Kind::Refusal, 9, 0, |out| Refusal::Unreadable.put(out));
    let mut answered = vec![0; unreadable.len()];
    timeout_at(soon(), stream.read_exact(&mut answered)).await.unwrap().unwrap();
    assert_eq!(answered, unreadable);
    // More than its window: cut off.
    server.clerk.gate.send_replace(false);
    let mut stream = shake_hands(server.address, 1).await;
    for id in 0..=Channel::Bulk.window() {
        let request = frame::encode(Kind::Request, id.try_into().unwrap(), 1_000, |out| submission(1).put(out));
        stream.write_all(&request).await.unwrap();
    }
    assert!(ends(stream).await);
    server.clerk.gate.send_replace(true);
    let peers = Peers::new(identity(1), Security::Plain);
    assert_eq!(peers.call(&to(server.address, 2), Channel::Bulk, &submission(5), soon()).await.unwrap(), receipt(5));
    drop(server.listener);
}

/// A peer that is there and says nothing any more is found out by its unanswered pings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = split(Box::new(stream));
        assert_eq!(reader.next().await.unwrap().kind, Kind::Hello);
        let welcome = Welcome { identity: identity(2), active: None };
        writer.write(&frame::encode(Kind::Welcome, 0, 0, |out| welcome.put(out))).await.unwrap();
        writer.flush().await.unwrap();
        std::future::pending::<()>().await;
    });
    let began = Instant::now();
    let lost = Peers::new(identity(1), Security::Plain)
        .call(&to(address, 2), Channel::Control, &append(1), soon())
        .await
        .unwrap_err();
    assert!(matches!(&lost, PeerError::Unknown(reason) if matches!(**reason, ConnectionError::Silent(_))), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    silent.abort();
}
