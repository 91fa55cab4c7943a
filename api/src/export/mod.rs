//! The exit that anyone can check: a book, or a stretch of it, in the notation of another program, ending with the
//! balances that the program must arrive at. docs/export.md says what stands where and why.
//!
//! The notations differ in one file each; what is exported, its opening and its closing balances are the same for all
//! and come from the ledger's own movements ([`slice`]), not from the lines that are written. Writing goes on while
//! the reader takes it ([`stream`]); memory holds the chart and its balances, never the entries.

pub(crate) mod beancount;
pub(crate) mod journal;
pub(crate) mod lines;
pub(crate) mod names;
pub(crate) mod slice;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod text;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::routes::entries::EntryJson;
use slice::{Export, Unsuitable};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportFormat)]
pub enum Format {
    Hledger,
    Ledger,
    Beancount,
    Csv,
    Jsonl,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Hledger | Self::Ledger | Self::Beancount => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    /// A writer of this notation, unless the notation cannot hold the book.
    pub(crate) fn notation(self, export: &Export) -> Result<Box<dyn Notation>, Unsuitable> {
        Ok(match self {
            Self::Hledger => Box::new(journal::Journal::new(journal::Program::Hledger, export)?),
            Self::Ledger => Box::new(journal::Journal::new(journal::Program::Ledger, export)?),
            Self::Beancount => Box::new(beancount::Beancount::new(export)?),
            Self::Csv => Box::new(table::Table),
            Self::Jsonl => Box::new(lines::Lines),
        })
    }
}

/// How one program writes a journal.
pub(crate) trait Notation: Send {
    /// Declarations, then the opening balances.
    fn head(&self, app: &App, export: &Export, out: &mut String);
    fn entry(&self, export: &Export, entry: &EntryJson, out: &mut String);
    /// The balances that the program must have arrived at. `entries`: how many were written.
    fn end(&self, export: &Export, entries: u64, out: &mut String);
}
