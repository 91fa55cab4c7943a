//! Text: a table of fixed columns for terminals and letters; what is below zero stands in parentheses.
//!
//! A column is as wide as its widest cell; of a report that is streamed, as its widest so far.

use super::{Frame, Kind, Rendering, Row, Section};

const GAP: &str = "  ";

#[derive(Debug, Default)]
pub(super) struct Text {
    /// Of every column, printed or not; empty before the first measure.
    widths: Vec<usize>,
    has_headings: bool,
}

/// How many places a text takes, one per character: names in scripts of double width are out of line, and readable.
fn width(text: &str) -> usize {
    text.chars().count()
}

impl Text {
    fn line(&self, frame: &Frame, cell: impl Fn(usize) -> String, out: &mut Vec<u8>) {
        let mut line = String::new();
        for (index, column) in frame.columns.iter().enumerate().filter(|(_, column)| column.is_printed) {
            let text = cell(index);
            let pad = " ".repeat(self.widths[index].saturating_sub(width(&text)));
            match column.kind {
                Kind::Amount | Kind::Number => line.extend([pad.as_str(), &text]),
                Kind::Text | Kind::Date => line.extend([text.as_str(), &pad]),
            }
            line.push_str(GAP);
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }

    fn rule(&self, frame: &Frame, out: &mut Vec<u8>) {
        let printed = frame.columns.iter().zip(&self.widths).filter(|(column, _)| column.is_printed);
        let rules: Vec<String> = printed.map(|(_, width)| "-".repeat(*width)).collect();
        out.extend_from_slice(rules.join(GAP).as_bytes());
        out.push(b'\n');
    }

    fn headings(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_headings, true) {
            self.line(frame, |index| frame.columns[index].heading.clone().into_owned(), out);
            self.rule(frame, out);
        }
    }

    fn totals(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        if totals.is_empty() {
            return;
        }
        self.measure(frame, totals);
        self.headings(frame, out);
        self.rule(frame, out);
        for total in totals {
            self.line(frame, |index| total[index].printed(), out);
        }
    }
}

impl Rendering for Text {
    fn measure(&mut self, frame: &Frame, rows: &[Row]) {
        if self.widths.is_empty() {
            self.widths = frame.columns.iter().map(|column| width(&column.heading).max(column.room)).collect();
        }
        for row in rows {
            for (known, cell) in self.widths.iter_mut().zip(row) {
                *known = (*known).max(width(&cell.printed()));
            }
        }
    }

    fn open(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        self.measure(frame, &[]);
        let header = &frame.header;
        out.extend_from_slice(format!("{} of {}\n{}\n\n", header.title, header.book, header.scope()).as_bytes());
    }

    fn open_section(&mut self, _frame: &Frame, section: &Section, out: &mut Vec<u8>) {
        out.extend_from_slice(section.title.as_bytes());
        out.push(b'\n');
        self.has_headings = false;
    }

    fn rows(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        self.measure(frame, rows);
        self.headings(frame, out);
        for row in rows {
            self.line(frame, |index| row[index].printed(), out);
        }
    }

    fn close_section(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        self.totals(frame, totals, out);
        out.push(b'\n');
    }

    fn close(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        self.totals(frame, totals, out);
        out.extend_from_slice(format!("\n{}\n", frame.header.source()).as_bytes());
    }
}
