//! What all clients of a run have in common: the nodes, the clock, the history, and how one thing is asked and recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;

use super::bookkeeping::{Attempt, Bookkeeper};
use super::clients;
use super::history::{Clock, Operation, Outcome, Phase, Record, Recorder, Status};
use super::watch::Watch;
use super::workload::Workload;
use crate::HarnessError;

/// After an answer that says "not now".
const BACK_OFF: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub struct Load {
    pub nodes: Vec<Bookkeeper>,
    /// Of the bank.
    pub accounts: usize,
    pub clock: Clock,
    pub recorder: Recorder,
    stopped: Arc<AtomicBool>,
    /// Of clients and keys: none is given twice.
    next_client: Arc<AtomicU64>,
    next_key: Arc<AtomicU64>,
    next_document: Arc<AtomicU64>,
    /// The greatest position that any answer reflected.
    acknowledged: Arc<AtomicU64>,
    pub watch: Watch,
}

impl Load {
    #[must_use]
    pub fn new(nodes: Vec<Bookkeeper>, accounts: usize, clock: Clock, recorder: Recorder) -> Self {
        Self {
            nodes,
            accounts,
            clock,
            recorder,
            stopped: Arc::new(AtomicBool::new(false)),
            next_client: Arc::new(AtomicU64::new(1)),
            next_key: Arc::new(AtomicU64::new(1)),
            next_document: Arc::new(AtomicU64::new(1)),
            acknowledged: Arc::new(AtomicU64::new(0)),
            watch: Watch::default(),
        }
    }

    /// Opens the books and their accounts; returns the first position that the load can get.
    pub async fn set_up(&self) -> Result<u64, HarnessError> {
        let start = self.clock.now();
        let keys = self.nodes[0].set_up(self.accounts).await?;
        let end = self.clock.now();
        let mut next = 1;
        for key in keys {
            let outcome = Outcome { code: "posted".into(), index: next, position: Some(next), ..Outcome::default() };
            self.recorder.add(Record {
                client: 0,
                operation: Operation::Create { what: key.clone() },
                key: Some(key),
                result: Some(outcome),
                start,
                end,
                status: Status::Ok,
                phase: Phase::Setup,
                node: 0,
                why: None,
            })?;
            next += 1;
        }
        Ok(next)
    }

    /// Starts the workload's clients, `per_node` on each node.
    pub fn start(&self, workload: Workload, per_node: usize, random: &mut StdRng) -> JoinSet<Result<(), HarnessError>> {
        let mut running = JoinSet::new();
        running.spawn(self.watch.clone().leaders(self.clone()));
        for node in 0..self.nodes.len() {
            for (role, count) in workload.roles(per_node) {
                for _ in 0..count {
                    let random = StdRng::seed_from_u64(random.random());
                    running.spawn(clients::client(self.clone(), role, node, random));
                }
            }
        }
        running
    }

    /// Asks the clients to end and waits until they have.
    ///
    /// # Panics
    /// If a client did.
    pub async fn stop(&self, mut running: JoinSet<Result<(), HarnessError>>) -> Result<(), HarnessError> {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = running.join_next().await {
            ended.expect("a client does not panic")?;
        }
        Ok(())
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Asks one thing of one node and records the answer; the status tells whether the client may go on.
    pub async fn ask(
        &self,
        client: u64,
        node: usize,
        operation: Operation,
        key: Option<String>,
        phase: Phase,
    ) -> Result<Record, HarnessError> {
        self.ask_and_see(client, node, operation, key, None, phase).await.map(|(record, _)| record)
    }

    /// Reads a page of a list, the first one or where `cursor` says; with where the next one begins.
    pub(super) async fn ask_page(
        &self,
        client: u64,
        node: usize,
        operation: Operation,
        cursor: Option<&str>,
        phase: Phase,
    ) -> Result<(Record, Option<String>), HarnessError> {
        self.ask_and_see(client, node, operation, None, cursor, phase).await
    }

    async fn ask_and_see(
        &self,
        client: u64,
        node: usize,
        operation: Operation,
        key: Option<String>,
        cursor: Option<&str>,
        phase: Phase,
    ) -> Result<(Record, Option<String>), HarnessError> {
        let start = self.clock.now();
        let Attempt { status, outcome, why, next } =
            self.nodes[node].attempt(&operation, key.as_deref(), cursor, self.accounts).await;
        let end = self.clock.now();
        if let Some(outcome) = &outcome {
            self.acknowledged.fetch_max(outcome.index, Ordering::SeqCst);
        }
        let record = Record { client, operation, key, result: outcome, start, end, status, phase, node, why };
        self.recorder.add(record.clone())?;
        Ok((record, next))
    }

    /// Everything up to here was shown to somebody.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// What a client does after an answer: it waits where there was none, and goes on under a new number where what it
    /// asked for may still happen.
    pub(super) async fn after(&self, record: &Record, client: &mut u64) {
        if record.status == Status::Info {
            *client = self.new_client();
        }
        if record.status != Status::Ok {
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    #[must_use]
    pub fn new_client(&self) -> u64 {
        self.next_client.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of a charge, payment, refund or customer that nobody has used.
    #[must_use]
    pub fn new_document(&self) -> u64 {
        self.next_document.fetch_add(1, Ordering::Relaxed)
    }

    /// A key that nobody has sent; `role` shows a reader of the history whose it is.
    #[must_use]
    pub fn new_key(&self, role: &str) -> String {
        format!("{role}-{}", self.next_key.fetch_add(1, Ordering::Relaxed))
    }
}
