//! The calling side of one connection: queue, writer, reader, and connecting again.
//!
//! A link connects when there is something to send. Requests made while it does wait for that one attempt; if it
//! fails they all do, and the next attempt is a little later. What was written when a connection ends has no answer;
//! what was not goes over the next one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};

use super::connection::{FrameReader, FrameWriter, split};
use super::error::{ConnectionError, PeerError};
use super::frame::{self, Frame, Kind};
use super::handshake::{Hello, PeerIdentity, Refusal, Welcome};
use super::message::{Request, Response};
use super::peers::{NotedLevels, Trouble};
use super::tls::Security;
use super::{Channel, FRAME_BYTES, HANDSHAKE_DEADLINE, IDLE, PING_PAUSE, PeerAddress, SILENCE};
use crate::errors::chain;

/// The most bytes that wait to be written, in KiB: more than one frame of the greatest length.
const QUEUE_KIB: usize = (FRAME_BYTES >> 10) + (8 << 10);
/// The shortest and the longest pause between two attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Whom a link calls, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) to: PeerAddress,
    pub(super) channel: Channel,
    pub(super) identity: PeerIdentity,
    pub(super) security: Security,
    pub(super) levels: NotedLevels,
    pub(super) trouble: Trouble,
}

#[derive(Debug)]
pub(super) struct Link {
    queue: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
    window: Arc<Semaphore>,
    next_id: AtomicU64,
}

/// How far a request is on its way.
#[derive(Debug, Default)]
struct Stage(AtomicU8);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Stage {
    /// Whether it is still wanted; from now on the peer may see it.
    fn send(&self) -> bool {
        self.0.compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the peer has not seen it, and now never will.
    fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) != Err(SENT)
    }
}

#[derive(Debug)]
struct Outgoing {
    id: u64,
    frame: Bytes,
    stage: Arc<Stage>,
    asked: Asked,
    _room: OwnedSemaphorePermit,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Result<Frame, PeerError>>,
    _window: OwnedSemaphorePermit,
}

impl Asked {
    fn fail(self, error: PeerError) {
        // Whoever asked may have given up.
        let _gone = self.answer.send(Err(error));
    }
}

/// A request on its way. Dropped, it is withdrawn if it was not sent.
#[derive(Debug)]
pub(crate) struct Pending {
    stage: Arc<Stage>,
    answer: oneshot::Receiver<Result<Frame, PeerError>>,
    deadline: Instant,
}

impl Pending {
    /// Waits for the answer until the deadline.
    pub(crate) async fn response(self) -> Result<Response, PeerError> {
        self.response_unless(std::future::pending()).await
    }

    /// Waits for the answer until the deadline, or until there is no more use in it.
    pub(crate) async fn response_unless(mut self, given_up: impl Future<Output = ()>) -> Result<Response, PeerError> {
        let answered = tokio::select! {
            biased;
            answered = timeout_at(self.deadline, &mut self.answer) => answered,
            () = given_up => return Err(self.unanswered(ConnectionError::GivenUp)),
        };
        let frame = match answered {
            Ok(Ok(answered)) => answered?,
            Ok(Err(_link_gone)) => return Err(self.unanswered(ConnectionError::Stopping)),
            Err(_elapsed) => return Err(self.unanswered(ConnectionError::Deadline)),
        };
        match frame.kind {
            Kind::Response => Response::take(&frame.payload).map_err(unreadable),
            Kind::Refusal => Err(PeerError::Refused(Refusal::take(&frame.payload).map_err(unreadable)?)),
            Kind::Hello | Kind::Welcome | Kind::Request | Kind::Ping | Kind::Pong => {
                Err(PeerError::Unknown(Arc::new(ConnectionError::OutOfPlace)))
            }
        }
    }

    fn unanswered(&self, reason: ConnectionError) -> PeerError {
        let reason = Arc::new(reason);
        if self.stage.withdraw() { PeerError::NotSent(reason) } else { PeerError::Unknown(reason) }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.stage.withdraw();
    }
}

fn unreadable(error: crate::codec::CodecError) -> PeerError {
    PeerError::Unknown(Arc::new(ConnectionError::Frame(error)))
}

impl Link {
    /// Starts the task that connects, writes and reads. It ends when the link is dropped.
    pub(super) fn start(dial: Dial) -> Self {
        let window = dial.channel.window();
        let (queue, requests) = mpsc::channel(window);
        tokio::spawn(run(dial, requests));
        Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
            window: Arc::new(Semaphore::new(window)),
            next_id: AtomicU64::new(1),
        }
    }

    /// Puts a request behind those sent before; waits while too much is on its way.
    pub(super) async fn send(&self, request: &Request, deadline: Instant) -> Result<Pending, PeerError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let wait_ms = deadline.saturating_duration_since(Instant::now()).as_millis();
        let wait_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
        let frame = frame::encode(Kind::Request, id, wait_ms, |out| request.put(out));
        let not_sent = |reason| PeerError::NotSent(Arc::new(reason));
        if frame.len() > FRAME_BYTES {
            return Err(not_sent(ConnectionError::TooLong { bytes: frame.len() }));
        }
        let kib = u32::try_from(frame.len().div_ceil(1 << 10)).expect("a frame is bounded far below 4 TiB");
        let enqueue = async {
            let window = Arc::clone(&self.window).acquire_owned().await.expect("the semaphore is never closed");
            let room = Arc::clone(&self.room).acquire_many_owned(kib).await.expect("the semaphore is never closed");
            let (answer, wait) = oneshot::channel();
            let stage = Arc::new(Stage::default());
            let pending = Pending { stage: Arc::clone(&stage), answer: wait, deadline };
            let asked = Asked { answer, _window: window };
            match self.queue.send(Outgoing { id, frame, stage, asked, _room: room }).await {
                Ok(()) => Ok(pending),
                Err(_task_gone) => Err(not_sent(ConnectionError::Stopping)),
            }
        };
        timeout_at(deadline, enqueue).await.unwrap_or_else(|_elapsed| Err(not_sent(ConnectionError::Deadline)))
    }
}

async fn run(dial: Dial, mut queue: mpsc::Receiver<Outgoing>) {
    let mut pause = SHORTEST_PAUSE;
    let mut next_attempt = Instant::now();
    while let Some(first) = queue.recv().await {
        sleep_until(next_attempt).await;
        match dial.connect().await {
            Ok((reader, writer)) => {
                pause = SHORTEST_PAUSE;
                dial.trouble.reached(&dial.to);
                let ended = converse(reader, writer, first, &mut queue).await;
                if !matches!(ended, ConnectionError::Idle | ConnectionError::Stopping) {
                    dial.trouble.lost(&dial.to, &chain(&ended));
                }
            }
            Err(error) => {
                dial.trouble.lost(&dial.to, &chain(&error));
                fail_all(first, &mut queue, error);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        next_attempt = Instant::now() + pause;
    }
}

/// Fails what waits for a connection that was not made.
fn fail_all(first: Outgoing, queue: &mut mpsc::Receiver<Outgoing>, error: ConnectionError) {
    let error = if let ConnectionError::Refused(refusal) = error {
        PeerError::Refused(refusal)
    } else {
        PeerError::NotSent(Arc::new(error))
    };
    // All of them before any: who is told may ask again at once, and that is for the next attempt.
    let mut waiting = vec![first];
    while let Ok(outgoing) = queue.try_recv() {
        waiting.push(outgoing);
    }
    for outgoing in waiting {
        outgoing.asked.fail(error.clone());
    }
}

impl Dial {
    /// Connects and shakes hands.
    async fn connect(&self) -> Result<(FrameReader, FrameWriter), ConnectionError> {
        timeout(HANDSHAKE_DEADLINE, self.shake_hands())
            .await
            .unwrap_or_else(|_elapsed| Err(ConnectionError::ConnectDeadline))
    }

    async fn shake_hands(&self) -> Result<(FrameReader, FrameWriter), ConnectionError> {
        let (mut reader, mut writer) = split(self.security.call(&self.to.address).await?);
        let active = self.levels.active();
        let hello = Hello { identity: self.identity, active, expected: self.to.node_id, channel: self.channel };
        writer.write(&frame::encode(Kind::Hello, 0, 0, |out| hello.put(out))).await?;
        writer.flush().await?;
        let answer = reader.next().await?;
        match answer.kind {
            Kind::Welcome => {
                let welcome = Welcome::take(&answer.payload).map_err(ConnectionError::Handshake)?;
                self.levels.heard_of(welcome.active);
                welcome.check(&hello).map_err(ConnectionError::Refused)?;
                self.levels.note(welcome.identity.node_id, welcome.identity.levels);
                reader.allow_messages();
                Ok((reader, writer))
            }
            Kind::Refusal => {
                let refusal = Refusal::take(&answer.payload).map_err(ConnectionError::Handshake)?;
                if let Refusal::ActiveLevel { active, .. } = refusal {
                    self.levels.heard_of(Some(active));
                }
                Err(ConnectionError::Refused(refusal))
            }
            Kind::Hello | Kind::Request | Kind::Response | Kind::Ping | Kind::Pong => Err(ConnectionError::OutOfPlace),
        }
    }
}

/// What was sent and is not answered, and the ping of which the same holds.
#[derive(Debug, Default)]
struct Unanswered {
    requests: Mutex<BTreeMap<u64, Asked>>,
    pinged: Mutex<Option<Instant>>,
}

/// Writes requests and takes answers until the connection ends; says why.
async fn converse(
    reader: FrameReader,
    writer: FrameWriter,
    first: Outgoing,
    queue: &mut mpsc::Receiver<Outgoing>,
) -> ConnectionError {
    let unanswered = Unanswered::default();
    let ended = tokio::select! {
        ended = write_requests(writer, first, queue, &unanswered) => ended,
        ended = read_answers(reader, &unanswered) => ended,
    };
    let Err(ended) = ended;
    let left: Vec<Asked> = unanswered.requests.into_inner().into_values().collect();
    if left.is_empty() {
        return ended;
    }
    let text = ended.to_string();
    let shared = Arc::new(ended);
    for asked in left {
        asked.fail(PeerError::Unknown(Arc::clone(&shared)));
    }
    Arc::try_unwrap(shared).unwrap_or_else(|_held| ConnectionError::Io(std::io::Error::other(text)))
}

async fn write_requests(
    mut writer: FrameWriter,
    first: Outgoing,
    queue: &mut mpsc::Receiver<Outgoing>,
    unanswered: &Unanswered,
) -> Result<Infallible, ConnectionError> {
    let mut pings = interval_at(Instant::now() + PING_PAUSE, PING_PAUSE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_request = Instant::now();
    let mut next = Some(first);
    loop {
        if let Some(Outgoing { id, frame, stage, asked, _room }) = next.take().or_else(|| queue.try_recv().ok()) {
            last_request = Instant::now();
            if stage.send() {
                unanswered.requests.lock().insert(id, asked);
                writer.write(&frame).await?;
            }
            continue;
        }
        writer.flush().await?;
        tokio::select! {
            request = queue.recv() => match request {
                Some(request) => next = Some(request),
                None => return Err(ConnectionError::Stopping),
            },
            _ = pings.tick() => {
                let now = Instant::now();
                let pinged = *unanswered.pinged.lock().get_or_insert(now);
                if now - pinged > SILENCE {
                    return Err(ConnectionError::Silent(SILENCE));
                }
                if now - last_request > IDLE && unanswered.requests.lock().is_empty() {
                    return Err(ConnectionError::Idle);
                }
                writer.write(&frame::encode(Kind::Ping, 0, 0, |_| {})).await?;
            }
        }
    }
}

async fn read_answers(mut reader: FrameReader, unanswered: &Unanswered) -> Result<Infallible, ConnectionError> {
    loop {
        let frame = reader.next().await?;
        *unanswered.pinged.lock() = None;
        match frame.kind {
            Kind::Response | Kind::Refusal => {
                let Some(asked) = unanswered.requests.lock().remove(&frame.id) else {
                    return Err(ConnectionError::OutOfPlace);
                };
                let _given_up = asked.answer.send(Ok(frame));
            }
            Kind::Pong => {}
            Kind::Hello | Kind::Welcome | Kind::Request | Kind::Ping => return Err(ConnectionError::OutOfPlace),
        }
    }
}
