//! One run: a cluster, a workload on it, faults one after the other, then healing, the final phase and the verdicts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Serialize;

use super::bank::GROUP;
use super::bookkeeping::Bookkeeper;
use super::check::{self, Judgement, Verdict, availability};
use super::counts::Counts;
use super::faults::kind::needs;
use super::faults::schedule::{broken_promises, trouble, violations};
use super::faults::{FaultKind, FaultRecord};
use super::history::{Clock, Record, Recorder};
use super::judge;
use super::load::Load;
use super::upgrade;
use super::workload::Workload;
use crate::HarnessError;
use crate::cluster::Cluster;
use crate::hosts::Hosts;

/// What a run is to do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub workload: Workload,
    pub nodes: usize,
    pub clients_per_node: usize,
    /// Of each client between two questions, in milliseconds: without it a load takes whatever the machine has.
    pub pause_ms: u64,
    /// Of six accounts each.
    pub groups: usize,
    pub seconds: u64,
    /// Injected in a drawn order, again and again; each at least once, or the run fails.
    pub faults: Vec<FaultKind>,
    /// Nodes on loopback addresses with proxies between them, though they could have network namespaces.
    pub with_proxies: bool,
    pub seed: u64,
    pub floors: Floors,
}

/// A run that did less proves nothing and fails.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floors {
    pub ok: u64,
    pub faults: u64,
    pub reads_during_faults: u64,
    pub leader_hits: u64,
}

/// What a run did, and what the checkers say of it.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub plan: Plan,
    pub seconds: f64,
    /// Where the nodes ran.
    pub hosts: &'static str,
    pub faults: Vec<FaultRecord>,
    pub availability: availability::Availability,
    pub operations: Counts,
    pub verdicts: Vec<Verdict>,
    /// What the run promised and did not do.
    pub vacuous: Vec<String>,
    /// What nodes did after a fault that they must not, and nodes that ended without being killed.
    pub broken: Vec<String>,
    pub history: PathBuf,
    #[serde(skip)]
    pub records: Vec<Record>,
}

impl Run {
    /// Everything passed, nothing was left undecided, and enough was done.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(Verdict::passed) && self.vacuous.is_empty() && self.broken.is_empty()
    }
}

/// Runs `plan` in `directory`, which keeps the nodes' data and logs and the history.
pub async fn run(plan: Plan, directory: &Path) -> Result<Run, HarnessError> {
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(plan.seed);
    let needs = needs(&plan.faults);
    let hosts =
        if needs.proxies || plan.with_proxies { Hosts::with_proxies(plan.nodes)? } else { Hosts::new(plan.nodes)? };
    let hosts_name = hosts.name();
    let memory = ["--memory", "256MiB"];
    let mut cluster = Cluster::start_fitted(hosts, plan.nodes, directory, &memory, needs.fitting).await?;
    let nodes = (0..plan.nodes).map(|node| Bookkeeper::new(&cluster.url(node))).collect();
    let history = directory.join("history.jsonl");
    let mut load = Load::new(nodes, plan.groups * GROUP, Clock::new(), Recorder::create(&history)?);
    let first = load.set_up().await?;
    load.pause = Duration::from_millis(plan.pause_ms);
    let clients = load.start(plan.workload, plan.clients_per_node, &mut random);
    let upgrade = if plan.workload == Workload::Upgrade {
        Some(upgrade::roll(&mut cluster, &load).await.map_err(|error| error.to_string()))
    } else {
        None
    };
    let faults = trouble(&mut cluster, &plan.faults, plan.seconds, &mut random, &load).await;
    load.stop(clients).await?;
    load.pause = Duration::ZERO;
    tracing::info!("the load has ended; everything is looked up and read");
    let mut broken = violations(&faults);
    if let Some(node) = cluster.ended_by_itself()? {
        broken.push(format!("node {} ended by itself; it said last:\n{}", node + 1, cluster.log_tail(node)));
    }
    let evidence = judge::gather(&load, &cluster, first).await;
    let records = load.recorder.finish()?;
    tracing::info!(operations = records.len(), "the checkers begin");
    let verdicts = judge::verdicts(&records, &evidence?, &faults, upgrade.as_ref());
    let found = availability::measure(&records, &faults);
    let mut vacuous = shortfall(&plan, &faults, &found);
    vacuous.extend(plan.workload.shortfall(&verdicts));
    Ok(Run {
        seconds: began.elapsed().as_secs_f64(),
        hosts: hosts_name,
        availability: found,
        operations: Counts::of(&records),
        plan,
        faults,
        verdicts,
        vacuous,
        broken,
        history,
        records,
    })
}

/// What the run promised and did not do.
fn shortfall(plan: &Plan, faults: &[FaultRecord], found: &availability::Availability) -> Vec<String> {
    let mut short = vec![];
    let mut floor = |what: &str, done: u64, wanted: u64| {
        if done < wanted {
            short.push(format!("{what}: {done}, at least {wanted} were promised"));
        }
    };
    let installed: Vec<&FaultRecord> = faults.iter().filter(|fault| fault.installed()).collect();
    let hits = installed.iter().filter(|fault| fault.hit_leader);
    floor("operations answered under the load", found.ok, plan.floors.ok);
    floor("faults installed", check::count(installed.len()), plan.floors.faults);
    floor("reads during faults", found.reads_during_faults, plan.floors.reads_during_faults);
    floor("faults that hit the leader", check::count(hits.count()), plan.floors.leader_hits);
    short.extend(broken_promises(&plan.faults, faults));
    short
}

/// The verdicts that did not pass, in words.
#[must_use]
pub fn complaints(run: &Run) -> Vec<String> {
    let mut all = vec![];
    for verdict in &run.verdicts {
        match &verdict.result {
            Judgement::Passed => {}
            Judgement::Failed(anomalies) => {
                all.extend(anomalies.iter().map(|anomaly| format!("{}: {anomaly}", verdict.checker)));
            }
            Judgement::Unknown(why) => all.push(format!("{}: unknown: {why}", verdict.checker)),
        }
    }
    all.extend(run.vacuous.iter().map(|what| format!("vacuous: {what}")));
    all.extend(run.broken.iter().cloned());
    all
}
