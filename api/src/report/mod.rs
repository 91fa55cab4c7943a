//! The common frame of all reports: what a report says about itself, its columns and its rows, in four renderings.
//!
//! A report's content comes from pure functions of `partita_core::report`; this module knows nothing of accounting.
//! Every rendering takes a report piece by piece, so that one whose length grows with the journal is streamed.

mod basis;
mod closings;
mod csv;
mod html;
mod json;
mod respond;
mod text;

use std::borrow::Cow;

use partita_core::id::{CurrencyId, EntryNumber, Position};
use partita_core::money::Formatted;
use partita_core::time::{Date, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::names::Names;
use crate::values::format_instant;

pub(crate) use basis::STEP_BYTES;
pub use basis::{Basis, ReportJson, ReportQuery, Reporting, SectionJson};
pub(crate) use closings::Closings;
pub(crate) use respond::{Piece, respond, stream};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatForm {
    Json,
    Csv,
    Text,
    Html,
}

/// What a report says about itself.
#[derive(Clone, Debug)]
pub struct Header {
    /// Its name in the route.
    pub report: &'static str,
    pub title: String,
    pub book: String,
    pub as_of: Date,
    pub from: Option<Date>,
    pub known_at: Option<Timestamp>,
    /// No decision to come can change the report: ledger time has reached `known_at`.
    pub is_final: bool,
    /// The last decision that counts: what `known_at` resolved to.
    pub position: Position,
    /// The book's last entry that counts.
    pub last_entry: EntryNumber,
    /// The journal that the report was read from: the head of the hash tree over all decisions up to `head_position`.
    pub head: [u8; 32],
    pub head_position: Position,
    /// What else was asked for, by the names of the query.
    pub options: Vec<(&'static str, String)>,
}

impl Header {
    fn head(&self) -> String {
        let mut text = String::from("blake3:");
        for byte in self.head {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    fn known_at(&self) -> Option<String> {
        self.known_at.map(format_instant)
    }

    /// What the report is about, on one line.
    fn scope(&self) -> String {
        let mut text = match self.from {
            Some(from) => format!("From {from} to {}", self.as_of),
            None => format!("As of {}", self.as_of),
        };
        if let Some(known_at) = self.known_at() {
            text.push_str(&format!(", known at {known_at}"));
        }
        for (name, value) in &self.options {
            text.push_str(&format!(", {} {value}", name.replace('_', " ")));
        }
        text
    }

    /// Where its figures come from, on one line.
    fn source(&self) -> String {
        let mut text = format!("Position {}, last entry {}", self.position, self.last_entry);
        if self.head_position != self.position {
            text.push_str(&format!(", read at position {}", self.head_position));
        }
        text.push_str(&format!(", head {}", self.head()));
        text
    }
}

/// What a column's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Date,
    Number,
    /// With the decimals of the row's currency, which stands in a column of its own.
    Amount,
}

#[derive(Clone, Debug)]
pub struct Column {
    /// Of the JSON member and the CSV column.
    pub name: &'static str,
    /// Printed above it.
    pub heading: Cow<'static, str>,
    pub kind: Kind,
    /// Whether text and HTML show it; JSON and CSV have every column.
    pub is_printed: bool,
    /// The characters that text keeps for it at least: of a report that is streamed, the widest cell is not known.
    pub room: usize,
}

impl Column {
    fn new(name: &'static str, heading: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self { name, heading: heading.into(), kind, is_printed: true, room: 0 }
    }

    pub fn text(name: &'static str, heading: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, heading, Kind::Text)
    }

    pub fn date(name: &'static str, heading: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, heading, Kind::Date)
    }

    pub fn number(name: &'static str, heading: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, heading, Kind::Number)
    }

    pub fn amount(name: &'static str, heading: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, heading, Kind::Amount)
    }

    #[must_use]
    pub fn room(self, room: usize) -> Self {
        Self { room, ..self }
    }

    /// For programs only.
    #[must_use]
    pub fn unprinted(self) -> Self {
        self.printed_if(false)
    }

    #[must_use]
    pub fn printed_if(self, is_printed: bool) -> Self {
        Self { is_printed, ..self }
    }
}

/// One value of a row.
#[derive(Clone, Debug)]
pub enum Cell {
    Empty,
    Text(String),
    Date(Date),
    Number(u64),
    Amount(Formatted),
}

impl Cell {
    #[expect(clippy::needless_pass_by_value, reason = "texts that are made for it and references alike")]
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    pub fn or_empty(text: Option<impl ToString>) -> Self {
        text.map_or(Self::Empty, Self::text)
    }

    pub fn amount(names: &Names, currency: CurrencyId, minor: i128) -> Self {
        Self::Amount(Formatted { minor, decimals: names.currency(currency).decimals })
    }

    pub fn some_amount(names: &Names, currency: CurrencyId, minor: Option<i128>) -> Self {
        minor.map_or(Self::Empty, |minor| Self::amount(names, currency, minor))
    }

    /// As programs read it; `None`: there is nothing.
    fn value(&self) -> Option<String> {
        match self {
            Self::Empty => None,
            Self::Text(text) => Some(text.clone()),
            Self::Date(date) => Some(date.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Amount(amount) => Some(amount.to_string()),
        }
    }

    /// As people read it: what is below zero stands in parentheses.
    fn printed(&self) -> String {
        match self {
            Self::Amount(amount) if amount.minor < 0 => {
                format!("({})", Formatted { minor: -amount.minor, decimals: amount.decimals })
            }
            Self::Empty | Self::Text(_) | Self::Date(_) | Self::Number(_) | Self::Amount(_) => {
                self.value().unwrap_or_default()
            }
        }
    }
}

/// A cell for each column of the report, in their order.
pub type Row = Vec<Cell>;

/// A part of a report with a heading of its own.
#[derive(Clone, Debug)]
pub struct Section {
    /// In JSON, and in CSV's first column.
    pub name: String,
    pub title: String,
}

/// What all pieces of a report have in common.
#[derive(Clone, Debug)]
pub struct Frame {
    pub header: Header,
    pub columns: Vec<Column>,
    /// Whether the rows stand in named sections; otherwise they are one list.
    pub has_sections: bool,
}

/// A report that is made as a whole: its length is that of a chart or of what is open, never that of a journal.
#[derive(Clone, Debug)]
pub struct Report {
    pub frame: Frame,
    pub pieces: Vec<Piece>,
}

/// Writes one format. The calls come in the order of the document: `open`, then per section `open_section`, any
/// number of `rows`, `close_section`, and `close` at the end.
trait Rendering: Send {
    /// Told of rows before they are written, so that columns can be made wide enough.
    fn measure(&mut self, frame: &Frame, rows: &[Row]);
    fn open(&mut self, frame: &Frame, out: &mut Vec<u8>);
    fn open_section(&mut self, frame: &Frame, section: &Section, out: &mut Vec<u8>);
    fn rows(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>);
    fn close_section(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>);
    /// `totals` are the whole report's.
    fn close(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>);
}

impl FormatForm {
    fn rendering(self) -> Box<dyn Rendering> {
        match self {
            Self::Json => Box::new(json::Json::default()),
            Self::Csv => Box::new(csv::Csv::default()),
            Self::Text => Box::new(text::Text::default()),
            Self::Html => Box::new(html::Html::default()),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests;
