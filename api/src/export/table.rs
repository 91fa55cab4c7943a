//! A table, RFC 4180, with a row per line of an entry, before them the opening balances, behind them the closing ones.
//! `partita import-journal` reads it.

use serde::Serialize;

use super::Notation;
use super::slice::{Balance, Export};
use crate::app::App;
use crate::routes::accounts::{ClassJson, SideJson};
use crate::routes::entries::EntryJson;

pub(crate) struct Table;

/// A row; the columns have these names.
#[derive(Debug, Default, Serialize)]
struct Row<'a> {
    /// opening, line or balance
    record: &'static str,
    entry: Option<u64>,
    line: Option<usize>,
    position: Option<u64>,
    recorded_at: &'a str,
    date: &'a str,
    kind: &'a str,
    rule: &'a str,
    description: String,
    reverses: Option<u64>,
    document: String,
    key: String,
    posted_by: String,
    account: &'a str,
    account_number: String,
    account_name: String,
    class: &'static str,
    party: String,
    item: String,
    currency: &'a str,
    debit: &'a str,
    credit: &'a str,
    /// A JSON object.
    metadata: String,
}

/// A text that a spreadsheet would take for a formula gets a `'` before it, and so does one that begins with `'`, so
/// that a reader can take it away again.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\'']) { format!("'{text}") } else { text.to_owned() }
}

fn optional(text: Option<&str>) -> String {
    text.map(cell).unwrap_or_default()
}

fn write<'a>(out: &mut String, headings: bool, rows: impl IntoIterator<Item = Row<'a>>) {
    let mut writer =
        csv::WriterBuilder::new().has_headers(headings).terminator(csv::Terminator::CRLF).from_writer(vec![]);
    for row in rows {
        writer.serialize(row).expect("memory takes what is written");
    }
    let bytes = writer.into_inner().expect("memory takes what is written");
    out.push_str(std::str::from_utf8(&bytes).expect("texts are UTF-8"));
}

/// Rows of balances, each on its own side.
fn balances(export: &Export, record: &'static str, date: &str, balances: &[Balance], out: &mut String) {
    for balance in balances {
        let amount = export.money(balance.net().abs(), &balance.currency);
        let (debit, credit) = if balance.net() < 0 { ("", amount.as_str()) } else { (amount.as_str(), "") };
        let account = &balance.account;
        let row = Row {
            record,
            date,
            account: account.code.as_str(),
            account_number: optional(account.number.as_deref()),
            account_name: cell(&account.name),
            class: ClassJson::of(account.class).as_str(),
            currency: balance.currency.code.as_str(),
            debit,
            credit,
            ..Row::default()
        };
        write(out, false, [row]);
    }
}

impl Notation for Table {
    fn head(&self, _app: &App, export: &Export, out: &mut String) {
        let mut headings = String::new();
        write(&mut headings, true, [Row::default()]);
        let end = headings.find('\n').expect("the headings are a line");
        out.push_str(&headings[..=end]);
        if let Some(date) = export.opening_date {
            balances(export, "opening", &date.to_string(), &export.opening, out);
        }
    }

    fn entry(&self, export: &Export, entry: &EntryJson, out: &mut String) {
        let metadata = if entry.metadata.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&entry.metadata).expect("a map of texts is JSON")
        };
        let rows = entry.lines.iter().zip(1..).map(|(line, number)| {
            let account = export.account(&line.account);
            let (debit, credit) = match line.side {
                SideJson::Debit => (line.amount.as_str(), ""),
                SideJson::Credit => ("", line.amount.as_str()),
            };
            Row {
                record: "line",
                entry: Some(entry.number),
                line: Some(number),
                position: Some(entry.position),
                recorded_at: &entry.recorded_at,
                date: &entry.effective_date,
                kind: entry.kind,
                rule: entry.rule,
                description: cell(&entry.description),
                reverses: entry.reverses,
                document: entry
                    .document
                    .as_ref()
                    .map(|link| format!("{}/{}", link.r#type, link.id))
                    .unwrap_or_default(),
                key: optional(entry.idempotency_key.as_deref()),
                posted_by: optional(entry.posted_by.as_deref()),
                account: &line.account,
                account_number: optional(account.number.as_deref()),
                account_name: cell(&account.name),
                class: ClassJson::of(account.class).as_str(),
                party: optional(line.party.as_deref()),
                item: optional(line.item.as_deref()),
                currency: &line.currency,
                debit,
                credit,
                metadata: metadata.clone(),
            }
        });
        write(out, false, rows);
    }

    fn end(&self, export: &Export, _entries: u64, out: &mut String) {
        if let Some(date) = export.latest() {
            balances(export, "balance", &date.to_string(), &export.closing, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn no_cell_is_a_formula_and_none_is_changed_for_good() {
        for (text, shown) in [("=1+1", "'=1+1"), ("-5", "'-5"), ("'=x", "''=x"), ("plain", "plain"), ("", "")] {
            assert_eq!(cell(text), shown);
        }
    }
}
