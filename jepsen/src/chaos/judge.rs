//! After the load: the final phase, in which everything gets its definite answer and is read, and the verdicts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::billing::{DocumentKind, Request};
use super::bookkeeping::{BANK, BILLING};
use super::check::effects::FeedDecision;
use super::check::heads::Head;
use super::check::replays::Events;
use super::check::trial_balances::Disturbance;
use super::check::{
    Verdict, availability, caps, effects, heads, indefinite, replays, search, statements, sums, trial_balances,
    upgrades, witness,
};
use super::faults::membership::SNAPSHOT;
use super::faults::{Class, FaultRecord};
use super::history::{Operation, Phase, Posting, Record, Status};
use super::load::Load;
use super::settlement::{each_attempt, settle};
use super::upgrade::Upgrade;
use crate::HarnessError;
use crate::cluster::Cluster;

/// How long what was asked for last may take to be answered after healing.
const FINAL: Duration = Duration::from_secs(60);
/// Look-ups and reads of the final phase at one time.
const FINAL_CLIENTS: usize = 8;

/// What the nodes say after the run, beside the history.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The first position that the load could get.
    first: u64,
    accounts: usize,
    nodes: usize,
    heads: Vec<Head>,
    feed: Vec<FeedDecision>,
    statements: Vec<Vec<Posting>>,
    leader_changes: Vec<u64>,
}

/// The final phase, once everything runs again.
pub(super) async fn gather(load: &Load, cluster: &Cluster, first: u64) -> Result<Evidence, HarnessError> {
    cluster.wait_for_leader().await?;
    resend(load).await?;
    cluster.wait_for_equal_heads(BANK).await?;
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
    Ok(Evidence {
        first,
        accounts: load.accounts,
        nodes: load.nodes.len(),
        heads,
        feed,
        statements,
        leader_changes: load.watch.leader_changes(),
    })
}

/// Every checker's verdict.
pub(super) fn verdicts(
    history: &[Record],
    evidence: &Evidence,
    faults: &[FaultRecord],
    upgrade: Option<&Result<Upgrade, String>>,
) -> Vec<Verdict> {
    let Evidence { first, accounts, nodes, heads, feed, statements, leader_changes } = evidence;
    let settlement = settle(history);
    let last = settlement.decided.keys().next_back().copied().unwrap_or(first - 1);
    let events =
        Events { leader_changes: leader_changes.clone(), restarts: restarts(faults), snapshots: snapshots(faults) };
    let mut touched = disturbances(faults.iter());
    if let Some(Ok(upgrade)) = upgrade {
        touched.extend(upgrade.disturbances());
    }
    let mut verdicts = vec![
        witness::check(history, &settlement, *accounts, *first),
        search::check(history, *accounts),
        effects::check(history, feed),
        indefinite::check(history, feed),
        caps::check(history, &settlement),
        replays::check(history, &events),
        sums::check(history),
        statements::check(history, &settlement, statements),
        trial_balances::check(history, &touched, heads),
        heads::check(heads, *nodes, last),
        availability::check(&availability::measure(history, faults)),
    ];
    verdicts.extend(upgrade.map(|upgrade| upgrades::check(upgrade, *nodes)));
    // Who had nothing to look at has nothing to say. What a workload has to give is in its floors.
    verdicts.retain(|verdict| !verdict.passed() || verdict.counted.iter().any(|(_, number)| *number > 0));
    verdicts
}

/// Times in which something was done to a node.
fn disturbances<'a>(faults: impl Iterator<Item = &'a FaultRecord>) -> Vec<Disturbance> {
    let of_fault = |fault: &FaultRecord| {
        let (start, end) = (fault.start, fault.end);
        fault.nodes.iter().map(|&node| Disturbance { node, start, end }).collect::<Vec<_>>()
    };
    faults.flat_map(of_fault).collect()
}

/// Those in which a node ended and was started again on what it had.
fn restarts(faults: &[FaultRecord]) -> Vec<Disturbance> {
    let ends = |fault: &&FaultRecord| matches!(fault.kind.class(), Class::Kill | Class::PowerLoss | Class::SyncsFail);
    disturbances(faults.iter().filter(|fault| fault.installed()).filter(ends))
}

/// Those in which a node took the state as files.
fn snapshots(faults: &[FaultRecord]) -> Vec<Disturbance> {
    disturbances(faults.iter().filter(|fault| fault.notes.iter().any(|note| note == SNAPSHOT)))
}

/// Sends everything again that has no definite answer, with its own key, until it has one.
async fn resend(load: &Load) -> Result<(), HarnessError> {
    // Of a batch all items are sent again: what was decided is answered as it was.
    let unresolved: Vec<(Operation, Option<String>)> = load.recorder.look(|history| {
        let mut open: BTreeSet<&str> = settle(history).unresolved.into_iter().collect();
        let mut again = vec![];
        for record in history {
            let mut asks_an_open_one = false;
            each_attempt(record, |attempt| asks_an_open_one |= open.remove(attempt.key));
            if asks_an_open_one {
                again.push((record.operation.clone(), record.key.clone()));
            }
        }
        again
    });
    let deadline = Instant::now() + FINAL;
    for (operation, key) in unresolved {
        let mut node = 0;
        loop {
            let record = load.ask(load.new_client(), node, operation.clone(), key.clone(), Phase::Final).await?;
            if record.status == Status::Ok || Instant::now() > deadline {
                break;
            }
            node = (node + 1) % load.nodes.len();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// What the final phase asks: every key, every document, and on every node every account and each book as a whole.
fn questions(history: &[Record], nodes: usize, accounts: usize) -> Vec<(usize, Operation)> {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    let mut documents: BTreeSet<(DocumentKind, u64)> = BTreeSet::new();
    for record in history {
        each_attempt(record, |attempt| {
            keys.insert(attempt.key);
        });
        if let Operation::Billing(request) = &record.operation {
            match *request {
                Request::Charge { id, .. } => documents.insert((DocumentKind::Charge, id)),
                Request::Pay { id, .. } => documents.insert((DocumentKind::Payment, id)),
                Request::Refund { id, .. } => documents.insert((DocumentKind::Refund, id)),
                Request::VoidCharge { .. }
                | Request::Capture { .. }
                | Request::VoidPayment { .. }
                | Request::Apply { .. }
                | Request::Unapply { .. }
                | Request::Settle { .. }
                | Request::Fail { .. } => false,
            };
        }
    }
    let lookups = keys.into_iter().map(|of| Operation::Lookup { of: of.to_owned() });
    let reads = documents.into_iter().map(|(kind, id)| Operation::Document { kind, id });
    let mut questions: Vec<(usize, Operation)> =
        lookups.chain(reads).enumerate().map(|(number, operation)| (number % nodes, operation)).collect();
    for node in 0..nodes {
        questions.extend((0..accounts).map(|account| (node, Operation::Read { account })));
        questions.extend([(node, Operation::ReadAll), (node, Operation::BillingTotals)]);
        for book in [BANK, BILLING] {
            for local in [false, true] {
                let book = book.to_owned();
                questions.push((node, Operation::TrialBalance { book, local, min_position: None }));
            }
        }
    }
    questions
}

async fn read_everything(load: &Load) -> Result<(), HarnessError> {
    let questions = load.recorder.look(|history| questions(history, load.nodes.len(), load.accounts));
    let questions = Arc::new(questions);
    let next = Arc::new(AtomicU64::new(0));
    // Everything runs again: what is not answered at once is so soon.
    let deadline = Instant::now() + FINAL;
    let mut clients = JoinSet::new();
    for _ in 0..FINAL_CLIENTS {
        let (load, questions, next) = (load.clone(), Arc::clone(&questions), Arc::clone(&next));
        clients.spawn(async move {
            let mut client = load.new_client();
            loop {
                let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("a number of questions");
                let Some((node, operation)) = questions.get(number) else { return Ok::<_, HarnessError>(()) };
                loop {
                    let record = load.ask(client, *node, operation.clone(), None, Phase::Final).await?;
                    if record.status == Status::Ok || Instant::now() > deadline {
                        break;
                    }
                    load.after(&record, &mut client).await;
                }
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic")?;
    }
    Ok(())
}
