//! The clients: random operations that collide, sent to any node, again with the same keys where the outcome is not
//! known; linearizable reads on any node. Whatever they are told is checked at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use partita_consensus::{ReadError, SubmitError};
use partita_core::decision::{Answer, Command};
use partita_core::id::{BookId, Position};
use partita_storage::codec::fingerprint;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::invariants::{
    ANSWERS, AcknowledgedOnce, Broken, ReadsSeeAcknowledged, RefusedIsNotDecided, check_answer, check_order,
};
use crate::model::generate::Generator;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::trace::{Trace, say};

/// Decided commands that are sent again now and then.
const REMEMBERED: usize = 400;

/// Whoever was refused waits so much longer.
const REFUSED_MS: (u64, u64) = (10, 150);

enum Outcome {
    Answers(Result<Vec<Answer>, SubmitError>),
    Read(Result<Position, ReadError>),
}

struct Operation {
    client: usize,
    node: u64,
    incarnation: u64,
    what: What,
}

enum What {
    Write(Vec<Command>),
    Read { floor: Position },
}

#[derive(Default)]
struct Client {
    next_at_ms: u64,
    is_waiting: bool,
    /// What it sends again.
    again: Option<Vec<Command>>,
}

pub(crate) struct Clients {
    clients: Vec<Client>,
    generator: Generator,
    dice: Dice,
    think_ms: (u64, u64),
    trace: Trace,
    under_way: BTreeMap<u64, Operation>,
    next_operation: u64,
    outcomes: Arc<Mutex<Vec<(u64, Outcome)>>>,
    decided: Vec<Command>,
    /// Of unknown outcome and given up, for the end.
    pub(crate) unresolved: Vec<Vec<Command>>,
    pub(crate) acknowledged: AcknowledgedOnce,
    pub(crate) refused: RefusedIsNotDecided,
    reads: ReadsSeeAcknowledged,
}

impl Clients {
    pub(crate) fn new(plan: &Plan, trace: Trace, mut dice: Dice) -> Self {
        Self {
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            generator: Generator::new(dice.next(), fingerprint),
            dice,
            think_ms: plan.think_ms,
            trace,
            under_way: BTreeMap::new(),
            next_operation: 0,
            outcomes: Arc::default(),
            decided: Vec::new(),
            unresolved: Vec::new(),
            acknowledged: AcknowledgedOnce::default(),
            refused: RefusedIsNotDecided::default(),
            reads: ReadsSeeAcknowledged::default(),
        }
    }

    /// Clients whose pause is over do something.
    pub(crate) fn act(&mut self, cluster: &Cluster, oracle: &Oracle) {
        let now_ms = cluster.now_ms();
        for client in 0..self.clients.len() {
            if self.clients[client].is_waiting || self.clients[client].next_at_ms > now_ms {
                continue;
            }
            let live = cluster.live();
            if live.is_empty() {
                self.clients[client].next_at_ms = now_ms + 20;
                continue;
            }
            let node = *self.dice.pick(&live);
            if let Some(commands) = self.clients[client].again.take() {
                self.write(client, node, commands, cluster);
            } else if self.dice.chance(25) {
                self.read(client, node, cluster);
            } else {
                let commands = self.commands(cluster, node, oracle);
                self.write(client, node, commands, cluster);
            }
        }
    }

    fn commands(&mut self, cluster: &Cluster, node: u64, oracle: &Oracle) -> Vec<Command> {
        self.generator.set_clock(cluster.machines[&node].wall.now());
        let count = match self.dice.between(0, 99) {
            0..70 => 1,
            70..92 => self.dice.between(2, 6),
            _ => self.dice.between(10, 30),
        };
        let mut commands = Vec::new();
        for _ in 0..count {
            let command = self.generator.command(&oracle.model);
            // A book that is being opened is not there yet for its caller.
            let is_opened = usize::try_from(command.book.0).is_ok_and(|book| book <= oracle.model.shelves.len());
            if command.book == BookId::CLUSTER || is_opened {
                commands.push(command);
            }
        }
        // What was decided long ago comes again, mostly as the last of many.
        if !self.decided.is_empty() && self.dice.chance(15) {
            let again = self.dice.pick(&self.decided).clone();
            if self.dice.chance(80) { commands.push(again) } else { commands.insert(0, again) }
        }
        commands
    }

    /// Whoever has something to send again does so, and begins nothing new.
    pub(crate) fn say_again(&mut self, cluster: &Cluster) {
        let live = cluster.live();
        for client in 0..self.clients.len() {
            if self.clients[client].is_waiting || self.clients[client].next_at_ms > cluster.now_ms() || live.is_empty()
            {
                continue;
            }
            if let Some(commands) = self.clients[client].again.take() {
                let node = *self.dice.pick(&live);
                self.write(client, node, commands, cluster);
            }
        }
    }

    /// Sends commands of unknown outcome, or any, to one node.
    pub(crate) fn send(&mut self, commands: Vec<Command>, node: u64, cluster: &Cluster) {
        let free = self.clients.iter().position(|client| !client.is_waiting);
        let client = free.unwrap_or_else(|| {
            self.clients.push(Client::default());
            self.clients.len() - 1
        });
        self.write(client, node, commands, cluster);
    }

    pub(crate) fn send_new(&mut self, node: u64, cluster: &Cluster, oracle: &Oracle) {
        let commands = self.commands(cluster, node, oracle);
        self.send(commands, node, cluster);
    }

    /// What was decided before, anywhere in the run.
    pub(crate) fn some_decided(&mut self, count: usize) -> Vec<Command> {
        if self.decided.is_empty() {
            return Vec::new();
        }
        (0..count).map(|_| self.dice.pick(&self.decided).clone()).collect()
    }

    fn write(&mut self, client: usize, node: u64, commands: Vec<Command>, cluster: &Cluster) {
        let Some(running) = cluster.node(node).cloned() else {
            self.clients[client].again = Some(commands);
            return;
        };
        let number = self.begin(client, node, cluster, What::Write(commands.clone()));
        let patience = Duration::from_millis(self.dice.between(300, 4_000));
        let outcomes = Arc::clone(&self.outcomes);
        let process = cluster.machines[&node].process.as_ref().expect("its node runs");
        process.spawn(async move {
            let answers = running.submit(commands, Instant::now() + patience).await;
            outcomes.lock().push((number, Outcome::Answers(answers)));
        });
    }

    pub(crate) fn read(&mut self, client: usize, node: u64, cluster: &Cluster) {
        let Some(running) = cluster.node(node).cloned() else { return };
        let floor = self.reads.floor();
        let number = self.begin(client, node, cluster, What::Read { floor });
        let patience = Duration::from_millis(self.dice.between(300, 4_000));
        let outcomes = Arc::clone(&self.outcomes);
        let process = cluster.machines[&node].process.as_ref().expect("its node runs");
        process.spawn(async move {
            let read = running.barrier(Instant::now() + patience).await.map(|()| running.reader().position());
            outcomes.lock().push((number, Outcome::Read(read)));
        });
    }

    fn begin(&mut self, client: usize, node: u64, cluster: &Cluster, what: What) -> u64 {
        self.next_operation += 1;
        self.clients[client].is_waiting = true;
        let incarnation = cluster.machines[&node].incarnation;
        self.under_way.insert(self.next_operation, Operation { client, node, incarnation, what });
        self.next_operation
    }

    pub(crate) fn are_waiting(&self) -> bool {
        !self.under_way.is_empty() || self.clients.iter().any(|client| client.again.is_some())
    }

    /// Takes what was answered, and gives up what will not be: its process has ended.
    pub(crate) fn take_outcomes(&mut self, cluster: &Cluster, oracle: &Oracle) -> Result<(), Broken> {
        let outcomes = std::mem::take(&mut *self.outcomes.lock());
        for (number, outcome) in outcomes {
            // An answer of a process that ended in the same moment did not leave it.
            let Some(operation) = self.under_way.remove(&number) else { continue };
            if runs(cluster, &operation) {
                self.ended(&operation, outcome, cluster.now_ms(), oracle)?;
            } else {
                self.lost(operation, cluster.now_ms());
            }
        }
        let gone: Vec<u64> = self
            .under_way
            .iter()
            .filter(|(_, operation)| !runs(cluster, operation))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            let operation = self.under_way.remove(&number).expect("it was there just now");
            self.lost(operation, cluster.now_ms());
        }
        Ok(())
    }

    fn lost(&mut self, operation: Operation, now_ms: u64) {
        self.rest(operation.client, now_ms);
        if let What::Write(commands) = operation.what {
            self.is_unknown(operation.client, commands);
        }
    }

    fn rest(&mut self, client: usize, now_ms: u64) {
        let think_ms = self.dice.between(self.think_ms.0, self.think_ms.1);
        let client = &mut self.clients[client];
        client.is_waiting = false;
        client.next_at_ms = now_ms + think_ms;
    }

    fn is_unknown(&mut self, client: usize, commands: Vec<Command>) {
        self.trace.count("outcomes unknown");
        for command in &commands {
            self.refused.may_be_decided(command.book, &command.key);
        }
        if self.dice.chance(75) {
            self.clients[client].again = Some(commands);
        } else {
            self.unresolved.push(commands);
        }
    }

    fn ended(&mut self, operation: &Operation, outcome: Outcome, now_ms: u64, oracle: &Oracle) -> Result<(), Broken> {
        let Operation { client, node, .. } = *operation;
        self.rest(client, now_ms);
        match (&operation.what, outcome) {
            (What::Write(commands), Outcome::Answers(Ok(answers))) => self.answered(node, commands, &answers, oracle),
            (What::Write(commands), Outcome::Answers(Err(error))) => {
                say!(self.trace, "client {client}: {} commands at node {node}: {error}", commands.len());
                match error {
                    SubmitError::OutcomeUnknown => self.is_unknown(client, commands.clone()),
                    SubmitError::Malformed(malformed) => {
                        let message = format!("the generator made what is refused at the edge: {malformed}");
                        return Err(Broken::new("the simulator itself", message));
                    }
                    SubmitError::NoLeader
                    | SubmitError::Overloaded { .. }
                    | SubmitError::ShortOfDisk(_)
                    | SubmitError::ShuttingDown => {
                        self.trace.count("refused unproposed");
                        self.clients[client].next_at_ms += self.dice.between(REFUSED_MS.0, REFUSED_MS.1);
                        for command in commands {
                            self.refused.refused(command.book, &command.key);
                        }
                        if self.dice.chance(60) {
                            self.clients[client].again = Some(commands.clone());
                        }
                    }
                }
                Ok(())
            }
            (What::Read { floor }, Outcome::Read(Ok(position))) => {
                self.trace.count("reads");
                say!(self.trace, "client {client}: read {position} at node {node}");
                self.reads.told(position);
                ReadsSeeAcknowledged::check(node, *floor, position)
                    .map_err(|message| Broken::new(ReadsSeeAcknowledged::NAME, message))
            }
            (What::Read { .. }, Outcome::Read(Err(error))) => {
                self.trace.count("reads refused");
                say!(self.trace, "client {client}: a read at node {node}: {error}");
                Ok(())
            }
            (What::Write(_), Outcome::Read(_)) | (What::Read { .. }, Outcome::Answers(_)) => {
                unreachable!("an operation ends as what it began as")
            }
        }
    }

    fn answered(&mut self, node: u64, commands: &[Command], answers: &[Answer], oracle: &Oracle) -> Result<(), Broken> {
        let broken = |message| Broken::new(ANSWERS, message);
        if answers.len() != commands.len() {
            return Err(broken(format!("{} answers to {} commands", answers.len(), commands.len())));
        }
        let mut last = Position(0);
        for (command, answer) in commands.iter().zip(answers) {
            let position = check_answer(oracle, command, answer).map_err(broken)?;
            self.refused.may_be_decided(command.book, &command.key);
            last = last.max(position);
            match answer {
                Answer::Decided(_) => self.trace.count("commands acknowledged"),
                Answer::Replayed { .. } => self.trace.count("replays answered"),
                Answer::KeyReused { .. } => {
                    self.trace.count("reused keys refused");
                    continue;
                }
            }
            self.acknowledged
                .acknowledged(command.book, &command.key, position)
                .map_err(|message| Broken::new(AcknowledgedOnce::NAME, message))?;
            self.remember(command);
        }
        check_order(answers).map_err(broken)?;
        self.reads.told(last);
        self.trace.count("writes answered");
        say!(self.trace, "node {node}: {} commands decided up to {last}", commands.len());
        Ok(())
    }

    fn remember(&mut self, command: &Command) {
        if self.decided.len() < REMEMBERED {
            self.decided.push(command.clone());
        } else {
            let place = self.dice.index(REMEMBERED);
            self.decided[place] = command.clone();
        }
    }
}

fn runs(cluster: &Cluster, operation: &Operation) -> bool {
    let site = &cluster.machines[&operation.node];
    site.incarnation == operation.incarnation && site.process.is_some()
}
