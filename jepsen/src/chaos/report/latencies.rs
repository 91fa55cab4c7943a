//! How long answers took, by what was asked and whether a fault was installed.

use std::collections::BTreeMap;

use crate::chaos::faults::FaultRecord;
use crate::chaos::history::{Phase, Record, Status};

/// One row: definite answers of one kind of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) count: usize,
    /// In microseconds.
    pub(super) median: u64,
    pub(super) p99: u64,
    pub(super) most: u64,
}

pub(super) fn rows(records: &[Record], faults: &[FaultRecord]) -> Vec<Row> {
    let mut spans: Vec<(u64, u64)> =
        faults.iter().filter(|fault| fault.installed()).map(|fault| (fault.start, fault.end)).collect();
    spans.sort_unstable();
    let mut took: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.phase == Phase::Main && record.status == Status::Ok) {
        let what = if record.operation.is_write() { "writes" } else { "reads" };
        let when = if touches(&spans, record) { "during faults" } else { "otherwise" };
        took.entry(format!("{what} {when}")).or_default().push((record.end - record.start) / 1_000);
    }
    let rows = took.into_iter().map(|(what, mut all)| {
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() - 1) * percent / 100];
        Row { what, count: all.len(), median: at(50), p99: at(99), most: at(100) }
    });
    rows.collect()
}

/// Faults follow one another: of those that began before the operation's end only the last can still have been there.
fn touches(spans: &[(u64, u64)], record: &Record) -> bool {
    let begun = spans.partition_point(|(start, _)| *start < record.end);
    begun > 0 && record.start < spans[begun - 1].1
}

/// `1.2 ms`.
pub(super) fn ms(micros: u64) -> String {
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}
