//! How much was answered under faults, and how soon writes were accepted again after each heal.

use serde::Serialize;

use super::{Judgement, Verdict, count};
use crate::chaos::faults::FaultRecord;
use crate::chaos::history::{Phase, Record, Status};

/// Counts of the main phase, and the times of recovery in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Availability {
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
    pub ok_during_faults: u64,
    pub reads_during_faults: u64,
    /// From each heal to the first write accepted that began after it, in order.
    pub recoveries_ms: Vec<u64>,
    /// The longest stretch of the main phase without an accepted write.
    pub longest_gap_ms: u64,
    /// Heals after which no write was accepted any more.
    pub never_recovered: u64,
}

#[must_use]
pub fn measure(history: &[Record], faults: &[FaultRecord]) -> Availability {
    let mut found = Availability::default();
    let main: Vec<&Record> = history.iter().filter(|record| record.phase == Phase::Main).collect();
    let mut accepted: Vec<(u64, u64)> = main
        .iter()
        .filter(|record| record.operation.is_write())
        .filter(|record| record.status == Status::Ok)
        .map(|record| (record.end, record.start))
        .collect();
    accepted.sort_unstable();
    for record in &main {
        match record.status {
            Status::Ok => found.ok += 1,
            Status::Fail => found.fail += 1,
            Status::Info => found.info += 1,
        }
        let overlaps = |fault: &FaultRecord| fault.installed() && fault.start < record.end && record.start < fault.end;
        if record.status == Status::Ok && faults.iter().any(overlaps) {
            found.ok_during_faults += 1;
            if !record.operation.is_write() {
                found.reads_during_faults += 1;
            }
        }
    }
    for pair in accepted.windows(2) {
        found.longest_gap_ms = found.longest_gap_ms.max((pair[1].0 - pair[0].0) / 1_000_000);
    }
    let last = main.iter().map(|record| record.end).max().unwrap_or(0);
    for fault in faults.iter().filter(|fault| fault.installed() && fault.end < last) {
        match accepted.iter().find(|(_, start)| *start >= fault.end) {
            Some((end, _)) => found.recoveries_ms.push((end - fault.end) / 1_000_000),
            None => found.never_recovered += 1,
        }
    }
    found
}

#[must_use]
pub fn check(found: &Availability) -> Verdict {
    let result = if found.never_recovered > 0 {
        Judgement::Failed(vec![format!("after {} heals no write was accepted any more", found.never_recovered)])
    } else {
        Judgement::Passed
    };
    let mut sorted = found.recoveries_ms.clone();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let counted = vec![
        ("ok", found.ok),
        ("fail", found.fail),
        ("info", found.info),
        ("ok during faults", found.ok_during_faults),
        ("heals followed", count(found.recoveries_ms.len())),
        ("median recovery (ms)", median),
        ("longest gap without an accepted write (ms)", found.longest_gap_ms),
    ];
    let claim = "after every heal writes are accepted again";
    Verdict { checker: "availability", claim, result, counted }
}
