//! `partita period`: list fiscal periods, soft-close, close and reopen them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Format, csv, print, print_json, print_line, table, text};
use super::{BookArgs, CliError, WriteArgs};

const EXAMPLES: &str = "\
Examples:
  partita period --book acme list
  partita period --book acme soft-close 2026-01
  partita period --book acme close 2026-01 --dry-run            what stands in the way; nothing is decided
  partita period --book acme close 2026-01 --accept unapplied_cash
  partita period --book acme reopen 2026-01 --reason 'An invoice came late'

Periods go from open through soft-closed (finance's entries only) to closed, in order; reopening goes one step back.";

const HEADINGS: [&str; 6] = ["Period", "State", "Fiscal year", ">Reopened", "Seal", "Reason"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Period {
    #[command(flatten)]
    book: BookArgs,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// The newest periods
    List {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Only finance's entries from now on
    SoftClose {
        /// Such as 2026-01
        period: String,
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// No entry any more; the trial balance is sealed
    Close {
        /// Such as 2026-01
        period: String,
        /// What may stand in the way all the same: must_zero, unapplied_cash, fx_position
        #[arg(long, value_name = "KIND", value_delimiter = ',')]
        accept: Vec<String>,
        /// Only say what stands in the way
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// The last closed one, one step back
    Reopen {
        /// Such as 2026-01
        period: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: WriteArgs,
    },
}

impl Period {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        match &self.act {
            Act::List { format } => self.list(*format).await,
            Act::SoftClose { period, reason, write } => {
                let body = json!({"reason": reason.as_deref().unwrap_or_default()});
                let path = self.book.path(&format!("/periods/{period}/soft-close"));
                print_json(&write.send(&self.book, &path, &body).await?)?;
                Ok(ExitCode::SUCCESS)
            }
            Act::Close { period, accept, dry_run, reason, write } => {
                let path = self.book.path(&format!("/periods/{period}/close"));
                let reason = reason.as_deref().unwrap_or_default();
                let body = json!({"accept": accept, "dry_run": dry_run, "reason": reason});
                let answer = write.send(&self.book, &path, &body).await?;
                if *dry_run { show_dry_run(&answer) } else { print_json(&answer).map(|()| ExitCode::SUCCESS) }
                    .map_err(CliError::from)
            }
            Act::Reopen { period, reason, write } => {
                let path = self.book.path(&format!("/periods/{period}/reopen"));
                print_json(&write.send(&self.book, &path, &json!({"reason": reason})).await?)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    async fn list(&self, format: Format) -> Result<ExitCode, CliError> {
        let answer = self.book.client()?.get_json(&self.book.path("/periods"), &[]).await?;
        let empty = Vec::new();
        let row = |period: &Value| {
            let seal = period["seal"]["hash"].as_str().unwrap_or_default().to_owned();
            let of = |field| text(period, field);
            vec![of("period"), of("state"), of("fiscal_year"), of("reopened"), seal, of("reason")]
        };
        let rows: Vec<_> = answer["data"].as_array().unwrap_or(&empty).iter().map(row).collect();
        match format {
            Format::Json => print_json(&answer)?,
            Format::Csv => print(&csv(&HEADINGS, &rows))?,
            Format::Table => print(&table(&HEADINGS, &rows))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The exit code says whether the close would go through.
fn show_dry_run(answer: &Value) -> std::io::Result<ExitCode> {
    let empty = Vec::new();
    for blocker in answer["blockers"].as_array().unwrap_or(&empty) {
        let of = |field| text(blocker, field);
        let what = [of("kind"), of("account"), of("balance"), of("currency"), of("detail")];
        print_line(&what.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  "))?;
    }
    let ready = answer["ready"] == true;
    print_line(if ready { "ready" } else { "not ready" })?;
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
