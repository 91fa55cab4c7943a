//! After the load: the final phase, in which everything gets its definite answer and is read, and the verdicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::bank::settle;
use super::bookkeeping::BOOK;
use super::check::effects::FeedDecision;
use super::check::heads::Head;
use super::check::statements::Posting;
use super::check::{Verdict, availability, effects, heads, search, statements, sums, witness};
use super::faults::FaultRecord;
use super::history::{Operation, Phase, Record, Status};
use super::load::Load;
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
}

/// The final phase, once everything runs again.
pub(super) async fn gather(load: &Load, cluster: &Cluster, first: u64) -> Result<Evidence, HarnessError> {
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
    Ok(Evidence { first, accounts: load.accounts, nodes: load.nodes.len(), heads, feed, statements })
}

/// Every checker's verdict.
pub(super) fn verdicts(history: &[Record], evidence: &Evidence, faults: &[FaultRecord]) -> Vec<Verdict> {
    let Evidence { first, accounts, nodes, heads, feed, statements } = evidence;
    let settlement = settle(history);
    let last = settlement.decided.keys().next_back().copied().unwrap_or(first - 1);
    vec![
        witness::check(history, &settlement, *accounts, *first),
        search::check(history, *accounts),
        effects::check(history, feed),
        sums::check(history),
        statements::check(&settlement, statements),
        heads::check(heads, *nodes, last),
        availability::check(&availability::measure(history, faults)),
    ]
}

/// Sends everything again that has no definite answer, with its own key, until it has one.
async fn resend(load: &Load) -> Result<(), HarnessError> {
    let unresolved = load.recorder.look(|history| {
        let keys = settle(history).unresolved;
        let sent = |key: &str| history.iter().find(|record| record.key.as_deref() == Some(key)).expect("it was sent");
        keys.into_iter().map(|key| (key.to_owned(), sent(key).operation.clone())).collect::<Vec<_>>()
    });
    let deadline = Instant::now() + FINAL;
    for (key, operation) in unresolved {
        let mut node = 0;
        loop {
            let record = load.ask(load.new_client(), node, operation.clone(), Some(key.clone()), Phase::Final).await?;
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
    let mut keys: Vec<String> = load.recorder.look(|history| {
        history
            .iter()
            .filter(|record| matches!(record.operation, Operation::Transfer { .. }))
            .filter_map(|record| record.key.clone())
            .collect()
    });
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
