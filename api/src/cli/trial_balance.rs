//! `partita trial-balance`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::{Format, print, print_json, print_line, table, text};
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita trial-balance --book demo --as-of 1998-06-30
  partita trial-balance --book acme --from 2026-01-01 --as-of 2026-03-31 --format csv > q1.csv
  partita trial-balance --book acme --known-at 2026-02-01T00:00:00Z     what was known at that instant

The report says at which position of the journal it was made and that journal's head hash. It is read linearizably:
whatever was acknowledged before is in it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TrialBalance {
    #[command(flatten)]
    book: BookArgs,
    /// Effective date up to which entries count [default: today]
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// First effective date of the period; what came before is the opening balance [default: since inception]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only what the ledger had recorded by this instant
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl TrialBalance {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let client = self.book.client()?;
        let path = self.book.path("/reports/trial-balance");
        let wanted = match self.format {
            Format::Table | Format::Json => "json",
            Format::Csv => "csv",
        };
        let query = [
            ("as_of", self.as_of.as_deref()),
            ("from", self.from.as_deref()),
            ("known_at", self.known_at.as_deref()),
            ("format", Some(wanted)),
        ];
        let answer = client.get(&path, &query).await?;
        match self.format {
            Format::Csv => print(&String::from_utf8_lossy(&answer.body))?,
            Format::Json => print_json(&client.json(&path, &answer)?)?,
            Format::Table => show(&client.json(&path, &answer)?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(report: &Value) -> Result<(), CliError> {
    let has_opening = !report["from"].is_null();
    let mut headings = vec!["No.", "Account", "Name"];
    let mut fields = vec!["number", "account", "name"];
    if has_opening {
        headings.extend([">Opening debit", ">Opening credit"]);
        fields.extend(["opening_debit", "opening_credit"]);
    }
    headings.extend([">Debits", ">Credits", ">Debit", ">Credit", "Currency"]);
    fields.extend(["debits", "credits", "debit", "credit", "currency"]);

    let row = |value: &Value| fields.iter().map(|field| text(value, field)).collect::<Vec<_>>();
    let empty = Vec::new();
    let mut rows: Vec<_> = report["rows"].as_array().unwrap_or(&empty).iter().map(row).collect();
    for total in report["totals"].as_array().unwrap_or(&empty) {
        let mut cells = row(total);
        "Total".clone_into(&mut cells[1]);
        rows.push(cells);
    }
    let period = match report["from"].as_str() {
        Some(from) => format!("from {from} to {}", text(report, "as_of")),
        None => format!("as of {}", text(report, "as_of")),
    };
    print_line(&format!("Trial balance of {} {period}", text(report, "book")))?;
    print(&table(&headings, &rows))?;
    print_line(&format!("Position {}, head {}", text(report, "position"), text(report, "head")))?;
    Ok(())
}
