//! What the clients of a run were answered, counted.

use serde::Serialize;

use super::history::{Operation, Record, Status};
use super::settlement::each_attempt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
    pub posted: u64,
    pub refused: u64,
    pub replayed: u64,
    pub reads: u64,
    pub lookups: u64,
}

impl Counts {
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut counts = Self::default();
        for record in records {
            match record.status {
                Status::Ok => counts.ok += 1,
                Status::Fail => counts.fail += 1,
                Status::Info => counts.info += 1,
            }
            each_attempt(record, |attempt| match attempt.outcome {
                None => {}
                Some(outcome) if outcome.replayed => counts.replayed += 1,
                Some(outcome) if outcome.code == "posted" => counts.posted += 1,
                Some(_) => counts.refused += 1,
            });
            if record.status != Status::Ok {
                continue;
            }
            match record.operation {
                Operation::Read { .. }
                | Operation::ReadAll
                | Operation::Statement { .. }
                | Operation::TrialBalance { .. }
                | Operation::Document { .. }
                | Operation::BillingTotals => counts.reads += 1,
                Operation::Lookup { .. } => counts.lookups += 1,
                Operation::Create { .. }
                | Operation::Transfer { .. }
                | Operation::Reuse { .. }
                | Operation::Batch { .. }
                | Operation::Billing(_) => {}
            }
        }
        counts
    }
}
