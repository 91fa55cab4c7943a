//! For this crate's tests: an environment that remembers being stopped, disks that lose power, a log that can be
//! held up, and commands.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use partita_core::decision::{Answer, Command};
use partita_core::id::{Actor, BookCode, BookId, CurrencyCode, Fingerprint, Key, Position};
use partita_core::operation::{Chart, OpenBook, Operation};
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::Levels;
use partita_storage::engine::MemoryEngine;
use partita_storage::log::memory::{MemoryLog, MemoryMark, Power, Unsynced};
use partita_storage::log::{LogEngine, LogError, LogWrite, Note};
use partita_storage::snapshot::MemoryStore;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::data_directory::ClusterId;
use crate::environment::{Environment, SharedEnvironment, panic_message, spawn_blocking};
use crate::node::{Identity, Stores};
use crate::{Node, StartError};

/// Every wait of these tests ends by then.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// Threads as usual and a counting clock; being stopped is remembered instead of ending the process.
#[derive(Debug)]
pub(crate) struct TestMachine {
    clock: AtomicI64,
    free_bytes: AtomicU64,
    /// Not where a test holds up the disk from a task of the same thread.
    may_wait_for_disk: AtomicBool,
    stopped: watch::Sender<Option<String>>,
}

impl TestMachine {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicI64::new(1),
            free_bytes: AtomicU64::new(u64::MAX),
            may_wait_for_disk: AtomicBool::new(false),
            stopped: watch::Sender::new(None),
        })
    }

    pub(crate) fn let_wait_for_disk(&self) {
        self.may_wait_for_disk.store(true, Ordering::SeqCst);
    }

    /// Why the process would have ended.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        let why = stopped.wait_for(Option::is_some).await.unwrap().clone();
        why.unwrap()
    }

    /// Steps the clock, as an operator or a time service does.
    pub(crate) fn set_clock(&self, nanoseconds: i64) {
        self.clock.store(nanoseconds, Ordering::SeqCst);
    }

    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }
}

impl Environment for TestMachine {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    fn random(&self) -> [u8; 16] {
        [9; 16]
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(self.free_bytes.load(Ordering::SeqCst))
    }

    fn spawn_dedicated(&self, name: &'static str, work: BoxFuture<'static, ()>) {
        let stopped = self.stopped.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let outcome = runtime.block_on(std::panic::AssertUnwindSafe(work).catch_unwind());
                if let Err(panic) = outcome {
                    stopped.send_replace(Some(format!("{name} panicked: {}", panic_message(panic.as_ref()))));
                }
            })
            .unwrap();
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(spawn_blocking(work))
    }

    fn may_wait_for_disk(&self, _last: Duration) -> bool {
        self.may_wait_for_disk.load(Ordering::SeqCst)
    }

    fn stop_process(&self, why: &str) {
        self.stopped.send_replace(Some(why.to_owned()));
    }
}

/// Holds up every commit of a log while it is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn close(&self) {
        *self.0.0.lock() = true;
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock() = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.0.0.lock();
        while *closed {
            self.0.1.wait(&mut closed);
        }
    }
}

/// A log whose commits wait at a gate, and which counts them.
#[derive(Clone, Debug)]
pub(crate) struct GatedLog<L> {
    pub(crate) log: L,
    pub(crate) gate: Gate,
    pub(crate) commits: Arc<Mutex<Vec<usize>>>,
}

impl<L> GatedLog<L> {
    pub(crate) fn new(log: L) -> Self {
        Self { log, gate: Gate::default(), commits: Arc::default() }
    }
}

impl<L: LogEngine> LogEngine for GatedLog<L> {
    fn commit(&self, batch: &[LogWrite]) -> Result<(), LogError> {
        self.gate.pass();
        self.commits.lock().push(batch.len());
        self.log.commit(batch)
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, LogError> {
        self.log.note(note)
    }

    fn scan(&self, first: u64, last: u64, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.log.scan(first, last, limit_bytes)
    }

    fn first_index(&self) -> Result<Option<u64>, LogError> {
        self.log.first_index()
    }

    fn last_index(&self) -> Result<Option<u64>, LogError> {
        self.log.last_index()
    }
}

pub(crate) const MEMORY_BYTES: usize = 64 << 20;

/// The disks of one node, which outlive it.
#[derive(Clone)]
pub(crate) struct Disks {
    pub(crate) log: GatedLog<MemoryLog>,
    pub(crate) mark: MemoryMark,
    pub(crate) tables: MemoryStore,
    /// The node's whole budget. A small one makes checkpoints frequent.
    pub(crate) memory_bytes: usize,
    /// What the program that runs on them knows.
    pub(crate) levels: Levels,
}

impl Disks {
    pub(crate) fn new(power: Power) -> Self {
        Self {
            log: GatedLog::new(MemoryLog::new(power.clone())),
            mark: MemoryMark::new(power.clone()),
            tables: MemoryStore::new(power),
            memory_bytes: MEMORY_BYTES,
            levels: Levels::OWN,
        }
    }

    /// What the next process finds: of the state, what was flushed and the first `kept` batches after it.
    pub(crate) fn after_power_cut(&self, unsynced: Unsynced, kept: usize) -> Self {
        let power = Power::steady();
        let tables = self.tables.after_power_cut(unsynced, kept, power.clone());
        let log = GatedLog::new(self.log.log.after_power_cut(unsynced, power.clone()));
        Self { log, mark: self.mark.after_power_cut(unsynced, power), tables, ..self.clone() }
    }
}

pub(crate) async fn start(disks: &Disks, machine: &Arc<TestMachine>) -> Result<Node<MemoryEngine>, StartError> {
    let Disks { log, mark, tables, memory_bytes, levels: _ } = disks.clone();
    let identity = Identity { cluster: ClusterId([1; 16]), node_id: 1, levels: disks.levels };
    let environment: SharedEnvironment = machine.clone();
    Node::start_with(
        Stores { log, mark, tables, directories: vec![PathBuf::from("/in/memory")] },
        identity,
        memory_bytes,
        environment,
    )
    .await
}

pub(crate) async fn recovered(disks: &Disks) -> Node<MemoryEngine> {
    let node = start(disks, &TestMachine::new()).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    node
}

/// Opens a book of its own: what needs nothing before it.
pub(crate) fn command(number: u64) -> Command {
    let book = OpenBook {
        code: BookCode::new(&format!("book-{number}")).unwrap(),
        name: "A book".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Empty,
    };
    Command {
        book: BookId::CLUSTER,
        key: Key::new(&format!("key-{number}")).unwrap(),
        fingerprint: Fingerprint([1; 16]),
        stamp: Timestamp(0),
        today: Date::parse("2026-01-31").unwrap(),
        actor: Actor::new("tests").unwrap(),
        operation: Operation::OpenBook(book),
    }
}

pub(crate) fn commands(first: u64, last: u64) -> Vec<Command> {
    (first..=last).map(command).collect()
}

pub(crate) fn position_of(answer: &Answer) -> Position {
    match answer {
        Answer::Decided(decision) => decision.position,
        Answer::Replayed { position } | Answer::KeyReused { position } => *position,
    }
}
