//! The answering side: accepts connections, shakes hands, and gives requests to the node.
//!
//! Appends of one connection reach raft in the order they came in; everything else runs beside each other. A caller
//! that sends more than its window, anything unreadable, or nothing at all, is cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, poll};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::carrier::{BoxStream, Door};
use super::connection::{FrameReader, FrameWriter, split};
use super::error::ConnectionError;
use super::frame::{self, Frame, Kind};
use super::handshake::{Caller, Hello, PeerIdentity, Refusal, Welcome};
use super::message::{Request, Response};
use super::peers::{NotedLevels, Peers};
use super::tls::Security;
use super::{CALLER_SILENCE, HANDSHAKE_DEADLINE};
use crate::errors::chain;

/// Connections at a time; a cluster of seven with three channels each has eighteen.
const CONNECTIONS: usize = 256;
/// Pongs and refusals that may wait to be written beside the answers of a full window.
const SPARE_ANSWERS: usize = 64;
/// After a connection could not be accepted: the machine is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a node does with its peers' requests.
pub(crate) trait Handler: fmt::Debug + Send + Sync + 'static {
    /// Answers by the deadline, after which nobody waits. The future is dropped when its connection ends.
    fn handle(
        &self,
        caller: Caller,
        request: Request,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Response, Refusal>>;
}

/// A bound address, at which nothing is answered yet.
#[derive(Debug)]
pub(crate) struct Socket {
    door: Box<dyn Door>,
    address: SocketAddr,
}

impl Socket {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { door: Box::new(listener), address })
    }

    /// A door of the simulator's.
    pub(crate) fn simulated(door: Box<dyn Door>, address: SocketAddr) -> Self {
        Self { door, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers while it is held.
#[derive(Debug)]
pub(crate) struct Listener {
    task: JoinHandle<()>,
}

impl Listener {
    pub(crate) fn start(socket: Socket, peers: &Peers, handler: Arc<dyn Handler>) -> Self {
        let host = Host {
            identity: *peers.identity(),
            security: peers.security().clone(),
            levels: peers.levels().clone(),
            handler,
            refused: Arc::default(),
        };
        Self { task: tokio::spawn(accept(socket.door, host)) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The connections' tasks end with the one that holds them.
        self.task.abort();
    }
}

/// What every connection has of the node.
#[derive(Clone, Debug)]
struct Host {
    identity: PeerIdentity,
    security: Security,
    levels: NotedLevels,
    handler: Arc<dyn Handler>,
    /// What each caller was last refused for, so that it is said once and not at every attempt.
    refused: Arc<Mutex<BTreeMap<u64, Refusal>>>,
}

async fn accept(mut door: Box<dyn Door>, host: Host) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = door.accept() => match accepted {
                Ok((stream, from)) if connections.len() < CONNECTIONS => {
                    connections.spawn(serve(host.clone(), stream, from));
                }
                Ok((_stream, from)) => tracing::warn!(%from, "too many raft connections: one more is closed"),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a raft connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(host: Host, stream: BoxStream, from: String) {
    let hands = match timeout(HANDSHAKE_DEADLINE, host.shake_hands(stream)).await {
        Ok(hands) => hands,
        Err(_elapsed) => Err(ConnectionError::ConnectDeadline),
    };
    let outcome = match hands {
        Ok((caller, reader, writer)) => Connection::new(host, caller).run(reader, writer).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) | Err(ConnectionError::Closed) => tracing::debug!(%from, "a raft connection ended"),
        // Said already, once.
        Err(ConnectionError::Refused(_)) => {}
        Err(error) => tracing::info!(%from, error = chain(&error), "a raft connection ended"),
    }
}

impl Host {
    async fn shake_hands(&self, stream: BoxStream) -> Result<(Caller, FrameReader, FrameWriter), ConnectionError> {
        let (mut reader, mut writer) = split(self.security.answer(stream).await?);
        let first = reader.next().await?;
        if first.kind != Kind::Hello {
            return Err(ConnectionError::OutOfPlace);
        }
        let hello = Hello::take(&first.payload).map_err(ConnectionError::Handshake)?;
        let node = hello.as_ref().map_or(0, |hello| hello.identity.node_id);
        if let Ok(hello) = &hello
            && hello.identity.cluster == self.identity.cluster
        {
            self.levels.heard_of(hello.active);
        }
        match hello.and_then(|hello| hello.check(&self.identity, self.levels.active())) {
            Ok(caller) => {
                self.refused.lock().remove(&node);
                self.levels.note(caller.node_id, caller.levels);
                let welcome = Welcome { identity: self.identity, active: self.levels.active() };
                writer.write(&frame::encode(Kind::Welcome, 0, 0, |out| welcome.put(out))).await?;
                writer.flush().await?;
                reader.allow_messages();
                Ok((caller, reader, writer))
            }
            Err(refusal) => {
                self.say_once(node, &refusal);
                writer.write(&frame::encode(Kind::Refusal, 0, 0, |out| refusal.put(out))).await?;
                writer.flush().await?;
                Err(ConnectionError::Refused(refusal))
            }
        }
    }

    fn say_once(&self, node: u64, refusal: &Refusal) {
        let mut refused = self.refused.lock();
        if refused.len() > CONNECTIONS {
            refused.clear();
        }
        if refused.insert(node, refusal.clone()).as_ref() != Some(refusal) {
            tracing::warn!(node, reason = %refusal, "a node was refused: this one said so of itself");
        }
    }
}

type Answered = (u64, Result<Response, Refusal>);

struct Connection {
    host: Host,
    caller: Caller,
    /// Handed to raft in their order, and polled here.
    appends: FuturesUnordered<BoxFuture<'static, Answered>>,
    others: JoinSet<Answered>,
}

impl Connection {
    fn new(host: Host, caller: Caller) -> Self {
        Self { host, caller, appends: FuturesUnordered::new(), others: JoinSet::new() }
    }

    async fn run(mut self, mut reader: FrameReader, writer: FrameWriter) -> Result<(), ConnectionError> {
        let (answers, queue) = mpsc::channel(self.caller.channel.window() + SPARE_ANSWERS);
        let writing = write_answers(writer, queue);
        tokio::pin!(writing);
        let mut silent_at = Instant::now() + CALLER_SILENCE;
        loop {
            tokio::select! {
                ended = &mut writing => return ended,
                frame = timeout_at(silent_at, reader.next()) => {
                    let frame = frame.unwrap_or_else(|_elapsed| Err(ConnectionError::Silent(CALLER_SILENCE)))?;
                    silent_at = Instant::now() + CALLER_SILENCE;
                    if let Some(answered) = self.take(frame).await? {
                        answer(&answers, answered)?;
                    }
                }
                Some(answered) = self.appends.next(), if !self.appends.is_empty() => {
                    answer(&answers, Answer::To(answered))?;
                }
                Some(joined) = self.others.join_next(), if !self.others.is_empty() => match joined {
                    Ok(answered) => answer(&answers, Answer::To(answered))?,
                    // Only a panic ends one early; it has been reported.
                    Err(_panicked) => return Err(ConnectionError::Closed),
                },
            }
        }
    }

    /// Begins with what a frame asks for; gives the answer if it is there at once.
    async fn take(&mut self, frame: Frame) -> Result<Option<Answer>, ConnectionError> {
        let id = frame.id;
        match frame.kind {
            Kind::Ping => return Ok(Some(Answer::Pong)),
            Kind::Request => {}
            Kind::Hello | Kind::Welcome | Kind::Refusal | Kind::Response | Kind::Pong => {
                return Err(ConnectionError::OutOfPlace);
            }
        }
        if self.appends.len() + self.others.len() >= self.caller.channel.window() {
            return Err(ConnectionError::TooManyRequests);
        }
        let Ok(request) = Request::take(&frame.payload) else {
            return Ok(Some(Answer::To((id, Err(Refusal::Unreadable)))));
        };
        let from_outside = matches!(&request, Request::Cluster(request) if request.is_from_outside());
        if !self.caller.knows_cluster && !from_outside {
            return Ok(Some(Answer::To((id, Err(Refusal::ClusterNotNamed)))));
        }
        let is_append = matches!(request, Request::Append(_));
        let deadline = Instant::now() + Duration::from_millis(frame.wait_ms.into());
        let handling = self.host.handler.handle(self.caller, request, deadline).map(move |result| (id, result));
        if !is_append {
            self.others.spawn(handling);
            return Ok(None);
        }
        // Polled once before the next frame is read, so that raft gets appends in their order.
        let mut handling = handling.boxed();
        match poll!(&mut handling) {
            std::task::Poll::Ready(answered) => Ok(Some(Answer::To(answered))),
            std::task::Poll::Pending => {
                self.appends.push(handling);
                Ok(None)
            }
        }
    }
}

enum Answer {
    Pong,
    To(Answered),
}

fn answer(queue: &mpsc::Sender<Bytes>, answer: Answer) -> Result<(), ConnectionError> {
    let frame = match answer {
        Answer::Pong => frame::encode(Kind::Pong, 0, 0, |_| {}),
        Answer::To((id, Ok(response))) => frame::encode(Kind::Response, id, 0, |out| response.put(out)),
        Answer::To((id, Err(refusal))) => frame::encode(Kind::Refusal, id, 0, |out| refusal.put(out)),
    };
    queue.try_send(frame).map_err(|_full| ConnectionError::AnswersNotTaken)
}

async fn write_answers(mut writer: FrameWriter, mut queue: mpsc::Receiver<Bytes>) -> Result<(), ConnectionError> {
    while let Some(frame) = queue.recv().await {
        writer.write(&frame).await?;
        while let Ok(frame) = queue.try_recv() {
            writer.write(&frame).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
