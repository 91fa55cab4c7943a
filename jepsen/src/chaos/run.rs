//! One run: a cluster, a workload on it, faults one after the other, then healing, the final phase and the verdicts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

use super::bank::GROUP;
use super::bookkeeping::Bookkeeper;
use super::check::{self, Judgement, Verdict, availability};
use super::counts::Counts;
use super::faults::{FaultKind, FaultRecord, FaultState, inject};
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
    /// Of six accounts each.
    pub groups: usize,
    pub seconds: u64,
    /// Injected in a drawn order, again and again; each at least once, or the run fails.
    pub faults: Vec<FaultKind>,
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
    pub faults: Vec<FaultRecord>,
    pub availability: availability::Availability,
    pub operations: Counts,
    pub verdicts: Vec<Verdict>,
    /// What the run promised and did not do.
    pub vacuous: Vec<String>,
    /// A node that ended without being killed.
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
    let hosts = Hosts::new(plan.nodes)?;
    let mut cluster = Cluster::start(hosts, plan.nodes, directory, &["--memory", "256MiB"]).await?;
    let nodes = (0..plan.nodes).map(|node| Bookkeeper::new(&cluster.url(node))).collect();
    let history = directory.join("history.jsonl");
    let load = Load::new(nodes, plan.groups * GROUP, Clock::new(), Recorder::create(&history)?);
    let first = load.set_up().await?;
    let clients = load.start(plan.workload, plan.clients_per_node, &mut random);
    let upgrade = match plan.workload {
        Workload::Upgrade => Some(upgrade::roll(&mut cluster, &load).await.map_err(|error| error.to_string())),
        _ => None,
    };
    let faults = trouble(&mut cluster, &plan, &mut random, load.clock).await;
    load.stop(clients).await?;
    let mut broken = vec![];
    if let Some(node) = cluster.ended_by_itself()? {
        broken.push(format!("node {} ended by itself; it said last:\n{}", node + 1, cluster.log_tail(node)));
    }
    let evidence = judge::gather(&load, &cluster, first).await;
    let records = load.recorder.finish()?;
    let verdicts = judge::verdicts(&records, &evidence?, &faults, upgrade.as_ref());
    let found = availability::measure(&records, &faults);
    let mut vacuous = shortfall(&plan, &faults, &found);
    vacuous.extend(plan.workload.shortfall(&verdicts));
    Ok(Run {
        seconds: began.elapsed().as_secs_f64(),
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

/// Fault after fault until the time is over; then everything runs again.
async fn trouble(cluster: &mut Cluster, plan: &Plan, random: &mut StdRng, clock: Clock) -> Vec<FaultRecord> {
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    let mut faults: Vec<FaultRecord> = vec![];
    let mut waiting: Vec<FaultKind> = vec![];
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Each kind once, whatever the time; then more until the time is over.
    while !plan.faults.is_empty() && (Instant::now() < end || faults.len() < plan.faults.len()) {
        if waiting.is_empty() {
            waiting.clone_from(&plan.faults);
            waiting.shuffle(random);
        }
        let kind = waiting.pop().expect("it was filled");
        let fault = inject(cluster, kind, random, clock).await;
        tracing::info!(kind = kind.name(), nodes = ?fault.nodes, state = ?fault.state, "fault");
        faults.push(fault);
        tokio::time::sleep(Duration::from_millis(random.random_range(500..2_500))).await;
    }
    let rest = end.saturating_duration_since(Instant::now());
    tokio::time::sleep(rest).await;
    faults
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
    let hits = installed.iter().filter(|fault| {
        matches!(
            fault.kind,
            FaultKind::KillLeader
                | FaultKind::PauseLeader
                | FaultKind::IsolateLeader
                | FaultKind::OneWay
                | FaultKind::Flapping
                | FaultKind::KillAll
        )
    });
    floor("operations answered under the load", found.ok, plan.floors.ok);
    floor("faults installed", check::count(installed.len()), plan.floors.faults);
    floor("reads during faults", found.reads_during_faults, plan.floors.reads_during_faults);
    floor("faults that hit the leader", check::count(hits.count()), plan.floors.leader_hits);
    for kind in &plan.faults {
        let of_kind = || faults.iter().filter(|fault| fault.kind == *kind);
        if !of_kind().any(FaultRecord::installed) {
            let why = of_kind().find_map(|fault| match &fault.state {
                FaultState::Installed => None,
                FaultState::Skipped(why) | FaultState::Indeterminate(why) => Some(why.clone()),
            });
            short.push(format!("{} was promised and never installed: {}", kind.name(), why.unwrap_or_default()));
        }
    }
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
