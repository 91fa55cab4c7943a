//! Members that come and go.

use std::time::Duration;

use rand::Rng as _;

use super::{FaultState, Strike, Struck};

/// What is noted of a node that took the state as files.
pub const SNAPSHOT: &str = "it began with a snapshot";
/// What a node says then.
const RECEIVES: &str = "a snapshot is received";
/// What a node is told that comes back with nothing under its old id.
const LOST: &str = "lost its data";
const PURGE: Duration = Duration::from_secs(10);

impl Strike<'_> {
    /// Its data is lost, whether it led or not.
    pub(super) async fn replace(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        self.cluster.replace(node).await?;
        self.note(format!("node {} is now node id {}", node + 1, self.cluster.id(node)));
        Ok(FaultState::Installed)
    }

    /// Its directory is gone: under its old id it is refused, for it has promised what it does not know any more. Under
    /// a new one it begins with a snapshot, where the others' logs do not go back to their beginning.
    pub(super) async fn lose_data(&mut self) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        // Whoever leads then.
        for other in (0..self.cluster.size()).filter(|other| *other != node) {
            self.cluster.purge(other, PURGE).await?;
        }
        self.cluster.kill(node)?;
        self.cluster.wipe(node)?;
        let said = self.cluster.start_without_its_data(node).await?;
        if !said.contains(LOST) {
            return Ok(FaultState::Violated(format!("node {} was not told that it {LOST}: {said}", node + 1)));
        }
        let before = self.cluster.log_length(node);
        self.cluster.remove(node).await?;
        // The refused start left a mark there whose it is.
        self.cluster.wipe(node)?;
        self.cluster.start_anew(node).await?;
        self.cluster.wait_for_vote(node).await?;
        self.note(format!("node {} was refused, and is now node id {}", node + 1, self.cluster.id(node)));
        if self.cluster.said_since(node, before).contains(RECEIVES) {
            self.note(SNAPSHOT);
        }
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
