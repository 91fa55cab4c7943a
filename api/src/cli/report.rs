//! `partita report`: any report as the server writes it.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::print_bytes;
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita report trial-balance --book acme --as-of 2026-03-31 --adjusted
  partita report balance-sheet --book acme --as-of 2026-03-31 --compare-as-of 2025-12-31
  partita report income-statement --book acme --from 2026-01-01 --as-of 2026-03-31 --format html > q1.html
  partita report general-ledger --book acme --account assets:bank --from 2026-03-01 --as-of 2026-03-31
  partita report journal --book acme --format csv > journal.csv
  partita report trial-balance --book acme --as-of 2026-01-31 --known-at 2026-02-05T23:59:59Z

The last one: what the ledger knew on 5 February about 31 January. Every report says the position of the journal that it
counts to, and the journal's head hash. docs/reports.md describes each report and what it takes; a parameter that has no
option of its own here is given with --with NAME=VALUE.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
    Csv,
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Closing {
    None,
    Virtual,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// trial-balance, balance-sheet, income-statement, general-ledger, journal, …
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    book: BookArgs,
    /// Effective date up to which entries count [default: today]
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// First effective date of the period [default: since inception; of an income statement, since the fiscal year began]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only what the ledger had recorded by this instant
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    /// One account's part of a general ledger
    #[arg(long, value_name = "CODE")]
    account: Option<String>,
    /// Whose statement
    #[arg(long, value_name = "PARTY")]
    customer: Option<String>,
    /// Another date, to compare
    #[arg(long, value_name = "DATE")]
    compare_as_of: Option<String>,
    /// First date of the period that ends with it
    #[arg(long, value_name = "DATE")]
    compare_from: Option<String>,
    /// Of a trial balance: the balances without adjusting entries, and what those posted
    #[arg(long)]
    adjusted: bool,
    /// Whether fiscal years that are over count as closed to retained earnings
    #[arg(long, value_enum)]
    closing: Option<Closing>,
    /// Another parameter of the report
    #[arg(long = "with", value_name = "NAME=VALUE", value_parser = parameter)]
    more: Vec<(String, String)>,
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be NAME=VALUE".to_owned()),
    }
}

impl Report {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        if !self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            return Err(CliError::Usage { what: format!("{} is no report's name", self.name) });
        }
        let format = match self.format {
            ReportFormat::Text => "text",
            ReportFormat::Json => "json",
            ReportFormat::Csv => "csv",
            ReportFormat::Html => "html",
        };
        let closing = self.closing.map(|closing| match closing {
            Closing::None => "none",
            Closing::Virtual => "virtual",
        });
        let mut query = vec![
            ("as_of", self.as_of.as_deref()),
            ("from", self.from.as_deref()),
            ("known_at", self.known_at.as_deref()),
            ("account", self.account.as_deref()),
            ("customer", self.customer.as_deref()),
            ("compare_as_of", self.compare_as_of.as_deref()),
            ("compare_from", self.compare_from.as_deref()),
            ("adjusted", self.adjusted.then_some("true")),
            ("closing", closing),
            ("format", Some(format)),
        ];
        query.extend(self.more.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))));
        let path = self.book.path(&format!("/reports/{}", self.name));
        let mut report = self.book.client()?.download(&path, &query).await?;
        while let Some(piece) = report.piece().await? {
            print_bytes(&piece)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
