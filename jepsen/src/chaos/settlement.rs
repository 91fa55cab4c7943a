//! What became of every key that was ever sent, from the answers and the final look-ups.

use std::collections::BTreeMap;

use super::billing::Request;
use super::history::{Cents, Detail, Item, Operation, Outcome, Record, Status};

/// What was asked for under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    Transfer { from: usize, to: usize, amount: Cents },
    Atomic(&'a [Item]),
    Billing(&'a Request),
}

/// One key of one record, and what was said of it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub key: &'a str,
    pub asked: Asked<'a>,
    /// Absent where there is no definite answer.
    pub outcome: Option<&'a Outcome>,
}

/// Calls `take` for each key that a record asks something under. A key that is used for something else is not.
pub fn each_attempt<'a>(record: &'a Record, mut take: impl FnMut(Attempt<'a>)) {
    let outcome = record.result.as_ref().filter(|_| record.status == Status::Ok);
    let key = record.key.as_deref();
    match (&record.operation, key) {
        (Operation::Transfer { from, to, amount }, Some(key)) => {
            take(Attempt { key, asked: Asked::Transfer { from: *from, to: *to, amount: *amount }, outcome });
        }
        (Operation::Batch { atomic: true, items }, Some(key)) => {
            take(Attempt { key, asked: Asked::Atomic(items), outcome });
        }
        (Operation::Batch { atomic: false, items }, _) => {
            let results = match outcome.and_then(|outcome| outcome.detail.as_deref()) {
                Some(Detail::Items(results)) => results.as_slice(),
                _ => &[],
            };
            for (number, item) in items.iter().enumerate() {
                let Some(key) = item.key.as_deref() else { continue };
                let asked = Asked::Transfer { from: item.from, to: item.to, amount: item.amount };
                take(Attempt { key, asked, outcome: results.get(number) });
            }
        }
        (Operation::Billing(request), Some(key)) => take(Attempt { key, asked: Asked::Billing(request), outcome }),
        (
            Operation::Create { .. }
            | Operation::Transfer { .. }
            | Operation::Reuse { .. }
            | Operation::Batch { .. }
            | Operation::Read { .. }
            | Operation::ReadAll
            | Operation::Statement { .. }
            | Operation::TrialBalance { .. }
            | Operation::Billing(_)
            | Operation::Document { .. }
            | Operation::BillingTotals
            | Operation::Lookup { .. },
            _,
        ) => {}
    }
}

/// Something that was decided, whoever was told.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    pub key: &'a str,
    pub position: u64,
    pub asked: Asked<'a>,
    pub outcome: &'a Outcome,
}

#[derive(Debug, Default)]
pub struct Settlement<'a> {
    /// In order of position.
    pub decided: BTreeMap<u64, Settled<'a>>,
    /// Keys for which different answers were seen.
    pub contradictions: Vec<String>,
    /// Keys that were sent and that nothing definite is known of, because their look-up never succeeded.
    pub unresolved: Vec<&'a str>,
}

/// What is known of a key so far.
#[derive(Debug)]
struct Known<'a> {
    asked: Asked<'a>,
    /// The answer that says most.
    outcome: Option<&'a Outcome>,
    other: Option<&'a Outcome>,
    /// Every attempt certainly had no effect.
    is_refuted: bool,
}

impl<'a> Known<'a> {
    fn answer(&mut self, outcome: &'a Outcome) {
        match self.outcome {
            None => self.outcome = Some(outcome),
            Some(first) if !same_answer(first, outcome) => self.other = Some(outcome),
            // A batch's replay leaves the balances out.
            Some(first) if first.balances.is_empty() && first.detail.is_none() => self.outcome = Some(outcome),
            Some(_) => {}
        }
    }
}

/// Settles the history of one run.
#[must_use]
pub fn settle(history: &[Record]) -> Settlement<'_> {
    // By key, so that what is found is told in one order.
    let mut keys: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for record in history {
        each_attempt(record, |attempt| {
            let known = keys.entry(attempt.key).or_insert(Known {
                asked: attempt.asked,
                outcome: None,
                other: None,
                is_refuted: true,
            });
            known.is_refuted &= record.status == Status::Fail;
            if let Some(outcome) = attempt.outcome {
                known.answer(outcome);
            }
        });
    }
    // Look-ups come after what they look up.
    for record in history {
        if let (Operation::Lookup { of }, Status::Ok, Some(outcome)) =
            (&record.operation, record.status, &record.result)
            // That a key is not known does not prove that it never will be.
            && outcome.code != "unknown_key"
            && let Some(known) = keys.get_mut(of.as_str())
        {
            known.answer(outcome);
        }
    }
    let mut settlement = Settlement::default();
    for (key, known) in keys {
        let Some(outcome) = known.outcome else {
            if !known.is_refuted {
                settlement.unresolved.push(key);
            }
            continue;
        };
        if let Some(other) = known.other {
            settlement.contradictions.push(format!("key {key} was answered {outcome:?} and {other:?}"));
        }
        let Some(position) = outcome.position else {
            settlement.contradictions.push(format!("key {key} was answered without a position: {outcome:?}"));
            continue;
        };
        let settled = Settled { key, position, asked: known.asked, outcome };
        if let Some(before) = settlement.decided.insert(position, settled) {
            settlement.contradictions.push(format!("keys {} and {key} were both decided at {position}", before.key));
        }
    }
    settlement
}

/// The same decision: the index says when it was asked for, not what it was; and what one of them leaves out does not
/// count.
#[must_use]
pub fn same_answer(one: &Outcome, other: &Outcome) -> bool {
    let balances = one.balances == other.balances || one.balances.is_empty() || other.balances.is_empty();
    let detail = one.detail == other.detail || one.detail.is_none() || other.detail.is_none();
    (&one.code, one.position, one.available) == (&other.code, other.position, other.available) && balances && detail
}
