//! What the clients of a run were answered, counted.

use serde::Serialize;

use super::history::{Operation, Record, Status};

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
            let Some(outcome) = &record.result else { continue };
            match record.operation {
                Operation::Transfer { .. } if outcome.replayed => counts.replayed += 1,
                Operation::Transfer { .. } if outcome.code == "posted" => counts.posted += 1,
                Operation::Transfer { .. } => counts.refused += 1,
                Operation::Read { .. } | Operation::ReadAll => counts.reads += 1,
                Operation::Lookup { .. } => counts.lookups += 1,
                Operation::Create { .. } => {}
            }
        }
        counts
    }
}
