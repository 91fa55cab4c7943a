//! `partita balance`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::{Format, csv, print, print_json, print_line, table, text};
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita balance --book acme assets:receivable                     the control account: the sum of its parties
  partita balance --book acme assets:receivable/cus_1               one customer's part
  partita balance --book acme assets:receivable/cus_1/in_1          what is open of one charge
  partita balance --book acme assets:bank --as-of 2026-01-31        by effective date
  partita balance --book acme assets:bank --format csv

A balance is positive on the account's normal side. Available is the balance less what is held.";

const FIELDS: [&str; 8] =
    ["currency", "debits", "credits", "balance", "pending_debits", "pending_credits", "held", "available"];
const HEADINGS: [&str; 8] =
    ["Currency", ">Debits", ">Credits", ">Balance", ">Pending debits", ">Pending credits", ">Held", ">Available"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Balance {
    #[command(flatten)]
    book: BookArgs,
    /// The account, and the party and the item where only their part is wanted
    #[arg(value_name = "ACCOUNT[/PARTY[/ITEM]]")]
    account: String,
    /// Only this currency
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Only what is effective by this date
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// Only what the ledger had recorded by this instant
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Balance {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut parts = self.account.splitn(3, '/');
        let code = parts.next().unwrap_or_default();
        let (party, item) = (parts.next(), parts.next());
        let query = [
            ("party", party),
            ("item", item),
            ("currency", self.currency.as_deref()),
            ("as_of", self.as_of.as_deref()),
            ("known_at", self.known_at.as_deref()),
        ];
        let path = self.book.path(&format!("/accounts/{code}/balance"));
        let answer = self.book.client()?.get_json(&path, &query).await?;
        let empty = Vec::new();
        let row = |value: &Value| FIELDS.iter().map(|field| text(value, field)).collect::<Vec<_>>();
        let rows: Vec<_> = answer["balances"].as_array().unwrap_or(&empty).iter().map(row).collect();
        match self.format {
            Format::Json => print_json(&answer)?,
            Format::Csv => print(&csv(&HEADINGS, &rows))?,
            Format::Table => {
                print_line(&format!("{} (normal side: {})", self.account, text(&answer, "side")))?;
                print(&table(&HEADINGS, &rows))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
