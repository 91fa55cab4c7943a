//! `partita bench`: what this machine does, measured from outside through HTTP against a real server process.
//!
//! Each load gets a server of its own on an empty directory. Its cost (CPU, disk) runs from the end of the set-up until
//! the process has ended after its last checkpoint, so nothing is left out because it was written later; throughput
//! and latency are those of the measured window. Every answer is checked, and so is the ledger's own sum at the end.

mod args;
mod body;
mod check;
mod disk;
mod drive;
mod load;
mod long;
mod pace;
mod profile;
mod report;
pub(super) mod reports;
mod server;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::future::join_all;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::CliError;
use super::client::{Client, ClientError};
use super::output::{Format, print_line};
pub use args::Bench;
use drive::{Bound, Seen};
use load::Load;
use profile::Counters;
use server::{Cost, Server};

const BOOK: &str = "bench";

/// One load's figures, of one run.
#[derive(Debug)]
struct Measured {
    seen: Seen,
    /// Of the servers that were started for it: what they cost from the end of set-up to its end.
    cost: Option<Cost>,
    client_cpu: Duration,
    /// What `cost` and `client_cpu` are divided by.
    writes_with_warm_up: u64,
    /// The greatest resident memory of a server.
    memory_bytes: Option<u64>,
    /// What all servers recorded while it ran.
    counters: Counters,
    long: Option<long::Long>,
}

/// A load and its runs.
#[derive(Debug)]
struct Runs {
    load: Load,
    measured: Vec<Measured>,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{path}: {what}", path = path.display())]
    File {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the server could not be started")]
    Spawn(#[source] io::Error),
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
        source: io::Error,
    },
    #[error("{load}: expected every write to be posted, but was answered {answer}")]
    NotPosted { load: String, answer: String },
    #[error("{load}: nothing was done in the measured window")]
    NothingDone { load: String },
    #[error("{load}: {acknowledged} writes of 1.00 were acknowledged, but the trial balance sums to {total}")]
    WrongTotal { load: String, acknowledged: u64, total: String },
    #[error("interrupted; nothing is reported of a bench that is not whole")]
    Interrupted,
    #[error("no load's name contains {only:?}")]
    NoLoad { only: String },
    #[error(transparent)]
    BadUrl(partita_client::BadUrl),
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
        let mut loads: Vec<_> = self.loads()?.into_iter().map(|load| Runs { load, measured: Vec::new() }).collect();
        let mut syncs = disk::Syncs::new(&self.dir);
        let count = self.runs();
        // Every load once, then all again: what changes with time changes for all.
        for run in 1..=count {
            for runs in &mut loads {
                syncs.measure()?;
                if self.format == Format::Table {
                    print_line(&format!("{} (run {run} of {count}) …", runs.load.name))?;
                }
                let measured = self.measure(&runs.load).await?;
                if self.format == Format::Table {
                    print_line(&format!("  {}", report::line(&measured)))?;
                }
                runs.measured.push(measured);
            }
        }
        syncs.measure()?;
        let report = report::Report { dir: &self.dir, syncs: &syncs, loads: &loads, has_profile: self.profile };
        report::print(&report, self.format)?;
        if let Some(path) = &self.json {
            let text = format!("{:#}\n", report::document(&report));
            std::fs::write(path, text).map_err(|source| CliError::Write { path: path.clone(), source })?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(&self, load: &Load) -> Result<Measured, BenchError> {
        match &self.url {
            None => self.measure_own(load).await,
            // Loads repeated against one server must not find each other's book.
            Some(url) => self.drive(load, &[url.as_str()], &format!("bench-{}", uuid::Uuid::now_v7())).await,
        }
    }

    async fn measure_own(&self, load: &Load) -> Result<Measured, BenchError> {
        let mut servers = self.start_servers(load.nodes).await?;
        let before = servers.iter().map(Server::cost).collect::<Result<Vec<_>, _>>()?;
        let urls: Vec<String> = servers.iter().map(|server| server.url().to_owned()).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let mut measured = self.drive(load, &urls, BOOK).await?;
        measured.memory_bytes = servers.iter().filter_map(Server::peak_bytes).max();
        if self.kill {
            self.kill(load, &mut servers, &mut measured).await?;
        }
        // Together: with the first of them the others would lose their leader.
        let after = join_all(servers.iter_mut().map(Server::stop)).await;
        let mut costs = Vec::new();
        for (after, before) in after.into_iter().zip(&before) {
            costs.push(after?.since(before));
        }
        // A killed process took its accounts with it.
        measured.cost = (!self.kill).then(|| Cost::sum(&costs));
        if let Some(long) = &mut measured.long {
            long.stored_bytes = Some(servers[0].stored_bytes()?);
        }
        Ok(measured)
    }

    /// A node that is alone, or a cluster, the leader first.
    async fn start_servers(&self, nodes: usize) -> Result<Vec<Server>, BenchError> {
        if nodes == 1 {
            return Ok(vec![Server::start(self.serve_arg.clone(), &self.dir).await?]);
        }
        let mut servers = Vec::new();
        let mut founder: Option<String> = None;
        for id in 1..=nodes {
            let raft = server::free_address().map_err(BenchError::Spawn)?;
            let mut args = self.serve_arg.clone();
            args.extend(["--node-id".to_owned(), id.to_string(), "--raft-listen".to_owned(), raft.clone()]);
            if let Some(founder) = &founder {
                args.extend(["--join".to_owned(), founder.clone()]);
            }
            founder.get_or_insert(raft);
            servers.push(Server::start(args, &self.dir).await?);
        }
        servers[0].wait_for_voters(nodes).await?;
        Ok(servers)
    }

    /// The load on the first of the servers; all of them must have it in the end.
    async fn drive(&self, load: &Load, urls: &[&str], book: &str) -> Result<Measured, BenchError> {
        let clients = urls.iter().map(|url| Client::new(url)).collect::<Result<Vec<_>, _>>()?;
        let touched = drive::set_up(load, &clients[0], urls[0], book).await?;
        let before = all_counters(&clients).await?;
        let cpu_before = server::own_cpu()?;
        let (marks, marked) = mpsc::unbounded_channel();
        let bound = self.bound();
        let progress = tokio::spawn(long::follow(marked, self.format == Format::Table && self.transfers.is_some()));
        let seen = drive::drive(load, urls[0], book, bound, marks).await?;
        let client_cpu = server::own_cpu()?.saturating_sub(cpu_before);
        let millions = progress.await.expect("what follows marks does not panic");
        let mut counters = Counters::default();
        for (client, before) in clients.iter().zip(&before) {
            counters.add(&Counters::of(client).await?.since(before));
        }
        for client in &clients {
            check::total(load, client, book, seen.all_writes + touched).await?;
        }
        let long = match bound {
            Bound::Time(_) => None,
            Bound::Writes(_) => Some(long::Long::new(millions)),
        };
        let writes_with_warm_up = seen.all_writes + touched;
        Ok(Measured { seen, cost: None, client_cpu, writes_with_warm_up, memory_bytes: None, counters, long })
    }

    /// SIGKILL to the first node, and a look at what it has when it is back.
    async fn kill(&self, load: &Load, servers: &mut [Server], measured: &mut Measured) -> Result<(), BenchError> {
        let path = format!("/v1/books/{BOOK}/accounts/liabilities:wallet");
        let back = servers[0].kill_and_restart(&path).await?;
        let client = Client::new(servers[0].url())?;
        check::total(load, &client, BOOK, measured.writes_with_warm_up).await?;
        if self.format == Format::Table {
            // Nobody is served worse when the progress cannot be shown.
            drop(print_line(&format!(
                "  killed; it answered again after {:.2} s, and nothing is lost",
                back.as_secs_f64()
            )));
        }
        if let Some(long) = &mut measured.long {
            long.restart = Some(back);
        }
        Ok(())
    }
}

async fn all_counters(clients: &[Client]) -> Result<Vec<Counters>, ClientError> {
    let mut all = Vec::new();
    for client in clients {
        all.push(Counters::of(client).await?);
    }
    Ok(all)
}
