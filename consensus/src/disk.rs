//! The disk guard: takes no more writes while a node can still save what it has taken.
//!
//! A node whose disk is full stops: a log or a checkpoint that cannot be written must not be acknowledged. Before it
//! comes to that, new commands are refused while there is room left for what those already taken will write. Reads go
//! on. Space that becomes free is seen within [`LOOK`], and commands are taken again.
//!
//! Only the disks of this node are looked at: a follower applies what the leader took.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::applier::approximate;
use crate::environment::SharedEnvironment;

/// How often free space is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// What may be written between two looks, and what the stores write beside the data: their manifests, the mark, the
/// files that a flush begins before it removes others.
const SLACK_BYTES: u64 = 64 << 20;
/// Commands are taken again when this part more than needed is free, so that a node at the edge does not flicker.
const RESUME_PART: u64 = 8;

/// Less is free than a node needs to save itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub free_bytes: u64,
    pub needed_bytes: u64,
}

/// What must be free, given the most bytes of one generation of the working set.
///
/// Two generations may be waiting for their checkpoints, each of which writes at most what it holds in memory. The
/// raft log is purged only behind a checkpoint, so that it holds the commands of both, which are shorter than their
/// decisions, in its write-ahead file or, while that is being replaced, in a table file too.
#[must_use]
pub(crate) fn needed_bytes(generation_bytes: u64) -> u64 {
    let checkpoints = 2 * generation_bytes;
    let log = 2 * generation_bytes;
    checkpoints + log + SLACK_BYTES
}

/// Where it is looked, and for how much.
#[derive(Clone, Debug)]
pub(crate) struct DiskLimits {
    /// Log and state may be on different disks; each must have all that is needed.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) needed_bytes: u64,
}

/// Whether commands are taken. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct DiskGuard(watch::Receiver<Option<Shortage>>);

impl DiskGuard {
    /// Looks once, so that a node which starts on a full disk takes nothing, and then again and again. Fails where
    /// not even the first look succeeds.
    pub(crate) fn start(limits: DiskLimits, environment: SharedEnvironment) -> io::Result<Self> {
        let first = look(&limits, None, &environment)?;
        let (sender, receiver) = watch::channel(first);
        report(None, first);
        tokio::spawn(keep_looking(limits, sender, environment));
        Ok(Self(receiver))
    }

    pub(crate) fn shortage(&self) -> Option<Shortage> {
        *self.0.borrow()
    }
}

async fn keep_looking(limits: DiskLimits, shortage: watch::Sender<Option<Shortage>>, environment: SharedEnvironment) {
    let mut pause = tokio::time::interval(LOOK);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !shortage.is_closed() {
        pause.tick().await;
        let before = *shortage.borrow();
        match look(&limits, before, &environment) {
            Ok(found) => {
                report(before, found);
                shortage.send_replace(found);
            }
            // What was seen last holds until the disk can be asked again.
            Err(error) => tracing::warn!(%error, "free disk space cannot be read"),
        }
    }
}

fn look(
    limits: &DiskLimits,
    before: Option<Shortage>,
    environment: &SharedEnvironment,
) -> io::Result<Option<Shortage>> {
    let mut least = u64::MAX;
    for directory in &limits.directories {
        least = least.min(environment.free_bytes(directory)?);
    }
    metrics::gauge!("partita_disk_free_bytes").set(approximate(least));
    Ok(judge(least, limits.needed_bytes, before.is_some()))
}

fn judge(free_bytes: u64, needed_bytes: u64, was_short: bool) -> Option<Shortage> {
    let enough = if was_short { needed_bytes + needed_bytes / RESUME_PART } else { needed_bytes };
    (free_bytes < enough).then_some(Shortage { free_bytes, needed_bytes: enough })
}

fn report(before: Option<Shortage>, now: Option<Shortage>) {
    match (before, now) {
        (None, Some(Shortage { free_bytes, needed_bytes })) => {
            tracing::error!(free_bytes, needed_bytes, "the disk is short: writes are refused until more is free");
        }
        (Some(_), None) => tracing::info!("the disk has room again: writes are taken"),
        (None, None) | (Some(_), Some(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_short_below_what_is_needed_and_until_somewhat_more_is_free() {
        let short = |free_bytes, needed_bytes| Some(Shortage { free_bytes, needed_bytes });
        assert_eq!(judge(800, 800, false), None);
        assert_eq!(judge(799, 800, false), short(799, 800));
        assert_eq!(judge(899, 800, true), short(899, 900));
        assert_eq!(judge(900, 800, true), None);
    }

    #[test]
    fn two_checkpoints_and_the_log_behind_them_have_room() {
        assert_eq!(needed_bytes(0), 64 << 20);
        assert_eq!(needed_bytes(256 << 20), (1 << 30) + (64 << 20));
    }
}
