//! The bank: accounts in closed groups that never go below zero, and the model that has to reproduce every answer.

use std::collections::BTreeMap;

use super::history::{Cents, Operation, Outcome, Record, Status};

/// Accounts of a group; money moves only within it.
pub const GROUP: usize = 6;
/// What each account is given at the beginning.
pub const FUNDS: Cents = 100_000;

/// The group that an account belongs to.
#[must_use]
pub fn group_of(account: usize) -> usize {
    account / GROUP
}

/// What the model says of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The balances of `from` and `to` after it.
    Posted(Cents, Cents),
    Overdraft {
        available: Cents,
    },
}

/// Balances by account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bank {
    balances: Vec<Cents>,
}

impl Bank {
    /// All accounts, each with its funds.
    #[must_use]
    pub fn funded(accounts: usize) -> Self {
        Self { balances: vec![FUNDS; accounts] }
    }

    #[must_use]
    pub fn balances(&self) -> &[Cents] {
        &self.balances
    }

    pub fn transfer(&mut self, from: usize, to: usize, amount: Cents) -> Decided {
        if self.balances[from] < amount {
            return Decided::Overdraft { available: self.balances[from] };
        }
        self.balances[from] -= amount;
        self.balances[to] += amount;
        Decided::Posted(self.balances[from], self.balances[to])
    }
}

impl Decided {
    /// Whether an answer says the same.
    #[must_use]
    pub fn agrees(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Posted(from, to) => outcome.code == "posted" && outcome.balances == [*from, *to],
            Self::Overdraft { available } => outcome.code == "overdraft" && outcome.available == Some(*available),
        }
    }
}

/// A transfer that was decided, whoever was told.
#[derive(Clone, Debug)]
pub struct Settled<'a> {
    pub key: &'a str,
    pub position: u64,
    pub from: usize,
    pub to: usize,
    pub amount: Cents,
    pub outcome: &'a Outcome,
}

/// What became of every key that was ever sent, from the answers and the final look-ups.
#[derive(Debug, Default)]
pub struct Settlement<'a> {
    /// In order of position.
    pub decided: BTreeMap<u64, Settled<'a>>,
    /// Keys for which different answers were seen.
    pub contradictions: Vec<String>,
    /// Keys that were sent and that nothing definite is known of, because their look-up never succeeded.
    pub unresolved: Vec<&'a str>,
}

/// Settles the history of one run.
#[must_use]
pub fn settle(history: &[Record]) -> Settlement<'_> {
    let mut sent: BTreeMap<&str, (usize, usize, Cents)> = BTreeMap::new();
    let mut answers: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    let mut refuted: BTreeMap<&str, bool> = BTreeMap::new();
    for record in history {
        match (&record.operation, &record.key) {
            (Operation::Transfer { from, to, amount }, Some(key)) => {
                sent.insert(key, (*from, *to, *amount));
                match (record.status, &record.result) {
                    (Status::Ok, Some(outcome)) => answers.entry(key).or_default().push(outcome),
                    (Status::Fail, _) => {
                        refuted.entry(key).or_insert(true);
                    }
                    _ => {
                        refuted.insert(key, false);
                    }
                }
            }
            (Operation::Lookup { of }, _) => {
                // That a key is not known does not prove that it never will be.
                if let (Status::Ok, Some(outcome)) = (record.status, &record.result)
                    && outcome.code != "unknown_key"
                {
                    answers.entry(of).or_default().push(outcome);
                }
            }
            _ => {}
        }
    }
    let mut settlement = Settlement::default();
    for (key, (from, to, amount)) in sent {
        let Some(found) = answers.get(key) else {
            if refuted.get(key) != Some(&true) {
                settlement.unresolved.push(key);
            }
            continue;
        };
        let first = found[0];
        if let Some(other) = found.iter().find(|other| !same_answer(first, other)) {
            settlement.contradictions.push(format!("key {key} was answered {first:?} and {other:?}"));
        }
        let Some(position) = first.position else {
            settlement.contradictions.push(format!("key {key} was answered without a position: {first:?}"));
            continue;
        };
        let settled = Settled { key, position, from, to, amount, outcome: first };
        if let Some(before) = settlement.decided.insert(position, settled) {
            settlement.contradictions.push(format!("keys {} and {key} were both decided at {position}", before.key));
        }
    }
    settlement
}

/// The same decision: the index says when it was asked for, not what it was.
fn same_answer(one: &Outcome, other: &Outcome) -> bool {
    (&one.code, one.position, &one.balances, one.available)
        == (&other.code, other.position, &other.balances, other.available)
}
