//! The bank workload's clients: each asks one thing at a time of its node, and records what it saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::bank::{FUNDS, GROUP};
use super::bookkeeping::{Attempt, Bookkeeper};
use super::history::{Clock, Operation, Phase, Record, Recorder, Status};
use crate::HarnessError;

/// After an answer that says "not now".
const BACK_OFF: Duration = Duration::from_millis(50);

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub struct Load {
    pub nodes: Vec<Bookkeeper>,
    pub accounts: usize,
    pub clock: Clock,
    pub recorder: Recorder,
    pub stopped: Arc<AtomicBool>,
    /// Of clients and keys: none is given twice.
    pub next_client: Arc<AtomicU64>,
    pub next_key: Arc<AtomicU64>,
}

/// A transfer that was answered definitely: it may be sent again.
#[derive(Clone, Debug)]
struct Sent {
    key: String,
    operation: Operation,
}

impl Load {
    /// Asks one thing of one node and records the answer; the status tells whether the client may go on.
    pub async fn ask(
        &self,
        client: u64,
        node: usize,
        operation: Operation,
        key: Option<String>,
        phase: Phase,
    ) -> Result<Record, HarnessError> {
        let start = self.clock.now();
        let Attempt { status, outcome, why } =
            self.nodes[node].attempt(&operation, key.as_deref(), self.accounts).await;
        let end = self.clock.now();
        let record = Record { client, operation, key, result: outcome, start, end, status, phase, node, why };
        self.recorder.add(record.clone())?;
        Ok(record)
    }

    #[must_use]
    pub fn new_client(&self) -> u64 {
        self.next_client.fetch_add(1, Ordering::Relaxed)
    }

    /// One client on one node until the load is stopped.
    pub async fn client(self, node: usize, seed: u64) -> Result<(), HarnessError> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut client = self.new_client();
        let mut sent: Vec<Sent> = vec![];
        while !self.stopped.load(Ordering::Relaxed) {
            let again = (!sent.is_empty() && random.random_bool(0.03)).then(|| random.random_range(0..sent.len()));
            let (operation, key, node) = match again {
                // The same key, to any node, is the same answer again.
                Some(chosen) => {
                    let Sent { key, operation } = sent[chosen].clone();
                    (operation, Some(key), random.random_range(0..self.nodes.len()))
                }
                None => {
                    let operation = self.choose(&mut random);
                    let is_write = matches!(operation, Operation::Transfer { .. });
                    (operation, is_write.then(|| self.new_key()), node)
                }
            };
            let record = self.ask(client, node, operation, key, Phase::Main).await?;
            match record.status {
                Status::Ok => {
                    if let (Some(key), Operation::Transfer { .. }) = (record.key, &record.operation)
                        && again.is_none()
                    {
                        sent.push(Sent { key, operation: record.operation });
                    }
                }
                Status::Fail => tokio::time::sleep(BACK_OFF).await,
                Status::Info => {
                    client = self.new_client();
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        Ok(())
    }

    fn new_key(&self) -> String {
        format!("bank-{}", self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    fn choose(&self, random: &mut StdRng) -> Operation {
        let group = zipf(random, self.accounts / GROUP);
        let from = group * GROUP + zipf(random, GROUP);
        match random.random_range(0..100) {
            0..60 => {
                let to = group * GROUP + (from % GROUP + random.random_range(1..GROUP)) % GROUP;
                // A tenth asks for more than an account can have by chance.
                let amount = if random.random_bool(0.1) {
                    random.random_range(FUNDS * 2..FUNDS * 7)
                } else {
                    random.random_range(1..FUNDS / 10)
                };
                Operation::Transfer { from, to, amount }
            }
            60..92 => Operation::Read { account: from },
            _ => Operation::ReadAll,
        }
    }
}

/// Of `count` things, the first most often: the n-th with a weight of 1/n.
fn zipf(random: &mut StdRng, count: usize) -> usize {
    let weights = |upto: usize| (1..=upto).map(|n| 1_000_000 / n).sum::<usize>();
    let mut drawn = random.random_range(0..weights(count));
    for n in 1..=count {
        let weight = 1_000_000 / n;
        if drawn < weight {
            return n - 1;
        }
        drawn -= weight;
    }
    count - 1
}
