//! The commands of `partita` other than `serve`: each one file, each a client of a running server
//! (`verify` and `restore` alone work on a data directory that no server uses).

pub mod backup;
pub mod balance;
pub mod bench;
pub mod client;
pub mod cluster;
pub mod explain;
pub mod export;
pub mod finance;
pub mod import;
pub mod import_chart;
pub mod import_journal;
pub mod output;
pub mod period;
pub mod post;
pub mod report;
pub mod restore;
pub mod trial_balance;
pub mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::Value;

use client::{Client, ClientError};

/// Where `partita serve` listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7070";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load purchases from a CSV file as charges and captured card payments
    Import(import::Import),
    /// Open accounts, and post their opening balances, from CSV files
    ImportChart(import_chart::ImportChart),
    /// Post a journal from a CSV file or a beancount ledger
    ImportJournal(import_journal::ImportJournal),
    /// Print any report of a book: trial balance, statements, ledgers
    Report(report::Report),
    /// Print a book's trial balance
    TrialBalance(trial_balance::TrialBalance),
    /// Print the balance of an account, a party's part of it, or one item
    Balance(balance::Balance),
    /// Say why a balance is what it is: its postings with their documents, newest first
    Explain(explain::Explain),
    /// Post journal entries from a JSON file
    Post(post::Post),
    /// List, soft-close, close and reopen fiscal periods
    Period(period::Period),
    /// Post what is due of deferred revenue by the end of a day
    Recognise(finance::Recognise),
    /// Record and list exchange rates
    Rates(finance::Rates),
    /// Bring the FX position to zero at the rates of a date
    Revalue(finance::Revalue),
    /// Post a fiscal year's earnings to retained earnings
    CloseYear(finance::CloseYear),
    /// Write a book for hledger, ledger, beancount or a spreadsheet, with balances to check it by
    Export(export::Export),
    /// Recompute everything from the journal of a stopped node and compare
    Verify(verify::Verify),
    /// Look after a cluster: status, members, leader, certificates
    Cluster(cluster::Cluster),
    /// Write the state of a running node to a directory, as files with hashes
    Backup(backup::Backup),
    /// Make a backup the first node of a new cluster
    Restore(restore::Restore),
    /// Measure throughput, latency and cost through HTTP
    Bench(bench::Bench),
    /// Measure time and memory of every report on a book of any size
    BenchReports(bench::reports::BenchReports),
}

/// Which server, and which of its books.
#[derive(Clone, Debug, Args)]
pub struct BookArgs {
    /// The server; of a cluster, one node or several, separated by commas: the next serves when one does not
    #[arg(long, env = "PARTITA_URL", default_value = DEFAULT_URL, value_name = "URL,…")]
    pub url: String,
    /// The book's id
    #[arg(long, env = "PARTITA_BOOK", value_name = "ID")]
    pub book: String,
}

/// How a single write is sent.
#[derive(Clone, Debug, Args)]
pub struct WriteArgs {
    /// Idempotency key: the same command with the same key is done once. A new one if left out
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Send it again with the same key for this long while the server is away or overloaded
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    retry_for: u64,
}

impl WriteArgs {
    async fn send(&self, book: &BookArgs, path: &str, body: &Value) -> Result<Value, ClientError> {
        let key = self.key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let client = book.client()?;
        let patience = Duration::from_secs(self.retry_for);
        let answer = client.post_for(patience, path, &key, Bytes::from(body.to_string())).await?;
        client.json(path, &answer)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("standard output cannot be written")]
    Print(#[from] io::Error),
    #[error("{path}: line {line}: {why}", path = path.display())]
    Row { path: PathBuf, line: u64, why: String },
    #[error("{path}: not JSON", path = path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{what}")]
    Usage { what: String },
    #[error("after {done} of {all} rows")]
    Stopped {
        done: usize,
        all: usize,
        #[source]
        source: ClientError,
    },
    #[error(transparent)]
    Bench(#[from] bench::BenchError),
    #[error(transparent)]
    Certs(#[from] cluster::CertsError),
    #[error(transparent)]
    Backup(#[from] partita_consensus::backup::BackupError),
    #[error(transparent)]
    Verify(#[from] partita_consensus::VerifyError),
}

/// Runs one command. The exit code says whether everything it was asked for is so; why not is on standard error.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command.run() {
        Ok(code) => code,
        Err(error) => {
            let mut said = format!("partita: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                said.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            // Nowhere is left to report that standard error is closed.
            drop(writeln!(io::stderr(), "{said}"));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> Result<ExitCode, CliError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self {
            Self::Import(command) => runtime.block_on(command.run()),
            Self::ImportChart(command) => runtime.block_on(command.run()),
            Self::ImportJournal(command) => runtime.block_on(command.run()),
            Self::Report(command) => runtime.block_on(command.run()),
            Self::TrialBalance(command) => runtime.block_on(command.run()),
            Self::Balance(command) => runtime.block_on(command.run()),
            Self::Explain(command) => runtime.block_on(command.run()),
            Self::Post(command) => runtime.block_on(command.run()),
            Self::Period(command) => runtime.block_on(command.run()),
            Self::Recognise(command) => runtime.block_on(command.run()),
            Self::Rates(command) => runtime.block_on(command.run()),
            Self::Revalue(command) => runtime.block_on(command.run()),
            Self::CloseYear(command) => runtime.block_on(command.run()),
            Self::Export(command) => runtime.block_on(command.run()),
            Self::Verify(command) => command.run(),
            Self::Cluster(command) => runtime.block_on(command.run()),
            Self::Backup(command) => runtime.block_on(command.run()),
            Self::Restore(command) => command.run(),
            Self::Bench(command) => runtime.block_on(command.run()),
            Self::BenchReports(command) => runtime.block_on(command.run()),
        }
    }
}

impl BookArgs {
    fn client(&self) -> Result<Client, ClientError> {
        Client::new(&self.url)
    }

    /// `/v1/books/{book}` and what follows.
    fn path(&self, rest: &str) -> String {
        format!("/v1/books/{}{rest}", self.book)
    }
}
