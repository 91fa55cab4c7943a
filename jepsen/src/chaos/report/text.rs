//! A run in words.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::evidence::minimal_history;
use super::latencies::{ms, rows};
use super::{Made, not_tested, tallies};
use crate::chaos::check::{Judgement, Verdict};
use crate::chaos::run::{Run, complaints};

/// For a terminal, and for docs/testing.md.
#[must_use]
pub fn text(run: &Run, made: &Made) -> String {
    let mut out = Page(String::new());
    let plan = &run.plan;
    let verdict = if run.passed() { "PASSED" } else { "FAILED" };
    out.line(format_args!("{}: {verdict}", title(run)));
    out.line(format_args!("command: {}", made.command));
    out.line(format_args!("commit:  {}", made.commit));
    out.line(format_args!("nodes:   {} ({}), {} clients on each", plan.nodes, run.hosts, plan.clients_per_node));
    out.line(format_args!("history: {}", run.history.display()));
    out.line(format_args!("took:    {:.0} s, of which {} s under load and faults", run.seconds, plan.seconds));
    out.line(format_args!("\nOperations: {}", counts(run)));
    for row in rows(&run.records, &run.faults) {
        out.line(format_args!(
            "  {:<22} {:>8}   median {:>9}   99 % {:>9}   most {:>9}",
            row.what,
            row.count,
            ms(row.median),
            ms(row.p99),
            ms(row.most)
        ));
    }
    faults(&mut out, run);
    out.line(format_args!("\nVerdicts:"));
    for found in &run.verdicts {
        out.line(format_args!("  {:<15} {:<9} {}", found.checker, word(found), found.claim));
        if !is_idle(found) {
            out.line(format_args!("  {:<25} {}", "", counted(found)));
        }
    }
    let complaints = complaints(run);
    if !complaints.is_empty() {
        out.line(format_args!("\nFound:"));
    }
    for complaint in complaints {
        out.line(format_args!("- {complaint}"));
        for line in minimal_history(&complaint, &run.records) {
            out.line(format_args!("    {line}"));
        }
    }
    out.line(format_args!("\nNot tested:"));
    for what in not_tested(run, made) {
        out.line(format_args!("- {what}"));
    }
    out.0
}

pub(super) fn title(run: &Run) -> String {
    let plan = &run.plan;
    format!("{} on {} nodes, {} s, seed {}", plan.workload.name(), plan.nodes, plan.seconds, plan.seed)
}

pub(super) fn word(verdict: &Verdict) -> &'static str {
    match verdict.result {
        _ if is_idle(verdict) => "no matter",
        Judgement::Passed => "passed",
        Judgement::Failed(_) => "FAILED",
        Judgement::Unknown(_) => "UNKNOWN",
    }
}

/// Whether nothing of what a checker looks at is in this workload: it says nothing, then. What a workload must have is
/// among its floors.
pub(super) fn is_idle(verdict: &Verdict) -> bool {
    verdict.passed() && verdict.counted.iter().all(|(_, number)| *number == 0)
}

/// Whatever there was of it.
pub(super) fn counted(verdict: &Verdict) -> String {
    let counted = verdict.counted.iter().filter(|(_, number)| *number > 0);
    counted.map(|(what, number)| format!("{number} {what}")).collect::<Vec<_>>().join(", ")
}

/// Whatever was counted and is not zero, by its own name; the answers' kinds first, zero or not.
pub(super) fn counts(run: &Run) -> String {
    const FIRST: [&str; 3] = ["ok", "fail", "info"];
    let Ok(Value::Object(counts)) = serde_json::to_value(run.operations) else { return String::new() };
    let first = FIRST.iter().filter_map(|name| Some((*name, counts.get(*name)?)));
    let others = counts.iter().filter(|(name, number)| !FIRST.contains(&name.as_str()) && **number != 0);
    let all = first.chain(others.map(|(name, number)| (name.as_str(), number)));
    all.map(|(name, number)| format!("{number} {}", name.replace('_', " "))).collect::<Vec<_>>().join(", ")
}

fn faults(out: &mut Page, run: &Run) {
    let installed = run.faults.iter().filter(|fault| fault.installed()).count();
    let hits = run.faults.iter().filter(|fault| fault.installed() && fault.hit_leader).count();
    out.line(format_args!("\nFaults: {installed} installed, {hits} of them on the leader"));
    for tally in tallies(&run.faults) {
        let mut others = String::new();
        for (what, whys) in
            [("skipped", &tally.skipped), ("indeterminate", &tally.indeterminate), ("VIOLATED", &tally.violated)]
        {
            if let Some(why) = whys.first() {
                let why = why.lines().next().unwrap_or("");
                write!(others, "; {} {what}: {why}", whys.len()).expect("a string takes everything");
            }
        }
        out.line(format_args!(
            "  {:<20} {:>3}   {}{others}",
            tally.kind.name(),
            tally.installed,
            tally.kind.class().name()
        ));
    }
    let found = &run.availability;
    let mut recoveries = found.recoveries_ms.clone();
    recoveries.sort_unstable();
    let at = |percent: usize| recoveries.get(recoveries.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    let during = found.ok_during_faults;
    out.line(format_args!(
        "Availability: {:.1} % of what was asked was answered definitely, {during} of it during faults; after a heal the \
         first write was accepted within {} ms (median), {} ms (90 %), {} ms (most); longest gap without one {} ms",
        share(found.ok, found.ok + found.fail + found.info),
        at(50),
        at(90),
        at(100),
        found.longest_gap_ms
    ));
}

/// In percent.
#[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "for a reader: one digit is shown")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Grows by lines.
struct Page(String);

impl Page {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("a string takes everything");
    }
}
