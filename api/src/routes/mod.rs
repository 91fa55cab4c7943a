//! The routes, one file per resource: its JSON forms, how they become operations, how answers are written.

pub mod accounts;
pub mod backup;
pub mod balances;
pub mod balances_query;
pub mod books;
pub mod charges;
pub mod cluster;
pub mod currencies;
pub mod entries;
pub mod explain;
pub mod export;
pub mod fx;
pub mod health;
pub mod holds;
pub mod journal;
pub mod keys;
pub mod parties;
pub mod payments;
pub mod periods;
pub mod postings;
pub mod recognitions;
pub mod refunds;
pub mod reports;
pub mod transfers;
pub mod years;

use partita_core::entry::Metadata;
use partita_core::id::{EntryNumber, Position};
use partita_core::operation::Details;
use partita_core::time::{Date, Timestamp};

use crate::values::{Day, Description, MetadataValue, format_instant};

/// The decision that left something as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub position: Position,
    pub recorded_at: Timestamp,
}

impl Decided {
    fn recorded_at(self) -> String {
        format_instant(self.recorded_at)
    }
}

/// What every posting operation takes beside its own values.
fn details(effective_date: Option<Day>, description: Option<Description>, metadata: Option<MetadataValue>) -> Details {
    Details {
        effective_date: effective_date.map(|day| day.0),
        description: description_text(description),
        metadata: metadata_pairs(metadata),
    }
}

fn description_text(description: Option<Description>) -> String {
    description.map(|text| text.0).unwrap_or_default()
}

fn metadata_pairs(metadata: Option<MetadataValue>) -> Metadata {
    metadata.map(|pairs| pairs.0).unwrap_or_default()
}

fn numbers(entries: &[EntryNumber]) -> Vec<u64> {
    entries.iter().map(|number| number.0).collect()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn day_text(day: Option<Date>) -> Option<String> {
    day.map(|day| day.to_string())
}
