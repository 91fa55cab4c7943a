//! The machines and the processes on them, each process with a runtime of its own whose clock only the world moves: to
//! kill one is to drop it, to stop one is not to run it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use partita_consensus::environment::SharedEnvironment;
use partita_consensus::node::{Identity, Stores};
use partita_consensus::simulated::{Place, join, start};
use partita_consensus::{ClusterId, Node};
use partita_storage::codec::Levels;
use partita_storage::engine::MemoryEngine;
use partita_storage::log::memory::Unsynced;
use tokio::runtime::{Builder, RngSeed, Runtime};
use tokio::time::Instant;

use crate::dice::Dice;
use crate::disks::Disks;
use crate::log_lines::is_turn_of;
use crate::machine::{DiskPace, Machine, WallClock, WorldClock};
use crate::network::{Host, Network, address_of};
use crate::plan::Plan;
use crate::trace::{Trace, say};

pub(crate) type SimulatedNode = Node<MemoryEngine>;

const CLUSTER: ClusterId = ClusterId([7; 16]);
/// The node that founds the cluster.
pub(crate) const FOUNDER: u64 = 1;

/// How a process comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The operating system lives on, and what was written with it.
    Killed,
    PowerCut,
    /// By itself, in order.
    ShutDown,
}

/// A machine, its disks, and the process on it.
pub(crate) struct Site {
    pub(crate) id: u64,
    pub(crate) disks: Disks,
    pub(crate) wall: Arc<WallClock>,
    pub(crate) pace: Arc<DiskPace>,
    pub(crate) process: Option<Process>,
    pub(crate) incarnation: u64,
    /// It has been taken into the cluster, as far as it knows.
    pub(crate) has_joined: bool,
    /// It was taken out of the cluster, or is about to be: it does not come back.
    pub(crate) is_leaving: bool,
    instance: [u8; 16],
    memory_bytes: usize,
}

pub(crate) struct Process {
    runtime: Runtime,
    base: Instant,
    born_ms: u64,
    pub(crate) node: Option<Arc<SimulatedNode>>,
    pub(crate) machine: Arc<Machine>,
    starting: Starting,
    pub(crate) paused_until_ms: Option<u64>,
    /// When it ends, if that is decided.
    pub(crate) dies_at_ms: Option<u64>,
    /// By itself, in order.
    pub(crate) has_ended: Arc<AtomicBool>,
}

type Started = Result<Arc<SimulatedNode>, String>;
type Starting = Arc<Mutex<Option<(bool, Option<Started>)>>>;

impl Process {
    /// Runs everything that is due by `now_ms`.
    fn step(&mut self, now_ms: u64) {
        let until = self.base + Duration::from_millis(now_ms - self.born_ms);
        self.runtime.block_on(async { tokio::time::sleep_until(until).await });
    }

    /// The clock jumps over the time in which it did not run.
    fn resume(&mut self, now_ms: u64) {
        let until = self.base + Duration::from_millis(now_ms - self.born_ms);
        self.runtime.block_on(async {
            let missed = until.saturating_duration_since(Instant::now());
            tokio::time::advance(missed).await;
        });
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }
}

pub(crate) struct Cluster {
    pub(crate) machines: BTreeMap<u64, Site>,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) dice: Dice,
    /// Machines on which a process has ended since that was last looked at.
    pub(crate) crashed: Vec<u64>,
    clock: WorldClock,
    memory_bytes: usize,
    disk_ms: u64,
    clock_skew_ms: u64,
}

impl Cluster {
    pub(crate) fn new(plan: &Plan, network: Network, clock: WorldClock, trace: Trace, dice: Dice) -> Self {
        Self {
            machines: BTreeMap::new(),
            network,
            trace,
            dice,
            crashed: Vec::new(),
            clock,
            memory_bytes: plan.memory_bytes,
            disk_ms: plan.disk_ms,
            clock_skew_ms: plan.clock_skew_ms,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.ms()
    }

    /// A new machine with nothing on its disks, and the process on it.
    pub(crate) fn add_machine(&mut self) -> u64 {
        let id = self.machines.keys().next_back().map_or(FOUNDER, |last| last + 1);
        let skew = i64::try_from(self.dice.between(0, 2 * self.clock_skew_ms)).expect("hours");
        let skew_ns = (skew - i64::try_from(self.clock_skew_ms).expect("hours")) * 1_000_000;
        let drift_ppm = i64::try_from(self.dice.between(0, 400)).expect("it is small") - 200;
        let machine = Site {
            id,
            disks: Disks::new(),
            wall: Arc::new(WallClock::new(self.clock.clone(), skew_ns, drift_ppm)),
            pace: Arc::new(DiskPace::new(self.disk_ms)),
            process: None,
            incarnation: 0,
            has_joined: id == FOUNDER,
            is_leaving: false,
            instance: self.dice.bytes(),
            memory_bytes: self.memory_bytes,
        };
        say!(self.trace, "node {id}: a machine with a clock {skew_ns} ns off and {drift_ppm} ppm fast");
        self.machines.insert(id, machine);
        self.boot(id);
        id
    }

    pub(crate) fn boot(&mut self, id: u64) {
        let now_ms = self.now_ms();
        let contacts: Vec<String> = self
            .machines
            .values()
            .filter(|other| other.id != id && other.has_joined && !other.is_leaving)
            .map(|other| address_of(other.id).to_string())
            .collect();
        let mut dice = self.dice.fork();
        let machine = self.machines.get_mut(&id).expect("machines stay");
        assert!(machine.process.is_none(), "one process at a time");
        machine.incarnation += 1;
        let process = Process::start(machine, &self.network, &contacts, now_ms, &mut dice);
        say!(self.trace, "node {id}: starts for the {}. time", machine.incarnation);
        machine.process = Some(process);
        self.trace.count("starts");
    }

    /// Ends a process at once.
    pub(crate) fn end(&mut self, id: u64, how: End) {
        let machine = self.machines.get_mut(&id).expect("machines stay");
        let Some(process) = machine.process.take() else { return };
        let unsynced = match how {
            End::Killed | End::ShutDown => Unsynced::Kept,
            End::PowerCut => Unsynced::Lost,
        };
        let disks = machine.disks.after_crash(unsynced, &mut self.dice);
        process.machine.dead.store(true, Ordering::SeqCst);
        self.network.close(id, address_of(id), how != End::PowerCut);
        drop(process);
        machine.disks = disks;
        self.crashed.push(id);
        self.trace.count(match how {
            End::Killed => "processes killed",
            End::PowerCut => "power cuts",
            End::ShutDown => "shut-downs",
        });
        say!(self.trace, "node {id}: ends ({how:?})");
    }

    pub(crate) fn step(&mut self) -> Result<(), String> {
        let now_ms = self.now_ms();
        for machine in self.machines.values_mut() {
            let Some(process) = &mut machine.process else { continue };
            is_turn_of(machine.id);
            match process.paused_until_ms {
                Some(until) if now_ms < until => continue,
                Some(_) => {
                    process.paused_until_ms = None;
                    process.resume(now_ms);
                    say!(self.trace, "node {}: goes on", machine.id);
                }
                None => process.step(now_ms),
            }
            let Some((has_joined, started)) = process.starting.lock().take() else { continue };
            if has_joined && !machine.has_joined {
                machine.has_joined = true;
                self.trace.count("joins");
                say!(self.trace, "node {}: was taken in", machine.id);
            }
            match started {
                None => {}
                Some(Ok(node)) => process.node = Some(node),
                Some(Err(why)) if machine.is_leaving || process.machine.is_doomed.load(Ordering::SeqCst) => {
                    say!(self.trace, "node {}: does not start: {why}", machine.id);
                    process.has_ended.store(true, Ordering::SeqCst);
                }
                Some(Err(why)) => return Err(format!("node {} does not start: {why}", machine.id)),
            }
        }
        Ok(())
    }

    pub(crate) fn node(&self, id: u64) -> Option<&Arc<SimulatedNode>> {
        self.machines.get(&id)?.process.as_ref()?.node.as_ref()
    }

    /// Who leads, as a node would say now, by its own clock. One that is stopped says nothing.
    pub(crate) fn leader_named_by(&self, id: u64) -> Option<u64> {
        let process = self.machines.get(&id)?.process.as_ref().filter(|process| process.paused_until_ms.is_none())?;
        let _inside = process.runtime.enter();
        process.node.as_ref()?.status().leader
    }

    /// Nodes that run and are not stopped.
    pub(crate) fn live(&self) -> Vec<u64> {
        let lives = |machine: &&Site| {
            machine.process.as_ref().is_some_and(|process| process.node.is_some() && process.paused_until_ms.is_none())
        };
        self.machines.values().filter(lives).map(|machine| machine.id).collect()
    }
}

impl Process {
    fn start(machine: &Site, network: &Network, contacts: &[String], now_ms: u64, dice: &mut Dice) -> Self {
        let seed = RngSeed::from_bytes(&dice.bytes());
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(seed)
            .build()
            .expect("a runtime with nothing but a timer needs nothing of the machine");
        let base = runtime.block_on(async { Instant::now() });
        let dead = Arc::new(AtomicBool::new(false));
        let environment = Arc::new(Machine {
            wall: Arc::clone(&machine.wall),
            pace: Arc::clone(&machine.pace),
            dice: Arc::new(Mutex::new(dice.fork())),
            dead: Arc::clone(&dead),
            is_doomed: AtomicBool::new(false),
            stopped: Mutex::new(None),
        });
        let (id, instance) = (machine.id, machine.instance);
        let host = Host { node: id, incarnation: machine.incarnation, dead };
        let address = address_of(id);
        let (carrier, door) = (network.carrier(&host), network.open_door(&host, address));
        let disks = machine.disks.clone();
        let stores = Stores { log: disks.log, mark: disks.mark, tables: disks.tables, directories: Vec::new() };
        let identity = Identity { cluster: CLUSTER, node_id: id, levels: Levels::OWN };
        let has_joined = machine.has_joined;
        let memory_bytes = machine.memory_bytes;
        let contacts = contacts.to_vec();
        let starting = Starting::default();
        let told = Arc::clone(&starting);
        let shared: SharedEnvironment = environment.clone();
        runtime.spawn(async move {
            if !has_joined {
                let joined = join(Arc::clone(&carrier), id, address, instance, &contacts).await;
                let ended = joined.err().map(|error| Err(chain(&error)));
                let is_refused = ended.is_some();
                *told.lock() = Some((!is_refused, ended));
                if is_refused {
                    return;
                }
            }
            let place = Place { carrier, door, address, founds: id == FOUNDER };
            let started = start(stores, identity, memory_bytes, shared, place).await;
            *told.lock() = Some((true, Some(started.map(Arc::new).map_err(|error| chain(&error)))));
        });
        Self {
            runtime,
            base,
            born_ms: now_ms,
            node: None,
            machine: environment,
            starting,
            paused_until_ms: None,
            dies_at_ms: None,
            has_ended: Arc::default(),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}
