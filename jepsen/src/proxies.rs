//! A TCP proxy before each node's raft port, on loopback addresses: ways between nodes that can be cut, slowed down and
//! reset, one direction at a time, without being root.
//!
//! Peers reach a node at one address, so a connection's first bytes have to say whose it is: the handshake names the
//! caller's id (docs/cluster.md).

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::HarnessError;

/// Clusters of one process, so that their addresses differ.
static RUNS: AtomicU16 = AtomicU16::new(0);

const HELLO: Duration = Duration::from_secs(5);
const CHUNK: usize = 16 * 1_024;
/// Chunks on their way; behind them a sender waits, as behind a full pipe.
const ON_THE_WAY: usize = 64;

/// One direction between two nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Way {
    is_cut: bool,
    /// Each chunk takes so many milliseconds, drawn anew.
    delay_ms: Option<Range<u64>>,
    /// Connections that were made before the last reset are closed.
    resets: u64,
}

type Ways = Arc<Mutex<BTreeMap<(usize, usize), watch::Sender<Way>>>>;
type Ids = Arc<Mutex<BTreeMap<u64, usize>>>;

/// Gone, with every connection, when dropped.
#[derive(Debug)]
pub struct Proxies {
    /// The first three numbers of every address.
    prefix: String,
    /// Held, so that no other run takes these addresses.
    _claim: TcpListener,
    ways: Ways,
    ids: Ids,
    /// Of its own, so that it does not matter who makes and drops it.
    runtime: Option<Runtime>,
}

impl Proxies {
    pub fn new(nodes: usize) -> Result<Self, HarnessError> {
        let (prefix, claim) = claim()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let proxies = Self {
            prefix,
            _claim: claim,
            ways: Ways::default(),
            ids: Ids::default(),
            runtime: Some(runtime.map_err(HarnessError::NoPort)?),
        };
        for node in 0..nodes {
            proxies.serve(node)?;
        }
        Ok(proxies)
    }

    #[must_use]
    pub fn listen(&self, node: usize) -> String {
        format!("{}.{}:7070", self.prefix, 11 + node)
    }

    /// Where the node itself listens for its peers.
    #[must_use]
    pub fn raft(&self, node: usize) -> String {
        format!("{}.{}:7071", self.prefix, 11 + node)
    }

    /// Where its peers reach it: its proxy.
    #[must_use]
    pub fn advertised(&self, node: usize) -> String {
        format!("{}.{}:7071", self.prefix, 111 + node)
    }

    /// Which node goes by an id.
    pub fn know(&self, id: u64, node: usize) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id, node);
    }

    pub fn cut(&self, from: usize, to: usize, is_cut: bool) {
        self.way(from, to).send_modify(|way| way.is_cut = is_cut);
    }

    pub fn delay(&self, from: usize, to: usize, delay_ms: Option<Range<u64>>) {
        self.way(from, to).send_modify(|way| way.delay_ms = delay_ms);
    }

    /// Closes every connection that carries this way, in the middle of whatever it carries.
    pub fn reset(&self, from: usize, to: usize) {
        self.way(from, to).send_modify(|way| way.resets += 1);
    }

    fn way(&self, from: usize, to: usize) -> watch::Sender<Way> {
        way(&self.ways, from, to)
    }

    fn serve(&self, node: usize) -> Result<(), HarnessError> {
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        let listener = TcpListener::bind(self.advertised(node)).map_err(HarnessError::NoPort)?;
        listener.set_nonblocking(true).map_err(HarnessError::NoPort)?;
        let target: SocketAddr = self.raft(node).parse().expect("an address of ours");
        let (ways, ids) = (Arc::clone(&self.ways), Arc::clone(&self.ids));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is inside its runtime");
            loop {
                // A connection that could not be taken is the caller's to make again.
                let Ok((caller, _)) = listener.accept().await else { continue };
                tokio::spawn(carry(caller, node, target, Arc::clone(&ways), Arc::clone(&ids)));
            }
        });
        Ok(())
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Loopback addresses that no other run on this machine has.
fn claim() -> Result<(String, TcpListener), HarnessError> {
    let process = std::process::id();
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for turn in 0..200 {
        let run = u32::from(RUNS.fetch_add(1, Ordering::Relaxed)) + turn;
        let prefix = format!("127.{}.{}", 100 + process % 100, (process / 100 + run) % 250);
        match TcpListener::bind(format!("{prefix}.1:7070")) {
            Ok(listener) => return Ok((prefix, listener)),
            Err(error) => last = error,
        }
    }
    Err(HarnessError::NoPort(last))
}

fn way(ways: &Ways, from: usize, to: usize) -> watch::Sender<Way> {
    let mut ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
    ways.entry((from, to)).or_insert_with(|| watch::Sender::new(Way::default())).clone()
}

/// One connection, from its first bytes to its end. That it ended is for the two nodes to see.
async fn carry(mut caller: TcpStream, to: usize, target: SocketAddr, ways: Ways, ids: Ids) {
    let Ok(Ok(hello)) = tokio::time::timeout(HELLO, hello(&mut caller)).await else { return };
    let from = own_id(&hello).and_then(|id| ids.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied());
    // Somebody unknown has a way of its own, which nobody cuts.
    let from = from.unwrap_or(usize::MAX);
    let Ok(mut called) = TcpStream::connect(target).await else { return };
    if caller.set_nodelay(true).is_err() || called.set_nodelay(true).is_err() {
        return;
    }
    let (there, back) = (way(&ways, from, to).subscribe(), way(&ways, to, from).subscribe());
    if open(there.clone()).await.is_err() || called.write_all(&hello).await.is_err() {
        return;
    }
    let ((caller_reads, caller_writes), (called_reads, called_writes)) = (caller.into_split(), called.into_split());
    // A reset of either direction, and the end of either, ends both.
    tokio::select! {
        () = pump(caller_reads, called_writes, there.clone()) => {}
        () = pump(called_reads, caller_writes, back.clone()) => {}
        () = reset(there) => {}
        () = reset(back) => {}
    }
}

/// Bytes in order, each chunk no sooner than its delay and not while the way is cut.
async fn pump(mut reads: OwnedReadHalf, mut writes: OwnedWriteHalf, way: watch::Receiver<Way>) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reader = {
        let way = way.clone();
        async move {
            let mut due = Instant::now();
            let mut buffer = vec![0; CHUNK];
            loop {
                let length = reads.read(&mut buffer).await.unwrap_or(0);
                if length == 0 {
                    return;
                }
                let delay = way.borrow().delay_ms.clone().map_or(0, |range| rand::rng().random_range(range));
                due = due.max(Instant::now() + Duration::from_millis(delay));
                if sender.send((due, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
        }
    };
    let writer = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if open(way.clone()).await.is_err() || writes.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reader, writer);
}

/// Returns when the way is not cut (any more).
async fn open(mut way: watch::Receiver<Way>) -> Result<(), watch::error::RecvError> {
    way.wait_for(|way| !way.is_cut).await.map(drop)
}

async fn reset(mut way: watch::Receiver<Way>) {
    let before = way.borrow().resets;
    // The senders are kept as long as the proxies: an error is their end.
    drop(way.wait_for(|way| way.resets != before).await);
}

/// The caller's first frame, whole.
async fn hello(caller: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    caller.read_exact(&mut bytes).await?;
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    // Handshakes have at most 512 bytes; whatever else begins here, TLS say, goes through as it is.
    if let Ok(rest) = usize::try_from(length)
        && rest <= 512
    {
        bytes.resize(4 + rest, 0);
        caller.read_exact(&mut bytes[4..]).await?;
    }
    Ok(bytes)
}

/// `length u32 ‖ kind u8 ‖ id u64 ‖ wait_ms u32`, then `"partita" ‖ two versions ‖ cluster (17 bytes) ‖ own id u64`.
fn own_id(hello: &[u8]) -> Option<u64> {
    let id = hello.get(17..)?.strip_prefix(b"partita")?.get(2 + 17..)?.get(..8)?;
    id.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    /// What node `id` says first; its length counts what follows it.
    fn hello_of(id: u64) -> Vec<u8> {
        let mut bytes = vec![0; 13];
        bytes.extend_from_slice(b"partita\x01\x01");
        bytes.extend_from_slice(&[0; 17]);
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&[0; 16]);
        let mut whole = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        whole.append(&mut bytes);
        whole
    }

    /// A connection of node 0 to node 1 and its other end.
    fn connect(proxies: &Proxies, called: &TcpListener) -> (TcpStream, TcpStream) {
        let mut caller = TcpStream::connect(proxies.advertised(1)).unwrap();
        caller.write_all(&hello_of(7)).unwrap();
        let (mut end, _) = called.accept().unwrap();
        let mut heard = vec![0; hello_of(7).len()];
        end.read_exact(&mut heard).unwrap();
        assert_eq!(heard, hello_of(7));
        for stream in [&caller, &end] {
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        }
        (caller, end)
    }

    #[test]
    fn a_way_is_cut_slowed_and_reset_in_one_direction() {
        let proxies = Proxies::new(2).unwrap();
        proxies.know(7, 0);
        let called = TcpListener::bind(proxies.raft(1)).unwrap();
        let (mut caller, mut end) = connect(&proxies, &called);
        let mut byte = [0];

        proxies.cut(0, 1, true);
        caller.write_all(b"a").unwrap();
        end.write_all(b"b").unwrap();
        caller.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"b");
        assert!(end.read_exact(&mut byte).is_err(), "nothing comes over a cut way");
        proxies.cut(0, 1, false);
        end.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"a");

        proxies.delay(0, 1, Some(100..101));
        let began = std::time::Instant::now();
        caller.write_all(b"c").unwrap();
        end.read_exact(&mut byte).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(100));
        proxies.delay(0, 1, None);

        proxies.reset(0, 1);
        // Its end, as a reset or as the end of what is sent; not a time-out.
        let ended = |result: io::Result<usize>| match result {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        assert!(ended(caller.read(&mut byte)));
        assert!(ended(end.read(&mut byte)));
        connect(&proxies, &called);
    }
}
