//! The entries that closed fiscal years, and those that reversed them: an income statement is without them.
//!
//! They are few and found by going through the journal once. What was found is kept, so that each later look reads only
//! what came since; and a book of which no period was ever soft-closed has none.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use partita_core::decision::Outcome;
use partita_core::entry::{Entry, Rule};
use partita_core::id::{BookId, EntryNumber, Position};
use partita_core::operation::OperationKind;
use partita_storage::state::EntriesOf;

use super::STEP_BYTES;
use crate::app::App;

/// The operations that can post such entries.
const CLOSING: &[OperationKind] = &[OperationKind::CloseYear, OperationKind::ReverseEntry];

/// What was found so far, by book.
#[derive(Debug, Default)]
pub(crate) struct Closings(Mutex<HashMap<BookId, Arc<Mutex<Found>>>>);

#[derive(Debug)]
struct Found {
    /// Everything before is looked through.
    next: Position,
    entries: Vec<(Position, Entry)>,
    numbers: BTreeSet<EntryNumber>,
}

impl Default for Found {
    fn default() -> Self {
        Self { next: Position(1), entries: vec![], numbers: BTreeSet::new() }
    }
}

impl Closings {
    /// A book's closings at `position` or before; `None` if `go_on` said no, and then the next look goes on from there.
    pub(crate) fn until(
        &self,
        app: &App,
        book: BookId,
        position: Position,
        go_on: impl Fn() -> bool,
    ) -> Option<Vec<Entry>> {
        if app.view(|view| view.periods(book)).is_empty() {
            return Some(vec![]);
        }
        let found = Arc::clone(self.0.lock().entry(book).or_default());
        let mut found = found.lock();
        let of = EntriesOf { book, control: None, from: None, until: None, operations: CLOSING };
        while found.next <= position {
            if !go_on() {
                return None;
            }
            let step = app.past(|reader| reader.entries(&of, found.next, position, STEP_BYTES));
            for decision in step.decisions {
                let Outcome::Accepted(effects) = decision.outcome else { continue };
                for entry in effects.entries {
                    if entry.rule == Rule::Closing || entry.reverses.is_some_and(|of| found.numbers.contains(&of)) {
                        found.numbers.insert(entry.number);
                        found.entries.push((decision.position, entry));
                    }
                }
            }
            found.next = step.next;
        }
        let known = found.entries.iter().filter(|(at, _)| *at <= position);
        Some(known.map(|(_, entry)| entry.clone()).collect())
    }
}
