//! Replays every decision in order of its position through the models: each answer must be reproduced, and the order
//! must not contradict real time.
//!
//! The positions are a witness that the ledger itself gives; that they are one is what is checked here. A position
//! between the first and the last that nobody's key accounts for is a decision that nobody asked for.

use super::{Anomalies, Judgement, Verdict, count};
use crate::chaos::bank::Bank;
use crate::chaos::billing::Billing;
use crate::chaos::history::{Detail, Operation, Outcome, Record, Status};
use crate::chaos::settlement::{Asked, Settled, Settlement, each_attempt};

/// `first` is the position after the setup's last, `accounts` the number of funded accounts.
#[must_use]
pub fn check(history: &[Record], settlement: &Settlement<'_>, accounts: usize, first: u64) -> Verdict {
    let mut anomalies = Anomalies::default();
    for contradiction in &settlement.contradictions {
        anomalies.add(|| contradiction.clone());
    }
    let replayed = replay(history, settlement, accounts, first, &mut anomalies);
    let ordered = real_time(history, &mut anomalies);
    let mut result = anomalies.judge();
    if result == Judgement::Passed && !settlement.unresolved.is_empty() {
        result = Judgement::Unknown(format!("{} keys were never resolved", settlement.unresolved.len()));
    }
    let counted = vec![
        ("decisions of the bank", replayed.bank),
        ("of billing", replayed.billing),
        ("reads", replayed.reads),
        ("operations in real time", ordered),
    ];
    let claim = "every answer is the model's at its position, and the order of positions is one of real time";
    Verdict { checker: "witness", claim, result, counted }
}

/// What was compared.
#[derive(Default)]
struct Replayed {
    bank: u64,
    billing: u64,
    reads: u64,
}

struct Models {
    bank: Bank,
    billing: Billing,
}

/// Goes through decisions and linearizable reads by position.
fn replay(
    history: &[Record],
    settlement: &Settlement<'_>,
    accounts: usize,
    first: u64,
    anomalies: &mut Anomalies,
) -> Replayed {
    let mut reads: Vec<(&Record, &Outcome)> = history
        .iter()
        .filter(|record| is_compared(&record.operation) && record.status == Status::Ok)
        .filter_map(|record| record.result.as_ref().map(|outcome| (record, outcome)))
        .filter(|(_, outcome)| outcome.index + 1 >= first)
        .collect();
    reads.sort_by_key(|(_, outcome)| outcome.index);
    let mut replayed = Replayed { reads: count(reads.len()), ..Replayed::default() };
    let mut models = Models { bank: Bank::funded(accounts), billing: Billing::default() };
    let mut expected = first;
    let mut next_read = reads.iter().peekable();
    let mut read_up_to = |models: &Models, before: u64, anomalies: &mut Anomalies| {
        while let Some((record, outcome)) = next_read.next_if(|(_, outcome)| outcome.index < before) {
            models.compare(record, outcome, anomalies);
        }
    };
    for (position, settled) in &settlement.decided {
        read_up_to(&models, *position, anomalies);
        if *position != expected {
            anomalies.add(|| format!("nobody asked for what was decided at {expected} to {}", position - 1));
        }
        expected = position + 1;
        models.decide(settled, anomalies);
        match settled.asked {
            Asked::Transfer { .. } | Asked::Atomic(_) => replayed.bank += 1,
            Asked::Billing(_) => replayed.billing += 1,
        }
    }
    read_up_to(&models, u64::MAX, anomalies);
    replayed
}

fn is_compared(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Read { .. } | Operation::ReadAll | Operation::Document { .. } | Operation::BillingTotals
    )
}

impl Models {
    fn decide(&mut self, settled: &Settled<'_>, anomalies: &mut Anomalies) {
        let decided = match settled.asked {
            Asked::Transfer { from, to, amount } => self.bank.transfer(from, to, amount),
            Asked::Atomic(items) => self.bank.atomic(items),
            Asked::Billing(request) => {
                let said = self.billing.decide(request);
                if !said.agrees(settled.outcome) {
                    anomalies.add(|| format!("{settled:?}: the model says {said:?}"));
                }
                return;
            }
        };
        if !decided.agrees(settled.outcome) {
            anomalies.add(|| format!("{settled:?}: the model says {decided:?}"));
        }
    }

    fn compare(&self, record: &Record, outcome: &Outcome, anomalies: &mut Anomalies) {
        let expected = match record.operation {
            Operation::Read { account } => &self.bank.balances()[account..=account],
            Operation::BillingTotals => self.billing.totals(),
            Operation::Document { kind, id } => {
                let expected = self.billing.document(kind, id);
                let found = match outcome.detail.as_deref() {
                    Some(Detail::Document(document)) => Some(*document),
                    _ => None,
                };
                if found != expected {
                    anomalies.add(|| read_otherwise(record, &found, outcome.index, &expected));
                }
                return;
            }
            _ => self.bank.balances(),
        };
        if outcome.balances != expected {
            anomalies.add(|| read_otherwise(record, &outcome.balances, outcome.index, &expected));
        }
    }
}

fn read_otherwise(record: &Record, found: &dyn std::fmt::Debug, index: u64, expected: &dyn std::fmt::Debug) -> String {
    let Record { client, node, operation, .. } = record;
    format!("client {client}: {operation:?} gave {found:?} on node {node} as of {index}, the model has {expected:?}")
}

/// Reads of what a node has need not know what others were told.
fn is_local(operation: &Operation) -> bool {
    matches!(operation, Operation::Statement { local: true, .. } | Operation::TrialBalance { local: true, .. })
}

/// What ended before something else began is not after it.
fn real_time(history: &[Record], anomalies: &mut Anomalies) -> u64 {
    let answered: Vec<(&Record, &Outcome)> = history
        .iter()
        .filter(|record| record.status == Status::Ok && !is_local(&record.operation))
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
        // Decided now: after everything that was known. Answered again, or read: as of everything that was known.
        let mut decided_now: Option<u64> = None;
        each_attempt(record, |attempt| {
            if let Some(outcome) = attempt.outcome.filter(|outcome| !outcome.replayed) {
                let earliest = decided_now.unwrap_or(u64::MAX);
                decided_now = Some(outcome.position.map_or(earliest, |position| position.min(earliest)));
            }
        });
        let reached = decided_now.unwrap_or(outcome.index);
        if reached < index || (decided_now.is_some() && reached == index) {
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
