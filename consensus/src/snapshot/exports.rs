//! This node's checkpoints that somebody reads: taken when they are needed, kept while they are of use, and removed
//! from the disk when nobody needs them. What a crash leaves of them goes at the next start.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use partita_storage::snapshot::{Exported, SnapshotError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::applier::Work;
use crate::environment::{SharedEnvironment, blocking};

/// A checkpoint whose transfer failed waits so long for the next attempt.
const KEPT: Duration = Duration::from_secs(300);
/// How often is looked whether one has waited long enough.
const LOOK: Duration = Duration::from_secs(30);

/// Why there is no checkpoint to read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("no checkpoint could be made")]
    Checkpoint(#[source] SnapshotError),
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// Up to which entry the raft log was purged.
pub(crate) type Purged = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Clones share what is kept.
#[derive(Clone)]
pub(crate) struct Exports(Arc<Shared>);

struct Shared {
    work: mpsc::Sender<Work>,
    purged: Purged,
    environment: SharedEnvironment,
    kept: Mutex<Option<Kept>>,
    /// The entry of the checkpoint that is being sent, for each transfer.
    in_use: parking_lot::Mutex<Vec<u64>>,
}

struct Kept {
    exported: Arc<Exported>,
    asked_for: Instant,
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exports").field("in_use", &self.0.in_use).finish_non_exhaustive()
    }
}

impl Exports {
    pub(crate) fn new(work: mpsc::Sender<Work>, purged: Purged, environment: SharedEnvironment) -> Self {
        let (kept, in_use) = (Mutex::default(), parking_lot::Mutex::default());
        let shared = Arc::new(Shared { work, purged, environment, kept, in_use });
        tokio::spawn(forget(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// A checkpoint of everything applied so far, which nobody else gets.
    pub(crate) async fn fresh(&self) -> Result<Exported, ExportError> {
        let (done, exported) = oneshot::channel();
        self.0.work.send(Work::Export { done }).await.map_err(|_gone| ExportError::ShuttingDown)?;
        let directory = exported.await.map_err(|_gone| ExportError::ShuttingDown)?.map_err(ExportError::Checkpoint)?;
        let described = blocking(&self.0.environment, move || directory.describe()).await;
        described.ok_or(ExportError::ShuttingDown)?.map_err(ExportError::Checkpoint)
    }

    /// Reads a part of a checkpoint's file.
    pub(super) async fn read(
        &self,
        exported: &Arc<Exported>,
        file: usize,
        offset: u64,
        length: usize,
    ) -> Result<Result<Vec<u8>, SnapshotError>, ExportError> {
        let exported = Arc::clone(exported);
        let read = blocking(&self.0.environment, move || exported.read(file, offset, length)).await;
        read.ok_or(ExportError::ShuttingDown)
    }

    /// The one that was taken for a follower before, if the log still holds what comes after it. Waits for nobody: it
    /// is asked for between two entries that are applied.
    pub(crate) fn kept(&self) -> Option<Arc<Exported>> {
        self.useful(&mut *self.0.kept.try_lock().ok()?)
    }

    /// A checkpoint that includes the entry `least`: one that is kept, or a new one for this and other followers.
    pub(crate) async fn take(&self, least: Option<u64>) -> Result<Arc<Exported>, ExportError> {
        let mut kept = self.0.kept.lock().await;
        if let Some(exported) = self.useful(&mut kept)
            && Some(exported.manifest().applied.index) >= least
        {
            return Ok(exported);
        }
        let exported = Arc::new(self.fresh().await?);
        *kept = Some(Kept { exported: Arc::clone(&exported), asked_for: Instant::now() });
        Ok(exported)
    }

    fn useful(&self, kept: &mut Option<Kept>) -> Option<Arc<Exported>> {
        let purged = (self.0.purged)();
        let found = kept.as_mut()?;
        if purged.is_some_and(|purged| found.exported.manifest().applied.index < purged) {
            *kept = None;
            return None;
        }
        found.asked_for = Instant::now();
        Some(Arc::clone(&found.exported))
    }

    /// Holds the log behind a checkpoint while it is sent.
    pub(crate) fn hold(&self, exported: &Exported) -> Hold {
        let index = exported.manifest().applied.index;
        self.0.in_use.lock().push(index);
        Hold { exports: self.clone(), index }
    }

    /// The log is needed behind this entry: a follower that is getting a checkpoint goes on from there.
    pub(crate) fn needed(&self) -> Option<u64> {
        self.0.in_use.lock().iter().min().copied()
    }

    /// A transfer has ended well: if nobody else reads its checkpoint, it goes.
    pub(crate) async fn done(&self, exported: Arc<Exported>) {
        let mut kept = self.0.kept.lock().await;
        drop(exported);
        kept.take_if(|kept| Arc::strong_count(&kept.exported) == 1);
    }
}

/// Until it is dropped, the log keeps what comes after a checkpoint.
#[derive(Debug)]
pub(crate) struct Hold {
    exports: Exports,
    index: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut in_use = self.exports.0.in_use.lock();
        if let Some(place) = in_use.iter().position(|index| *index == self.index) {
            in_use.swap_remove(place);
        }
    }
}

/// Lets go of a checkpoint that nobody has asked for again.
async fn forget(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_forgotten = |kept: &mut Kept| Arc::strong_count(&kept.exported) == 1 && kept.asked_for.elapsed() >= KEPT;
        shared.kept.lock().await.take_if(is_forgotten);
    }
}
