//! What a member does by itself: as the leader it lets learners vote once they have caught up and corrects its own
//! address; without a leader for long it finds out whether it was removed.

use std::time::Duration;

use openraft::ServerState;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::change::Change;
use super::leading::Raft;
use super::operations::Cluster;
use crate::raft_types::TypeConfig;

type Metrics = WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>;

const TICK: Duration = Duration::from_millis(500);
/// What one of its changes may take.
const CHANGE: Duration = Duration::from_secs(10);
/// Without a leader for so long, a node asks whether it was removed.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// Runs until raft ends. `address` is where this node is reached.
pub(crate) async fn watch_over(cluster: Cluster, raft: Raft, address: String) {
    let mut metrics = raft.server_metrics();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut led_at = Instant::now();
    let mut said_forgotten = false;
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            changed = metrics.changed() => {
                if changed.is_err() {
                    return;
                }
                let (state, leader) = state_and_leader(&metrics);
                seen.count(state, leader);
                continue;
            }
            _tick = ticks.tick() => {}
        }
        if cluster.leads() {
            lead(&cluster, &address).await;
        }
        if state_and_leader(&metrics).1.is_some() {
            (led_at, said_forgotten) = (Instant::now(), false);
        } else if !said_forgotten && led_at.elapsed() > FORGOTTEN {
            said_forgotten = was_removed(&cluster).await;
            led_at = Instant::now();
        }
    }
}

fn state_and_leader(metrics: &Metrics) -> (ServerState, Option<u64>) {
    let metrics = metrics.borrow_watched();
    (metrics.state, metrics.current_leader)
}

async fn lead(cluster: &Cluster, address: &str) {
    let deadline = Instant::now() + CHANGE;
    if cluster.own_address().is_some_and(|known| known != address) {
        // Tried again at the next tick if it could not be done.
        if cluster.leading().correct_address(address, deadline).await.is_ok() {
            tracing::info!(address, "this node's address is now in the membership");
        }
    }
    for node_id in cluster.leading().promotable() {
        match cluster.leading().change(&Change::Promote { node_id }, deadline).await {
            Ok(()) => tracing::info!(node = node_id, "a learner has caught up: it votes now"),
            Err(failure) => tracing::debug!(node = node_id, ?failure, "a learner does not vote yet"),
        }
    }
}

async fn was_removed(cluster: &Cluster) -> bool {
    let Some(view) = cluster.view_of_any_leader(Instant::now() + CHANGE).await else { return false };
    let removed = view.followers.iter().all(|follower| follower.node_id != cluster.node_id());
    if removed {
        tracing::error!(
            node = cluster.node_id(),
            "this node was removed from its cluster, which goes on without it: stop it, and remove its directory"
        );
    }
    removed
}

/// Counts elections and changes of the leader for the metrics.
#[derive(Debug, Default)]
struct Seen {
    stands: bool,
    leader: Option<u64>,
}

impl Seen {
    fn count(&mut self, state: ServerState, leader: Option<u64>) {
        let stands = state == ServerState::Candidate;
        if stands && !self.stands {
            metrics::counter!("partita_elections_total").increment(1);
        }
        self.stands = stands;
        if leader.is_some() && leader != self.leader {
            metrics::counter!("partita_leader_changes_total").increment(1);
            self.leader = leader;
        }
    }
}
