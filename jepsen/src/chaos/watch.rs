//! Looks at the cluster while the load goes on: when another node was first seen to lead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::load::Load;
use crate::HarnessError;

const POLL: Duration = Duration::from_millis(200);

/// What was seen; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    term: u64,
    leader: u64,
    /// On the run's clock.
    changes: Vec<u64>,
}

impl Watch {
    /// Asks all nodes in turn until the load is stopped.
    pub(super) async fn leaders(self, load: Load) -> Result<(), HarnessError> {
        while !load.is_stopped() {
            for keeper in &load.nodes {
                // A node that does not answer, or knows of no leader, has nothing to say.
                if let Some((term, leader)) = keeper.leader().await {
                    self.saw(term, leader, load.clock.now());
                }
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn saw(&self, term: u64, leader: u64, now: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if term <= seen.term {
            return;
        }
        if seen.leader != 0 && seen.leader != leader {
            seen.changes.push(now);
        }
        (seen.term, seen.leader) = (term, leader);
    }

    /// When another leader than the one before was first seen.
    #[must_use]
    pub fn leader_changes(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_another_leader_in_a_newer_term() {
        let watch = Watch::default();
        for (term, leader, now) in [(1, 1, 10), (1, 1, 20), (2, 1, 30), (3, 2, 40), (2, 1, 50), (4, 1, 60)] {
            watch.saw(term, leader, now);
        }
        assert_eq!(watch.leader_changes(), [40, 60]);
    }
}
