//! How commands print: tables for people, JSON or CSV for programs, always on standard output.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

/// Writes to standard output; a reader that went away (`| head`) ends the program quietly, as it does for others.
pub fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}

pub fn print_line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

pub fn print_json(value: &Value) -> io::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Headings that begin with `>` stand over columns aligned to the right: amounts and counts.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let is_number = |column: usize| headings.get(column).is_some_and(|heading| heading.starts_with('>'));
    let aligned = |column: usize, text: &str| {
        let cell = Cell::new(text);
        if is_number(column) { cell.set_alignment(CellAlignment::Right) } else { cell }
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(headings.iter().enumerate().map(|(column, text)| aligned(column, text.trim_start_matches('>'))));
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(column, text)| aligned(column, text)));
    }
    format!("{}\n", table.trim_fmt())
}

/// RFC 4180, with the headings as the first record.
#[must_use]
pub fn csv(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let names = headings.iter().map(|text| text.trim_start_matches('>').to_lowercase().replace(' ', "_"));
    writer.write_record(names).expect("a vector takes what is written, and every record has the same length");
    for row in rows {
        writer.write_record(row).expect("a vector takes what is written, and every record has the same length");
    }
    let bytes = writer.into_inner().expect("a vector can always be flushed");
    String::from_utf8(bytes).expect("it was made of strings")
}

/// A field as text: strings bare, null empty.
#[must_use]
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_set_of_rows_serves_people_and_programs() {
        let rows = vec![vec!["assets:bank".to_owned(), "1,5".to_owned()]];
        assert_eq!(csv(&["Account", ">Net debit"], &rows), "account,net_debit\r\nassets:bank,\"1,5\"\r\n");
        let printed = table(&["Account", ">Net debit"], &rows);
        assert!(printed.contains("│ assets:bank ┆       1,5 │"), "{printed}");
    }
}
