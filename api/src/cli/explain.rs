//! `partita explain`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::{Format, csv, print, print_json, print_line, table, text};
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita explain --book acme assets:receivable/cus_1                         what made a customer's balance
  partita explain --book acme assets:receivable/cus_1/in_1                    what happened to one charge
  partita explain --book acme assets:receivable/cus_1 --known-at 2026-02-01T00:00:00Z
  partita explain --book acme assets:bank --before 1200 --limit 20            from an earlier position back
  partita explain --book acme liabilities:unapplied-cash/cus_1 --format csv

Postings stand newest first, each with the balance after it. A document's state is what it is now.";

const HEADINGS: [&str; 9] =
    ["Entry", "Date", "Kind", "Document", "State", "Party and item", ">Debit", ">Credit", ">Balance"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    #[command(flatten)]
    book: BookArgs,
    /// The account, and the party and the item where only their part is wanted
    #[arg(value_name = "ACCOUNT[/PARTY[/ITEM]]")]
    account: String,
    /// Which currency, where the balance is in more than one
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Begin with what was decided before this position
    #[arg(long, value_name = "POSITION", conflicts_with_all = ["at", "known_at"])]
    before: Option<String>,
    /// Begin with what was decided at this position or before
    #[arg(long, value_name = "POSITION", conflicts_with = "known_at")]
    at: Option<String>,
    /// Begin with what was recorded at this instant or before
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    /// Postings of the page
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: u32,
    /// Where the page before ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Explain {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut parts = self.account.splitn(3, '/');
        let code = parts.next().unwrap_or_default();
        let (party, item) = (parts.next(), parts.next());
        let limit = self.limit.to_string();
        let query = [
            ("party", party),
            ("item", item),
            ("currency", self.currency.as_deref()),
            ("before", self.before.as_deref()),
            ("at", self.at.as_deref()),
            ("known_at", self.known_at.as_deref()),
            ("limit", Some(limit.as_str())),
            ("cursor", self.cursor.as_deref()),
        ];
        let path = self.book.path(&format!("/accounts/{code}/explain"));
        let answer = self.book.client()?.get_json(&path, &query).await?;
        let empty = Vec::new();
        let rows: Vec<_> = answer["data"].as_array().unwrap_or(&empty).iter().map(row).collect();
        match self.format {
            Format::Json => print_json(&answer)?,
            Format::Csv => print(&csv(&HEADINGS, &rows))?,
            Format::Table => {
                let (balance, currency) = (text(&answer, "balance"), text(&answer, "currency"));
                let (side, position) = (text(&answer, "side"), text(&answer, "position"));
                print_line(&format!("{}: {balance} {currency} {side} at position {position}", self.account))?;
                print(&table(&HEADINGS, &rows))?;
                if let Some(next) = answer["next"].as_str() {
                    print_line(&format!("There are earlier postings: --cursor {next}"))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(posting: &Value) -> Vec<String> {
    let document = &posting["document"];
    let named = [text(document, "type"), text(document, "id")].join(" ").trim().to_owned();
    let part: Vec<String> =
        ["party", "item"].iter().map(|field| text(posting, field)).filter(|part| !part.is_empty()).collect();
    let amount = |side| if posting["side"] == side { text(posting, "amount") } else { String::new() };
    vec![
        text(posting, "entry"),
        text(posting, "effective_date"),
        text(posting, "kind"),
        named,
        text(document, "state"),
        part.join("/"),
        amount("debit"),
        amount("credit"),
        text(posting, "balance_after"),
    ]
}
