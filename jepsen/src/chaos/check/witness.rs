//! Replays every decision in order of its position through the model: each answer must be reproduced, and the order
//! must not contradict real time.
//!
//! The positions are a witness that the ledger itself gives; that they are one is what is checked here. A position
//! between the first and the last that nobody's key accounts for is a decision that nobody asked for.

use super::{Anomalies, Judgement, Verdict, count};
use crate::chaos::bank::{Bank, Settlement};
use crate::chaos::history::{Operation, Outcome, Record, Status};

/// `first` is the position after the setup's last, `accounts` the number of funded accounts.
#[must_use]
pub fn check(history: &[Record], settlement: &Settlement<'_>, accounts: usize, first: u64) -> Verdict {
    let mut anomalies = Anomalies::default();
    for contradiction in &settlement.contradictions {
        anomalies.add(|| contradiction.clone());
    }
    let reads = replay(history, settlement, accounts, first, &mut anomalies);
    let ordered = real_time(history, &mut anomalies);
    let mut result = anomalies.judge();
    if result == Judgement::Passed && !settlement.unresolved.is_empty() {
        result = Judgement::Unknown(format!("{} keys were never resolved", settlement.unresolved.len()));
    }
    let counted =
        vec![("decisions", count(settlement.decided.len())), ("reads", reads), ("operations in real time", ordered)];
    let claim = "every answer is the model's at its position, and the order of positions is one of real time";
    Verdict { checker: "witness", claim, result, counted }
}

/// Goes through decisions and linearizable reads by position; returns how many reads were compared.
fn replay(
    history: &[Record],
    settlement: &Settlement<'_>,
    accounts: usize,
    first: u64,
    anomalies: &mut Anomalies,
) -> u64 {
    let mut reads: Vec<(&Record, &Outcome)> = history
        .iter()
        .filter(|record| matches!(record.operation, Operation::Read { .. } | Operation::ReadAll))
        .filter(|record| record.status == Status::Ok)
        .filter_map(|record| record.result.as_ref().map(|outcome| (record, outcome)))
        .filter(|(_, outcome)| outcome.index + 1 >= first)
        .collect();
    reads.sort_by_key(|(_, outcome)| outcome.index);
    let mut bank = Bank::funded(accounts);
    let mut expected = first;
    let mut next_read = reads.iter().peekable();
    let mut read_up_to = |bank: &Bank, before: u64, anomalies: &mut Anomalies| {
        while let Some((record, outcome)) = next_read.next_if(|(_, outcome)| outcome.index < before) {
            compare(bank, record, outcome, anomalies);
        }
    };
    for (position, settled) in &settlement.decided {
        read_up_to(&bank, *position, anomalies);
        if *position != expected {
            anomalies.add(|| format!("nobody asked for what was decided at {expected} to {}", position - 1));
        }
        expected = position + 1;
        let decided = bank.transfer(settled.from, settled.to, settled.amount);
        if !decided.agrees(settled.outcome) {
            anomalies.add(|| format!("{settled:?}: the model says {decided:?}"));
        }
    }
    read_up_to(&bank, u64::MAX, anomalies);
    count(reads.len())
}

fn compare(bank: &Bank, record: &Record, outcome: &Outcome, anomalies: &mut Anomalies) {
    let expected = if let Operation::Read { account } = record.operation {
        &bank.balances()[account..=account]
    } else {
        bank.balances()
    };
    if outcome.balances != expected {
        anomalies.add(|| {
            format!(
                "client {} read {:?} on node {} as of {}, the model has {expected:?}",
                record.client, outcome.balances, record.node, outcome.index
            )
        });
    }
}

/// What ended before something else began is not after it.
fn real_time(history: &[Record], anomalies: &mut Anomalies) -> u64 {
    let answered: Vec<(&Record, &Outcome)> = history
        .iter()
        .filter(|record| record.status == Status::Ok)
        .filter_map(|record| record.result.as_ref().map(|outcome| (record, outcome)))
        .collect();
    let mut by_end = answered.clone();
    by_end.sort_by_key(|(record, _)| record.end);
    let mut by_start = answered;
    by_start.sort_by_key(|(record, _)| record.start);
    let mut ended = by_end.iter().peekable();
    let mut seen: Option<(u64, &Record)> = None;
    for (record, outcome) in &by_start {
        while let Some((before, known)) = ended.next_if(|(before, _)| before.end < record.start) {
            if seen.is_none_or(|(index, _)| index < known.index) {
                seen = Some((known.index, before));
            }
        }
        let Some((index, before)) = seen else { continue };
        let is_new_decision = matches!(record.operation, Operation::Transfer { .. }) && !outcome.replayed;
        let reached = if is_new_decision { outcome.position.unwrap_or(outcome.index) } else { outcome.index };
        if reached < index || (is_new_decision && reached == index) {
            anomalies.add(|| {
                format!(
                    "{:?} of client {} on node {} reflects {reached}, though {:?} of client {} on node {} had seen \
                     {index} before it began",
                    record.operation, record.client, record.node, before.operation, before.client, before.node
                )
            });
        }
    }
    count(by_start.len())
}
