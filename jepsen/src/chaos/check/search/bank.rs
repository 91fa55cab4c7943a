//! The bank's groups.

use std::collections::BTreeMap;

use super::{Model, Seen, Sums};
use crate::chaos::bank::{Bank, Decided, GROUP, group_of};
use crate::chaos::history::{Cents, Item, Operation, Outcome, Record, Status};
use crate::chaos::settlement::{Asked, each_attempt};

/// Configurations looked at for one group: some seconds.
const BOUND: usize = 6_000_000;

/// Accounts are counted within the group.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Transfer { from: usize, to: usize, amount: Cents },
    Atomic(Vec<Item>),
    Read { account: usize, balance: Cents },
    ReadAll { balances: Vec<Cents> },
}

impl Model for Bank {
    type Action = Action;

    fn takes(&mut self, action: &Action, outcome: Option<&Outcome>) -> bool {
        let decided = match action {
            Action::Transfer { from, to, amount } => self.transfer(*from, *to, *amount),
            Action::Atomic(items) => self.atomic(items),
            Action::Read { account, balance } => return self.balances()[*account] == *balance,
            Action::ReadAll { balances } => return self.balances() == balances,
        };
        outcome.is_none_or(|outcome| {
            // A batch's replay says that it was posted, and not the balances again.
            let is_bare = outcome.code == "posted" && outcome.balances.is_empty();
            if is_bare { matches!(decided, Decided::Posted(..)) } else { decided.agrees(outcome) }
        })
    }
}

pub(super) fn search(history: &[Record], accounts: usize) -> Sums {
    let mut sums = Sums::default();
    for group in 0..accounts / GROUP {
        let seen = of_group(history, group);
        if !seen.is_empty() {
            sums.add(&format!("group {group}"), Bank::funded(GROUP), &seen, BOUND);
        }
    }
    sums
}

/// The group's operations; attempts with one key are one operation.
fn of_group(history: &[Record], group: usize) -> Vec<Seen<Action>> {
    let base = group * GROUP;
    let mut writes: BTreeMap<&str, Seen<Action>> = BTreeMap::new();
    let mut seen = vec![];
    for record in history {
        each_attempt(record, |attempt| {
            let Some(action) = write_of_group(attempt.asked, group) else { return };
            if record.status == Status::Fail && !writes.contains_key(attempt.key) {
                return;
            }
            let new = Seen { action, outcome: None, start: record.start, end: None };
            writes.entry(attempt.key).or_insert(new).again(record, attempt.outcome);
        });
        let Some(outcome) = record.result.as_ref().filter(|_| record.status == Status::Ok) else { continue };
        let action = match &record.operation {
            Operation::Read { account } if group_of(*account) == group => {
                Action::Read { account: account - base, balance: outcome.balances[0] }
            }
            Operation::ReadAll => Action::ReadAll { balances: outcome.balances[base..base + GROUP].to_vec() },
            _ => continue,
        };
        seen.push(Seen { action, outcome: None, start: record.start, end: Some(record.end) });
    }
    seen.extend(writes.into_values());
    seen
}

fn write_of_group(asked: Asked<'_>, group: usize) -> Option<Action> {
    let base = group * GROUP;
    match asked {
        Asked::Transfer { from, to, amount } if group_of(from) == group => {
            Some(Action::Transfer { from: from - base, to: to - base, amount })
        }
        Asked::Atomic(items) if items.first().is_some_and(|item| group_of(item.from) == group) => {
            let within = |item: &Item| Item { key: None, from: item.from - base, to: item.to - base, ..*item };
            Some(Action::Atomic(items.iter().map(within).collect()))
        }
        Asked::Transfer { .. } | Asked::Atomic(_) | Asked::Billing(_) => None,
    }
}
