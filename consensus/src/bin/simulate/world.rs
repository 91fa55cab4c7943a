//! One run: the cluster is founded and grows, works under faults, heals, and has to stand as if nothing had been.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use partita_consensus::simulated::seed_raft;

use crate::clients::Clients;
use crate::cluster::{Cluster, End};
use crate::dice::Dice;
use crate::invariants::{AcknowledgedOnce, Broken, Invariants, RefusedIsNotDecided, Witness};
use crate::log_lines;
use crate::looks::{Look, Seen, look};
use crate::machine::{WorldClock, watch_panics};
use crate::nemesis::Nemesis;
use crate::network::{Host, Network};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::trace::{Trace, say};

/// All of them vote within this, and all stand at one place within this after the faults.
const PATIENCE_MS: u64 = 90_000;
/// Commands of the past that are sent again at the end, for each node.
const SENT_AGAIN: usize = 40;
/// Writes through each node at the end.
const LAST_WRITES: usize = 5;
/// A process whose disk failed ends so much later, at most.
const DYING_MS: u64 = 20;

pub(crate) struct World {
    plan: Plan,
    cluster: Cluster,
    clock: WorldClock,
    trace: Trace,
    dice: Dice,
    nemesis: Nemesis,
    clients: Clients,
    oracle: Oracle,
    invariants: Invariants,
    witness: Arc<Mutex<Witness>>,
    looks: BTreeMap<u64, Look>,
    panicked: Arc<Mutex<Option<String>>>,
}

impl World {
    pub(crate) fn new(seed: u64, trace: &Trace) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw(&mut dice);
        seed_raft(dice.next());
        log_lines::install(trace.clone());
        let panicked = Arc::default();
        watch_panics(Arc::clone(&panicked));
        let clock = WorldClock::default();
        let witness = Arc::new(Mutex::new(Witness::default()));
        let hears = Arc::clone(&witness);
        let hear = Box::new(move |host: &Host, said| hears.lock().hear(host, said));
        let network = Network::new(dice.fork(), trace.clone(), plan.latency_ms, hear);
        let nemesis = Nemesis::new(&plan, trace.clone(), dice.fork());
        let clients = Clients::new(&plan, trace.clone(), dice.fork());
        Self {
            cluster: Cluster::new(&plan, network, clock.clone(), trace.clone(), dice.fork()),
            clock,
            trace: trace.clone(),
            nemesis,
            clients,
            oracle: Oracle::default(),
            invariants: Invariants::new(),
            witness,
            looks: BTreeMap::new(),
            panicked,
            plan,
            dice,
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the first panic said.
    pub(crate) fn panicked(&self) -> Broken {
        Broken::new("nothing panics", self.panicked.lock().clone().unwrap_or_default())
    }

    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        self.grow()?;
        self.work()?;
        self.heal()?;
        self.prove()
    }

    /// Until every node votes.
    fn grow(&mut self) -> Result<(), Broken> {
        for _ in 0..self.plan.nodes {
            self.cluster.add_machine();
            self.step()?;
        }
        let wanted = usize::try_from(self.plan.nodes).expect("they are few");
        self.step_until("the cluster grows", |world| {
            world.looks.len() == wanted && world.looks.values().all(|look| look.raft.voters.len() == wanted)
        })
    }

    fn work(&mut self) -> Result<(), Broken> {
        let ends_at_ms = self.clock.ms() + self.plan.length_ms;
        say!(self.trace, "the work begins");
        self.nemesis.begin(self.clock.ms());
        while self.clock.ms() < ends_at_ms {
            self.nemesis.act(&mut self.cluster, &self.looks);
            self.clients.act(&self.cluster, &self.oracle);
            self.step()?;
        }
        Ok(())
    }

    /// Until all members stand at one place.
    fn heal(&mut self) -> Result<(), Broken> {
        self.nemesis.stop(&mut self.cluster);
        self.step_until("convergence", |world| !world.clients.are_waiting() && world.stands())
    }

    /// Whether every member runs, has recovered and has applied what all others have.
    fn stands(&self) -> bool {
        let Some(leader) = self.looks.values().filter(|look| look.raft.leads).max_by_key(|look| look.raft.vote) else {
            return false;
        };
        leader.raft.members.iter().all(|member| {
            let recovered = self.cluster.node(*member).is_some_and(|node| node.status().recovered);
            let is_equal = self.looks.get(member).is_some_and(|look| {
                look.raft.applied == leader.raft.applied
                    && look.raft.applied.map(|id| id.index) == leader.raft.last_index
                    && look.position == leader.position
            });
            recovered && is_equal
        }) && leader.raft.voters == leader.raft.members
    }

    /// The cluster works as ever: whatever was left open is decided, what was decided is answered again, new writes and
    /// reads go through every node; and then everything is compared.
    fn prove(&mut self) -> Result<(), Broken> {
        say!(self.trace, "everything is asked again");
        let nodes = self.members();
        for commands in std::mem::take(&mut self.clients.unresolved) {
            let node = *self.dice.pick(&nodes);
            self.clients.send(commands, node, &self.cluster);
        }
        for node in &nodes {
            let again = self.clients.some_decided(SENT_AGAIN);
            if !again.is_empty() {
                self.clients.send(again, *node, &self.cluster);
            }
        }
        self.step_until("old keys are answered", |world| !world.clients.are_waiting())?;
        let before = self.clients.acknowledged.len();
        for round in 0..LAST_WRITES {
            for node in &nodes {
                self.clients.send_new(*node, &self.cluster, &self.oracle);
            }
            self.step_until("new writes are answered", |world| !world.clients.are_waiting())?;
            for (client, node) in nodes.iter().enumerate().filter(|_| round == 0) {
                self.clients.read(client % 3, *node, &self.cluster);
            }
            self.step_until("reads are answered", |world| !world.clients.are_waiting())?;
        }
        if self.clients.acknowledged.len() == before {
            return Err(Broken::new("convergence", "nothing new was acknowledged after everything had healed"));
        }
        self.step_until("convergence", Self::stands)?;
        self.finish()
    }

    fn members(&self) -> Vec<u64> {
        let leader = self.looks.values().filter(|look| look.raft.leads).max_by_key(|look| look.raft.vote);
        leader.map(|look| look.raft.members.clone()).unwrap_or_default()
    }

    fn finish(&mut self) -> Result<(), Broken> {
        let members = self.members();
        for node in self.looks.keys().copied().filter(|node| !members.contains(node)).collect::<Vec<_>>() {
            self.cluster.end(node, End::Killed);
            self.looks.remove(&node);
        }
        let seen = Seen { cluster: &self.cluster, oracle: &self.oracle, looks: &self.looks, witness: &self.witness };
        self.invariants.finish(&seen)?;
        let acknowledged = self.clients.acknowledged.finish(&self.oracle);
        acknowledged.map_err(|message| Broken::new(AcknowledgedOnce::NAME, message))?;
        let never = self.clients.refused.finish(&self.oracle);
        let never = never.map_err(|message| Broken::new(RefusedIsNotDecided::NAME, message))?;
        self.trace.add("keys never proposed", u64::try_from(never).expect("64 bits"));
        self.trace.add("decisions", self.oracle.position().0);
        self.trace.add("keys acknowledged", u64::try_from(self.clients.acknowledged.len()).expect("64 bits"));
        self.trace.add("replays decided", self.oracle.replays);
        self.trace.add("virtual ms", self.clock.ms());
        self.oracle.count_decisions(&self.trace);
        say!(self.trace, "{} decisions, all as they have to be", self.oracle.position());
        Ok(())
    }

    fn step_until(&mut self, what: &'static str, reached: impl Fn(&Self) -> bool) -> Result<(), Broken> {
        let until_ms = self.clock.ms() + PATIENCE_MS;
        while !reached(self) {
            if self.clock.ms() >= until_ms {
                let looks: Vec<String> = self.looks.values().map(|look| format!("{look:?}")).collect();
                return Err(Broken::new(what, format!("not within {PATIENCE_MS} ms:\n{}", looks.join("\n"))));
            }
            self.nemesis.go_on(&mut self.cluster);
            self.clients.say_again(&self.cluster);
            self.step()?;
        }
        Ok(())
    }

    /// One millisecond.
    fn step(&mut self) -> Result<(), Broken> {
        let now_ms = self.clock.ms() + 1;
        self.clock.set(now_ms);
        self.trace.at(now_ms);
        self.listen();
        self.cluster.network.deliver(now_ms);
        let stepped = self.cluster.step();
        if self.panicked.lock().is_some() {
            return Err(self.panicked());
        }
        if let Some(broken) = self.witness.lock().broken.take() {
            return Err(broken);
        }
        stepped.map_err(|message| Broken::new("every node starts", message))?;
        self.bury()?;
        let before = std::mem::replace(&mut self.looks, look(&self.cluster));
        self.count_checkpoints(&before);
        self.oracle
            .advance(&self.cluster, &self.looks, &self.trace)
            .map_err(|message| Broken::new("committed is readable", message))?;
        let seen = Seen { cluster: &self.cluster, oracle: &self.oracle, looks: &self.looks, witness: &self.witness };
        self.invariants.check(&seen)?;
        self.clients.take_outcomes(&self.cluster, &self.oracle)
    }

    fn count_checkpoints(&self, before: &BTreeMap<u64, Look>) {
        for (node, look) in &self.looks {
            let known = before.get(node).filter(|known| known.incarnation == look.incarnation);
            if known.is_some_and(|known| known.durable_index < look.durable_index) {
                self.trace.count("checkpoints");
            }
        }
    }

    /// The witness compares with the disks that there are now.
    fn listen(&self) {
        let mut witness = self.witness.lock();
        for (node, site) in &self.cluster.machines {
            witness.logs.insert(*node, site.disks.log.clone());
        }
    }

    /// Processes that ended by themselves, as they had to or were asked to. Any other end is a failure.
    fn bury(&mut self) -> Result<(), Broken> {
        let now_ms = self.clock.ms();
        let mut ended = Vec::new();
        for (node, site) in &mut self.cluster.machines {
            let Some(process) = &mut site.process else { continue };
            if process.has_ended.load(Ordering::SeqCst) {
                ended.push((*node, End::ShutDown));
                continue;
            }
            let stopped = process.machine.stopped.lock().clone();
            let Some(why) = stopped else { continue };
            if !process.machine.is_doomed.load(Ordering::SeqCst) {
                return Err(Broken::new("no process stops by itself", format!("node {node}: {why}")));
            }
            let dies_at_ms = *process.dies_at_ms.get_or_insert_with(|| {
                say!(self.trace, "node {node}: {why}");
                now_ms + self.dice.between(0, DYING_MS)
            });
            if dies_at_ms <= now_ms {
                let how = if self.dice.chance(50) { End::PowerCut } else { End::Killed };
                ended.push((*node, how));
            }
        }
        for (node, how) in ended {
            self.cluster.end(node, how);
            self.nemesis.has_ended(node, now_ms);
        }
        for node in std::mem::take(&mut self.cluster.crashed) {
            self.invariants.after_crash(&self.cluster.machines[&node])?;
        }
        Ok(())
    }
}
