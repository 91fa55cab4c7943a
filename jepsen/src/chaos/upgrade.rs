//! A rolling upgrade while the load goes on: every node is replaced by a program whose level is one higher.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::check::trial_balances::Disturbance;
use super::load::Load;
use crate::HarnessError;
use crate::cluster::Cluster;
use crate::node::{binary, next_binary};

const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// So many more decisions in each phase: while a node is away, and when it is back.
const MORE: u64 = 60;

/// One node's replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub node: usize,
    /// Nanoseconds on the run's clock.
    pub start: u64,
    pub end: u64,
    /// The cluster's level when the node was about to be replaced.
    pub level: u64,
    /// Decisions while it was away.
    pub decided: u64,
}

/// What came of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upgrade {
    pub steps: Vec<Step>,
    /// When all nodes run the newer program.
    pub level: u64,
    /// What the older program said when it was started on what the newer one left.
    pub refusal: String,
}

/// Replaces one node after the other; then tries the older program once more, in vain.
pub async fn roll(cluster: &mut Cluster, load: &Load) -> Result<Upgrade, HarnessError> {
    let (older, newer) = (binary()?, next_binary()?);
    let mut steps = vec![];
    for node in 0..cluster.size() {
        let level = level(cluster, node).await?;
        let (start, before) = (load.clock.now(), load.acknowledged());
        cluster.stop_for(node, &newer).await?;
        wait_for_more(load, cluster).await?;
        cluster.restart(node).await?;
        cluster.wait_until_ready(node).await?;
        steps.push(Step { node, start, end: load.clock.now(), level, decided: load.acknowledged() - before });
        wait_for_more(load, cluster).await?;
    }
    let before = steps[0].level;
    let deadline = Instant::now() + DEADLINE;
    let mut level_now = level(cluster, 0).await?;
    while level_now == before && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        level_now = level(cluster, 0).await?;
    }
    let last = cluster.size() - 1;
    let start = load.clock.now();
    cluster.stop_for(last, &older).await?;
    let refusal = cluster.start_to_its_end(last).await?;
    cluster.stop_for(last, &newer).await?;
    cluster.restart(last).await?;
    cluster.wait_until_ready(last).await?;
    steps.push(Step { node: last, start, end: load.clock.now(), level: level_now, decided: 0 });
    Ok(Upgrade { steps, level: level_now, refusal })
}

impl Upgrade {
    /// When something was done to a node.
    #[must_use]
    pub fn disturbances(&self) -> Vec<Disturbance> {
        self.steps.iter().map(|step| Disturbance { node: step.node, start: step.start, end: step.end }).collect()
    }
}

async fn level(cluster: &Cluster, node: usize) -> Result<u64, HarnessError> {
    let status = cluster.client(node).read("/v1/cluster").await?;
    status["level"].as_u64().ok_or_else(|| HarnessError::Unexpected {
        request: "GET /v1/cluster".to_owned(),
        status: 200,
        body: status.to_string(),
    })
}

async fn wait_for_more(load: &Load, cluster: &Cluster) -> Result<(), HarnessError> {
    let wanted = load.acknowledged() + MORE;
    let deadline = Instant::now() + DEADLINE;
    while load.acknowledged() < wanted {
        if Instant::now() > deadline {
            let log = (0..cluster.size()).map(|node| cluster.log_tail(node)).collect::<Vec<_>>().join("\n");
            return Err(HarnessError::Late { what: "decisions during an upgrade", seconds: DEADLINE.as_secs(), log });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
