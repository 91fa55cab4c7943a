//! What can be done to a cluster while a load runs, and the log of what was done.
//!
//! A fault is installed, held for a while and healed before the next one. One that could not be installed here is
//! recorded as skipped with its reason: a run that promised it then fails. One after which the product did what it must
//! not (went on over a failed sync, did not come back) is recorded as violated: that fails the run, too.
//!
//! - [`kind`], [`available`]: the faults by name, their classes, what each needs and whether it is there;
//! - `process`, `network`, `clock`, `disk`, `damage`, `membership`, `combined`: how each is done;
//! - [`schedule`]: one after the other, for as long as a run takes.

pub mod available;
mod clock;
mod combined;
mod damage;
mod disk;
pub mod kind;
pub mod membership;
mod network;
mod process;
pub mod schedule;

use std::ops::Range;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

pub use kind::{Class, FaultKind};

use super::load::Load;
use crate::HarnessError;
use crate::cluster::Cluster;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultState {
    Installed,
    Skipped(String),
    /// Something of it went wrong: it may or may not have had an effect.
    Indeterminate(String),
    /// It was installed, and a node did what it must not.
    Violated(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    pub kind: FaultKind,
    pub nodes: Vec<usize>,
    /// Nanoseconds on the run's clock; the end is when it was healed, restarts included.
    pub start: u64,
    pub end: u64,
    pub state: FaultState,
    /// Whether who led when it began was among the nodes.
    pub hit_leader: bool,
    /// What was seen of it: which byte was flipped, what the node said.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

impl FaultRecord {
    #[must_use]
    pub fn installed(&self) -> bool {
        matches!(self.state, FaultState::Installed | FaultState::Violated(_))
    }

    /// Why it is not simply installed.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match &self.state {
            FaultState::Installed => None,
            FaultState::Skipped(why) | FaultState::Indeterminate(why) | FaultState::Violated(why) => Some(why),
        }
    }
}

/// Injects one fault, holds it, heals it.
pub async fn inject(cluster: &mut Cluster, kind: FaultKind, random: &mut StdRng, load: &Load) -> FaultRecord {
    let mut strike = Strike { leader: cluster.leader().await, cluster, random, load, struck: vec![], notes: vec![] };
    let start = load.clock.now();
    let mut state = match strike.make(kind).await {
        Ok(state) => state,
        // It was restarted, or waited for, after the fault: that it does not come back is its own doing.
        Err(error @ (HarnessError::EndedEarly { .. } | HarnessError::Late { .. })) => {
            FaultState::Violated(error.to_string())
        }
        Err(error) => FaultState::Indeterminate(error.to_string()),
    };
    if let Err(error) = strike.put_right(&mut state).await {
        state = FaultState::Violated(format!("{error}; before that: {state:?}"));
    }
    let Strike { leader, struck, notes, .. } = strike;
    let hit_leader = leader.is_some_and(|leader| struck.contains(&leader));
    FaultRecord { kind, nodes: struck, start, end: load.clock.now(), state, hit_leader, notes }
}

/// One fault while it is being made.
struct Strike<'a> {
    cluster: &'a mut Cluster,
    random: &'a mut StdRng,
    load: &'a Load,
    /// Who led when it began.
    leader: Option<usize>,
    struck: Vec<usize>,
    notes: Vec<String>,
}

type Struck = Result<FaultState, HarnessError>;

impl Strike<'_> {
    async fn make(&mut self, kind: FaultKind) -> Struck {
        match kind {
            FaultKind::KillOne => self.kill_one().await,
            FaultKind::KillLeader => self.kill_leader().await,
            FaultKind::KillMinority => self.kill_minority().await,
            FaultKind::KillAll => self.kill_all().await,
            FaultKind::PauseLeader => self.pause_leader().await,
            FaultKind::PauseOne => self.pause_one().await,
            FaultKind::IsolateLeader => self.isolate_leader().await,
            FaultKind::Halves => self.halves().await,
            FaultKind::OneWay => self.one_way().await,
            FaultKind::Ring => self.ring().await,
            FaultKind::Flapping => self.flapping().await,
            FaultKind::SlowWays => self.slow_ways().await,
            FaultKind::Resets => self.resets().await,
            FaultKind::ClockJump => self.clock_jump().await,
            FaultKind::ClockStrobe => self.clock_strobe().await,
            FaultKind::PowerLoss => self.power_loss().await,
            FaultKind::PowerLossAll => self.power_loss_all().await,
            FaultKind::SyncsFail => self.syncs_fail().await,
            FaultKind::SlowDisk => self.slow_disk().await,
            FaultKind::ShortDisk => self.short_disk().await,
            FaultKind::FullDisk => self.full_disk().await,
            FaultKind::DamageLog => self.damage_log().await,
            FaultKind::DamageTable => self.damage_table().await,
            FaultKind::DamageManifest => self.damage_manifest().await,
            FaultKind::DamageSnapshot => self.damage_snapshot().await,
            FaultKind::Replace => self.replace().await,
            FaultKind::LoseData => self.lose_data().await,
            FaultKind::GrowAndShrink => self.grow_and_shrink().await,
            FaultKind::HandOver => self.hand_over().await,
            FaultKind::ClockAndKill => self.clock_and_kill().await,
            FaultKind::CutAndPause => self.cut_and_pause().await,
            FaultKind::SlowAndIsolate => self.slow_and_isolate().await,
            FaultKind::CutAndPowerLoss => self.cut_and_power_loss().await,
        }
    }

    /// After whatever happened everything runs again. A node that ended without being asked to is a violation.
    async fn put_right(&mut self, state: &mut FaultState) -> Result<(), HarnessError> {
        for node in 0..self.cluster.size() {
            let rig = self.cluster.rig(node);
            if let Some(clock) = &rig.clock {
                clock.set(0)?;
            }
            if let Some(syncs) = &rig.syncs {
                syncs.heal()?;
            }
            self.cluster.resume(node)?;
            if !self.cluster.has_ended(node)? {
                continue;
            }
            if self.cluster.runs(node) {
                let said = self.cluster.log_tail(node);
                let what = format!("node {} ended by itself; it said last:\n{said}", node + 1);
                *state = FaultState::Violated(what);
            }
            self.cluster.kill(node)?;
            self.cluster.restart(node).await?;
        }
        Ok(())
    }

    fn any(&mut self) -> usize {
        self.random.random_range(0..self.cluster.size())
    }

    /// The leader as often as not, otherwise anybody.
    async fn leader_or_any(&mut self) -> Result<usize, HarnessError> {
        if self.random.random_bool(0.5) { self.cluster.wait_for_leader().await } else { Ok(self.any()) }
    }

    /// As many as may fail at one time.
    fn minority(&mut self) -> Vec<usize> {
        let size = self.cluster.size();
        rand::seq::index::sample(self.random, size, (size - 1) / 2).into_vec()
    }

    fn draw(&mut self, ms: Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(ms))
    }

    async fn hold(&mut self, ms: Range<u64>) {
        tokio::time::sleep(self.draw(ms)).await;
    }

    fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }
}

fn skipped(why: &str) -> Struck {
    Ok(FaultState::Skipped(why.to_owned()))
}

/// A program of the machine may take a while: the clients go on meanwhile.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
