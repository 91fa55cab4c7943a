//! What a node takes from the outside: clock, randomness, threads of its own, and the way to stop.
//!
//! Passed in, so that the simulator runs the same node under its own (ARCHITECTURE.md). The work of a
//! dedicated thread is a future that waits for nothing but channels and pauses.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use partita_core::time::Timestamp;
use tokio::sync::oneshot;

pub type SharedEnvironment = Arc<dyn Environment>;

pub trait Environment: fmt::Debug + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    fn random(&self) -> [u8; 16];

    /// What this process may still write to the file system of a directory.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// Runs `work` on a thread of its own. If it panics the process stops.
    fn spawn_dedicated(&self, name: &'static str, work: BoxFuture<'static, ()>);

    /// Runs what waits for a disk, where nothing else waits for it. Resolves early only when the process ends.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;

    /// Whether a task may wait for a write to the disk, the last of which took so long. Any answer is right: it is a matter
    /// of speed.
    fn may_wait_for_disk(&self, last: Duration) -> bool;

    /// Ends the process at once: what it was doing must not be acknowledged and its memory is not to be trusted.
    fn stop_process(&self, why: &str);
}

/// Runs what waits for a disk; nothing is returned where the process is ending.
pub(crate) async fn blocking<T: Send + 'static>(
    environment: &SharedEnvironment,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // Whoever asked may have gone away.
        let _gone = done.send(work());
    };
    environment.run_blocking(Box::new(work)).await;
    result.await.ok()
}

/// Does a dedicated thread's work on another thread: what stops the process there must stop it here. `None` where it does.
pub(crate) fn in_place_of_a_thread<T>(
    environment: &SharedEnvironment,
    what: &str,
    work: impl FnOnce() -> T,
) -> Option<T> {
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            environment.stop_process(&format!("{what} panicked: {}", panic_message(panic.as_ref())));
            None
        }
    }
}

/// On tokio's threads for it.
pub(crate) async fn spawn_blocking(work: Box<dyn FnOnce() + Send>) {
    if let Err(ended) = tokio::task::spawn_blocking(work).await
        && ended.is_panic()
    {
        std::panic::resume_unwind(ended.into_panic());
    }
}

/// All else that runs on a task's thread waits as long.
const SHORT_WAIT: Duration = Duration::from_micros(500);

/// The machine's own clock and threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Environment for Machine {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is set after 1970");
        Timestamp(i64::try_from(since.as_nanos()).expect("ledger time ends in 2262"))
    }

    fn random(&self) -> [u8; 16] {
        rand::random()
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn spawn_dedicated(&self, name: &'static str, work: BoxFuture<'static, ()>) {
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime with nothing but a timer needs nothing of the machine");
            let outcome = runtime.block_on(AssertUnwindSafe(work).catch_unwind());
            if let Err(panic) = outcome {
                Machine.stop_process(&format!("thread {name} panicked: {}", panic_message(panic.as_ref())));
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(body) {
            self.stop_process(&format!("thread {name} could not be started: {error}"));
        }
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(spawn_blocking(work))
    }

    fn may_wait_for_disk(&self, last: Duration) -> bool {
        last <= SHORT_WAIT
    }

    fn stop_process(&self, why: &str) {
        tracing::error!(why, "stopping: this node must not go on");
        std::process::abort();
    }
}

/// What a panic said.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}
