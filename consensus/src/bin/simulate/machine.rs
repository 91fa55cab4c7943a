//! What a process gets from its machine: a clock that jumps and drifts, draws, a disk that takes its time, and
//! "threads" that are tasks of the one thread that the whole cluster runs on.
//!
//! A thread of its own is polled only after as long as its disk takes: what it does is done at once, but late.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use partita_consensus::environment::{Environment, panic_message};
use partita_core::time::Timestamp;
use tokio::time::Sleep;

use crate::dice::Dice;

/// 2026-01-01.
pub(crate) const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

/// The clock of the world, which only the world moves.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorldClock(Arc<AtomicU64>);

impl WorldClock {
    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The wall clock of one machine; it outlives its processes.
#[derive(Debug)]
pub(crate) struct WallClock {
    world: WorldClock,
    offset_ns: AtomicI64,
    drift_ppm: i64,
}

impl WallClock {
    pub(crate) fn new(world: WorldClock, offset_ns: i64, drift_ppm: i64) -> Self {
        Self { world, offset_ns: AtomicI64::new(offset_ns), drift_ppm }
    }

    pub(crate) fn jump(&self, ns: i64) {
        self.offset_ns.fetch_add(ns, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.world.ms()).expect("a run is short");
        let drift = ms * self.drift_ppm;
        Timestamp(EPOCH_NS + ms * 1_000_000 + drift + self.offset_ns.load(Ordering::SeqCst))
    }
}

/// How long a disk takes, in ms.
#[derive(Debug)]
pub(crate) struct DiskPace {
    usual_ms: u64,
    /// While it is slow.
    slow_ms: AtomicU64,
}

impl DiskPace {
    pub(crate) fn new(usual_ms: u64) -> Self {
        Self { usual_ms, slow_ms: AtomicU64::new(0) }
    }

    pub(crate) fn slow_down(&self, ms: u64) {
        self.slow_ms.store(ms, Ordering::SeqCst);
    }

    fn draw(&self, dice: &Mutex<Dice>) -> Duration {
        let slow = self.slow_ms.load(Ordering::SeqCst);
        let most = if slow > 0 { slow } else { self.usual_ms };
        Duration::from_millis(dice.lock().between(0, most))
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) wall: Arc<WallClock>,
    pub(crate) pace: Arc<DiskPace>,
    pub(crate) dice: Arc<Mutex<Dice>>,
    /// Nothing that it does counts any more.
    pub(crate) dead: Arc<AtomicBool>,
    /// Its disk was told to fail: it may stop itself, and a little later than it should.
    pub(crate) is_doomed: AtomicBool,
    pub(crate) stopped: Mutex<Option<String>>,
}

impl Environment for Machine {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn random(&self) -> [u8; 16] {
        self.dice.lock().bytes()
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn spawn_dedicated(&self, name: &'static str, work: BoxFuture<'static, ()>) {
        let (dead, dice, pace) = (Arc::clone(&self.dead), Arc::clone(&self.dice), Arc::clone(&self.pace));
        // Applying waits for no disk.
        let waits = name != "apply";
        tokio::spawn(Thread { work, dead, dice, pace, waits, pause: None });
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let pause = self.pace.draw(&self.dice);
        async move {
            tokio::time::sleep(pause).await;
            work();
        }
        .boxed()
    }

    fn may_wait_for_disk(&self, _last: Duration) -> bool {
        !self.dead.load(Ordering::SeqCst) && self.dice.lock().between(0, 1) == 0
    }

    fn stop_process(&self, why: &str) {
        self.stopped.lock().get_or_insert_with(|| why.to_owned());
        if !self.is_doomed.load(Ordering::SeqCst) {
            self.dead.store(true, Ordering::SeqCst);
        }
    }
}

struct Thread {
    work: BoxFuture<'static, ()>,
    dead: Arc<AtomicBool>,
    dice: Arc<Mutex<Dice>>,
    pace: Arc<DiskPace>,
    waits: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Future for Thread {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        if self.pause.is_none() && self.waits {
            let pause = self.pace.draw(&self.dice);
            if !pause.is_zero() {
                self.pause = Some(Box::pin(tokio::time::sleep(pause)));
            }
        }
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        self.work.as_mut().poll(context)
    }
}

/// Panics anywhere in the process, the first of them; the hook is set once.
pub(crate) fn watch_panics(seen: Arc<Mutex<Option<String>>>) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let trace = std::backtrace::Backtrace::capture();
        seen.lock().get_or_insert_with(|| format!("{}{place}\n{trace}", panic_message(panic.payload())));
    }));
}
