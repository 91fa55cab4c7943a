//! `partita export`: a book in another program's notation, into a file or to standard output.
//!
//! A file appears under its name only once it is complete.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::client::Download;
use super::output::print_bytes;
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita export --book acme --format hledger --output acme.journal && hledger -f acme.journal check --strict
  partita export --book acme --format ledger | ledger -f - --strict --pedantic balance --flat
  partita export --book acme --format beancount --from 2026-01-01 --to 2026-03-31 -o q1.beancount && bean-check q1.beancount
  partita export --book acme --format csv --after-entry 1200 --output new.csv

What was posted before --from or up to --after-entry stands in an opening entry, so that every export ends with the
balances that the other program must arrive at. docs/export.md says what each format holds.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Hledger,
    Ledger,
    Beancount,
    Csv,
    Jsonl,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    #[command(flatten)]
    book: BookArgs,
    #[arg(long, value_enum)]
    format: Format,
    /// The first effective date; what is before it is in the opening balances
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last effective date; what is after it is left out
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Only entries after this number; those up to it are in the opening balances
    #[arg(long, value_name = "NUMBER")]
    after_entry: Option<u64>,
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Hledger => "hledger",
            Self::Ledger => "ledger",
            Self::Beancount => "beancount",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl Export {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let after_entry = self.after_entry.map(|number| number.to_string());
        let query = [
            ("format", Some(self.format.name())),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("after_entry", after_entry.as_deref()),
        ];
        let mut download = self.book.client()?.download(&self.book.path("/export"), &query).await?;
        match &self.output {
            None => copy(&mut download, print_bytes).await?.map_err(CliError::Print)?,
            Some(path) => into_file(&mut download, path).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The outer error is the server's, the inner one the writer's.
async fn copy(
    download: &mut Download,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<io::Result<()>, CliError> {
    while let Some(piece) = download.piece().await? {
        if let Err(error) = write(&piece) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

async fn into_file(download: &mut Download, path: &Path) -> Result<(), CliError> {
    let failed = |source| CliError::Write { path: path.to_owned(), source };
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(".partial");
    let partial = path.with_file_name(name);
    let mut file = File::create(&partial).map_err(failed)?;
    let copied = match copy(download, |piece| file.write_all(piece)).await {
        Ok(written) => {
            written.and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&partial, path)).map_err(failed)
        }
        Err(error) => Err(error),
    };
    if copied.is_err() {
        // What is wrong is reported already; at worst a file named .partial stays.
        drop(std::fs::remove_file(&partial));
    }
    copied
}
