//! `partita import-journal`: entries from a CSV table or a beancount ledger.
//!
//! Each entry has a key made of what the file says, so that the same file can be imported again after any interruption
//! or correction: what was posted is not posted twice. docs/export.md has the formats.

pub mod beancount;
pub mod chart;
pub mod proposed;
pub mod report;
pub mod send;
pub mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output::print_line;
use super::{BookArgs, CliError};
use chart::Chart;
use proposed::{Journal, Keys, Proposed, Refusal};
use report::Report;
use send::{Outcome, Target};

const EXAMPLES: &str = "\
Examples:
  partita import-journal --book acme --format beancount --dry-run ledger.beancount
  partita import-journal --book acme --format beancount ledger.beancount --report imported.csv
  partita import-journal --book acme --format csv journal.csv

A table has a row per line of an entry, with the columns entry, date, account, currency, debit and credit, and may have
description, kind, party, item and metadata; rows of one entry stand together. A beancount ledger brings its accounts and
commodities along. Run again, it posts nothing twice; what was refused is tried again.

Exit code: 0 if everything was posted, now or before, and the file's own balances hold; 1 otherwise.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Beancount,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportJournal {
    #[command(flatten)]
    book: BookArgs,
    /// The table or the ledger
    file: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    how: How,
    /// Of a beancount ledger: the account that exchanges of one currency for another go through
    #[arg(long, value_name = "ACCOUNT", default_value = beancount::CONVERSIONS)]
    conversions: String,
}

/// What the imports of files have in common.
#[derive(Debug, Args)]
pub struct How {
    /// Post nothing; say what would be refused whatever the balances and periods are
    #[arg(long)]
    pub dry_run: bool,
    /// Write what became of each row to this CSV file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Beginning of the idempotency keys [default: the file's name without its ending]
    #[arg(long, value_name = "PREFIX")]
    pub key_prefix: Option<String>,
    /// Go on with the same keys for this long while the server is away or overloaded
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub retry_for: u64,
}

impl ImportJournal {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut keys = Keys::of_file(&self.file, self.how.key_prefix.as_deref());
        let journal = match self.format {
            Format::Csv => table::read(&self.file, &mut keys)?,
            Format::Beancount => beancount::read(&self.file, &mut keys, &self.conversions)?,
        };
        import(&self.book, &self.how, &mut keys, journal).await
    }
}

/// Posts a journal, or says what would be refused of it.
pub async fn import(book: &BookArgs, how: &How, keys: &mut Keys, journal: Journal) -> Result<ExitCode, CliError> {
    let target = Target { client: book.client()?, book: book.clone(), patience: Duration::from_secs(how.retry_for) };
    let mut chart = Chart::read(&target).await?;
    let mut report = Report::default();
    for (what, count) in &journal.left_out {
        print_line(&format!("left out: {count} × {what}"))?;
    }
    if journal.balances_held > 0 {
        print_line(&format!("the file's own balances: {} hold", journal.balances_held))?;
    }
    journal.refused.into_iter().for_each(|refusal| report.refuse(refusal));
    for (code, decimals) in &journal.currencies {
        if chart.decimals(code).is_none() {
            let body = json!({"code": code, "decimals": decimals});
            let proposed = Proposed { place: format!("commodity {code}"), key: keys.key(&body.to_string()), body };
            let outcome =
                if how.dry_run { Outcome::Acceptable } else { target.write("/currencies", &proposed).await? };
            report.count("currencies", &proposed.place, &proposed.key, outcome);
            chart.register(code, *decimals);
        }
    }
    for account in &journal.accounts {
        let outcome = open(&target, &mut chart, account, how.dry_run).await?;
        report.count("accounts", &account.place, &account.key, outcome);
    }
    if how.dry_run {
        for entry in &journal.entries {
            let outcome = match chart.objection(entry) {
                Some(refusal) => Outcome::Refused { code: refusal.code, why: refusal.why },
                None => Outcome::Acceptable,
            };
            report.count("entries", &entry.place, &entry.key, outcome);
        }
        print_line("a dry run: nothing was posted; periods and balances that forbid an overdraft were not asked")?;
    } else {
        let count = |entry: &Proposed, outcome| report.count("entries", &entry.place, &entry.key, outcome);
        target.entries(&journal.entries, count).await?;
    }
    report.print(how.dry_run)?;
    report.write(how.report.as_ref())?;
    Ok(if report.has_refusals() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Opens an account, unless the book has it; one that differs in what matters to entries is a refusal.
pub async fn open(target: &Target, chart: &mut Chart, proposed: &Proposed, dry_run: bool) -> Result<Outcome, CliError> {
    let code = proposed.body["code"].as_str().unwrap_or_default();
    if let Some(existing) = chart.account(code) {
        // What an account is that does not say.
        let plain = |value: &Value| value.is_null() || value == false || value == "none";
        let differs = |field: &&str| {
            let (existing, wanted) = (&existing[*field], &proposed.body[*field]);
            existing != wanted && !(plain(existing) && plain(wanted))
        };
        return Ok(match ["class", "contra", "party", "items", "currencies"].into_iter().find(differs) {
            None => Outcome::Before,
            Some(field) => Outcome::Refused {
                code: "already_exists".to_owned(),
                why: format!("{code} exists already, with another {field}: {}", existing[field]),
            },
        });
    }
    let outcome = if !dry_run {
        target.write("/accounts", proposed).await?
    } else if let Some(Refusal { code, why, .. }) = chart.account_objection(proposed) {
        Outcome::Refused { code, why }
    } else {
        Outcome::Acceptable
    };
    if !matches!(outcome, Outcome::Refused { .. }) {
        chart.open(&proposed.body);
    }
    Ok(outcome)
}
