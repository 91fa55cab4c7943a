//! How much of the raft log is kept: never less than what comes after the last durable checkpoint; more for members
//! that still need it, up to a bound in checkpoints, which go by bytes. Who is further behind gets a snapshot.

use std::collections::VecDeque;
use std::time::Duration;

use openraft::Raft;
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::sync::watch;

use crate::applier::Durable;
use crate::raft_types::TypeConfig;
use crate::snapshot::exports::Exports;
use crate::state_machine::StateMachine;

/// How long openraft may take for one step of its own that nobody waits for.
const RAFT_STEP: Duration = Duration::from_secs(60);
/// For a member that is behind, the log reaches back as far as this many checkpoints, each about a generation of the
/// working set (an eighth of the memory budget).
const KEPT_CHECKPOINTS: usize = 4;

/// Lets the log be purged behind each durable checkpoint, and never before.
pub(crate) async fn purge_behind_checkpoints(
    raft: Raft<TypeConfig, StateMachine>,
    mut durable: watch::Receiver<Option<Durable>>,
    exports: Exports,
) {
    let mut checkpoints = Checkpoints::default();
    while durable.changed().await.is_ok() {
        let Some(last) = durable.borrow_and_update().as_ref().and_then(|durable| durable.raft.last) else { continue };
        // openraft purges only what a snapshot covers; ours is the checkpoint on this node's disk.
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
        let covered = |metrics: &RaftMetrics<TypeConfig>| metrics.snapshot.is_some_and(|snapshot| snapshot >= last);
        if raft.wait(Some(RAFT_STEP)).metrics(covered, "the checkpoint is known").await.is_err() {
            tracing::warn!(
                index = last.index,
                "raft does not take note of a checkpoint: the log is purged behind the next"
            );
            continue;
        }
        checkpoints.add(last.index);
        let members = members(&raft.metrics().borrow_watched());
        let Some(upto) = checkpoints.purge_upto(members, exports.needed()) else { continue };
        if raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}

/// What other members may still need of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    /// There are none.
    Alone,
    /// This node does not know, for it does not lead.
    Unknown,
    /// All of them have everything up to this entry; `None`: one of them has nothing that is known of.
    Have(Option<u64>),
}

fn members(metrics: &RaftMetrics<TypeConfig>) -> Members {
    match &metrics.replication {
        _ if metrics.membership_config.membership().nodes().count() <= 1 => Members::Alone,
        None => Members::Unknown,
        Some(replication) => {
            let matched = replication.values().map(|matched| matched.map(|last| last.index));
            Members::Have(matched.min().flatten())
        }
    }
}

/// The entries at which the last checkpoints stood.
#[derive(Debug, Default)]
struct Checkpoints(VecDeque<u64>);

impl Checkpoints {
    fn add(&mut self, index: u64) {
        self.0.push_back(index);
        if self.0.len() > KEPT_CHECKPOINTS + 1 {
            self.0.pop_front();
        }
    }

    /// `sending`: a checkpoint on its way to a follower, which goes on from there.
    fn purge_upto(&self, members: Members, sending: Option<u64>) -> Option<u64> {
        let last = *self.0.back()?;
        let wanted = match members {
            Members::Alone => Some(last),
            Members::Have(index) => index,
            // Should it lead, those who are about as far as it is go on from the log.
            Members::Unknown => self.0.iter().rev().nth(1).copied(),
        };
        let bound = (self.0.len() > KEPT_CHECKPOINTS).then(|| self.0.front().copied()).flatten();
        let wanted = wanted.map(|wanted| wanted.min(last));
        let upto = wanted.max(bound)?;
        Some(sending.map_or(upto, |sending| sending.min(upto)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(indexes: &[u64]) -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        indexes.iter().for_each(|index| checkpoints.add(*index));
        checkpoints
    }

    #[test]
    fn the_log_is_kept_for_whoever_needs_it_and_no_further_than_the_bound() {
        let few = after(&[10, 20, 30]);
        assert_eq!(few.purge_upto(Members::Alone, None), Some(30));
        assert_eq!(few.purge_upto(Members::Unknown, None), Some(20));
        assert_eq!(few.purge_upto(Members::Have(Some(14)), None), Some(14));
        assert_eq!(few.purge_upto(Members::Have(Some(99)), None), Some(30), "nothing before it is durable");
        assert_eq!(few.purge_upto(Members::Have(None), None), None);
        assert_eq!(few.purge_upto(Members::Have(Some(25)), Some(12)), Some(12));
        let many = after(&[10, 20, 30, 40, 50, 60]);
        assert_eq!(many.purge_upto(Members::Have(None), None), Some(20));
        assert_eq!(many.purge_upto(Members::Have(Some(14)), None), Some(20));
        assert_eq!(many.purge_upto(Members::Have(Some(55)), None), Some(55));
        assert_eq!(many.purge_upto(Members::Unknown, Some(15)), Some(15));
        assert_eq!(after(&[]).purge_upto(Members::Alone, None), None);
        assert_eq!(after(&[10]).purge_upto(Members::Unknown, None), None);
    }
}
