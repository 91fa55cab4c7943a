//! `partita-jepsen`: chaos runs against real processes, from the command line.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use partita_jepsen::HarnessError;
use partita_jepsen::chaos::faults::FaultKind;
use partita_jepsen::chaos::faults::available::Available;
use partita_jepsen::chaos::report::summary::{About, Promise, Summary, leave};
use partita_jepsen::chaos::report::{self, Made};
use partita_jepsen::chaos::run::{Floors, Plan, run};
use partita_jepsen::chaos::workload::Workload;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(
    name = "partita-jepsen",
    version,
    about = "Tries to break a Partita cluster, and judges by a model of its own"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run: a cluster of real processes, a load, faults, verdicts; exit code 0 only if everything passed
    Run(RunArguments),
    /// Which faults can be installed on this machine, and why not the others
    Faults,
    /// Several runs together, by the directories that they were kept in; exit code 0 only if all of them passed and
    /// what was promised of them was done
    Summary(SummaryArguments),
}

#[derive(Debug, clap::Args)]
struct SummaryArguments {
    /// The directories of the runs
    runs: Vec<PathBuf>,
    /// Of the report
    #[arg(long, default_value = "several runs")]
    title: String,
    /// The command that made them all
    #[arg(long, default_value = "")]
    made_by: String,
    /// Where report.txt and report.html are written
    #[arg(long, value_name = "DIR")]
    keep: PathBuf,
    /// At least so many runs of at least --run-seconds
    #[arg(long, default_value_t = 1)]
    min_runs: u64,
    #[arg(long, default_value_t = 0)]
    run_seconds: u64,
    /// At least so many definite answers in all
    #[arg(long, default_value_t = 0)]
    min_ok: u64,
    #[arg(long, default_value_t = 0)]
    min_faults: u64,
    #[arg(long, default_value_t = 0)]
    min_classes: u64,
    /// Every kind of fault that is possible here was installed
    #[arg(long)]
    every_kind: bool,
    /// Seeds of the simulator that passed, and how many were promised
    #[arg(long, default_value_t = 0)]
    simulated: u64,
    #[arg(long, default_value_t = 0)]
    min_simulated: u64,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What the clients do: bank, billing, idempotence, statement, trial-balance, membership, upgrade,
    /// mixed
    #[arg(long, default_value = "bank")]
    workload: String,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Clients on each node, each asking one thing at a time
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Milliseconds that each client waits between two questions; without it a load takes whatever the machine has
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pause: u64,
    /// Groups of six accounts
    #[arg(long, default_value_t = 4)]
    groups: usize,
    /// Seconds of load and faults
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// Faults by name, separated by commas; `all`, `none`, or `available`: all that this machine allows. Those that
    /// belong to the workload when left out, which is most often all
    #[arg(long)]
    nemesis: Option<String>,
    /// Put nodes on loopback addresses with proxies between them, also where they could have network namespaces
    #[arg(long)]
    proxies: bool,
    /// What the run draws from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where history, logs, data and reports are kept; a temporary directory, removed at the end, when left out
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// At least so many operations answered under the load, or the run fails as vacuous
    #[arg(long, default_value_t = 2_000)]
    min_ok: u64,
    /// At least so many faults installed
    #[arg(long, default_value_t = 3)]
    min_faults: u64,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let command = Arguments::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot start: {error}")),
    };
    let done = match &command {
        Command::Run(arguments) => runtime.block_on(one_run(arguments)),
        Command::Faults => show_faults(),
        Command::Summary(arguments) => summary(arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(what: &str) -> ExitCode {
    // Nowhere is left to report that standard error is closed.
    drop(writeln!(io::stderr(), "partita-jepsen: {what}"));
    ExitCode::from(2)
}

async fn one_run(arguments: &RunArguments) -> Result<bool, HarnessError> {
    let temporary = tempfile::tempdir().map_err(|source| HarnessError::File {
        path: std::env::temp_dir(),
        what: "no temporary directory",
        source,
    })?;
    let directory = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let failed = |what| {
        let path = directory.clone();
        move |source| HarnessError::File { path, what, source }
    };
    std::fs::create_dir_all(&directory).map_err(failed("cannot be made"))?;
    let available = Available::here();
    let workload = Workload::from_name(&arguments.workload)
        .ok_or_else(|| HarnessError::NoWorkload { name: arguments.workload.clone() })?;
    let faults = match &arguments.nemesis {
        Some(names) => faults(names, &available)?,
        None => workload.faults().to_vec(),
    };
    let leader_hits = u64::from(!faults.is_empty());
    let floors = Floors {
        ok: arguments.min_ok,
        faults: if faults.is_empty() { 0 } else { arguments.min_faults },
        reads_during_faults: leader_hits * 100,
        leader_hits,
    };
    let plan = Plan {
        workload,
        nodes: arguments.nodes,
        clients_per_node: arguments.clients,
        pause_ms: arguments.pause,
        groups: arguments.groups,
        seconds: arguments.time,
        faults,
        with_proxies: arguments.proxies,
        seed: arguments.seed,
        floors,
    };
    let done = tokio::select! {
        done = run(plan, &directory) => done?,
        // The cluster goes with the run: no process and no disk stays behind.
        () = asked_to_end() => return Err(HarnessError::Interrupted),
    };
    let made = made(available, format!("partita-jepsen {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")));
    let text = report::text(&done, &made);
    keep_reports(&directory, &text, &report::html(&done, &made))?;
    leave(&done, &made, &directory)?;
    say(&text)?;
    Ok(done.passed())
}

/// Ctrl-C, or SIGTERM.
async fn asked_to_end() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => drop(terminated.recv().await),
            // Then the signal ends the process as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => drop(interrupted),
        () = terminated => {}
    }
}

fn made(available: Available, command: String) -> Made {
    let commit = std::env::var("PARTITA_COMMIT").unwrap_or_else(|_| "unknown".to_owned());
    Made { command, commit, unavailable: available.others }
}

fn keep_reports(directory: &Path, text: &str, page: &str) -> Result<(), HarnessError> {
    for (name, content) in [("report.txt", text), ("report.html", page)] {
        let path = directory.join(name);
        let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, content));
        written.map_err(|source| HarnessError::File { path, what: "cannot be written", source })?;
    }
    Ok(())
}

fn say(text: &str) -> Result<(), HarnessError> {
    io::stdout().write_all(text.as_bytes()).map_err(|source| HarnessError::File {
        path: PathBuf::from("standard output"),
        what: "is closed",
        source,
    })
}

fn show_faults() -> Result<bool, HarnessError> {
    let available = Available::here();
    for kind in &available.kinds {
        say(&format!("{:<20} {}\n", kind.name(), kind.class().name()))?;
    }
    for (kind, why) in &available.others {
        say(&format!("{:<20} not here: {why}\n", kind.name()))?;
    }
    Ok(true)
}

fn summary(arguments: &SummaryArguments) -> Result<bool, HarnessError> {
    let promise = Promise {
        runs: arguments.min_runs,
        seconds: arguments.run_seconds,
        ok: arguments.min_ok,
        faults: arguments.min_faults,
        classes: arguments.min_classes,
        simulated: arguments.min_simulated,
        every_kind: arguments.every_kind,
    };
    let made = made(Available::here(), arguments.made_by.clone());
    let about = About { title: arguments.title.clone(), made, promise, simulated: arguments.simulated };
    let summary = Summary::of(&arguments.runs, about)?;
    let text = summary.text();
    keep_reports(&arguments.keep, &text, &summary.html())?;
    say(&text)?;
    Ok(summary.passed())
}

fn faults(names: &str, available: &Available) -> Result<Vec<FaultKind>, HarnessError> {
    match names {
        "all" => Ok(FaultKind::ALL.to_vec()),
        "available" => Ok(available.kinds.clone()),
        "none" => Ok(vec![]),
        _ => names
            .split(',')
            .map(|name| FaultKind::from_name(name).ok_or_else(|| HarnessError::NoFault { name: name.to_owned() }))
            .collect(),
    }
}
