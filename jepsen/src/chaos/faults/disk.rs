//! Disks that lose what was not synced, fail, are slow or full.

use std::time::{Duration, Instant};

use super::{FaultState, Strike, Struck, aside, skipped};
use crate::HarnessError;
use crate::chaos::history::{Operation, Phase, Status};

const NO_DISKS: &str = "these nodes have no disks of their own";
const NO_SYNCS: &str = "these nodes' syncs cannot be made to fail or to be slow";
/// A node that cannot write has to stop within this, as long as there is something to write.
const STOP: Duration = Duration::from_secs(15);
/// Less than a node with 256 MiB of memory wants to have free: it refuses writes (docs/operations.md).
const SHORT: u64 = 120 << 20;

impl Strike<'_> {
    pub(super) async fn power_loss(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.lose_power(vec![node]).await
    }

    pub(super) async fn power_loss_all(&mut self) -> Struck {
        self.lose_power((0..self.cluster.size()).collect()).await
    }

    pub(super) async fn lose_power(&mut self, nodes: Vec<usize>) -> Struck {
        self.struck.clone_from(&nodes);
        if nodes.iter().any(|&node| self.cluster.rig(node).disk.is_none()) {
            return skipped(NO_DISKS);
        }
        // At one moment, as nearly as can be.
        aside(|| {
            std::thread::scope(|scope| {
                let cut = |node: usize| self.cluster.rig(node).disk.as_ref().map_or(Ok(()), |disk| disk.cut_power());
                let cuts: Vec<_> = nodes.iter().map(|&node| scope.spawn(move || cut(node))).collect();
                cuts.into_iter().try_for_each(|cut| cut.join().expect("a cut does not panic"))
            })
        })?;
        for &node in &nodes {
            self.cluster.kill(node)?;
        }
        self.hold(200..1_500).await;
        let mut survived = vec![];
        for &node in &nodes {
            if !self.restore_power(node)? {
                survived.push(node + 1);
            }
            self.cluster.restart(node).await?;
        }
        if survived.is_empty() {
            return Ok(FaultState::Installed);
        }
        Ok(FaultState::Indeterminate(format!("on nodes {survived:?} what was not synced was still there")))
    }

    /// Whether what was not synced is gone. The node must not run.
    fn restore_power(&self, node: usize) -> Result<bool, HarnessError> {
        self.cluster.rig(node).disk.as_ref().map_or(Ok(true), |disk| aside(|| disk.restore_power()))
    }

    /// Where the node has a disk of its own, what it could not sync is lost with its power.
    pub(super) async fn syncs_fail(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        let Some(syncs) = &self.cluster.rig(node).syncs else { return skipped(NO_SYNCS) };
        let before = syncs.counted();
        syncs.fail()?;
        let stopped = self.stops(node).await?;
        let syncs = self.cluster.rig(node).syncs.as_ref().expect("it was there");
        let failed = syncs.counted() - before;
        syncs.heal()?;
        if !stopped {
            return Ok(match failed {
                0 => FaultState::Indeterminate("nothing was synced meanwhile".to_owned()),
                _ => FaultState::Violated(format!("node {} went on over {failed} failed syncs", node + 1)),
            });
        }
        self.note(format!("stopped after {failed} failed syncs: {}", self.cluster.last_line(node)));
        if let Some(disk) = &self.cluster.rig(node).disk {
            aside(|| disk.cut_power())?;
        }
        self.cluster.kill(node)?;
        if self.cluster.rig(node).disk.is_some() && !self.restore_power(node)? {
            self.note("what was not synced was still there after its power was cut");
        }
        self.cluster.restart(node).await?;
        Ok(FaultState::Installed)
    }

    pub(super) async fn slow_disk(&mut self) -> Struck {
        let nodes = match self.draw(0..3).as_millis() {
            0 => vec![self.any()],
            1 => vec![self.cluster.wait_for_leader().await?],
            _ => (0..self.cluster.size()).collect(),
        };
        self.struck.clone_from(&nodes);
        let Some(before) = self.slow_down(&nodes)? else { return skipped(NO_SYNCS) };
        self.hold(2_500..6_000).await;
        self.speed_up(&nodes, before)
    }

    /// Syncs that were slow before; none where they cannot be made slow.
    pub(super) fn slow_down(&self, nodes: &[usize]) -> Result<Option<u64>, HarnessError> {
        let mut before = 0;
        for &node in nodes {
            let Some(syncs) = &self.cluster.rig(node).syncs else { return Ok(None) };
            before += syncs.counted();
            syncs.slow_down(20, 500)?;
        }
        Ok(Some(before))
    }

    pub(super) fn speed_up(&mut self, nodes: &[usize], before: u64) -> Struck {
        let mut after = 0;
        for &node in nodes {
            let Some(syncs) = &self.cluster.rig(node).syncs else { return skipped(NO_SYNCS) };
            syncs.heal()?;
            after += syncs.counted();
        }
        self.note(format!("{} slow syncs", after - before));
        if after == before {
            return Ok(FaultState::Indeterminate("nothing was synced meanwhile".to_owned()));
        }
        Ok(FaultState::Installed)
    }

    /// On all nodes, so that it does not matter who leads: writes are refused, reads go on.
    pub(super) async fn short_disk(&mut self) -> Struck {
        let size = self.cluster.size();
        self.struck.extend(0..size);
        for node in 0..size {
            let Some(disk) = &self.cluster.rig(node).disk else { return skipped(NO_DISKS) };
            aside(|| disk.fill(SHORT))?;
        }
        let refused = self.refuses_for_its_disk().await;
        self.hold(1_500..4_000).await;
        for node in 0..size {
            if let Some(disk) = &self.cluster.rig(node).disk {
                disk.empty()?;
            }
        }
        Ok(match refused? {
            true => FaultState::Installed,
            false => FaultState::Violated("writes were taken all the time".to_owned()),
        })
    }

    /// Whether a transfer is refused because of a disk, soon.
    async fn refuses_for_its_disk(&mut self) -> Result<bool, HarnessError> {
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            let node = self.any();
            let operation = Operation::Transfer { from: 0, to: 1, amount: 1 };
            let key = self.load.new_key("probe");
            let asked = self.load.ask(self.load.new_client(), node, operation, Some(key), Phase::Main).await?;
            if asked.status == Status::Fail && asked.why.is_some_and(|why| why.contains("the disk is short")) {
                return Ok(true);
            }
            self.hold(50..100).await;
        }
        Ok(false)
    }

    pub(super) async fn full_disk(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        let node = (leader + 1) % self.cluster.size();
        self.struck.push(node);
        let Some(disk) = &self.cluster.rig(node).disk else { return skipped(NO_DISKS) };
        aside(|| disk.fill(0))?;
        let outcome = self.needs_room(node).await;
        if let Some(disk) = &self.cluster.rig(node).disk {
            disk.empty()?;
        }
        let Some(said) = outcome? else {
            return Ok(FaultState::Indeterminate("the node did not need more room".to_owned()));
        };
        self.note(format!("stopped: {said}"));
        self.cluster.kill(node)?;
        self.cluster.restart(node).await?;
        Ok(FaultState::Installed)
    }

    /// Has a node write more than fits; what it said last, if that ended it.
    async fn needs_room(&mut self, node: usize) -> Result<Option<String>, HarnessError> {
        // A backup begins with a checkpoint, and so does an end in order. That neither succeeds is the point.
        let backup = tokio::spawn(self.cluster.client(node).fetch_backup());
        let stopped = self.stops(node).await;
        backup.abort();
        if !stopped? && self.cluster.stop(node).await.is_ok() {
            self.cluster.restart(node).await?;
            return Ok(None);
        }
        Ok(Some(self.cluster.last_line(node)))
    }

    /// Whether a node ends by itself, soon.
    async fn stops(&mut self, node: usize) -> Result<bool, HarnessError> {
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if self.cluster.has_ended(node)? {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }
}
