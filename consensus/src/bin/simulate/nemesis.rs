//! What goes wrong, and when: drawn, one after the other, each undone after a while. Mostly a quorum is left.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use partita_consensus::cluster::change::{Change, ChangeError};
use tokio::time::Instant;

use crate::cluster::{Cluster, End, FOUNDER};
use crate::dice::Dice;
use crate::looks::Look;
use crate::plan::Plan;
use crate::trace::{Trace, say};

/// Machines in one run, those that left included.
const MOST_MACHINES: usize = 12;
const MOST_MEMBERS: usize = 7;
/// What a change of the members may take.
const CHANGE: Duration = Duration::from_secs(5);

macro_rules! fault_kinds {
    ($($name:ident $text:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum FaultKind {
            $($name,)+
        }

        impl FaultKind {
            pub(crate) const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// As it is counted.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("fault: ", $text),)+
                }
            }
        }

        impl fmt::Display for FaultKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)+
                })
            }
        }
    };
}

fault_kinds! {
    Kill "kill",
    PowerCut "power-cut",
    Blackout "blackout",
    DiskFails "disk-fails",
    Away "long-away",
    Pause "pause",
    Isolate "isolate",
    Halves "halves",
    OneWay "one-way",
    SlowWay "slow-way",
    Loss "loss",
    Breaks "broken-connections",
    ClockJump "clock-jump",
    SlowDisk "slow-disk",
    ShutDown "shut-down",
    Transfer "transfer-leader",
    Replace "replace",
    Add "add",
}

/// What became of a change of the members.
type Changed = Arc<Mutex<Option<Result<(), ChangeError>>>>;

pub(crate) struct Nemesis {
    dice: Dice,
    trace: Trace,
    faults: Vec<FaultKind>,
    calm_ms: (u64, u64),
    next_at_ms: u64,
    network_heals_at_ms: Option<u64>,
    boots_at_ms: BTreeMap<u64, u64>,
    disks_recover_at_ms: BTreeMap<u64, u64>,
    /// The node that is being taken out.
    removing: Option<(u64, Changed)>,
    /// Nodes that were taken out end some time later.
    ends_at_ms: BTreeMap<u64, u64>,
}

impl Nemesis {
    pub(crate) fn new(plan: &Plan, trace: Trace, dice: Dice) -> Self {
        Self {
            dice,
            trace,
            faults: plan.faults.clone(),
            calm_ms: plan.calm_ms,
            next_at_ms: 0,
            network_heals_at_ms: None,
            boots_at_ms: BTreeMap::new(),
            disks_recover_at_ms: BTreeMap::new(),
            removing: None,
            ends_at_ms: BTreeMap::new(),
        }
    }

    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.next_at_ms = now_ms + self.dice.between(self.calm_ms.0, self.calm_ms.1);
    }

    pub(crate) fn act(&mut self, cluster: &mut Cluster, looks: &BTreeMap<u64, Look>) {
        self.undo(cluster);
        if cluster.now_ms() < self.next_at_ms {
            return;
        }
        self.next_at_ms = cluster.now_ms() + self.dice.between(self.calm_ms.0, self.calm_ms.1);
        let kind = *self.dice.pick(&self.faults);
        if self.inject(kind, cluster, looks) {
            self.trace.count(kind.name());
            self.trace.count("faults");
        }
    }

    /// Undoes what has lasted long enough.
    fn undo(&mut self, cluster: &mut Cluster) {
        let now_ms = cluster.now_ms();
        if self.network_heals_at_ms.is_some_and(|at| at <= now_ms) {
            self.network_heals_at_ms = None;
            cluster.network.heal();
            say!(self.trace, "the network heals");
        }
        for node in take_due(&mut self.disks_recover_at_ms, now_ms) {
            cluster.machines[&node].pace.slow_down(0);
        }
        for node in take_due(&mut self.ends_at_ms, now_ms) {
            cluster.end(node, End::Killed);
        }
        for node in take_due(&mut self.boots_at_ms, now_ms) {
            let site = &cluster.machines[&node];
            if site.process.is_none() && !site.is_leaving {
                cluster.boot(node);
            }
        }
        let Some((node, changed)) = &self.removing else { return };
        let node = *node;
        let Some(ended) = changed.lock().take() else { return };
        self.removing = None;
        match ended {
            Ok(()) => {
                say!(self.trace, "node {node}: was taken out");
                self.trace.count("removals");
                cluster.machines.get_mut(&node).expect("machines stay").is_leaving = true;
                self.ends_at_ms.insert(node, now_ms + self.dice.between(0, 2_000));
                if cluster.machines.len() < MOST_MACHINES {
                    cluster.add_machine();
                }
            }
            Err(error) => say!(self.trace, "node {node}: was not taken out: {error}"),
        }
    }

    /// Undoes everything at once. Nodes that are not members any more end.
    pub(crate) fn stop(&mut self, cluster: &mut Cluster) {
        self.next_at_ms = u64::MAX;
        cluster.network.heal();
        say!(self.trace, "everything heals");
        self.network_heals_at_ms = None;
        for site in cluster.machines.values_mut() {
            site.pace.slow_down(0);
            if let Some(process) = &mut site.process {
                process.paused_until_ms = process.paused_until_ms.map(|_| 0);
            }
        }
        let down = cluster.machines.values().filter(|site| site.process.is_none() && !site.is_leaving);
        let soon = cluster.now_ms() + 1;
        self.boots_at_ms = down.map(|site| (site.id, soon)).collect();
    }

    /// What still has to be done after [`Self::stop`].
    pub(crate) fn go_on(&mut self, cluster: &mut Cluster) {
        self.undo(cluster);
    }

    /// A process has ended by itself: it comes back after a while.
    pub(crate) fn has_ended(&mut self, node: u64, now_ms: u64) {
        let after_ms = self.dice.between(50, 2_500);
        self.boots_at_ms.insert(node, now_ms + after_ms);
    }

    /// A node to do something to: half of the time whoever leads. None where too many are down already.
    fn victim(&mut self, cluster: &Cluster, looks: &BTreeMap<u64, Look>) -> Option<u64> {
        let live = cluster.live();
        let voters = looks.values().map(|look| &look.raft.voters).max_by_key(|voters| voters.len())?;
        let living = voters.iter().filter(|voter| live.contains(voter)).count();
        let leaves_quorum = living > voters.len() / 2 + 1;
        if !leaves_quorum && !self.dice.chance(10) {
            return None;
        }
        let leader = looks.values().filter(|look| look.raft.leads && live.contains(&look.node));
        let leader = leader.max_by_key(|look| look.raft.term).map(|look| look.node);
        match leader {
            Some(leader) if self.dice.chance(45) => Some(leader),
            Some(_) | None if live.is_empty() => None,
            Some(_) | None => Some(*self.dice.pick(&live)),
        }
    }

    fn inject(&mut self, kind: FaultKind, cluster: &mut Cluster, looks: &BTreeMap<u64, Look>) -> bool {
        match kind {
            FaultKind::Blackout => self.blackout(cluster),
            FaultKind::Halves => self.halves(cluster),
            FaultKind::Loss => {
                let percent = self.dice.between(1, 15);
                cluster.network.lose(percent);
                self.heal_later(cluster, &format!("{percent} % of all packets are lost"));
                true
            }
            FaultKind::Add => {
                let members = cluster.machines.values().filter(|site| !site.is_leaving).count();
                let has_room = members < MOST_MEMBERS && cluster.machines.len() < MOST_MACHINES;
                if has_room {
                    cluster.add_machine();
                }
                has_room
            }
            FaultKind::Kill
            | FaultKind::PowerCut
            | FaultKind::DiskFails
            | FaultKind::Away
            | FaultKind::Pause
            | FaultKind::Isolate
            | FaultKind::OneWay
            | FaultKind::SlowWay
            | FaultKind::Breaks
            | FaultKind::ClockJump
            | FaultKind::SlowDisk
            | FaultKind::ShutDown
            | FaultKind::Transfer
            | FaultKind::Replace => match self.victim(cluster, looks) {
                Some(node) => self.inject_at(kind, node, cluster),
                None => false,
            },
        }
    }

    fn inject_at(&mut self, kind: FaultKind, node: u64, cluster: &mut Cluster) -> bool {
        let now_ms = cluster.now_ms();
        let others: Vec<u64> = cluster.machines.keys().copied().filter(|other| *other != node).collect();
        match kind {
            FaultKind::Kill | FaultKind::PowerCut | FaultKind::Away => {
                let how = if kind == FaultKind::Kill { End::Killed } else { End::PowerCut };
                cluster.end(node, how);
                let away_ms = if kind == FaultKind::Away { (2_500, 6_000) } else { (20, 2_000) };
                self.boots_at_ms.insert(node, now_ms + self.dice.between(away_ms.0, away_ms.1));
            }
            FaultKind::DiskFails => {
                let site = &cluster.machines[&node];
                site.disks.fail_soon(&mut self.dice);
                let process = site.process.as_ref().expect("it lives");
                process.machine.is_doomed.store(true, Ordering::SeqCst);
                say!(self.trace, "node {node}: its disk is about to fail");
            }
            FaultKind::Pause => {
                let ms = self.dice.between(30, 4_000);
                let process = cluster.machines.get_mut(&node).and_then(|site| site.process.as_mut());
                process.expect("it lives").paused_until_ms = Some(now_ms + ms);
                say!(self.trace, "node {node}: is stopped for {ms} ms");
            }
            FaultKind::Isolate => {
                for other in others {
                    cluster.network.cut(node, other);
                    cluster.network.cut(other, node);
                }
                self.heal_later(cluster, &format!("node {node} is cut off"));
            }
            FaultKind::OneWay => {
                let is_deaf = self.dice.chance(50);
                for other in others {
                    if is_deaf { cluster.network.cut(other, node) } else { cluster.network.cut(node, other) }
                }
                self.heal_later(
                    cluster,
                    &format!("node {node} {}", if is_deaf { "hears nobody" } else { "is unheard" }),
                );
            }
            FaultKind::SlowWay => {
                let ms = self.dice.between(10, 400);
                for other in others {
                    cluster.network.slow(node, other, ms);
                }
                self.heal_later(cluster, &format!("what node {node} says takes {ms} ms more"));
            }
            FaultKind::Breaks => {
                cluster.network.break_connections(node);
                say!(self.trace, "node {node}: all its connections break");
            }
            FaultKind::ClockJump => {
                let most_s = *self.dice.pick(&[1, 60, 3_600]);
                let ms = i64::try_from(self.dice.between(0, 2_000 * most_s)).expect("hours");
                let ms = ms - 1_000 * i64::try_from(most_s).expect("hours");
                cluster.machines[&node].wall.jump(ms * 1_000_000);
                say!(self.trace, "node {node}: its clock jumps by {ms} ms");
            }
            FaultKind::SlowDisk => {
                let ms = self.dice.between(20, 600);
                cluster.machines[&node].pace.slow_down(ms);
                self.disks_recover_at_ms.insert(node, now_ms + self.dice.between(300, 3_000));
                say!(self.trace, "node {node}: its disk takes up to {ms} ms");
            }
            FaultKind::ShutDown => self.shut_down(node, cluster),
            FaultKind::Transfer => self.change(node, Change::TransferLeader { to: None }, cluster, &Changed::default()),
            FaultKind::Replace => return self.replace(node, cluster),
            FaultKind::Blackout | FaultKind::Halves | FaultKind::Loss | FaultKind::Add => {
                unreachable!("they are no single node's")
            }
        }
        true
    }

    /// The power of all of them goes, or of most.
    fn blackout(&mut self, cluster: &mut Cluster) -> bool {
        let up: Vec<u64> =
            cluster.machines.values().filter(|site| site.process.is_some()).map(|site| site.id).collect();
        if up.is_empty() {
            return false;
        }
        let spared = self.dice.chance(50).then(|| *self.dice.pick(&up));
        say!(self.trace, "a blackout spares {spared:?}");
        for node in up.into_iter().filter(|node| Some(*node) != spared) {
            cluster.end(node, End::PowerCut);
            self.boots_at_ms.insert(node, cluster.now_ms() + self.dice.between(50, 1_500));
        }
        true
    }

    fn halves(&mut self, cluster: &mut Cluster) -> bool {
        let nodes: Vec<u64> = cluster.machines.keys().copied().collect();
        let side: BTreeMap<u64, bool> = nodes.iter().map(|node| (*node, self.dice.chance(50))).collect();
        for from in &nodes {
            for to in nodes.iter().filter(|to| side[to] != side[from]) {
                cluster.network.cut(*from, *to);
            }
        }
        let one: Vec<u64> = nodes.into_iter().filter(|node| side[node]).collect();
        self.heal_later(cluster, &format!("{one:?} are cut off from the rest"));
        true
    }

    fn heal_later(&mut self, cluster: &Cluster, what: &str) {
        let ms = self.dice.between(200, 4_000);
        self.network_heals_at_ms = Some(cluster.now_ms() + ms);
        say!(self.trace, "{what}, until {} at the latest", cluster.now_ms() + ms);
    }

    fn shut_down(&mut self, node: u64, cluster: &Cluster) {
        say!(self.trace, "node {node}: is asked to end");
        let process = cluster.machines[&node].process.as_ref().expect("it lives");
        let running = process.node.clone().expect("it lives");
        let done = Arc::clone(&process.has_ended);
        process.spawn(async move {
            running.shutdown(Instant::now() + CHANGE).await;
            done.store(true, Ordering::SeqCst);
        });
    }

    /// Takes a node out; when that is done another comes in its place, on a new machine.
    fn replace(&mut self, node: u64, cluster: &Cluster) -> bool {
        let members = cluster.machines.values().filter(|site| !site.is_leaving && site.has_joined).count();
        let is_possible = self.removing.is_none() && members > 3 && cluster.machines.len() < MOST_MACHINES;
        // It would found a cluster of its own if it came back with nothing.
        if !is_possible || node == FOUNDER {
            return false;
        }
        let live = cluster.live();
        let asked = *self.dice.pick(&live);
        let changed = Changed::default();
        self.change(asked, Change::Remove { node_id: node }, cluster, &changed);
        self.removing = Some((node, changed));
        true
    }

    fn change(&self, asked: u64, change: Change, cluster: &Cluster, changed: &Changed) {
        say!(self.trace, "node {asked}: is asked to {change}");
        let process = cluster.machines[&asked].process.as_ref().expect("it lives");
        let running = process.node.clone().expect("it lives");
        let changed = Arc::clone(changed);
        process.spawn(async move {
            let ended = running.cluster().change(change, Instant::now() + CHANGE).await;
            *changed.lock() = Some(ended);
        });
    }
}

fn take_due(at_ms: &mut BTreeMap<u64, u64>, now_ms: u64) -> Vec<u64> {
    let due: Vec<u64> = at_ms.iter().filter(|(_, at)| **at <= now_ms).map(|(node, _)| *node).collect();
    for node in &due {
        at_ms.remove(node);
    }
    due
}
