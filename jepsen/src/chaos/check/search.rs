//! Looks for an order of each group's operations that explains every answer, without a look at positions.
//!
//! Just-in-time linearization (G. Lowe, "Testing for linearizability", 2017): configurations are a state and the
//! pending operations that have taken effect in it; when an operation returns, every configuration must be led to one
//! in which it has. What begins a history is a history: where the search grows beyond its bound, everything up to there
//! is decided and the rest is left open; where next to nothing could be decided, the verdict is unknown.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Judgement, Verdict, count};
use crate::chaos::bank::{Bank, GROUP, group_of};
use crate::chaos::history::{Cents, Operation, Outcome, Record, Status};

/// Configurations looked at for one group: some seconds.
const BOUND: usize = 6_000_000;
/// Fewer operations decided are nothing to judge by.
const FEWEST: u64 = 50;

#[derive(Clone, Debug)]
enum Action {
    Transfer { from: usize, to: usize, amount: Cents },
    Read { account: usize, balance: Cents },
    ReadAll { balances: Vec<Cents> },
}

/// One operation as its caller saw it.
#[derive(Clone, Debug)]
struct Seen {
    action: Action,
    /// Of a transfer, where it is known.
    outcome: Option<Outcome>,
    start: u64,
    /// Absent where nobody was ever answered: it may take effect at any time, or never.
    end: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Configuration {
    bank: Bank,
    /// Pending operations that have taken effect.
    done: BTreeSet<usize>,
}

enum Found {
    /// An order of everything up to the end, or up to the bound, and how many operations had returned by then.
    Order {
        operations: u64,
        is_whole: bool,
    },
    None {
        after: String,
    },
}

/// Searches every group of the bank.
#[must_use]
pub fn check(history: &[Record], accounts: usize) -> Verdict {
    let groups = accounts / GROUP;
    let (mut failed, mut whole, mut decided, mut operations) = (vec![], 0, 0, 0);
    for group in 0..groups {
        let seen = of_group(history, group);
        operations += count(seen.len());
        match search(&seen) {
            Found::Order { operations, is_whole } => {
                decided += operations;
                whole += u64::from(is_whole);
            }
            Found::None { after } => failed.push(format!("group {group}: no order explains {after}")),
        }
    }
    let result = if !failed.is_empty() {
        Judgement::Failed(failed)
    } else if decided < FEWEST {
        Judgement::Unknown(format!("only {decided} operations could be decided"))
    } else {
        Judgement::Passed
    };
    let counted = vec![
        ("groups decided to their end", whole),
        ("operations decided", decided),
        ("operations in all", operations),
    ];
    let claim = "each group's transfers and reads have an order that explains every answer, positions aside";
    Verdict { checker: "search", claim, result, counted }
}

/// The group's operations; attempts with one key are one operation. Accounts are counted within the group.
fn of_group(history: &[Record], group: usize) -> Vec<Seen> {
    let base = group * GROUP;
    let mut transfers: BTreeMap<&str, Seen> = BTreeMap::new();
    let mut seen = vec![];
    for record in history {
        let answered = record.status == Status::Ok;
        let outcome = record.result.as_ref().filter(|_| answered);
        match &record.operation {
            Operation::Transfer { from, to, amount } if group_of(*from) == group => {
                let Some(key) = &record.key else { continue };
                if record.status == Status::Fail && !transfers.contains_key(key.as_str()) {
                    continue;
                }
                let action = Action::Transfer { from: from - base, to: to - base, amount: *amount };
                let one =
                    transfers.entry(key).or_insert(Seen { action, outcome: None, start: record.start, end: None });
                one.start = one.start.min(record.start);
                if let Some(outcome) = outcome
                    && one.end.is_none_or(|end| record.end < end)
                {
                    one.end = Some(record.end);
                    one.outcome = Some(outcome.clone());
                }
            }
            Operation::Read { account } if group_of(*account) == group => {
                if let Some(outcome) = outcome {
                    let action = Action::Read { account: account - base, balance: outcome.balances[0] };
                    seen.push(Seen { action, outcome: None, start: record.start, end: Some(record.end) });
                }
            }
            Operation::ReadAll => {
                if let Some(outcome) = outcome {
                    let balances = outcome.balances[base..base + GROUP].to_vec();
                    let action = Action::ReadAll { balances };
                    seen.push(Seen { action, outcome: None, start: record.start, end: Some(record.end) });
                }
            }
            Operation::Create { .. }
            | Operation::Transfer { .. }
            | Operation::Read { .. }
            | Operation::Lookup { .. } => {}
        }
    }
    seen.extend(transfers.into_values());
    seen
}

fn search(seen: &[Seen]) -> Found {
    // Calls before returns at one instant: what overlaps by a hair overlaps.
    let mut events: Vec<(u64, bool, usize)> = vec![];
    for (number, one) in seen.iter().enumerate() {
        events.push((one.start, false, number));
        if let Some(end) = one.end {
            events.push((end, true, number));
        }
    }
    events.sort_unstable();
    let mut pending: BTreeSet<usize> = BTreeSet::new();
    let mut configurations = HashSet::from([Configuration { bank: Bank::funded(GROUP), done: BTreeSet::new() }]);
    let (mut looked_at, mut operations) = (0, 0);
    for (_, returns, number) in events {
        if !returns {
            pending.insert(number);
            continue;
        }
        let mut led = HashSet::new();
        for configuration in configurations {
            if !lead(seen, &pending, configuration, number, &mut led, &mut looked_at) {
                return Found::Order { operations, is_whole: false };
            }
        }
        if led.is_empty() {
            return Found::None { after: format!("{:?}", seen[number]) };
        }
        operations += 1;
        pending.remove(&number);
        configurations = led;
    }
    Found::Order { operations, is_whole: true }
}

/// Leads one configuration to all in which operation `number` has just, or already, taken effect; false beyond the
/// bound.
fn lead(
    seen: &[Seen],
    pending: &BTreeSet<usize>,
    from: Configuration,
    number: usize,
    led: &mut HashSet<Configuration>,
    looked_at: &mut usize,
) -> bool {
    if from.done.contains(&number) {
        let mut after = from;
        after.done.remove(&number);
        led.insert(after);
        return true;
    }
    let mut known = HashSet::from([from.clone()]);
    let mut waiting = vec![from];
    while let Some(configuration) = waiting.pop() {
        *looked_at += 1;
        if *looked_at > BOUND {
            return false;
        }
        for &candidate in pending.difference(&configuration.done) {
            let Some(mut after) = step(&configuration, &seen[candidate]) else { continue };
            if candidate == number {
                led.insert(after);
                continue;
            }
            after.done.insert(candidate);
            if known.insert(after.clone()) {
                waiting.push(after);
            }
        }
    }
    true
}

/// The configuration after one operation, if the operation's answer allows it here.
fn step(configuration: &Configuration, one: &Seen) -> Option<Configuration> {
    let mut after = configuration.clone();
    let allowed = match &one.action {
        Action::Transfer { from, to, amount } => {
            let decided = after.bank.transfer(*from, *to, *amount);
            one.outcome.as_ref().is_none_or(|outcome| decided.agrees(outcome))
        }
        Action::Read { account, balance } => after.bank.balances()[*account] == *balance,
        Action::ReadAll { balances } => after.bank.balances() == balances,
    };
    allowed.then_some(after)
}
