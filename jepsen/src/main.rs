//! `partita-jepsen`: chaos runs against real processes, from the command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use partita_jepsen::HarnessError;
use partita_jepsen::chaos::faults::FaultKind;
use partita_jepsen::chaos::report;
use partita_jepsen::chaos::run::{Floors, Plan, run};
use partita_jepsen::chaos::workload::Workload;

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
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What the clients do: bank, billing, idempotence, statement, trial-balance, upgrade, mixed
    #[arg(long, default_value = "bank")]
    workload: String,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Clients on each node, each asking one thing at a time
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Groups of six accounts
    #[arg(long, default_value_t = 4)]
    groups: usize,
    /// Seconds of load and faults
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// Faults by name, separated by commas; `all`, or `none`
    #[arg(long, default_value = "all")]
    nemesis: String,
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
    let Command::Run(arguments) = Arguments::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(one_run(&arguments)) {
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
    let faults = faults(&arguments.nemesis)?;
    let leader_hits = u64::from(!faults.is_empty());
    let floors = Floors {
        ok: arguments.min_ok,
        faults: if faults.is_empty() { 0 } else { arguments.min_faults },
        reads_during_faults: leader_hits * 100,
        leader_hits,
    };
    let workload = Workload::from_name(&arguments.workload)
        .ok_or_else(|| HarnessError::NoWorkload { name: arguments.workload.clone() })?;
    let plan = Plan {
        workload,
        nodes: arguments.nodes,
        clients_per_node: arguments.clients,
        groups: arguments.groups,
        seconds: arguments.time,
        faults,
        seed: arguments.seed,
        floors,
    };
    let done = run(plan, &directory).await?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("partita-jepsen {}", command.join(" "));
    let commit = std::env::var("PARTITA_COMMIT").unwrap_or_else(|_| "unknown".to_owned());
    let text = report::text(&done, &command, &commit);
    let page = report::html(&done, &command, &commit);
    std::fs::write(directory.join("report.txt"), &text).map_err(failed("the report cannot be written"))?;
    std::fs::write(directory.join("report.html"), page).map_err(failed("the page cannot be written"))?;
    io::stdout().write_all(text.as_bytes()).map_err(failed("standard output is closed"))?;
    Ok(done.passed())
}

fn faults(names: &str) -> Result<Vec<FaultKind>, HarnessError> {
    match names {
        "all" => Ok(FaultKind::ALL.to_vec()),
        "none" => Ok(vec![]),
        _ => names
            .split(',')
            .map(|name| FaultKind::from_name(name).ok_or_else(|| HarnessError::NoFault { name: name.to_owned() }))
            .collect(),
    }
}
