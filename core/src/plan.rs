//! What a posting rule proposes: entries to post, amounts to reserve or release, documents as they are to stand.
//!
//! A rule reads the state and returns a [`Plan`] or the first [`Rejection`] that applies; it changes nothing.
//! [`crate::commit`] checks the plan's effect on the balances and then writes all of it, so that a refusal
//! leaves no trace by construction.

use std::sync::Arc;

use crate::account::{Account, Book};
use crate::currency::Currency;
use crate::document::{Charge, Hold, Payment, Refund};
use crate::entry::{DocumentRef, DraftEntry, DraftLine, Metadata, Rule, Side, Unbalanced};
use crate::fx::{Rate, Valuation};
use crate::id::{AccountId, CurrencyId, EntryNumber, Item, Party, Position};
use crate::operation::Details;
use crate::period::{Calendar, Period, YearClose};
use crate::recognition::{Recognised, RecognitionRun};
use crate::rejection::Field;
use crate::state::Read;
use crate::time::{Date, Timestamp};

/// What a rule knows beside the operation itself.
#[derive(Debug)]
pub struct Context<'a, S> {
    pub state: &'a S,
    pub book: Arc<Book>,
    /// This decision's position and instant.
    pub position: Position,
    pub now: Timestamp,
    /// The stamped date: the default of `effective_date`.
    pub today: Date,
    /// The number that the plan's first entry will get; the next one is one higher, and so on.
    pub first_entry: EntryNumber,
}

impl<S: Read> Context<'_, S> {
    /// The number of the plan's entry with this index.
    #[must_use]
    pub fn entry_number(&self, index: usize) -> EntryNumber {
        EntryNumber(self.first_entry.0 + u64::try_from(index).expect("an index fits 64 bits"))
    }

    #[must_use]
    pub fn effective_date(&self, details: &Details) -> Date {
        details.effective_date.unwrap_or(self.today)
    }
}

/// A line on its way into an entry, and where in the request it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLine {
    pub line: DraftLine,
    pub field: Field,
}

/// An entry to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedEntry {
    pub rule: Rule,
    pub effective_date: Date,
    pub description: String,
    pub metadata: Metadata,
    pub reverses: Option<EntryNumber>,
    pub document: Option<DocumentRef>,
    pub draft: DraftEntry,
    /// One per line of the draft.
    pub fields: Vec<Field>,
    /// The element of an atomic batch that it comes from.
    pub index: Option<u32>,
}

impl PlannedEntry {
    /// An entry of no document, reversing nothing.
    pub fn new(
        rule: Rule,
        effective_date: Date,
        details: &Details,
        lines: Vec<PlannedLine>,
    ) -> Result<Self, Unbalanced> {
        let fields = lines.iter().map(|planned| planned.field).collect();
        let draft = DraftEntry::new(lines.into_iter().map(|planned| planned.line).collect())?;
        Ok(Self {
            rule,
            effective_date,
            description: details.description.clone(),
            metadata: details.metadata.clone(),
            reverses: None,
            document: None,
            draft,
            fields,
            index: None,
        })
    }

    #[must_use]
    pub fn of(mut self, document: DocumentRef) -> Self {
        self.document = Some(document);
        self
    }
}

/// A pending amount that rises (`delta` above zero) or falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub account: AccountId,
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub currency: CurrencyId,
    pub side: Side,
    pub delta: i128,
    pub field: Field,
}

/// A record as it is to stand after the decision. `decided` is set when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Book(Book),
    Currency(Currency),
    Account(Account),
    Calendar(Calendar),
    Period(Period),
    Rate(Rate),
    Recognised(Recognised),
    /// What an operation found, kept in its decision and in no table.
    RecognitionRun(RecognitionRun),
    Valuation(Valuation),
    YearClose(YearClose),
    Hold(Hold),
    Charge(Charge),
    Payment(Payment),
    Refund(Refund),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub entries: Vec<PlannedEntry>,
    /// Falls are applied before the entries, rises after them.
    pub reservations: Vec<Reservation>,
    /// The document that the operation is about comes first.
    pub changes: Vec<Change>,
}
