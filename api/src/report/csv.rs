//! CSV: RFC 4180 in UTF-8, ISO dates, `.` as the decimal point, the currency in a column of its own.
//!
//! What the report says about itself stands in columns of every row, so that rows can be sorted and filtered freely;
//! totals are left out, so that columns can be summed.

use ::csv::{Terminator, Writer, WriterBuilder};

use super::{Cell, Frame, Kind, Rendering, Row, Section};

#[derive(Debug, Default)]
pub(super) struct Csv {
    section: String,
    /// What every row ends with.
    source: Vec<String>,
}

/// A text that a spreadsheet would take for a formula is prefixed.
fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn value(cell: &Cell) -> String {
    match cell {
        Cell::Text(content) => text(content),
        Cell::Empty | Cell::Date(_) | Cell::Number(_) | Cell::Amount(_) => cell.value().unwrap_or_default(),
    }
}

fn write(out: &mut Vec<u8>, records: impl Iterator<Item = Vec<String>>) {
    let mut writer: Writer<&mut Vec<u8>> = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    for record in records {
        writer.write_record(record).expect("memory takes what is written");
    }
    writer.flush().expect("memory takes what is written");
}

impl Rendering for Csv {
    fn measure(&mut self, _frame: &Frame, _rows: &[Row]) {}

    fn open(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let header = &frame.header;
        let own: [(&str, Option<String>); 7] = [
            ("book", Some(header.book.clone())),
            ("as_of", Some(header.as_of.to_string())),
            ("from", header.from.map(|from| from.to_string())),
            ("known_at", header.known_at()),
            ("position", Some(header.position.to_string())),
            ("last_entry", Some(header.last_entry.to_string())),
            ("head", Some(header.head())),
        ];
        let options = header.options.iter().map(|(name, value)| (*name, Some(text(value))));
        let (mut names, mut values) = (vec![], vec![]);
        for (name, value) in own.into_iter().chain(options) {
            names.push(name.to_owned());
            values.push(value.unwrap_or_default());
        }
        self.source = values;
        let section = frame.has_sections.then(|| "section".to_owned());
        let columns = frame.columns.iter().map(|column| column.name.to_owned());
        write(out, std::iter::once(section.into_iter().chain(columns).chain(names).collect()));
    }

    fn open_section(&mut self, _frame: &Frame, section: &Section, _out: &mut Vec<u8>) {
        self.section = text(&section.name);
    }

    fn rows(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        let section = frame.has_sections.then(|| self.section.clone());
        let records = rows.iter().map(|row| {
            let cells = row.iter().zip(&frame.columns).map(|(cell, column)| {
                debug_assert!(!matches!(cell, Cell::Text(_)) || column.kind == Kind::Text, "a cell fits its column");
                value(cell)
            });
            section.iter().cloned().chain(cells).chain(self.source.iter().cloned()).collect()
        });
        write(out, records);
    }

    fn close_section(&mut self, _frame: &Frame, _totals: &[Row], _out: &mut Vec<u8>) {}

    fn close(&mut self, _frame: &Frame, _totals: &[Row], _out: &mut Vec<u8>) {}
}
