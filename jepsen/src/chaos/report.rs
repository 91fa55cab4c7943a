//! The run in words, and as one page with its timeline.

use std::fmt::Write as _;

use super::check::Judgement;
use super::faults::{FaultKind, FaultRecord, FaultState};
use super::history::{Phase, Record, Status};
use super::run::{Run, complaints};

/// For a terminal, and for docs/testing.md.
#[must_use]
pub fn text(run: &Run, command: &str, commit: &str) -> String {
    let mut out = String::new();
    let verdict = if run.passed() { "PASSED" } else { "FAILED" };
    line(
        &mut out,
        format_args!("Bank on {} nodes, {} s, seed {}: {verdict}", run.plan.nodes, run.plan.seconds, run.plan.seed),
    );
    line(&mut out, format_args!("command: {command}"));
    line(&mut out, format_args!("commit:  {commit}"));
    line(&mut out, format_args!("history: {}\n", run.history.display()));
    let counts = run.operations;
    line(
        &mut out,
        format_args!(
            "operations: {} ok, {} fail, {} info; {} posted, {} refused, {} replayed, {} reads, {} look-ups",
            counts.ok,
            counts.fail,
            counts.info,
            counts.posted,
            counts.refused,
            counts.replayed,
            counts.reads,
            counts.lookups
        ),
    );
    line(&mut out, format_args!("faults:     {}\n", faults(&run.faults)));
    for found in &run.verdicts {
        let result = match &found.result {
            Judgement::Passed => "passed",
            Judgement::Failed(_) => "FAILED",
            Judgement::Unknown(_) => "UNKNOWN",
        };
        let counted: Vec<String> = found.counted.iter().map(|(what, number)| format!("{number} {what}")).collect();
        line(&mut out, format_args!("{:<13} {result:<8} {}", found.checker, found.claim));
        line(&mut out, format_args!("{:<23}{}", "", counted.join(", ")));
    }
    for complaint in complaints(run) {
        line(&mut out, format_args!("\n- {complaint}"));
    }
    line(&mut out, format_args!("\n{}", NOT_TESTED));
    out
}

/// What a green run does not say.
const NOT_TESTED: &str = "Not tested by this run: disks that lie, clocks that jump, membership changes, upgrades; \
    anything but transfers, balances, trial balances, statements and look-ups.";

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes everything");
}

/// `3 kill-leader, 2 halves (1 skipped)`.
fn faults(records: &[FaultRecord]) -> String {
    let parts = FaultKind::ALL.into_iter().filter_map(|kind| {
        let of_kind: Vec<&FaultRecord> = records.iter().filter(|fault| fault.kind == kind).collect();
        let installed = of_kind.iter().filter(|fault| fault.installed()).count();
        let mut other = String::new();
        for fault in &of_kind {
            match &fault.state {
                FaultState::Installed => {}
                FaultState::Skipped(_) => other.push_str(" (skipped)"),
                FaultState::Indeterminate(_) => other.push_str(" (indeterminate)"),
            }
        }
        (!of_kind.is_empty()).then(|| format!("{installed} {}{other}", kind.name()))
    });
    let all: Vec<String> = parts.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The same as a page of its own, with every operation as a dot: time to the right, latency up, faults behind.
#[must_use]
pub fn html(run: &Run, command: &str, commit: &str) -> String {
    let title = format!("Partita: bank on {} nodes, seed {}", run.plan.nodes, run.plan.seed);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><pre>{}</pre><h2>Timeline</h2>{}<p class=\"key\"><span class=\"t\">writes</span> \
         <span class=\"r\">reads</span> <span class=\"i\">no definite answer</span> <span class=\"x\">refused before \
         the proposal</span>; bands are faults; latency on a logarithmic scale from 0.1 ms to 10 s.</p></html>",
        escape(&text(run, command, commit)),
        timeline(run)
    )
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1240px;padding:0 1rem;\
    color:#1b1f24;background:#fff}pre{background:#f5f6f8;padding:1rem;overflow:auto;white-space:pre-wrap}\
    svg{width:100%;height:auto;border:1px solid #d6dae0}.band{fill:#f3c9a5;opacity:.55}.name{font-size:10px;fill:#7a4515}\
    .axis{font-size:10px;fill:#555}.t{color:#1f6fb2;fill:#1f6fb2}.r{color:#3a9d5d;fill:#3a9d5d}.i{color:#c22f2f;fill:#c22f2f}\
    .x{color:#9a9a9a;fill:#9a9a9a}.key span{font-weight:600}";

const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 420.0;
/// A page with more dots than this opens slowly; every n-th is drawn, those without an answer always.
const DOTS: usize = 12_000;

fn timeline(run: &Run) -> String {
    let main: Vec<&Record> = run.records.iter().filter(|record| record.phase == Phase::Main).collect();
    let begin = main.iter().map(|record| record.start).min().unwrap_or(0);
    let end = main.iter().map(|record| record.end).max().unwrap_or(1).max(begin + 1);
    let across = |at: u64| seconds(at.saturating_sub(begin)) / seconds(end - begin) * WIDTH;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"latencies and faults\">");
    for (number, fault) in run.faults.iter().filter(|fault| fault.installed()).enumerate() {
        let (left, right) = (across(fault.start), across(fault.end.min(end)));
        let width = (right - left).max(1.0);
        let nodes: Vec<String> = fault.nodes.iter().map(|node| (node + 1).to_string()).collect();
        let y = 12 + 11 * (number % 4);
        let label = format!("{} {}", fault.kind.name(), nodes.join(","));
        write!(
            svg,
            "<rect class=\"band\" x=\"{left:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\"/>\
             <text class=\"name\" x=\"{left:.1}\" y=\"{y}\">{label}</text>"
        )
        .expect("a string takes everything");
    }
    let step = (main.len() / DOTS).max(1);
    for (number, record) in main.iter().enumerate() {
        let class = match (record.status, &record.operation) {
            (Status::Info, _) => "i",
            (Status::Fail, _) => "x",
            (Status::Ok, operation) if operation.is_write() => "t",
            (Status::Ok, _) => "r",
        };
        if class == "i" || number % step == 0 {
            let x = across(record.end);
            let y = height(seconds(record.end - record.start));
            write!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.3\"/>")
                .expect("a string takes everything");
        }
    }
    for (label, at) in [("1 ms", 0.001), ("10 ms", 0.01), ("100 ms", 0.1), ("1 s", 1.0), ("5 s", 5.0)] {
        write!(svg, "<text class=\"axis\" x=\"2\" y=\"{:.1}\">{label}</text>", height(at))
            .expect("a string takes everything");
    }
    svg.push_str("</svg>");
    svg
}

/// From 0.1 ms at the bottom to 10 s at the top.
fn height(latency: f64) -> f64 {
    let scale = (latency.max(0.000_1) / 0.000_1).log10() / 5.0;
    HEIGHT - scale.min(1.0) * (HEIGHT - 60.0) - 4.0
}

fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
