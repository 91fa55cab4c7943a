//! Wall clocks set ahead and back.

use std::time::{Duration, Instant};

use rand::Rng as _;

use super::{FaultState, Strike, Struck, skipped};
use crate::HarnessError;

const NO_CLOCKS: &str = "these nodes' clocks cannot be set: they were not started with libfaketime";
const HOUR_S: i64 = 3_600;

impl Strike<'_> {
    /// One node's, or in one of three times everybody's, each by another time.
    pub(super) async fn clock_jump(&mut self) -> Struck {
        let nodes = if self.random.random_bool(0.33) {
            (0..self.cluster.size()).collect()
        } else {
            vec![self.leader_or_any().await?]
        };
        self.struck.clone_from(&nodes);
        for &node in &nodes {
            let offset_s = match nodes.len() {
                1 => HOUR_S * if self.random.random_bool(0.5) { 1 } else { -1 },
                _ => self.random.random_range(-HOUR_S..=HOUR_S),
            };
            if !self.set_clock(node, offset_s)? {
                return skipped(NO_CLOCKS);
            }
            self.note(format!("node {}: {offset_s:+} s", node + 1));
        }
        self.hold(1_500..5_000).await;
        for node in nodes {
            self.set_clock(node, 0)?;
        }
        Ok(FaultState::Installed)
    }

    pub(super) async fn clock_strobe(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        let end = Instant::now() + Duration::from_secs(3);
        let mut jumps = 0;
        while Instant::now() < end {
            let offset_s = self.random.random_range(-HOUR_S..=HOUR_S);
            if !self.set_clock(node, offset_s)? {
                return skipped(NO_CLOCKS);
            }
            jumps += 1;
            self.hold(5..150).await;
        }
        self.set_clock(node, 0)?;
        self.note(format!("{jumps} jumps"));
        Ok(FaultState::Installed)
    }

    /// False where it cannot be set: nobody would see it.
    pub(super) fn set_clock(&self, node: usize, offset_s: i64) -> Result<bool, HarnessError> {
        let Some(clock) = &self.cluster.rig(node).clock else { return Ok(false) };
        clock.set(offset_s)?;
        self.cluster.has_loaded(node, clock.library())
    }
}
