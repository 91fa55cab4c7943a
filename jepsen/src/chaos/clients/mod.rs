//! The clients of a load, one file for each role. Each records what it asked and what it saw.

mod bank;
mod billing;
mod idempotence;
mod statements;
mod trial_balances;

use futures::future::try_join_all;
use rand::Rng as _;
use rand::rngs::StdRng;

use super::bank::{FUNDS, GROUP};
use super::history::{Cents, Operation, Phase, Record};
use super::load::Load;
use super::workload::Role;
use crate::HarnessError;

/// One client on one node until the load is stopped.
pub(super) async fn client(load: Load, role: Role, node: usize, random: StdRng) -> Result<(), HarnessError> {
    match role {
        Role::Bank => bank::client(load, node, random).await,
        Role::Billing => billing::client(load, node, random).await,
        Role::Idempotence => idempotence::client(load, node, random).await,
        Role::StatementReader => statements::client(load, node, random).await,
        Role::TrialBalanceReader => trial_balances::client(load, node, random).await,
    }
}

/// One thing to ask of one node.
struct Question {
    node: usize,
    operation: Operation,
    key: Option<String>,
}

/// Asks several things at the same time, each as a client of its own: `numbers` are theirs.
async fn race(load: &Load, numbers: &mut Vec<u64>, questions: Vec<Question>) -> Result<Vec<Record>, HarnessError> {
    while numbers.len() < questions.len() {
        numbers.push(load.new_client());
    }
    let asked = questions
        .into_iter()
        .zip(numbers.iter())
        .map(|(question, number)| load.ask(*number, question.node, question.operation, question.key, Phase::Main));
    let records = try_join_all(asked).await?;
    for (record, number) in records.iter().zip(numbers) {
        load.after(record, number).await;
    }
    Ok(records)
}

/// Two accounts of one group, the first ones most often.
fn pair(random: &mut StdRng, accounts: usize) -> (usize, usize) {
    let group = zipf(random, accounts / GROUP);
    let from = zipf(random, GROUP);
    let to = (from + random.random_range(1..GROUP)) % GROUP;
    (group * GROUP + from, group * GROUP + to)
}

/// What is moved; a tenth asks for more than an account can have by chance.
fn amount(random: &mut StdRng) -> Cents {
    if random.random_bool(0.1) { random.random_range(FUNDS * 2..FUNDS * 7) } else { random.random_range(1..FUNDS / 10) }
}

/// Of `count` things, the first most often: the n-th with a weight of 1/n.
fn zipf(random: &mut StdRng, count: usize) -> usize {
    let weights = |upto: usize| (1..=upto).map(|n| 1_000_000 / n).sum::<usize>();
    let mut drawn = random.random_range(0..weights(count));
    for n in 1..=count {
        let weight = 1_000_000 / n;
        if drawn < weight {
            return n - 1;
        }
        drawn -= weight;
    }
    count - 1
}
