//! `partita bench`: what this machine does, measured from outside through HTTP against a real server process.
//!
//! Each load gets a server of its own on an empty directory. Its cost (CPU, disk) runs from the end of the set-up until
//! the process has ended after its last checkpoint, so nothing is left out because it was written later; throughput
//! and latency are those of the measured window. Every answer is checked, and so is the ledger's own sum at the end.

mod connection;
mod disk;
mod load;
mod report;
pub(super) mod reports;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use hdrhistogram::Histogram;
use tokio::process::Command;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use super::client::{Client, ClientError};
use super::output::{Format, print_line};
use connection::ConnectionError;
use load::{Load, Shape};
use server::{Cost, Server};

const EXAMPLES: &str = "\
Examples:
  partita bench                                  all loads, five seconds each
  partita bench --only batch-8000 --seconds 20
  partita bench --only three                     three nodes on this machine's loopback interface
  partita bench --format json > bench.json
  partita bench --url http://127.0.0.1:7070      a running server: throughput and latency only, in a book of its own

The client runs on the same machine and shares its processors. Transfers go between 10,000 subaccounts of one control
account, in the hot loads from one account to all of them. Keys are UUIDv7; requests are made before the clock starts.
On three nodes the clients talk to the leader; CPU and disk are those of all three.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Measure this running server instead of starting one for each load
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Measured seconds per load, after a fifth of it as warm-up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Only the load of this name, or those whose names contain it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the temporary data directories are made; what it is on is what is measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Handed to the server as it is, once per use
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    serve_arg: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// One load's figures.
#[derive(Debug)]
struct Measured {
    load: Load,
    /// In the measured window.
    transfers: u64,
    window: Duration,
    /// Microseconds per request, in the measured window.
    latency_us: Histogram<u64>,
    /// Of the servers that were started for it: what they cost from the end of set-up to its end.
    cost: Option<Cost>,
    /// What `cost` is divided by.
    transfers_with_warm_up: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{path}: {what}", path = path.display())]
    File {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("the server could not be started")]
    Spawn(#[source] std::io::Error),
    #[error("the server was not ready within {seconds} s; its log ends with: {log}")]
    NotReady { seconds: u64, log: String },
    #[error("not all {nodes} nodes voted within {seconds} s")]
    NotTogether { nodes: usize, seconds: u64 },
    #[error("the server did not end by itself within {seconds} s of SIGTERM")]
    NotStopped { seconds: u64 },
    #[error("the server ended with {status}; its log ends with: {log}")]
    BadEnd { status: String, log: String },
    #[error("{load}: a connection failed")]
    Connection {
        load: String,
        #[source]
        source: ConnectionError,
    },
    #[error("{load}: expected every transfer to be posted, but was answered {answer}")]
    NotPosted { load: String, answer: String },
    #[error("{load}: the requests made beforehand ran out before the warm-up was over; the window would be empty")]
    TooFast { load: String },
    #[error("{load}: {acknowledged} transfers of 1.00 were acknowledged, but the trial balance sums to {total}")]
    WrongTotal { load: String, acknowledged: u64, total: String },
    #[error("interrupted; nothing is reported of a bench that is not whole")]
    Interrupted,
    #[error("no load's name contains {only:?}")]
    NoLoad { only: String },
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Bench {
    /// Interrupted, it takes its server and directory with it.
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            result = self.measure_all() => result,
            interrupted = ctrl_c() => Err(interrupted.map_or_else(CliError::from, |()| BenchError::Interrupted.into())),
            _ = terminated.recv() => Err(BenchError::Interrupted.into()),
        }
    }

    async fn measure_all(&self) -> Result<ExitCode, CliError> {
        let only = self.only.as_deref().unwrap_or("");
        let mut loads = load::all();
        // A whole name means that load, even where it begins another one's.
        let is_whole_name = loads.iter().any(|load| load.name() == only);
        loads.retain(|load| if is_whole_name { load.name() == only } else { load.name().contains(only) });
        // How many nodes a running server has is not ours to say.
        loads.retain(|load| self.url.is_none() || load.nodes == 1);
        if loads.is_empty() {
            return Err(BenchError::NoLoad { only: only.to_owned() }.into());
        }
        let mut syncs = disk::Syncs::new(&self.dir);
        let mut measured = Vec::new();
        for load in loads {
            syncs.measure()?;
            if self.format == Format::Table {
                print_line(&format!("{} …", load.name()))?;
            }
            measured.push(self.measure(load).await?);
        }
        syncs.measure()?;
        report::print(&report::Report { dir: &self.dir, syncs: &syncs, measured: &measured }, self.format)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(&self, load: Load) -> Result<Measured, BenchError> {
        let Some(url) = &self.url else { return self.measure_own(load).await };
        // Loads repeated against one server must not find each other's book.
        let book = format!("bench-{}", uuid::Uuid::now_v7());
        self.drive(load, url, &book).await
    }

    async fn measure_own(&self, load: Load) -> Result<Measured, BenchError> {
        let mut servers = self.start_servers(load.nodes).await?;
        let before = servers.iter().map(Server::cost).collect::<Result<Vec<_>, _>>()?;
        let mut measured = self.drive(load, servers[0].url(), "bench").await?;
        for server in &servers[1..] {
            let client = Client::new(server.url())?;
            load::check_total(&load, &client, "bench", measured.transfers_with_warm_up).await?;
        }
        // Together: with the first of them the others would lose their leader.
        let after = join_all(servers.iter_mut().map(Server::stop)).await;
        let mut costs = Vec::new();
        for (after, before) in after.into_iter().zip(&before) {
            costs.push(after?.since(before));
        }
        measured.cost = Some(Cost::sum(&costs));
        Ok(measured)
    }

    /// A node that is alone, or a cluster, the leader first.
    async fn start_servers(&self, nodes: usize) -> Result<Vec<Server>, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::Spawn)?;
        let command = || {
            let mut command = Command::new(&program);
            command.arg("serve").args(&self.serve_arg);
            command
        };
        if nodes == 1 {
            return Ok(vec![Server::start(command(), &self.dir).await?]);
        }
        let mut servers = Vec::new();
        let mut founder: Option<String> = None;
        for id in 1..=nodes {
            let raft = server::free_address().map_err(BenchError::Spawn)?;
            let mut command = command();
            command.args(["--node-id", &id.to_string(), "--raft-listen", &raft]);
            if let Some(founder) = &founder {
                command.args(["--join", founder]);
            }
            founder.get_or_insert(raft);
            servers.push(Server::start(command, &self.dir).await?);
        }
        servers[0].wait_for_voters(nodes).await?;
        Ok(servers)
    }

    async fn drive(&self, load: Load, url: &str, book: &str) -> Result<Measured, BenchError> {
        let client = Client::new(url)?;
        load::set_up(&client, book).await?;
        let window = Duration::from_secs(u64::from(self.seconds));
        let result = load::drive(&load, url, book, window).await?;
        load::check_total(&load, &client, book, result.transfers_with_warm_up).await?;
        Ok(result)
    }
}

impl Load {
    /// `batch-8000`, `single-32`, with `-hot` behind where one side is always the same account, and `-three` on three nodes.
    fn name(&self) -> String {
        let shape = match self.shape {
            Shape::Batch(size) => format!("batch-{size}"),
            Shape::Single => format!("single-{}", self.clients),
        };
        match (self.hot, self.nodes) {
            (true, _) => format!("{shape}-hot"),
            (false, 1) => shape,
            (false, _) => format!("{shape}-three"),
        }
    }
}
