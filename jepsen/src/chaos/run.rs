//! One run: a cluster, the bank on it, faults one after the other, then healing, the final phase and the verdicts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use tokio::task::JoinSet;

use super::bank::{GROUP, settle};
use super::bookkeeping::{BOOK, Bookkeeper};
use super::check::{self, Judgement, Verdict, availability, effects, heads, search, statements, sums, witness};
use super::faults::{FaultKind, FaultRecord, FaultState, inject};
use super::history::{Clock, Operation, Outcome, Phase, Record, Recorder, Status};
use super::load::Load;
use crate::HarnessError;
use crate::cluster::Cluster;
use crate::hosts::Hosts;

/// How long what was asked for last may take to be answered after healing.
const FINAL: Duration = Duration::from_secs(60);
/// Look-ups and reads of the final phase at one time.
const FINAL_CLIENTS: usize = 8;

/// What a run is to do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
    pub posted: u64,
    pub refused: u64,
    pub replayed: u64,
    pub reads: u64,
    pub lookups: u64,
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
    let nodes: Vec<Bookkeeper> = (0..plan.nodes).map(|node| Bookkeeper::new(&cluster.url(node))).collect();
    let history = directory.join("history.jsonl");
    let load = Load {
        nodes,
        accounts: plan.groups * GROUP,
        clock: Clock::new(),
        recorder: Recorder::create(&history)?,
        stopped: Arc::new(AtomicBool::new(false)),
        next_client: Arc::new(AtomicU64::new(1)),
        next_key: Arc::new(AtomicU64::new(1)),
    };
    let first = set_up(&load).await?;
    let mut clients = JoinSet::new();
    for node in 0..plan.nodes {
        for _ in 0..plan.clients_per_node {
            clients.spawn(load.clone().client(node, random.random()));
        }
    }
    let faults = trouble(&mut cluster, &plan, &mut random, load.clock).await;
    load.stopped.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic")?;
    }
    let mut broken = vec![];
    if let Some(node) = cluster.ended_by_itself()? {
        broken.push(format!("node {} ended by itself; it said last:\n{}", node + 1, cluster.log_tail(node)));
    }
    let verdicts_of = judge(&load, &cluster, first, &faults).await;
    let records = load.recorder.finish()?;
    let found = availability::measure(&records, &faults);
    let verdicts = verdicts_of?;
    let vacuous = shortfall(&plan, &faults, &found);
    Ok(Run {
        seconds: began.elapsed().as_secs_f64(),
        availability: found,
        operations: tally(&records),
        plan,
        faults,
        verdicts,
        vacuous,
        broken,
        history,
        records,
    })
}

/// Returns the first position that the load can get.
async fn set_up(load: &Load) -> Result<u64, HarnessError> {
    let start = load.clock.now();
    let keys = load.nodes[0].set_up(load.accounts).await?;
    let end = load.clock.now();
    let first = check::count(keys.len()) + 1;
    for (key, position) in keys.into_iter().zip(1..) {
        let outcome = Outcome {
            code: "posted".to_owned(),
            index: position,
            position: Some(position),
            replayed: false,
            balances: vec![],
            available: None,
        };
        let operation = Operation::Create { what: key.clone() };
        let (key, result) = (Some(key), Some(outcome));
        let (status, phase) = (Status::Ok, Phase::Setup);
        load.recorder.add(Record {
            client: 0,
            operation,
            key,
            result,
            start,
            end,
            status,
            phase,
            node: 0,
            why: None,
        })?;
    }
    Ok(first)
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

/// The final phase, and the checkers.
async fn judge(
    load: &Load,
    cluster: &Cluster,
    first: u64,
    faults: &[FaultRecord],
) -> Result<Vec<Verdict>, HarnessError> {
    cluster.wait_for_leader().await?;
    resend(load).await?;
    cluster.wait_for_equal_heads(BOOK).await?;
    read_everything(load).await?;
    let mut heads = vec![];
    for (node, keeper) in load.nodes.iter().enumerate() {
        heads.push(keeper.head(node).await?);
    }
    let feed = load.nodes[load.nodes.len() - 1].feed().await?;
    let mut statements = vec![];
    for account in 0..load.accounts {
        statements.push(load.nodes[account % load.nodes.len()].statement(account).await?);
    }
    let history = load.recorder.finish()?;
    let settlement = settle(&history);
    let last = settlement.decided.keys().next_back().copied().unwrap_or(first - 1);
    Ok(vec![
        witness::check(&history, &settlement, load.accounts, first),
        search::check(&history, load.accounts),
        effects::check(&history, &feed),
        sums::check(&history),
        statements::check(&settlement, &statements),
        heads::check(&heads, load.nodes.len(), last),
        availability::check(&availability::measure(&history, faults)),
    ])
}

/// Sends everything again that has no definite answer, with its own key, until it has one.
async fn resend(load: &Load) -> Result<(), HarnessError> {
    let history = load.recorder.finish()?;
    let unresolved: Vec<String> = settle(&history).unresolved.into_iter().map(str::to_owned).collect();
    let deadline = Instant::now() + FINAL;
    for key in unresolved {
        let sent = history.iter().find(|record| record.key.as_deref() == Some(&key)).expect("it was sent");
        let mut node = 0;
        loop {
            let record =
                load.ask(load.new_client(), node, sent.operation.clone(), Some(key.clone()), Phase::Final).await?;
            if record.status == Status::Ok || Instant::now() > deadline {
                break;
            }
            node = (node + 1) % load.nodes.len();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Looks every key up, and reads every account and the whole on every node.
async fn read_everything(load: &Load) -> Result<(), HarnessError> {
    let history = load.recorder.finish()?;
    let mut keys: Vec<String> = history
        .iter()
        .filter(|record| matches!(record.operation, Operation::Transfer { .. }))
        .filter_map(|record| record.key.clone())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut questions: Vec<(usize, Operation)> = keys
        .into_iter()
        .enumerate()
        .map(|(number, of)| (number % load.nodes.len(), Operation::Lookup { of }))
        .collect();
    for node in 0..load.nodes.len() {
        questions.extend((0..load.accounts).map(|account| (node, Operation::Read { account })));
        questions.push((node, Operation::ReadAll));
    }
    let questions = Arc::new(questions);
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..FINAL_CLIENTS {
        let (load, questions, next) = (load.clone(), Arc::clone(&questions), Arc::clone(&next));
        clients.spawn(async move {
            let client = load.new_client();
            loop {
                let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("a number of questions");
                let Some((node, operation)) = questions.get(number) else { return Ok::<_, HarnessError>(()) };
                load.ask(client, *node, operation.clone(), None, Phase::Final).await?;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic")?;
    }
    Ok(())
}

fn tally(records: &[Record]) -> Counts {
    let mut counts = Counts::default();
    for record in records {
        match record.status {
            Status::Ok => counts.ok += 1,
            Status::Fail => counts.fail += 1,
            Status::Info => counts.info += 1,
        }
        let Some(outcome) = &record.result else { continue };
        match record.operation {
            Operation::Transfer { .. } if outcome.replayed => counts.replayed += 1,
            Operation::Transfer { .. } if outcome.code == "posted" => counts.posted += 1,
            Operation::Transfer { .. } => counts.refused += 1,
            Operation::Read { .. } | Operation::ReadAll => counts.reads += 1,
            Operation::Lookup { .. } => counts.lookups += 1,
            Operation::Create { .. } => {}
        }
    }
    counts
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
