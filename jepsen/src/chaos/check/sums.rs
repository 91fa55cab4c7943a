//! Money is neither made nor lost: each group's sum is the same in every read of the whole.

use super::{Anomalies, Verdict, count};
use crate::chaos::bank::{FUNDS, GROUP};
use crate::chaos::history::{Cents, Operation, Record, Status};

#[must_use]
pub fn check(history: &[Record]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let (mut reads, mut overdrawn) = (0, 0);
    let whole = Cents::try_from(GROUP).expect("a group is small") * FUNDS;
    for record in history {
        let (Operation::ReadAll, Status::Ok, Some(outcome)) = (&record.operation, record.status, &record.result) else {
            continue;
        };
        reads += 1;
        for (group, balances) in outcome.balances.chunks(GROUP).enumerate() {
            let sum: Cents = balances.iter().sum();
            if sum != whole {
                anomalies.add(|| {
                    format!(
                        "group {group} held {sum} instead of {whole} on node {} as of {}",
                        record.node, outcome.index
                    )
                });
            }
            if balances.iter().any(|balance| *balance < 0) {
                overdrawn += 1;
                anomalies.add(|| format!("an account of group {group} is below zero as of {}", outcome.index));
            }
        }
    }
    let groups = history
        .iter()
        .filter_map(|record| record.result.as_ref().filter(|_| matches!(record.operation, Operation::ReadAll)))
        .map(|outcome| outcome.balances.len() / GROUP)
        .max()
        .unwrap_or(0);
    let counted = vec![("reads of the whole", reads), ("groups", count(groups)), ("overdrawn", overdrawn)];
    let claim = "each group's sum is constant in every read, and no account is below zero";
    Verdict { checker: "sums", claim, result: anomalies.judge(), counted }
}
