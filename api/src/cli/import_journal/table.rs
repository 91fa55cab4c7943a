//! A journal as a CSV table: a row per line, the rows of one entry one after the other. `partita export --format csv`
//! writes such tables.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use partita_core::money::WrittenAmount;
use serde_json::{Map, Value, json};

use super::proposed::{Journal, Keys, Proposed};
use crate::cli::CliError;
use crate::sums::WideSum;

/// The columns that are read; `entry` says which rows belong together.
const COLUMNS: [&str; 13] = [
    "record",
    "entry",
    "date",
    "kind",
    "description",
    "account",
    "party",
    "item",
    "currency",
    "debit",
    "credit",
    "metadata",
    "rule",
];
const REQUIRED: [&str; 6] = ["entry", "date", "account", "currency", "debit", "credit"];
/// Other columns of an export: what they say is the old ledger's, or the chart's.
const IGNORED: [&str; 10] = [
    "line",
    "position",
    "recorded_at",
    "reverses",
    "document",
    "key",
    "posted_by",
    "account_number",
    "account_name",
    "class",
];

/// A table's rows by the names of its columns.
#[derive(Debug)]
pub struct Rows {
    pub path: String,
    columns: HashMap<String, usize>,
    records: Vec<(u64, csv::StringRecord)>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    rows: &'a Rows,
    pub line: u64,
    record: &'a csv::StringRecord,
}

impl Rows {
    /// Refuses a table without a required column, or with one that is not known: its values would be lost silently.
    pub fn read(path: &Path, known: &[&str], required: &[&str]) -> Result<Self, CliError> {
        let file = std::fs::File::open(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(std::io::BufReader::new(file));
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            CliError::Row { path: path.to_owned(), line, why: error.to_string() }
        };
        let headings = reader.headers().map_err(wrong)?.clone();
        let columns: HashMap<_, _> = headings.iter().zip(0..).map(|(name, index)| (name.to_owned(), index)).collect();
        let usage = |what: String| CliError::Usage { what: format!("{}: {what}", path.display()) };
        if let Some(unknown) = headings.iter().find(|name| !known.contains(name)) {
            return Err(usage(format!("the column {unknown:?} is not known; known are {}", known.join(", "))));
        }
        if let Some(missing) = required.iter().find(|name| !columns.contains_key(**name)) {
            return Err(usage(format!("the column {missing:?} is missing")));
        }
        let mut records = vec![];
        for record in reader.into_records() {
            let record = record.map_err(wrong)?;
            records.push((record.position().map_or(0, csv::Position::line), record));
        }
        Ok(Self { path: path.display().to_string(), columns, records })
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(line, record)| Row { rows: self, line: *line, record })
    }
}

impl<'a> Row<'a> {
    /// Empty where there is no such column.
    pub fn get(self, column: &str) -> &'a str {
        let cell = self.rows.columns.get(column).and_then(|index| self.record.get(*index)).unwrap_or("");
        // What an export put before a text that a spreadsheet would take for a formula.
        match cell.strip_prefix('\'') {
            Some(rest) if rest.starts_with(['=', '+', '-', '@', '\'']) => rest,
            Some(_) | None => cell,
        }
    }

    pub fn given(self, column: &str) -> Option<&'a str> {
        Some(self.get(column)).filter(|text| !text.is_empty())
    }

    pub fn place(self) -> String {
        format!("{}:{}", self.rows.path, self.line)
    }

    /// Everything that these columns say, unambiguously.
    pub fn content(self, columns: &[&str]) -> String {
        let cells: Vec<_> = columns.iter().map(|column| self.get(column)).collect();
        serde_json::to_string(&cells).expect("texts are JSON")
    }

    /// The side and the amount as the API takes them.
    pub fn side(self) -> Result<(&'static str, &'a str), String> {
        match (self.given("debit"), self.given("credit")) {
            (Some(debit), None) => Ok(("debit", debit)),
            (None, Some(credit)) => Ok(("credit", credit)),
            (None, None) => Err("it has neither a debit nor a credit".to_owned()),
            (Some(_), Some(_)) => Err("it has both a debit and a credit".to_owned()),
        }
    }

    pub fn line_body(self) -> Result<Value, String> {
        let (side, amount) = self.side()?;
        let mut line =
            json!({"account": self.get("account"), "side": side, "amount": amount, "currency": self.get("currency")});
        for name in ["party", "item"] {
            if let Some(value) = self.given(name) {
                line[name] = value.into();
            }
        }
        Ok(line)
    }
}

/// Reads a journal.
pub fn read(path: &Path, keys: &mut Keys) -> Result<Journal, CliError> {
    let known: Vec<_> = COLUMNS.iter().chain(&IGNORED).copied().collect();
    let rows = Rows::read(path, &known, &REQUIRED)?;
    let mut journal = Journal::default();
    let mut sums = Sums::default();
    let all: Vec<_> = rows.iter().collect();
    let same = |a: &Row<'_>, b: &Row<'_>| a.get("record") == b.get("record") && a.get("entry") == b.get("entry");
    for group in all.chunk_by(same) {
        let place = group[0].place();
        match group[0].get("record") {
            "" | "line" | "opening" => match entry(group) {
                Ok(body) => {
                    let content: Vec<_> = group.iter().map(|row| row.content(&COLUMNS)).collect();
                    sums.add(&body);
                    journal.entries.push(Proposed { place, key: keys.key(&content.join("\n")), body });
                }
                Err(why) => journal.refuse(&place, "malformed", why),
            },
            "balance" => group.iter().for_each(|row| sums.hold(*row, &mut journal)),
            other => journal.refuse(&place, "malformed", format!("{other:?} is no kind of record")),
        }
    }
    Ok(journal)
}

fn entry(rows: &[Row<'_>]) -> Result<Value, String> {
    let first = rows[0];
    let is_opening = first.get("record") == "opening";
    if !is_opening && first.get("entry").is_empty() {
        return Err("it does not say which entry it belongs to".to_owned());
    }
    for column in ["date", "description", "kind", "metadata"] {
        if let Some(other) = rows.iter().find(|row| row.get(column) != first.get(column)) {
            return Err(format!("its {column} is not that of line {} of the same entry", other.line));
        }
    }
    let mut metadata: Map<String, Value> = match first.given("metadata") {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|_not_json| "its metadata are no JSON object".to_owned())?,
    };
    // What only operations may be stays known, though the entry is posted as a plain one.
    if let Some(rule) = first.given("rule").filter(|rule| !["standard", "opening", "adjusting"].contains(rule)) {
        metadata.insert("rule".to_owned(), rule.into());
    }
    let kind = match first.get("kind") {
        "opening" => "opening",
        "adjusting" => "adjusting",
        _ if is_opening => "opening",
        _ => "standard",
    };
    let lines: Result<Vec<_>, _> =
        rows.iter().map(|row| row.line_body().map_err(|why| format!("line {}: {why}", row.line))).collect();
    let description = if is_opening { "Opening balances" } else { first.get("description") };
    Ok(
        json!({"kind": kind, "effective_date": first.get("date"), "description": description, "metadata": metadata, "lines": lines?}),
    )
}

/// Debits and credits so far, by account and currency.
#[derive(Default)]
struct Sums(BTreeMap<(String, String), (WideSum, WideSum)>);

impl Sums {
    fn add(&mut self, entry: &Value) {
        for line in entry["lines"].as_array().into_iter().flatten() {
            let text = |name: &str| line[name].as_str().unwrap_or_default();
            // What is no amount is refused when it is sent.
            let Ok(amount) = WrittenAmount::parse(text("amount")) else { continue };
            let (debits, credits) =
                self.0.entry((text("account").to_owned(), text("currency").to_owned())).or_default();
            if text("side") == "debit" { debits.add(amount) } else { credits.add(amount) }
        }
    }

    /// Whether the rows before arrive at the balance of this one.
    fn hold(&self, row: Row<'_>, journal: &mut Journal) {
        let key = (row.get("account").to_owned(), row.get("currency").to_owned());
        let (mut debits, mut credits) = self.0.get(&key).copied().unwrap_or_default();
        let (side, amount) = match row.side() {
            Ok(side) => side,
            Err(why) => return journal.refuse(&row.place(), "malformed", why),
        };
        // Zero is no amount, but a balance.
        if amount.bytes().any(|byte| !matches!(byte, b'0' | b'.')) {
            match WrittenAmount::parse(amount) {
                Ok(amount) if side == "debit" => credits.add(amount),
                Ok(amount) => debits.add(amount),
                Err(error) => return journal.refuse(&row.place(), "malformed", format!("the amount {error}")),
            }
        }
        if debits == credits {
            journal.balances_held += 1;
        } else {
            let why = format!("the rows before do not arrive at a {side} balance of {amount} {} in {}", key.1, key.0);
            journal.refuse(&row.place(), "balance_differs", why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(text: &str) -> Journal {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), &mut Keys::new("k")).unwrap()
    }

    #[test]
    fn rows_of_one_entry_become_one_entry_and_balances_are_held() {
        let journal = journal(
            "record,entry,date,description,account,party,item,currency,debit,credit,rule\n\
             line,1,2026-01-02,'=paid,assets:receivable,cus_1,in_1,USD,108.25,,charge\n\
             line,1,2026-01-02,'=paid,revenue:sales,,,USD,,108.25,charge\n\
             balance,,,,assets:receivable,,,USD,108.25,,\n\
             balance,,,,revenue:sales,,,USD,,108.24,\n\
             line,2,2026-01-03,no sides,assets:bank,,,USD,,,\n\
             line,3,2026-01-03,two dates,assets:bank,,,USD,1,,\n\
             line,3,2026-01-04,two dates,assets:bank,,,USD,,1,\n",
        );
        let line = |account: &str, side: &str| json!({"account": account, "side": side, "amount": "108.25", "currency": "USD"});
        let mut lines = [line("assets:receivable", "debit"), line("revenue:sales", "credit")];
        lines[0]["party"] = "cus_1".into();
        lines[0]["item"] = "in_1".into();
        let body = json!({"kind": "standard", "effective_date": "2026-01-02", "description": "=paid",
            "metadata": {"rule": "charge"}, "lines": lines});
        assert_eq!(journal.entries.iter().map(|entry| &entry.body).collect::<Vec<_>>(), [&body]);
        assert_eq!(journal.balances_held, 1);
        let refused: Vec<_> =
            journal.refused.iter().map(|refusal| (refusal.code.as_str(), refusal.why.as_str())).collect();
        assert_eq!(
            refused,
            [
                ("balance_differs", "the rows before do not arrive at a credit balance of 108.24 USD in revenue:sales"),
                ("malformed", "line 6: it has neither a debit nor a credit"),
                ("malformed", "its date is not that of line 8 of the same entry"),
            ]
        );
    }
}
