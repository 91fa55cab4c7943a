//! Two faults at once.

use super::network::between;
use super::{FaultState, Strike, Struck, skipped};

impl Strike<'_> {
    /// Ledger time has followed a clock that nobody else has.
    pub(super) async fn clock_and_kill(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        if !self.set_clock(leader, 3_600)? {
            self.struck.push(leader);
            return skipped("this node's clock cannot be set");
        }
        self.hold(500..1_500).await;
        let state = self.kill_leader().await;
        self.set_clock(leader, 0)?;
        state
    }

    /// Of three nodes one is left, of five three.
    pub(super) async fn cut_and_pause(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        let size = self.cluster.size();
        let ways = between(&[leader], size);
        let state = self.cut(&ways)?;
        if state != FaultState::Installed {
            return Ok(state);
        }
        let paused = (leader + 1) % size;
        self.struck.extend([leader, paused]);
        let done = self.cluster.pause(paused);
        self.hold(2_000..5_000).await;
        // The stopped one wakes up while the leader is still away.
        let resumed = if done.is_ok() { self.resume_and_read(paused).await } else { done };
        self.hold(500..2_000).await;
        self.join(&ways)?;
        resumed.map(|()| FaultState::Installed)
    }

    pub(super) async fn slow_and_isolate(&mut self) -> Struck {
        let all: Vec<usize> = (0..self.cluster.size()).collect();
        let Some(before) = self.slow_down(&all)? else {
            return skipped("these nodes' syncs cannot be made slow");
        };
        self.hold(500..1_500).await;
        let state = self.isolate_leader().await?;
        let slow = self.speed_up(&all, before)?;
        Ok(if state == FaultState::Installed { slow } else { state })
    }

    pub(super) async fn cut_and_power_loss(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        let ways = between(&[leader], self.cluster.size());
        let state = self.cut(&ways)?;
        if state != FaultState::Installed {
            return Ok(state);
        }
        // What it has in its log by then, nobody else knows.
        self.hold(200..1_500).await;
        let state = self.lose_power(vec![leader]).await;
        self.join(&ways)?;
        state
    }
}
