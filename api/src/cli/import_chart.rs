//! `partita import-chart`: accounts from a CSV table, and their opening balances from another.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::import_journal::proposed::{Journal, Keys, Proposed};
use super::import_journal::table::{Row, Rows};
use super::import_journal::{How, import};
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita import-chart --book acme chart.csv
  partita import-chart --book acme chart.csv --openings openings.csv --date 2026-01-01 --dry-run

The chart's columns are code, name and class, and may be number, contra, party, items, currencies (separated by spaces),
overdraft, must_zero and role, as in POST /v1/books/{book}/accounts. The openings' columns are account, currency, debit and
credit, and may be party, item and description. Each opening balance is an entry of its own against --against, which has
nothing left when the balances balance.

Exit code: 0 if everything was posted, now or before; 1 otherwise.";

const CHART: [&str; 11] =
    ["code", "name", "class", "number", "contra", "party", "items", "currencies", "overdraft", "must_zero", "role"];
const OPENINGS: [&str; 7] = ["account", "currency", "debit", "credit", "party", "item", "description"];
/// Opened if the book does not have it.
const AGAINST: &str = "equity:opening-balances";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportChart {
    #[command(flatten)]
    book: BookArgs,
    /// The table of accounts
    chart: PathBuf,
    /// A table of opening balances
    #[arg(long, value_name = "FILE", requires = "date")]
    openings: Option<PathBuf>,
    /// The opening balances' date
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    /// The account that opening balances are posted against
    #[arg(long, value_name = "ACCOUNT", default_value = AGAINST)]
    against: String,
    #[command(flatten)]
    how: How,
}

impl ImportChart {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut keys = Keys::of_file(&self.chart, self.how.key_prefix.as_deref());
        let mut journal = Journal::default();
        for row in Rows::read(&self.chart, &CHART, &CHART[..3])?.iter() {
            let key = keys.key(&row.content(&CHART));
            match account(row) {
                Ok(body) => journal.accounts.push(Proposed { place: row.place(), key, body }),
                Err(why) => journal.refuse(&row.place(), "malformed", why),
            }
        }
        if let (Some(openings), Some(date)) = (&self.openings, &self.date) {
            self.open(openings, date, &mut keys, &mut journal)?;
        }
        import(&self.book, &self.how, &mut keys, journal).await
    }

    fn open(&self, path: &std::path::Path, date: &str, keys: &mut Keys, journal: &mut Journal) -> Result<(), CliError> {
        if !journal.accounts.iter().any(|account| account.body["code"] == self.against.as_str()) {
            let body = json!({"code": self.against, "name": "Opening balances", "class": "equity"});
            let key = keys.key(&body.to_string());
            journal.accounts.push(Proposed { place: path.display().to_string(), key, body });
        }
        for row in Rows::read(path, &OPENINGS, &OPENINGS[..4])?.iter() {
            let key = keys.key(&format!("{date} {} {}", self.against, row.content(&OPENINGS)));
            match opening(row, date, &self.against) {
                Ok(body) => journal.entries.push(Proposed { place: row.place(), key, body }),
                Err(why) => journal.refuse(&row.place(), "malformed", why),
            }
        }
        Ok(())
    }
}

fn truth(row: Row<'_>, column: &str) -> Result<bool, String> {
    match row.get(column) {
        "" | "false" => Ok(false),
        "true" => Ok(true),
        other => Err(format!("{column}: {other:?} is neither true nor false")),
    }
}

fn account(row: Row<'_>) -> Result<Value, String> {
    let mut body = json!({"code": row.get("code"), "name": row.get("name"), "class": row.get("class"),
        "contra": truth(row, "contra")?, "must_zero": truth(row, "must_zero")?});
    for column in ["number", "party", "items", "overdraft", "role"] {
        if let Some(value) = row.given(column) {
            body[column] = value.into();
        }
    }
    if let Some(codes) = row.given("currencies") {
        let mut codes: Vec<_> = codes.split_whitespace().collect();
        codes.sort_unstable();
        body["currencies"] = codes.into();
    }
    Ok(body)
}

fn opening(row: Row<'_>, date: &str, against: &str) -> Result<Value, String> {
    let line = row.line_body()?;
    let side = if line["side"] == "debit" { "credit" } else { "debit" };
    let other = json!({"account": against, "side": side, "amount": line["amount"], "currency": line["currency"]});
    let description = row.given("description").unwrap_or("Opening balance");
    Ok(json!({"kind": "opening", "effective_date": date, "description": description, "lines": [line, other]}))
}
