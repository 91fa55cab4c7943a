//! An account's postings form one order, each with the right balance after it, and are exactly the posted transfers.

use std::collections::BTreeMap;

use super::{Anomalies, Verdict, count};
use crate::chaos::bank::{FUNDS, Settlement};
use crate::chaos::history::Cents;

/// One line of an account's statement, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    pub position: u64,
    /// Above zero where the balance rises.
    pub change: Cents,
    pub balance_after: Cents,
}

/// `statements` are whole, by account; each begins with its funds.
#[must_use]
pub fn check(settlement: &Settlement<'_>, statements: &[Vec<Posting>]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let mut expected: Vec<BTreeMap<u64, Cents>> = vec![BTreeMap::new(); statements.len()];
    for settled in settlement.decided.values().filter(|settled| settled.outcome.code == "posted") {
        expected[settled.from].insert(settled.position, -settled.amount);
        expected[settled.to].insert(settled.position, settled.amount);
    }
    let mut lines = 0;
    for (account, (statement, mut expected)) in statements.iter().zip(expected).enumerate() {
        let mut balance = 0;
        let mut last = 0;
        for (number, posting) in statement.iter().enumerate() {
            lines += 1;
            balance += posting.change;
            if posting.balance_after != balance || posting.position <= last {
                anomalies.add(|| format!("account {account}: {posting:?} after position {last}, not {balance}"));
            }
            (balance, last) = (posting.balance_after, posting.position);
            let known = if number == 0 { Some(FUNDS) } else { expected.remove(&posting.position) };
            if known != Some(posting.change) {
                anomalies.add(|| format!("account {account}: {posting:?}, but {known:?} was asked for there"));
            }
        }
        for (position, change) in expected {
            anomalies.add(|| format!("account {account}: {change} posted at {position} is not in its statement"));
        }
    }
    let counted = vec![("statements", count(statements.len())), ("lines", lines)];
    let claim = "each statement is one order of exactly the posted transfers, with the right balance after each";
    Verdict { checker: "statements", claim, result: anomalies.judge(), counted }
}
