//! A run as one page that needs nothing else.

use std::fmt::Write as _;

use super::evidence::minimal_history;
use super::latencies::{ms, rows};
use super::text::{counted, counts, is_idle, title, word};
use super::timeline::timeline;
use super::{Made, not_tested, tallies};
use crate::chaos::check::Judgement;
use crate::chaos::run::{Run, complaints};

#[must_use]
pub fn html(run: &Run, made: &Made) -> String {
    let title = format!("Partita: {}", title(run));
    let body = format!(
        "{}{}<h2>Timeline</h2>{}{}{}{}{}{}",
        head(run, made),
        found(run),
        timeline(run),
        verdicts(run),
        faults(run),
        latencies(run),
        list("What was not tested", &not_tested(run, made)),
        log(run),
    );
    page(&title, run.passed(), &body)
}

/// The frame of every page.
pub(super) fn page(title: &str, passed: bool, body: &str) -> String {
    let (class, verdict) = if passed { ("good", "passed") } else { ("bad", "failed") };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><main><h1>{title} \
         <span class=\"badge {class}\">{verdict}</span></h1>{body}</main></html>\n",
        title = escape(title)
    )
}

fn head(run: &Run, made: &Made) -> String {
    let plan = &run.plan;
    let rows = [
        ("Command", format!("<code>{}</code>", escape(&made.command))),
        ("Commit", format!("<code>{}</code>", escape(&made.commit))),
        ("Nodes", format!("{} ({}), {} clients on each", plan.nodes, run.hosts, plan.clients_per_node)),
        ("Took", format!("{:.0} s, of which {} s under load and faults", run.seconds, plan.seconds)),
        ("Operations", counts(run)),
        ("History", format!("<code>{}</code>", escape(&run.history.display().to_string()))),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>")).collect();
    format!("<table class=\"facts\">{rows}</table>")
}

fn found(run: &Run) -> String {
    let complaints = complaints(run);
    if complaints.is_empty() {
        return "<p>No anomaly was found: every answer is explained by the model, and everything that was promised was \
                done.</p>"
            .to_owned();
    }
    let mut out = String::from("<h2>What was found</h2>");
    for complaint in complaints {
        write!(out, "<div class=\"anomaly\"><p>{}</p>", escape(&complaint)).expect("a string takes everything");
        let lines = minimal_history(&complaint, &run.records);
        if !lines.is_empty() {
            write!(out, "<pre>{}</pre>", escape(&lines.join("\n"))).expect("a string takes everything");
        }
        out.push_str("</div>");
    }
    out
}

fn verdicts(run: &Run) -> String {
    let mut out = String::from(
        "<h2>Claims and verdicts</h2><table><tr><th>Checker</th><th>Verdict</th><th>What must hold</th><th>Looked \
         at</th></tr>",
    );
    for verdict in &run.verdicts {
        let class = match verdict.result {
            _ if is_idle(verdict) => "idle",
            Judgement::Passed => "good",
            Judgement::Failed(_) | Judgement::Unknown(_) => "bad",
        };
        write!(
            out,
            "<tr><td>{}</td><td><span class=\"badge {class}\">{}</span></td><td>{}</td><td>{}</td></tr>",
            verdict.checker,
            word(verdict).to_lowercase(),
            escape(verdict.claim),
            escape(&counted(verdict))
        )
        .expect("a string takes everything");
    }
    out + "</table>"
}

fn faults(run: &Run) -> String {
    let mut out = String::from(
        "<h2>Faults</h2><table><tr><th>Fault</th><th>Class</th><th class=\"n\">Installed</th><th class=\"n\">On the \
         leader</th><th class=\"n\">Skipped</th><th class=\"n\">Indeterminate</th><th class=\"n\">Violated</th></tr>",
    );
    for tally in tallies(&run.faults) {
        write!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            tally.kind.name(),
            tally.kind.class().name(),
            tally.installed,
            tally.hit_leader,
            tally.skipped.len(),
            tally.indeterminate.len(),
            tally.violated.len()
        )
        .expect("a string takes everything");
    }
    out + "</table>"
}

fn latencies(run: &Run) -> String {
    let mut out = String::from(
        "<h2>Latencies</h2><table><tr><th>Answers</th><th class=\"n\">Count</th><th class=\"n\">Median</th>\
         <th class=\"n\">99 %</th><th class=\"n\">Most</th></tr>",
    );
    for row in rows(&run.records, &run.faults) {
        write!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            row.what,
            row.count,
            ms(row.median),
            ms(row.p99),
            ms(row.most)
        )
        .expect("a string takes everything");
    }
    let found = &run.availability;
    let recoveries: Vec<String> = found.recoveries_ms.iter().map(ToString::to_string).collect();
    write!(
        out,
        "</table><p>From each heal to the first accepted write, in ms: {}. Longest gap without an accepted write: {} \
         ms.</p>",
        recoveries.join(", "),
        found.longest_gap_ms
    )
    .expect("a string takes everything");
    out
}

/// Every fault, one after the other.
fn log(run: &Run) -> String {
    let mut out = String::from(
        "<h2>Every fault</h2><table><tr><th class=\"n\">At</th><th class=\"n\">For</th><th>Fault</th><th>Nodes</th>\
         <th>What was seen</th></tr>",
    );
    for fault in &run.faults {
        let nodes: Vec<String> = fault.nodes.iter().map(|node| (node + 1).to_string()).collect();
        let mut seen = fault.notes.clone();
        if !matches!(fault.state, crate::chaos::faults::FaultState::Installed) {
            seen.push(format!("{:?}", fault.state));
        }
        write!(
            out,
            "<tr><td class=\"n\">{:.1} s</td><td class=\"n\">{:.1} s</td><td>{}</td><td>{}{}</td><td>{}</td></tr>",
            seconds(fault.start),
            seconds(fault.end - fault.start),
            fault.kind.name(),
            nodes.join(", "),
            if fault.hit_leader { " (leader)" } else { "" },
            escape(&seen.join("; "))
        )
        .expect("a string takes everything");
    }
    out + "</table>"
}

pub(super) fn list(title: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    format!("<h2>{title}</h2><ul>{lines}</ul>")
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const STYLE: &str = "\
    :root{--ink:#1b1f24;--soft:#59636e;--line:#d6dae0;--fill:#f5f6f8;--page:#fff;--good:#1a7f4b;--bad:#b42318;\
    --write:#1f6fb2;--read:#2f9e5b;--lost:#c22f2f;--not:#8a8f98}\
    @media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa4af;--line:#3a4149;--fill:#20252b;--page:#15181c;\
    --good:#3fb97a;--bad:#f2776b;--write:#5aa9e6;--read:#5fc98a;--lost:#f2776b;--not:#8a8f98}}\
    body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0}\
    code{overflow-wrap:anywhere}main{max-width:1240px;margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
    table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;\
    padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);overflow-wrap:break-word}\
    th{color:var(--soft);font-weight:600}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
    .facts th{width:8rem}\
    .badge{white-space:nowrap;font-size:.8em;font-weight:600;color:#fff;padding:.1em .55em;border-radius:1em}.badge.good{background:var(--good)}\
    .badge.bad{background:var(--bad)}.badge.idle{background:var(--not)}pre{background:var(--fill);padding:.8rem;overflow:auto;font-size:.8rem}\
    .anomaly{border-left:3px solid var(--bad);padding-left:1rem;margin:1rem 0}\
    .anomaly p{white-space:pre-wrap}svg{width:100%;height:auto;background:var(--page)}\
    svg text{font-size:11px;fill:var(--soft)}svg .rule{stroke:var(--line)}\
    .band{fill:var(--soft);opacity:.14}.bar{fill:var(--soft)}.bar.bad{fill:var(--bad)}\
    .t{fill:var(--write)}.r{fill:var(--read)}.i{fill:var(--lost)}.x{fill:var(--not)}\
    .key span::before{content:'';display:inline-block;width:.7em;height:.7em;margin:0 .35em 0 1em;\
    background:var(--c);border-radius:50%}.key{color:var(--soft);font-size:.9rem}";
