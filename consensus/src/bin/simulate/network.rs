//! The network between the nodes: streams that are ordered and reliable as TCP's are, over ways that are slow, lose
//! packets (which delays everything behind them), are cut in one or both directions, and break.
//!
//! Bytes move only when [`Network::deliver`] is called. What a stopped process writes goes nowhere. Whatever is said
//! is overheard by a witness at the moment it is said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use partita_consensus::simulated::{BoxStream, Carrier, Conversation, Door, Said};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dice::Dice;
use crate::trace::Trace;

/// Bytes of one direction that may be on their way.
const WINDOW_BYTES: usize = 256 << 10;
/// A lost packet is sent again after so long.
const AGAIN_MS: (u64, u64) = (200, 600);

/// Hears what a node says.
pub(crate) type Witness = Box<dyn FnMut(&Host, Said) + Send>;

/// Clones are one network.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// A process on the network: who it is, and whether it still runs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) node: u64,
    pub(crate) incarnation: u64,
    pub(crate) dead: Arc<AtomicBool>,
}

struct State {
    now_ms: u64,
    dice: Dice,
    trace: Trace,
    latency_ms: (u64, u64),
    loss_percent: u64,
    cut: BTreeSet<(u64, u64)>,
    /// Added to the latency of a way.
    slow_ms: BTreeMap<(u64, u64), u64>,
    doors: BTreeMap<String, DoorState>,
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    arrivals: BTreeMap<(u64, u64), Arrival>,
    next_arrival: u64,
    /// What found its way cut, in its order.
    held: Vec<Arrival>,
    /// The process that runs on each machine that is up.
    running: BTreeMap<u64, u64>,
    witness: Witness,
}

#[derive(Default)]
struct DoorState {
    waiting: VecDeque<u64>,
    waker: Option<Waker>,
}

struct Wire {
    /// Of the caller, and of whoever was called.
    ends: [End; 2],
    conversation: Conversation,
    /// What became of the call.
    connected: Option<bool>,
}

struct End {
    node: u64,
    /// Of the process that holds it; `None` while nobody has taken the call.
    incarnation: Option<u64>,
    inbox: BytesMut,
    is_closed: bool,
    is_reset: bool,
    /// Whoever held it has let go of it.
    is_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    on_the_way: usize,
    last_due_ms: u64,
}

impl End {
    fn new(node: u64, incarnation: Option<u64>) -> Self {
        Self {
            node,
            incarnation,
            inbox: BytesMut::new(),
            is_closed: false,
            is_reset: false,
            is_gone: false,
            reader: None,
            writer: None,
            on_the_way: 0,
            last_due_ms: 0,
        }
    }

    fn reset(&mut self) {
        self.is_reset = true;
        self.wake();
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// Something on its way over a wire, to the end `side`.
#[derive(Debug)]
struct Arrival {
    wire: u64,
    side: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Call { address: String },
    Taken,
    Bytes(Bytes),
    Close,
    Reset,
}

impl State {
    fn way(&self, arrival: &Arrival) -> Option<(u64, u64)> {
        let wire = self.wires.get(&arrival.wire)?;
        Some((wire.ends[1 - arrival.side].node, wire.ends[arrival.side].node))
    }

    fn send(&mut self, arrival: Arrival) {
        self.send_later(arrival, 0);
    }

    fn send_later(&mut self, arrival: Arrival, later_ms: u64) {
        let Some(way) = self.way(&arrival) else { return };
        let mut latency = self.dice.between(self.latency_ms.0, self.latency_ms.1) + later_ms;
        latency += self.slow_ms.get(&way).copied().unwrap_or(0);
        if self.dice.chance(self.loss_percent) {
            latency += self.dice.between(AGAIN_MS.0, AGAIN_MS.1);
            self.trace.count("packets lost");
        }
        let now_ms = self.now_ms;
        let end = &mut self.wires.get_mut(&arrival.wire).expect("its way is known").ends[arrival.side];
        end.last_due_ms = end.last_due_ms.max(now_ms + latency);
        let due = end.last_due_ms;
        self.next_arrival += 1;
        self.arrivals.insert((due, self.next_arrival), arrival);
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Some(way) = self.way(&arrival) else { return };
        if self.cut.contains(&way) {
            self.held.push(arrival);
            return;
        }
        let Arrival { wire, side, what } = arrival;
        let size = if let What::Bytes(bytes) = &what { bytes.len() } else { 0 };
        self.trace.note(&[self.now_ms, way.0, way.1, wire, u64::try_from(size).expect("64 bits")]);
        let running = self.running.get(&way.1).copied();
        if let What::Call { address } = what {
            match self.doors.get_mut(&address) {
                Some(door) => {
                    door.waiting.push_back(wire);
                    if let Some(waker) = door.waker.take() {
                        waker.wake();
                    }
                }
                None if running.is_some() => self.send(Arrival { wire, side: 1 - side, what: What::Reset }),
                // Nobody is there to say so.
                None => {}
            }
            return;
        }
        let found = self.wires.get_mut(&wire).expect("its way is known");
        let sender = &mut found.ends[1 - side];
        if let What::Bytes(bytes) = &what {
            sender.on_the_way = sender.on_the_way.saturating_sub(bytes.len());
            if let Some(waker) = sender.writer.take() {
                waker.wake();
            }
        }
        let end = &mut found.ends[side];
        let is_held = end.incarnation.is_none_or(|holder| running == Some(holder)) && !end.is_gone;
        if !is_held {
            // A machine that is up answers for what its processes do not hold any more.
            if running.is_some() && !matches!(what, What::Reset) {
                self.send(Arrival { wire, side: 1 - side, what: What::Reset });
            }
            return;
        }
        match what {
            What::Bytes(bytes) => {
                end.inbox.extend_from_slice(&bytes);
                if let Some(waker) = end.reader.take() {
                    waker.wake();
                }
            }
            What::Close => {
                end.is_closed = true;
                end.wake();
            }
            What::Taken => {
                found.connected = Some(true);
                found.ends[side].wake();
            }
            What::Reset => {
                found.connected.get_or_insert(false);
                found.ends[side].reset();
            }
            What::Call { .. } => unreachable!("calls are to doors"),
        }
    }
}

impl Network {
    pub(crate) fn new(dice: Dice, trace: Trace, latency_ms: (u64, u64), witness: Witness) -> Self {
        Self(Arc::new(Mutex::new(State {
            now_ms: 0,
            dice,
            trace,
            latency_ms,
            loss_percent: 0,
            cut: BTreeSet::new(),
            slow_ms: BTreeMap::new(),
            doors: BTreeMap::new(),
            wires: BTreeMap::new(),
            next_wire: 0,
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            held: Vec::new(),
            running: BTreeMap::new(),
            witness,
        })))
    }

    /// Brings what is due by now.
    pub(crate) fn deliver(&self, now_ms: u64) {
        let mut state = self.0.lock();
        state.now_ms = now_ms;
        while let Some(entry) = state.arrivals.first_entry()
            && entry.key().0 <= now_ms
        {
            let arrival = entry.remove();
            state.arrive(arrival);
        }
    }

    /// A process begins to run and to be reached at `address`.
    pub(crate) fn open_door(&self, host: &Host, address: SocketAddr) -> Box<dyn Door> {
        let mut state = self.0.lock();
        state.running.insert(host.node, host.incarnation);
        let address = address.to_string();
        state.doors.insert(address.clone(), DoorState::default());
        drop(state);
        Box::new(SimulatedDoor { network: self.clone(), host: host.clone(), address })
    }

    pub(crate) fn carrier(&self, host: &Host) -> Arc<dyn Carrier> {
        Arc::new(SimulatedCarrier { network: self.clone(), host: host.clone() })
    }

    /// A process has ended. Its machine says so to whoever it was connected with, unless it lost its power.
    pub(crate) fn close(&self, node: u64, address: SocketAddr, says_so: bool) {
        let mut state = self.0.lock();
        state.running.remove(&node);
        state.doors.remove(&address.to_string());
        let mut resets = Vec::new();
        for (number, wire) in &mut state.wires {
            for side in 0..2 {
                if wire.ends[side].node == node {
                    wire.ends[side].is_gone = true;
                    resets.push(Arrival { wire: *number, side: 1 - side, what: What::Reset });
                }
            }
        }
        for reset in resets.into_iter().filter(|_| says_so) {
            state.send(reset);
        }
        state.wires.retain(|_, wire| !(wire.ends[0].is_gone && wire.ends[1].is_gone));
    }

    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.0.lock().cut.insert((from, to));
    }

    pub(crate) fn slow(&self, from: u64, to: u64, ms: u64) {
        self.0.lock().slow_ms.insert((from, to), ms);
    }

    pub(crate) fn lose(&self, percent: u64) {
        self.0.lock().loss_percent = percent;
    }

    /// Every way is open again; what was held up arrives when it is sent again.
    pub(crate) fn heal(&self) {
        let mut state = self.0.lock();
        state.cut.clear();
        state.slow_ms.clear();
        state.loss_percent = 0;
        let held = std::mem::take(&mut state.held);
        let later = state.dice.between(0, 400);
        for arrival in held {
            state.send_later(arrival, later);
        }
    }

    /// Breaks every connection of a node, as a device between the machines does that forgets them.
    pub(crate) fn break_connections(&self, node: u64) {
        let mut state = self.0.lock();
        for wire in state.wires.values_mut() {
            if wire.ends.iter().any(|end| end.node == node) {
                wire.connected.get_or_insert(false);
                wire.ends.iter_mut().for_each(End::reset);
            }
        }
    }
}

#[derive(Debug)]
struct SimulatedCarrier {
    network: Network,
    host: Host,
}

impl Carrier for SimulatedCarrier {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<BoxStream>> {
        let (network, host, address) = (self.network.clone(), self.host.clone(), address.to_owned());
        Box::pin(async move {
            let stream = {
                let mut state = network.0.lock();
                let to = node_of(&address).ok_or(io::ErrorKind::AddrNotAvailable)?;
                state.next_wire += 1;
                let wire = state.next_wire;
                let ends = [End::new(host.node, Some(host.incarnation)), End::new(to, None)];
                state.wires.insert(wire, Wire { ends, conversation: Conversation::default(), connected: None });
                state.send(Arrival { wire, side: 1, what: What::Call { address } });
                SimulatedStream { network: network.clone(), host, wire, side: 0 }
            };
            let is_connected = poll_fn(|context| {
                let mut state = network.0.lock();
                let Some(wire) = state.wires.get_mut(&stream.wire) else { return Poll::Ready(false) };
                match wire.connected {
                    Some(connected) => Poll::Ready(connected),
                    None => {
                        wire.ends[0].reader = Some(context.waker().clone());
                        Poll::Pending
                    }
                }
            });
            if is_connected.await {
                let stream: BoxStream = Box::new(stream);
                Ok(stream)
            } else {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        })
    }
}

/// Machines are numbered as the nodes on them.
pub(crate) fn address_of(node: u64) -> SocketAddr {
    let last = u8::try_from(node).expect("nodes are few");
    SocketAddr::from(([10, 0, 0, last], 4_000))
}

fn node_of(address: &str) -> Option<u64> {
    let address: SocketAddr = address.parse().ok()?;
    match address {
        SocketAddr::V4(address) => Some(address.ip().octets()[3].into()),
        SocketAddr::V6(_) => None,
    }
}

#[derive(Debug)]
struct SimulatedDoor {
    network: Network,
    host: Host,
    address: String,
}

impl Door for SimulatedDoor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(poll_fn(|context| {
            let mut state = self.network.0.lock();
            let Some(door) = state.doors.get_mut(&self.address) else { return Poll::Pending };
            let Some(wire) = door.waiting.pop_front() else {
                door.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            let from = match state.wires.get_mut(&wire) {
                Some(found) => {
                    found.ends[1].incarnation = Some(self.host.incarnation);
                    address_of(found.ends[0].node).to_string()
                }
                None => "a caller that has gone".to_owned(),
            };
            state.send(Arrival { wire, side: 0, what: What::Taken });
            let (network, host) = (self.network.clone(), self.host.clone());
            let stream: BoxStream = Box::new(SimulatedStream { network, host, wire, side: 1 });
            Poll::Ready(Ok((stream, from)))
        }))
    }
}

struct SimulatedStream {
    network: Network,
    host: Host,
    wire: u64,
    side: usize,
}

impl AsyncRead for SimulatedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.network.0.lock();
        let Some(wire) = state.wires.get_mut(&self.wire) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let end = &mut wire.ends[self.side];
        if end.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !end.inbox.is_empty() {
            let length = end.inbox.len().min(buffer.remaining());
            buffer.put_slice(&end.inbox[..length]);
            end.inbox.advance(length);
            return Poll::Ready(Ok(()));
        }
        if end.is_closed {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.host.dead.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let mut state = self.network.0.lock();
        let Some(wire) = state.wires.get_mut(&self.wire) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let end = &mut wire.ends[self.side];
        if end.is_reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if end.on_the_way >= WINDOW_BYTES {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        end.on_the_way += bytes.len();
        let said = match self.side {
            0 => wire.conversation.caller_says(bytes),
            _ => wire.conversation.called_says(bytes),
        };
        for said in said {
            (state.witness)(&self.host, said);
        }
        let what = What::Bytes(Bytes::copy_from_slice(bytes));
        state.send(Arrival { wire: self.wire, side: 1 - self.side, what });
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.host.dead.load(Ordering::SeqCst) {
            self.network.0.lock().send(Arrival { wire: self.wire, side: 1 - self.side, what: What::Close });
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        // What becomes of the connections of a process that has ended is said by `close`.
        if self.host.dead.load(Ordering::SeqCst) {
            return;
        }
        let mut state = self.network.0.lock();
        state.send(Arrival { wire: self.wire, side: 1 - self.side, what: What::Close });
        let Some(wire) = state.wires.get_mut(&self.wire) else { return };
        wire.ends[self.side].is_gone = true;
        if wire.ends[1 - self.side].is_gone {
            state.wires.remove(&self.wire);
        }
    }
}
