//! Processes killed and stopped.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{FaultState, Strike, Struck};
use crate::HarnessError;
use crate::chaos::history::{Operation, Phase, Status};

/// Readers of a node that resumes, the reads of each, and how long before it they begin to ask.
const READERS: usize = 6;
const READS: usize = 5;
const BEFORE: Duration = Duration::from_millis(50);

impl Strike<'_> {
    pub(super) async fn kill_one(&mut self) -> Struck {
        let any = self.any();
        self.kill(vec![any]).await
    }

    pub(super) async fn kill_leader(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        self.kill(vec![leader]).await
    }

    pub(super) async fn kill_minority(&mut self) -> Struck {
        let nodes = self.minority();
        self.kill(nodes).await
    }

    pub(super) async fn kill_all(&mut self) -> Struck {
        self.kill((0..self.cluster.size()).collect()).await
    }

    async fn kill(&mut self, nodes: Vec<usize>) -> Struck {
        self.struck.clone_from(&nodes);
        for &node in &nodes {
            self.cluster.kill(node)?;
        }
        self.hold(300..2_500).await;
        for node in nodes {
            self.cluster.restart(node).await?;
        }
        Ok(FaultState::Installed)
    }

    pub(super) async fn pause_leader(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        self.pause(leader).await
    }

    pub(super) async fn pause_one(&mut self) -> Struck {
        let any = self.any();
        self.pause(any).await
    }

    async fn pause(&mut self, node: usize) -> Struck {
        self.struck.push(node);
        self.cluster.pause(node)?;
        // Mostly as long as an election and a little more; sometimes so long that everybody has given it up.
        if self.draw(0..12).is_zero() {
            self.hold(15_000..30_000).await;
        } else {
            self.hold(2_000..6_000).await;
        }
        self.resume_and_read(node).await?;
        Ok(FaultState::Installed)
    }

    /// Reads wait at the node's door when it wakes up, and go on coming.
    pub(super) async fn resume_and_read(&mut self, node: usize) -> Result<(), HarnessError> {
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let load = self.load.clone();
            readers.spawn(async move {
                let mut answered = 0;
                for read in 0..READS {
                    let account = (reader + read) % load.accounts;
                    let operation =
                        if read == 0 && reader == 0 { Operation::ReadAll } else { Operation::Read { account } };
                    let asked = load.ask(load.new_client(), node, operation, None, Phase::Main).await?;
                    answered += usize::from(asked.status == Status::Ok);
                }
                Ok::<_, HarnessError>(answered)
            });
        }
        tokio::time::sleep(BEFORE).await;
        self.cluster.resume(node)?;
        let mut answered = 0;
        while let Some(ended) = readers.join_next().await {
            answered += ended.expect("a reader does not panic")?;
        }
        self.note(format!("as it resumed {} reads were asked of it, {answered} answered", READERS * READS));
        Ok(())
    }
}
