//! Clients that send keys again: to other nodes, to two at the same time, long after, in batches and with other content.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{Question, amount, pair, race};
use crate::HarnessError;
use crate::chaos::bank::GROUP;
use crate::chaos::history::{Item, Operation, Phase, Record, Status};
use crate::chaos::load::Load;

/// How the keys begin.
const KEYS: &str = "idem";
/// Keys that a client remembers: from its whole time, so that they outlive leaders and nodes.
const REMEMBERED: usize = 400;

/// What was answered definitely and is sent again.
#[derive(Clone, Debug)]
struct Sent {
    key: String,
    operation: Operation,
}

struct Client {
    load: Load,
    node: usize,
    random: StdRng,
    numbers: Vec<u64>,
    sent: Vec<Sent>,
    /// Batches whose items have keys of their own.
    batches: Vec<Operation>,
    /// How many were worth remembering.
    known: usize,
}

pub(super) async fn client(load: Load, node: usize, random: StdRng) -> Result<(), HarnessError> {
    let mut client = Client { load, node, random, numbers: vec![], sent: vec![], batches: vec![], known: 0 };
    while !client.load.is_stopped() {
        match client.random.random_range(0..100) {
            0..28 => client.new_transfer().await?,
            28..40 => client.to_two_nodes().await?,
            40..46 => client.batch().await?,
            46..52 => client.atomic_batch().await?,
            52..80 => client.again().await?,
            80..88 => client.other_content().await?,
            88..91 => client.batch_again().await?,
            _ => client.read().await?,
        }
    }
    Ok(())
}

impl Client {
    fn transfer(&mut self) -> Operation {
        let (from, to) = pair(&mut self.random, self.load.accounts);
        Operation::Transfer { from, to, amount: amount(&mut self.random) }
    }

    fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.load.nodes.len())
    }

    /// Another one than the client's own, where there is one.
    fn other_node(&mut self) -> usize {
        let nodes = self.load.nodes.len();
        (self.node + self.random.random_range(1..nodes.max(2))) % nodes
    }

    /// Asks; what gets no definite answer is sent again with the same key to another node, as callers are told to do.
    async fn until_answered(
        &mut self,
        node: usize,
        operation: Operation,
        key: Option<String>,
    ) -> Result<(), HarnessError> {
        let mut node = node;
        for _ in 0..3 {
            let question = Question { node, operation: operation.clone(), key: key.clone() };
            let records = race(&self.load, &mut self.numbers, vec![question]).await?;
            if self.remember(&records[0]) || self.load.is_stopped() {
                return Ok(());
            }
            node = self.other_node();
        }
        Ok(())
    }

    /// True if the record has a definite answer.
    fn remember(&mut self, record: &Record) -> bool {
        if record.status != Status::Ok {
            return false;
        }
        let (operation, key) = (record.operation.clone(), record.key.clone());
        match (&operation, key) {
            (Operation::Transfer { .. } | Operation::Batch { atomic: true, .. }, Some(key)) => {
                self.known += 1;
                if self.sent.len() < REMEMBERED {
                    self.sent.push(Sent { key, operation });
                } else {
                    // Each that was ever known is remembered with the same chance.
                    let at = self.random.random_range(0..self.known);
                    if at < REMEMBERED {
                        self.sent[at] = Sent { key, operation };
                    }
                }
            }
            (Operation::Batch { atomic: false, .. }, _) => {
                if self.batches.len() < REMEMBERED / 10 {
                    self.batches.push(operation);
                }
            }
            _ => {}
        }
        true
    }

    async fn new_transfer(&mut self) -> Result<(), HarnessError> {
        let (operation, key) = (self.transfer(), self.load.new_key(KEYS));
        self.until_answered(self.node, operation, Some(key)).await
    }

    async fn to_two_nodes(&mut self) -> Result<(), HarnessError> {
        let (operation, key) = (self.transfer(), self.load.new_key(KEYS));
        let questions = [self.node, self.other_node()]
            .map(|node| Question { node, operation: operation.clone(), key: Some(key.clone()) })
            .into();
        let records = race(&self.load, &mut self.numbers, questions).await?;
        if let Some(answered) = records.iter().find(|record| record.status == Status::Ok) {
            self.remember(answered);
            return Ok(());
        }
        self.until_answered(self.node, operation, Some(key)).await
    }

    async fn batch(&mut self) -> Result<(), HarnessError> {
        let mut items = vec![];
        for _ in 0..self.random.random_range(2..7) {
            let key = Some(self.load.new_key(KEYS));
            let (from, to) = pair(&mut self.random, self.load.accounts);
            items.push(Item { key, from, to, amount: amount(&mut self.random) });
        }
        if self.random.random_bool(0.6) {
            items.push(items[self.random.random_range(0..items.len())].clone());
        }
        // One that was answered long before.
        if !self.sent.is_empty() && self.random.random_bool(0.5) {
            let Sent { key, operation } = self.sent[self.random.random_range(0..self.sent.len())].clone();
            if let Operation::Transfer { from, to, amount } = operation {
                items.push(Item { key: Some(key), from, to, amount });
            }
        }
        self.until_answered(self.node, Operation::Batch { atomic: false, items }, None).await
    }

    async fn atomic_batch(&mut self) -> Result<(), HarnessError> {
        let (first, _) = pair(&mut self.random, self.load.accounts);
        let group = first / GROUP * GROUP;
        let mut items = vec![];
        for _ in 0..self.random.random_range(2..4) {
            let from = self.random.random_range(0..GROUP);
            let to = (from + self.random.random_range(1..GROUP)) % GROUP;
            // Each of them rarely for too much: a third of the batches would be refused otherwise.
            let amount = amount(&mut self.random) / if self.random.random_bool(0.7) { 10 } else { 1 };
            items.push(Item { key: None, from: group + from, to: group + to, amount: amount.max(1) });
        }
        let key = self.load.new_key(KEYS);
        self.until_answered(self.node, Operation::Batch { atomic: true, items }, Some(key)).await
    }

    async fn again(&mut self) -> Result<(), HarnessError> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let Sent { key, operation } = self.sent[self.random.random_range(0..self.sent.len())].clone();
        let question = |node| Question { node, operation: operation.clone(), key: Some(key.clone()) };
        let mut questions = vec![question(self.any_node())];
        if self.random.random_bool(0.2) {
            questions.push(question(self.other_node()));
        }
        race(&self.load, &mut self.numbers, questions).await.map(drop)
    }

    async fn batch_again(&mut self) -> Result<(), HarnessError> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let operation = self.batches[self.random.random_range(0..self.batches.len())].clone();
        let question = Question { node: self.any_node(), operation, key: None };
        race(&self.load, &mut self.numbers, vec![question]).await.map(drop)
    }

    async fn other_content(&mut self) -> Result<(), HarnessError> {
        let transfers = self.sent.iter().filter_map(|sent| match sent.operation {
            Operation::Transfer { from, to, amount } => Some((sent.key.clone(), from, to, amount)),
            _ => None,
        });
        let transfers: Vec<_> = transfers.collect();
        if transfers.is_empty() {
            return Ok(());
        }
        let (key, from, to, amount) = transfers[self.random.random_range(0..transfers.len())].clone();
        let operation = if self.random.random_bool(0.5) {
            Operation::Reuse { from, to, amount: amount + 1 }
        } else {
            Operation::Reuse { from: to, to: from, amount }
        };
        let question = Question { node: self.any_node(), operation, key: Some(key) };
        race(&self.load, &mut self.numbers, vec![question]).await.map(drop)
    }

    async fn read(&mut self) -> Result<(), HarnessError> {
        let (account, _) = pair(&mut self.random, self.load.accounts);
        let operation = if self.random.random_bool(0.8) { Operation::Read { account } } else { Operation::ReadAll };
        let mut number = self.numbers.pop().unwrap_or_else(|| self.load.new_client());
        let record = self.load.ask(number, self.node, operation, None, Phase::Main).await?;
        self.load.after(&record, &mut number).await;
        self.numbers.push(number);
        Ok(())
    }
}
