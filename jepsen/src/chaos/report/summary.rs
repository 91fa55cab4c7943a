//! Several runs together: what they counted against what was promised, as text and as a page.
//!
//! It reads what each run left in its directory. A directory without a result is a run that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Made;
use super::html::{escape, list, page};
use crate::HarnessError;
use crate::chaos::faults::{Class, FaultKind, FaultRecord, FaultState};
use crate::chaos::run::{Run, complaints};

/// Where a run leaves its result.
pub const RESULT: &str = "run.json";

/// What a command that makes several runs promises of them together.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub runs: u64,
    /// Of each run.
    pub seconds: u64,
    pub ok: u64,
    pub faults: u64,
    pub classes: u64,
    pub simulated: u64,
    /// Whether every kind of fault that is possible here was installed.
    pub every_kind: bool,
}

/// How it was made: as for a run.
#[derive(Clone, Debug)]
pub struct About {
    pub title: String,
    pub made: Made,
    pub promise: Promise,
    /// Seeds of the simulator that passed.
    pub simulated: u64,
}

#[derive(Debug, Serialize)]
struct Leaving<'a> {
    passed: bool,
    complaints: Vec<String>,
    command: &'a str,
    commit: &'a str,
    run: &'a Run,
}

/// Leaves a run's result in its directory.
pub fn leave(run: &Run, made: &Made, directory: &Path) -> Result<(), HarnessError> {
    let leaving = Leaving {
        passed: run.passed(),
        complaints: complaints(run),
        command: &made.command,
        commit: &made.commit,
        run,
    };
    let path = directory.join(RESULT);
    let text = serde_json::to_string(&leaving).expect("a run has only strings and numbers");
    std::fs::write(&path, text).map_err(|source| HarnessError::File { path, what: "cannot be written", source })
}

#[derive(Debug, Deserialize)]
struct Finished {
    passed: bool,
    complaints: Vec<String>,
    command: String,
    run: Of,
}

#[derive(Debug, Deserialize)]
struct Of {
    plan: Planned,
    seconds: f64,
    hosts: String,
    faults: Vec<FaultRecord>,
    availability: Available,
    operations: BTreeMap<String, u64>,
    verdicts: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Planned {
    workload: String,
    nodes: usize,
    seconds: u64,
    seed: u64,
}

#[derive(Debug, Deserialize)]
struct Available {
    ok: u64,
    fail: u64,
    info: u64,
    recoveries_ms: Vec<u64>,
    longest_gap_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Found {
    checker: String,
    claim: String,
    result: Value,
    counted: Vec<(String, u64)>,
}

/// A directory and what is in it.
#[derive(Debug)]
struct Round {
    directory: PathBuf,
    finished: Option<Finished>,
}

#[derive(Debug, Default)]
struct OfChecker {
    claim: String,
    runs: u64,
    passed: u64,
    counted: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct OfKind {
    installed: u64,
    hit_leader: u64,
    skipped: u64,
    indeterminate: u64,
    violated: u64,
    why: Option<String>,
}

/// Several runs, counted.
#[derive(Debug)]
pub struct Summary {
    about: About,
    rounds: Vec<Round>,
    kinds: BTreeMap<FaultKind, OfKind>,
    checkers: BTreeMap<String, OfChecker>,
    operations: BTreeMap<String, u64>,
    recoveries_ms: Vec<u64>,
}

impl Summary {
    pub fn of(directories: &[PathBuf], about: About) -> Result<Self, HarnessError> {
        let mut summary = Self {
            about,
            rounds: vec![],
            kinds: BTreeMap::new(),
            checkers: BTreeMap::new(),
            operations: BTreeMap::new(),
            recoveries_ms: vec![],
        };
        for directory in directories {
            let path = directory.join(RESULT);
            let finished = match std::fs::read(&path) {
                Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| HarnessError::File {
                    path,
                    what: "is no run's result",
                    source: error.into(),
                })?),
                // It ended before it had a result.
                Err(_) => None,
            };
            if let Some(finished) = &finished {
                summary.count(finished);
            }
            summary.rounds.push(Round { directory: directory.clone(), finished });
        }
        summary.recoveries_ms.sort_unstable();
        Ok(summary)
    }

    fn count(&mut self, finished: &Finished) {
        for (name, number) in &finished.run.operations {
            *self.operations.entry(name.clone()).or_default() += number;
        }
        for fault in &finished.run.faults {
            let kind = self.kinds.entry(fault.kind).or_default();
            kind.installed += u64::from(fault.installed());
            kind.hit_leader += u64::from(fault.installed() && fault.hit_leader);
            match &fault.state {
                FaultState::Installed => {}
                FaultState::Skipped(_) => kind.skipped += 1,
                FaultState::Indeterminate(_) => kind.indeterminate += 1,
                FaultState::Violated(_) => kind.violated += 1,
            }
            if let Some(why) = fault.why() {
                kind.why.get_or_insert_with(|| why.lines().next().unwrap_or("").to_owned());
            }
        }
        // A checker that found nothing of its own in a workload says nothing of that run.
        let looked =
            |verdict: &&Found| verdict.result != "passed" || verdict.counted.iter().any(|(_, number)| *number > 0);
        for verdict in finished.run.verdicts.iter().filter(looked) {
            let checker = self.checkers.entry(verdict.checker.clone()).or_default();
            checker.claim.clone_from(&verdict.claim);
            checker.runs += 1;
            checker.passed += u64::from(verdict.result == "passed");
            for (what, number) in &verdict.counted {
                // Sums of medians and of greatest values would say nothing.
                if !what.contains("(ms)") {
                    *checker.counted.entry(what.clone()).or_default() += number;
                }
            }
        }
        self.recoveries_ms.extend(&finished.run.availability.recoveries_ms);
    }

    fn results(&self) -> impl Iterator<Item = &Finished> {
        self.rounds.iter().filter_map(|round| round.finished.as_ref())
    }

    fn installed(&self) -> u64 {
        self.kinds.values().map(|kind| kind.installed).sum()
    }

    fn classes(&self) -> BTreeSet<Class> {
        self.kinds.iter().filter(|(_, of)| of.installed > 0).map(|(kind, _)| kind.class()).collect()
    }

    fn ok(&self) -> u64 {
        self.operations.get("ok").copied().unwrap_or(0)
    }

    /// Runs that failed, and promises that were not kept, in words.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut all = vec![];
        for round in &self.rounds {
            match &round.finished {
                None => all.push(format!("{}: ended without a result", round.directory.display())),
                Some(finished) if !finished.passed => {
                    let first = finished.complaints.first().map_or("", |what| what.lines().next().unwrap_or(""));
                    all.push(format!("{}: {first}", round.directory.display()));
                }
                Some(_) => {}
            }
        }
        let promise = self.about.promise;
        let long = self.results().filter(|finished| finished.run.plan.seconds >= promise.seconds).count();
        let runs = format!("runs of {} s or more", promise.seconds);
        for (what, done, wanted) in [
            (runs.as_str(), u64::try_from(long).unwrap_or(u64::MAX), promise.runs),
            ("operations answered definitely", self.ok(), promise.ok),
            ("faults installed", self.installed(), promise.faults),
            ("classes of faults", u64::try_from(self.classes().len()).unwrap_or(u64::MAX), promise.classes),
            ("seeds simulated", self.about.simulated, promise.simulated),
        ] {
            if done < wanted {
                all.push(format!("{what}: {done}, at least {wanted} were promised"));
            }
        }
        let possible = |kind: &FaultKind| !self.about.made.unavailable.iter().any(|(other, _)| other == kind);
        for kind in FaultKind::ALL.iter().filter(|kind| promise.every_kind && possible(kind)) {
            if self.kinds.get(kind).is_none_or(|of| of.installed == 0) {
                all.push(format!("{} was never installed", kind.name()));
            }
        }
        all
    }

    #[must_use]
    pub fn passed(&self) -> bool {
        self.complaints().is_empty()
    }

    /// What it counted, one line each.
    fn totals(&self) -> Vec<(&'static str, String)> {
        let rounds = self.rounds.len();
        let passed = self.results().filter(|finished| finished.passed).count();
        let seconds: f64 = self.results().map(|finished| finished.run.seconds).sum();
        let loaded: u64 = self.results().map(|finished| finished.run.plan.seconds).sum();
        let number = |name: &str| self.operations.get(name).copied().unwrap_or(0);
        let (ok, fail, info) = self.results().fold((0, 0, 0), |sums, finished| {
            let found = &finished.run.availability;
            (sums.0 + found.ok, sums.1 + found.fail, sums.2 + found.info)
        });
        let leaders: u64 = self.kinds.values().map(|kind| kind.hit_leader).sum();
        let at = |percent: usize| {
            let place = self.recoveries_ms.len().saturating_sub(1) * percent / 100;
            self.recoveries_ms.get(place).copied().unwrap_or(0)
        };
        let gap = self.results().map(|finished| finished.run.availability.longest_gap_ms).max().unwrap_or(0);
        vec![
            ("command", self.about.made.command.clone()),
            ("commit", self.about.made.commit.clone()),
            ("runs", format!("{passed} of {rounds} passed; {seconds:.0} s, {loaded} s of them under load and faults")),
            (
                "operations",
                format!(
                    "{} ok, {} certain to have had no effect, {} without a definite answer",
                    number("ok"),
                    number("fail"),
                    number("info")
                ),
            ),
            ("of them under load", format!("{ok} ok, {fail} without effect, {info} without a definite answer")),
            ("reads", format!("{} compared, {} look-ups", number("reads"), number("lookups"))),
            (
                "faults",
                format!("{} installed, {leaders} on the leader, {} classes", self.installed(), self.classes().len()),
            ),
            (
                "recovery after a heal",
                format!("{} ms (median), {} ms (90 %), {} ms (99 %), {} ms (most)", at(50), at(90), at(99), at(100)),
            ),
            ("longest gap without an accepted write", format!("{gap} ms")),
            ("simulator", format!("{} seeds passed", self.about.simulated)),
        ]
    }

    fn not_tested(&self) -> Vec<String> {
        let unavailable = &self.about.made.unavailable;
        let mut all: Vec<String> =
            unavailable.iter().map(|(kind, why)| format!("{}: not possible here: {why}.", kind.name())).collect();
        let possible = FaultKind::ALL.iter().filter(|kind| !unavailable.iter().any(|(other, _)| other == *kind));
        let never: Vec<&str> = possible
            .filter(|kind| self.kinds.get(kind).is_none_or(|of| of.installed == 0))
            .map(|kind| kind.name())
            .collect();
        if !never.is_empty() {
            all.push(format!("Faults that no run installed: {}.", never.join(", ")));
        }
        all.push("More than one machine; kernels and machines that fail; more time than this.".to_owned());
        all
    }

    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let verdict = if self.passed() { "PASSED" } else { "FAILED" };
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes everything");
        line(format!("{}: {verdict}", self.about.title));
        for (name, value) in self.totals() {
            line(format!("{name:<38} {value}"));
        }
        line("\nRuns:".to_owned());
        for round in &self.rounds {
            line(match &round.finished {
                None => format!("  {}: no result", round.directory.display()),
                Some(finished) => {
                    let (run, plan) = (&finished.run, &finished.run.plan);
                    let installed = run.faults.iter().filter(|fault| fault.installed()).count();
                    let verdict = if finished.passed { "passed" } else { "FAILED" };
                    format!(
                        "  {verdict} {:<12} {} nodes, {:>4} s, seed {:>4}: {:>7} ok, {installed:>3} faults ({})",
                        plan.workload,
                        plan.nodes,
                        plan.seconds,
                        plan.seed,
                        run.operations.get("ok").copied().unwrap_or(0),
                        run.hosts
                    )
                }
            });
        }
        line("\nFaults: installed (on the leader), skipped, indeterminate, violated".to_owned());
        for (kind, of) in &self.kinds {
            let why = of.why.as_ref().map_or(String::new(), |why| format!("  {why}"));
            line(format!(
                "  {:<20} {:<24} {:>4} ({:>3}) {:>4} {:>4} {:>4}{why}",
                kind.name(),
                kind.class().name(),
                of.installed,
                of.hit_leader,
                of.skipped,
                of.indeterminate,
                of.violated
            ));
        }
        line("\nVerdicts:".to_owned());
        for (name, of) in &self.checkers {
            let counted = of.counted.iter().filter(|(_, number)| **number > 0);
            let counted: Vec<String> = counted.map(|(what, number)| format!("{number} {what}")).collect();
            line(format!("  {name:<14} {} of {} passed: {}", of.passed, of.runs, of.claim));
            line(format!("  {:<14} {}", "", counted.join(", ")));
        }
        let complaints = self.complaints();
        if !complaints.is_empty() {
            line("\nFound:".to_owned());
        }
        for complaint in complaints {
            line(format!("- {complaint}"));
        }
        line("\nNot tested:".to_owned());
        for what in self.not_tested() {
            line(format!("- {what}"));
        }
        out
    }

    #[must_use]
    pub fn html(&self) -> String {
        let facts: String = self
            .totals()
            .iter()
            .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escape(value)))
            .collect();
        let complaints = self.complaints();
        let found = if complaints.is_empty() { String::new() } else { list("What was found", &complaints) };
        let body = format!(
            "<table class=\"facts\">{facts}</table>{found}{}{}{}{}",
            self.rounds_table(),
            self.faults_table(),
            self.checkers_table(),
            list("What was not tested", &self.not_tested())
        );
        page(&format!("Partita: {}", self.about.title), self.passed(), &body)
    }

    fn rounds_table(&self) -> String {
        let mut out = String::from(
            "<h2>Runs</h2><table><tr><th>Verdict</th><th>Workload</th><th class=\"n\">Nodes</th><th class=\"n\">Seconds\
             </th><th class=\"n\">Seed</th><th class=\"n\">Operations ok</th><th class=\"n\">Faults</th><th>Nodes are in\
             </th><th>Report</th></tr>",
        );
        for round in &self.rounds {
            let name = round.directory.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
            let Some(finished) = &round.finished else {
                write!(out, "<tr><td>no result</td><td colspan=\"7\"></td><td>{}</td></tr>", escape(&name))
                    .expect("a string takes everything");
                continue;
            };
            let (run, plan) = (&finished.run, &finished.run.plan);
            let (class, verdict) = if finished.passed { ("good", "passed") } else { ("bad", "failed") };
            write!(
                out,
                "<tr><td><span class=\"badge {class}\">{verdict}</span></td><td>{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td>\
                 <td><a href=\"{name}/report.html\" title=\"{}\">{name}</a></td></tr>",
                plan.workload,
                plan.nodes,
                plan.seconds,
                plan.seed,
                run.operations.get("ok").copied().unwrap_or(0),
                run.faults.iter().filter(|fault| fault.installed()).count(),
                run.hosts,
                escape(&finished.command),
                name = escape(&name)
            )
            .expect("a string takes everything");
        }
        out + "</table>"
    }

    fn faults_table(&self) -> String {
        let mut out = String::from(
            "<h2>Faults</h2><table><tr><th>Fault</th><th>Class</th><th class=\"n\">Installed</th><th class=\"n\">On the \
             leader</th><th class=\"n\">Skipped</th><th class=\"n\">Indeterminate</th><th class=\"n\">Violated</th></tr>",
        );
        for (kind, of) in &self.kinds {
            write!(
                out,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                kind.name(),
                kind.class().name(),
                of.installed,
                of.hit_leader,
                of.skipped,
                of.indeterminate,
                of.violated
            )
            .expect("a string takes everything");
        }
        out + "</table>"
    }

    fn checkers_table(&self) -> String {
        let mut out = String::from(
            "<h2>Claims and verdicts</h2><table><tr><th>Checker</th><th class=\"n\">Passed</th><th>What must hold</th>\
             <th>Looked at</th></tr>",
        );
        for (name, of) in &self.checkers {
            let counted = of.counted.iter().filter(|(_, number)| **number > 0);
            let counted: Vec<String> = counted.map(|(what, number)| format!("{number} {what}")).collect();
            write!(
                out,
                "<tr><td>{name}</td><td class=\"n\">{} of {}</td><td>{}</td><td>{}</td></tr>",
                of.passed,
                of.runs,
                escape(&of.claim),
                escape(&counted.join(", "))
            )
            .expect("a string takes everything");
        }
        out + "</table>"
    }
}
