//! What can be done to a cluster while a load runs, and the log of what was done.
//!
//! A fault is installed, held for a while and healed before the next one. One that could not be installed here is
//! recorded as skipped with its reason: a run that promised it then fails.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::history::Clock;
use crate::HarnessError;
use crate::cluster::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL of any one node, then its restart.
    KillOne,
    KillLeader,
    /// As many as may die at one time.
    KillMinority,
    KillAll,
    /// SIGSTOP for some seconds: it wakes up believing that it leads.
    PauseLeader,
    PauseOne,
    /// The leader hears nobody, and nobody hears the leader.
    IsolateLeader,
    /// Two parts that do not hear each other.
    Halves,
    /// What the leader sends is lost; what is sent to it arrives.
    OneWay,
    /// Every node hears its neighbours in a ring only; of three nodes, two do not hear each other.
    Ring,
    /// The leader is cut off and joined again, five times in a second or two.
    Flapping,
}

impl FaultKind {
    pub const ALL: [Self; 11] = [
        Self::KillOne,
        Self::KillLeader,
        Self::KillMinority,
        Self::KillAll,
        Self::PauseLeader,
        Self::PauseOne,
        Self::IsolateLeader,
        Self::Halves,
        Self::OneWay,
        Self::Ring,
        Self::Flapping,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KillOne => "kill-one",
            Self::KillLeader => "kill-leader",
            Self::KillMinority => "kill-minority",
            Self::KillAll => "kill-all",
            Self::PauseLeader => "pause-leader",
            Self::PauseOne => "pause-one",
            Self::IsolateLeader => "isolate-leader",
            Self::Halves => "halves",
            Self::OneWay => "one-way",
            Self::Ring => "ring",
            Self::Flapping => "flapping",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultState {
    Installed,
    Skipped(String),
    /// Something of it went wrong: it may or may not have had an effect.
    Indeterminate(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    pub kind: FaultKind,
    pub nodes: Vec<usize>,
    /// Nanoseconds on the run's clock; the end is when it was healed, restarts included.
    pub start: u64,
    pub end: u64,
    pub state: FaultState,
}

impl FaultRecord {
    #[must_use]
    pub fn installed(&self) -> bool {
        self.state == FaultState::Installed
    }
}

/// Injects one fault, holds it, heals it.
pub async fn inject(cluster: &mut Cluster, kind: FaultKind, random: &mut StdRng, clock: Clock) -> FaultRecord {
    let start = clock.now();
    let mut nodes = vec![];
    let state = match strike(cluster, kind, random, &mut nodes).await {
        Ok(true) => FaultState::Installed,
        Ok(false) => {
            FaultState::Skipped("the ways between these nodes cannot be cut: no network namespaces".to_owned())
        }
        Err(error) => FaultState::Indeterminate(error.to_string()),
    };
    FaultRecord { kind, nodes, start, end: clock.now(), state }
}

/// False if it cannot be installed on these hosts.
async fn strike(
    cluster: &mut Cluster,
    kind: FaultKind,
    random: &mut StdRng,
    struck: &mut Vec<usize>,
) -> Result<bool, HarnessError> {
    let size = cluster.size();
    let any = random.random_range(0..size);
    match kind {
        FaultKind::KillOne => kill(cluster, vec![any], random, struck).await,
        FaultKind::KillLeader => {
            let leader = cluster.wait_for_leader().await?;
            kill(cluster, vec![leader], random, struck).await
        }
        FaultKind::KillMinority => {
            let mut nodes: Vec<usize> = (0..size).collect();
            nodes.shuffle(random);
            nodes.truncate((size - 1) / 2);
            kill(cluster, nodes, random, struck).await
        }
        FaultKind::KillAll => kill(cluster, (0..size).collect(), random, struck).await,
        FaultKind::PauseLeader => {
            let leader = cluster.wait_for_leader().await?;
            pause(cluster, leader, random, struck).await
        }
        FaultKind::PauseOne => pause(cluster, any, random, struck).await,
        FaultKind::IsolateLeader => {
            let leader = cluster.wait_for_leader().await?;
            struck.push(leader);
            cut(cluster, &between(&[leader], size), hold(random, 2_000..6_000)).await
        }
        FaultKind::Halves => {
            let mut nodes: Vec<usize> = (0..size).collect();
            nodes.shuffle(random);
            nodes.truncate(size / 2);
            struck.clone_from(&nodes);
            cut(cluster, &between(&nodes, size), hold(random, 2_000..6_000)).await
        }
        FaultKind::OneWay => {
            let leader = cluster.wait_for_leader().await?;
            struck.push(leader);
            let ways: Vec<_> = (0..size).filter(|&node| node != leader).map(|node| (leader, node)).collect();
            cut(cluster, &ways, hold(random, 2_000..6_000)).await
        }
        FaultKind::Ring => {
            struck.extend(0..size);
            cut(cluster, &beyond_the_ring(size, any), hold(random, 2_000..6_000)).await
        }
        FaultKind::Flapping => {
            let leader = cluster.wait_for_leader().await?;
            struck.push(leader);
            let mut installed = true;
            for _ in 0..5 {
                installed &= cut(cluster, &between(&[leader], size), hold(random, 50..500)).await?;
                tokio::time::sleep(hold(random, 50..300)).await;
            }
            Ok(installed)
        }
    }
}

fn hold(random: &mut StdRng, ms: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(ms))
}

async fn kill(
    cluster: &mut Cluster,
    nodes: Vec<usize>,
    random: &mut StdRng,
    struck: &mut Vec<usize>,
) -> Result<bool, HarnessError> {
    struck.clone_from(&nodes);
    for &node in &nodes {
        cluster.kill(node)?;
    }
    tokio::time::sleep(hold(random, 300..3_000)).await;
    for node in nodes {
        cluster.restart(node).await?;
    }
    Ok(true)
}

async fn pause(
    cluster: &mut Cluster,
    node: usize,
    random: &mut StdRng,
    struck: &mut Vec<usize>,
) -> Result<bool, HarnessError> {
    struck.push(node);
    cluster.pause(node)?;
    tokio::time::sleep(hold(random, 2_000..8_000)).await;
    cluster.resume(node)?;
    Ok(true)
}

/// Cuts ways for a while. They are joined again whatever happens.
async fn cut(cluster: &Cluster, ways: &[(usize, usize)], hold: Duration) -> Result<bool, HarnessError> {
    let mut done = vec![];
    let mut outcome = Ok(true);
    for &(from, to) in ways {
        match cluster.hosts().cut(from, to) {
            Ok(true) => done.push((from, to)),
            other => {
                outcome = other;
                break;
            }
        }
    }
    if matches!(outcome, Ok(true)) {
        tokio::time::sleep(hold).await;
    }
    for (from, to) in done {
        if let Err(error) = cluster.hosts().join(from, to) {
            outcome = Err(error);
        }
    }
    outcome
}

/// All ways between some nodes and the others, both directions.
fn between(nodes: &[usize], size: usize) -> Vec<(usize, usize)> {
    let others = (0..size).filter(|node| !nodes.contains(node));
    others.flat_map(|other| nodes.iter().flat_map(move |&node| [(node, other), (other, node)])).collect()
}

/// All ways between nodes that are not neighbours in a ring that is turned by `turn`.
fn beyond_the_ring(size: usize, turn: usize) -> Vec<(usize, usize)> {
    let mut ways = BTreeSet::new();
    for one in 0..size {
        for other in 0..size {
            let apart = (size + other - one) % size;
            let neighbours = size > 3 && (apart == 1 || apart == size - 1);
            // In a ring of three all are neighbours: there one of them stands between the two others.
            let in_between = size <= 3 && (one == turn || other == turn);
            if one != other && !neighbours && !in_between {
                ways.insert((one, other));
            }
        }
    }
    ways.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_those_that_the_names_say() {
        assert_eq!(between(&[1], 3), [(1, 0), (0, 1), (1, 2), (2, 1)]);
        assert_eq!(beyond_the_ring(3, 1), [(0, 2), (2, 0)]);
        let ring = beyond_the_ring(5, 0);
        assert_eq!(ring.len(), 10);
        assert!(ring.contains(&(0, 2)) && ring.contains(&(0, 3)) && !ring.contains(&(0, 4)) && !ring.contains(&(0, 1)));
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_name(kind.name()), Some(kind));
        }
    }
}
