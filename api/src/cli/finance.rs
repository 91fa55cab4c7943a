//! `partita recognise`, `rates`, `revalue` and `close-year`: what finance runs at a month's and a year's end.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Format, csv, print, print_json, table, text};
use super::{BookArgs, CliError, WriteArgs};

const RATE_HEADINGS: [&str; 5] = ["Base", "Quote", "Date", ">Rate", "Source"];

/// Posts what is due of all deferred revenue by the end of a day.
#[derive(Debug, Args)]
pub struct Recognise {
    #[command(flatten)]
    book: BookArgs,
    /// The last day that counts; the entries' date
    #[arg(long, value_name = "DATE")]
    through: String,
    #[command(flatten)]
    write: WriteArgs,
}

impl Recognise {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let path = self.book.path("/recognitions");
        print_json(&self.write.send(&self.book, &path, &json!({"through": self.through})).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub struct Rates {
    #[command(flatten)]
    book: BookArgs,
    #[command(subcommand)]
    act: RateAct,
}

#[derive(Debug, Subcommand)]
enum RateAct {
    /// By pair, the newest first
    List {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Record one: EUR USD 1.12 --date 2026-01-30 --source ECB
    Record {
        base: String,
        quote: String,
        /// Units of quote for one of base
        rate: String,
        #[arg(long)]
        date: String,
        #[arg(long)]
        source: String,
        #[command(flatten)]
        write: WriteArgs,
    },
}

impl Rates {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let path = self.book.path("/rates");
        match &self.act {
            RateAct::Record { base, quote, rate, date, source, write } => {
                let body = json!({"base": base, "quote": quote, "rate": rate, "date": date, "source": source});
                print_json(&write.send(&self.book, &path, &body).await?)?;
            }
            RateAct::List { format } => {
                let answer = self.book.client()?.get_json(&path, &[]).await?;
                let empty = Vec::new();
                let fields = ["base", "quote", "date", "rate", "source"];
                let row = |rate: &Value| fields.iter().map(|field| text(rate, field)).collect::<Vec<_>>();
                let rows: Vec<_> = answer["data"].as_array().unwrap_or(&empty).iter().map(row).collect();
                match format {
                    Format::Json => print_json(&answer)?,
                    Format::Csv => print(&csv(&RATE_HEADINGS, &rows))?,
                    Format::Table => print(&table(&RATE_HEADINGS, &rows))?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Brings the FX position to zero at the rates of a date.
#[derive(Debug, Args)]
pub struct Revalue {
    #[command(flatten)]
    book: BookArgs,
    /// Of the rates and of the entry
    #[arg(long)]
    date: String,
    /// Only show the position at the rates
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl Revalue {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let answer = if self.dry_run {
            let query = [("date", Some(self.date.as_str()))];
            self.book.client()?.get_json(&self.book.path("/fx-position"), &query).await?
        } else {
            self.write.send(&self.book, &self.book.path("/revaluations"), &json!({"date": self.date})).await?
        };
        print_json(&answer)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Posts a fiscal year's revenue and expenses to retained earnings.
#[derive(Debug, Args)]
pub struct CloseYear {
    #[command(flatten)]
    book: BookArgs,
    /// The calendar year that it ends in
    year: u16,
    #[command(flatten)]
    write: WriteArgs,
}

impl CloseYear {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let path = self.book.path(&format!("/years/{}/close", self.year));
        print_json(&self.write.send(&self.book, &path, &json!({})).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}
