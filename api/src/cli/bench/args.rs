//! What `partita bench` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::output::Format;
use super::drive::Bound;
use super::load::{self, Format as BodyFormat, KeyOrder, Load, Mix, Shape};
use super::{BenchError, CliError};

const EXAMPLES: &str = "\
Examples:
  partita bench                                  the project's own loads, five seconds each, medians of three runs
  partita bench --only batch-8000 --runs 1 --seconds 20 --profile
  partita bench --only three                     three nodes on this machine's loopback interface
  partita bench --json bench.json                everything that was measured, of every run
  partita bench --url http://127.0.0.1:7070      a running server, in a book of its own: no cost, no memory

A load of one's own begins with --batch, --singles or --callers:
  partita bench --batch 8000 --accounts 1000000 --keys random --nodes 3
  partita bench --singles --clients 64 --mix transfers=70,charges=20,payments=10
  partita bench --singles --clients 64 --rate 5000         open loop: latency from when each was meant to begin
  partita bench --callers 1024                             calls of the batching client, one transfer each
  partita bench --batch 100 --rate 20000 --readers 2 --pipeline 32
  partita bench --batch 8000 --transfers 20000000          a line per million
  partita bench --batch 8000 --transfers 100000000 --accounts 1000000 --keys random --kill

The clients run on the same machine and share its processors. Every write moves 1.00, and the book's own sum must be
what was acknowledged. A batch's clients have one request each under way.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Measure this running server instead of starting one for each load
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Measured seconds per load, after a fifth of it as warm-up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) seconds: u32,
    /// How often each load is run; shown are the runs with the median throughput [default: 3, of a load of one's own 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: Option<u32>,
    /// Only the load of this name, or those whose names contain it
    #[arg(long, value_name = "TEXT", conflicts_with = "own")]
    only: Option<String>,
    /// Where the temporary data directories are made; what it is on is what is measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,
    /// Handed to the server as it is, once per use
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(super) serve_arg: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Write everything that was measured into this file as well
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Print the time of each stage of a write, from the server's own metrics
    #[arg(long)]
    pub(super) profile: bool,
    /// Stop after so many writes instead of after some time, with a line per million
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(super) transfers: Option<u64>,
    /// SIGKILL the server afterwards, and say how long it takes to answer again
    #[arg(long, conflicts_with = "url")]
    pub(super) kill: bool,
    #[command(flatten)]
    own: Own,
}

/// A load of one's own.
#[derive(Debug, Args)]
struct Own {
    /// Batches of so many
    #[arg(long, value_name = "N", group = "own", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: Option<u32>,
    /// Single writes
    #[arg(long, group = "own")]
    singles: bool,
    /// So many callers of the batching client, each with one transfer at a time
    #[arg(long, value_name = "N", group = "own", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    callers: Option<u32>,
    /// With --batch or --singles: clients, each with a connection and one request at a time [default: 2 and 1]
    #[arg(long, value_name = "N", requires = "own", value_parser = clap::value_parser!(u32).range(1..=4_000))]
    clients: Option<u32>,
    /// Nodes of the cluster that is started
    #[arg(long, value_name = "N", requires = "own", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,
    /// Subaccounts that transfers go between
    #[arg(long, value_name = "N", requires = "own", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// How many of a hundred transfers debit one and the same account
    #[arg(long, value_name = "PERCENT", requires = "own", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    hot: u32,
    /// Order of the idempotency keys: UUIDv7 or UUIDv4
    #[arg(long, value_enum, requires = "own", default_value_t = KeyOrder::Time)]
    keys: KeyOrder,
    /// Form of batches of transfers
    #[arg(long, value_enum, requires = "own", default_value_t = BodyFormat::Json)]
    body: BodyFormat,
    /// What is written, with shares: transfers, entries, charges, payments
    #[arg(long, value_name = "WHAT=SHARE,…", requires = "own", default_value = "transfers", value_parser = Mix::parse)]
    mix: Mix,
    /// Writes a second, whether or not the ones before are answered
    #[arg(long, value_name = "N", requires = "own")]
    rate: Option<u32>,
    /// Clients that read balances meanwhile
    #[arg(long, value_name = "N", requires = "own", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    readers: u16,
    /// Reads that each of them has under way on its connection
    #[arg(long, value_name = "N", requires = "own", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pipeline: u16,
    /// Balances that a read asks for together
    #[arg(long, value_name = "N", requires = "own", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    read_batch: u16,
    /// Reads are answered from what the node has, without asking the leader
    #[arg(long, requires = "own")]
    local_reads: bool,
}

impl Own {
    fn load(&self) -> Result<Option<Load>, CliError> {
        let usize = |number: u32| usize::try_from(number).expect("64 bits");
        let (shape, clients) = match (self.batch, self.singles, self.callers) {
            (Some(size), _, _) => (Shape::Batch(usize(size)), usize(self.clients.unwrap_or(2))),
            (None, true, _) => (Shape::Single, usize(self.clients.unwrap_or(1))),
            (None, false, Some(callers)) => (Shape::Callers, usize(callers)),
            (None, false, None) => return Ok(None),
        };
        if shape == Shape::Callers && self.mix != Mix::of(load::Operation::Transfers) {
            return Err(CliError::Usage { what: "--callers call transfers only".to_owned() });
        }
        if self.rate == Some(0) {
            return Err(CliError::Usage { what: "--rate must be above 0".to_owned() });
        }
        Ok(Some(Load {
            mix: self.mix.clone(),
            format: self.body,
            nodes: self.nodes.into(),
            accounts: usize(self.accounts),
            hot_percent: self.hot,
            keys: self.keys,
            rate: self.rate.map(f64::from),
            readers: self.readers.into(),
            pipeline: self.pipeline.into(),
            read_batch: self.read_batch.into(),
            local_reads: self.local_reads,
            ..Load::transfers(shape, clients)
        }))
    }
}

impl Bench {
    /// The loads that were asked for.
    pub(super) fn loads(&self) -> Result<Vec<Load>, CliError> {
        if let Some(own) = self.own.load()? {
            return Ok(vec![own]);
        }
        let only = self.only.as_deref().unwrap_or("");
        let mut loads = load::all();
        // A whole name means that load, even where it begins another one's.
        let is_whole_name = loads.iter().any(|load| load.name == only);
        loads.retain(|load| if is_whole_name { load.name == only } else { load.name.contains(only) });
        // How many nodes a running server has is not ours to say.
        loads.retain(|load| self.url.is_none() || load.nodes == 1);
        if loads.is_empty() {
            return Err(BenchError::NoLoad { only: only.to_owned() }.into());
        }
        Ok(loads)
    }

    pub(super) fn bound(&self) -> Bound {
        match self.transfers {
            None => Bound::Time(Duration::from_secs(self.seconds.into())),
            Some(writes) => Bound::Writes(writes),
        }
    }

    pub(super) fn runs(&self) -> u32 {
        let is_own = self.own.batch.is_some() || self.own.singles || self.own.callers.is_some();
        self.runs.unwrap_or(if is_own || self.transfers.is_some() { 1 } else { 3 })
    }
}
