//! Members that come and go.

use rand::Rng as _;

use super::{FaultState, Strike, Struck};

impl Strike<'_> {
    /// Its data is lost, whether it led or not.
    pub(super) async fn replace(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        self.cluster.replace(node).await?;
        self.note(format!("node {} is now node id {}", node + 1, self.cluster.id(node)));
        Ok(FaultState::Installed)
    }

    pub(super) async fn grow_and_shrink(&mut self) -> Struck {
        let node = self.cluster.grow().await?;
        self.struck.push(node);
        let grown = self.cluster.wait_for_vote(node).await;
        if grown.is_ok() {
            self.note(format!("node id {} voted for a while", self.cluster.id(node)));
            self.hold(500..2_500).await;
        }
        self.cluster.dismiss_last().await?;
        grown.map(|()| FaultState::Installed)
    }

    /// To somebody else than who leads.
    pub(super) async fn hand_over(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        let size = self.cluster.size();
        let to = (leader + self.random.random_range(1..size)) % size;
        self.struck.extend([leader, to]);
        if !self.cluster.hand_over(to).await? {
            return Ok(FaultState::Indeterminate("the leadership was not handed over".to_owned()));
        }
        Ok(FaultState::Installed)
    }
}
