//! Looks for an order of each group's operations that explains every answer, without a look at positions.
//!
//! Just-in-time linearization (G. Lowe, "Testing for linearizability", 2017): configurations are a state and the
//! pending operations that have taken effect in it; when an operation returns, every configuration must be led to one
//! in which it has. What begins a history is a history: where the search grows beyond its bound, everything up to there
//! is decided and the rest is left open; where next to nothing could be decided, the verdict is unknown.
//!
//! A group is so much as can be searched by itself: six accounts of the bank, or one customer of billing.

mod bank;
mod billing;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use super::{Judgement, Verdict, count};
use crate::chaos::history::{Outcome, Record};

/// Fewer operations decided are nothing to judge by.
const FEWEST: u64 = 50;

/// What one group's operations do to its state.
trait Model: Clone + Eq + Hash {
    type Action: Debug;

    /// Takes effect; false if the answer does not allow it here. Without an outcome any effect is allowed.
    fn takes(&mut self, action: &Self::Action, outcome: Option<&Outcome>) -> bool;
}

/// One operation as its caller saw it.
#[derive(Clone, Debug)]
struct Seen<A> {
    action: A,
    outcome: Option<Outcome>,
    start: u64,
    /// Absent where nobody was ever answered: it may take effect at any time, or never.
    end: Option<u64>,
}

impl<A> Seen<A> {
    /// One more attempt under the same key: together they are one operation, answered by the first answer.
    fn again(&mut self, record: &Record, outcome: Option<&Outcome>) {
        self.start = self.start.min(record.start);
        let Some(outcome) = outcome else { return };
        self.end = Some(self.end.map_or(record.end, |end| end.min(record.end)));
        // A batch's replay leaves the balances out: another answer is better.
        let is_bare = |known: &Outcome| known.code == "posted" && known.balances.is_empty() && known.detail.is_none();
        if self.outcome.as_ref().is_none_or(is_bare) {
            self.outcome = Some(outcome.clone());
        }
    }
}

/// What was found, of all groups together.
#[derive(Default)]
struct Sums {
    groups: u64,
    whole: u64,
    decided: u64,
    operations: u64,
    failed: Vec<String>,
}

/// Searches every group of the bank and every customer of billing.
#[must_use]
pub fn check(history: &[Record], accounts: usize) -> Verdict {
    let (of_bank, of_billing) = (bank::search(history, accounts), billing::search(history));
    let failed = [of_bank.failed, of_billing.failed].concat();
    let (decided, operations) = (of_bank.decided + of_billing.decided, of_bank.operations + of_billing.operations);
    let result = if !failed.is_empty() {
        Judgement::Failed(failed)
    } else if decided < FEWEST {
        Judgement::Unknown(format!("only {decided} operations could be decided"))
    } else {
        Judgement::Passed
    };
    let counted = vec![
        ("groups decided to their end", of_bank.whole),
        ("customers decided to their end", of_billing.whole),
        ("customers", of_billing.groups),
        ("operations decided", decided),
        ("operations in all", operations),
    ];
    let claim = "each group of accounts and each customer has an order that explains every answer, positions aside";
    Verdict { checker: "search", claim, result, counted }
}

impl Sums {
    /// Searches one group and adds what was found.
    fn add<M: Model>(&mut self, name: &str, initial: M, seen: &[Seen<M::Action>], bound: usize) {
        self.groups += 1;
        self.operations += count(seen.len());
        match find(initial, seen, bound) {
            Found::Order { operations, is_whole } => {
                self.decided += operations;
                self.whole += u64::from(is_whole);
            }
            Found::None { after } => self.failed.push(format!("{name}: no order explains {after}")),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<M> {
    model: M,
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

/// `bound` is how many configurations are looked at.
fn find<M: Model>(initial: M, seen: &[Seen<M::Action>], bound: usize) -> Found {
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
    let mut configurations = HashSet::from([Configuration { model: initial, done: BTreeSet::new() }]);
    let (mut left, mut operations) = (bound, 0);
    for (_, returns, number) in events {
        if !returns {
            pending.insert(number);
            continue;
        }
        let mut led = HashSet::new();
        for configuration in configurations {
            if !lead(seen, &pending, configuration, number, &mut led, &mut left) {
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

/// Leads one configuration to all in which operation `number` has just, or already, taken effect; false when nothing is
/// left of the bound.
fn lead<M: Model>(
    seen: &[Seen<M::Action>],
    pending: &BTreeSet<usize>,
    from: Configuration<M>,
    number: usize,
    led: &mut HashSet<Configuration<M>>,
    left: &mut usize,
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
        if *left == 0 {
            return false;
        }
        *left -= 1;
        for &candidate in pending.difference(&configuration.done) {
            let one = &seen[candidate];
            let mut after = configuration.clone();
            if !after.model.takes(&one.action, one.outcome.as_ref()) {
                continue;
            }
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
