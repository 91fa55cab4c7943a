//! Opening a book, with the chart that ships or an empty one.

use crate::account::Book;
use crate::chart;
use crate::currency;
use crate::id::{BookId, Position};
use crate::operation::{Chart, OpenBook};
use crate::period::{Calendar, Month};
use crate::plan::{Change, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::state::Read;

/// `id` is the number that the book gets. It has no [`crate::plan::Context`] yet: it is what the context would hold.
pub fn plan(
    state: &impl Read,
    open: &OpenBook,
    first_month: Month,
    id: BookId,
    position: Position,
) -> Result<Plan, Rejection> {
    if let Some(book) = state.book_by_code(&open.code) {
        let reason = Reason::AlreadyExists { what: Existing::Book(open.code.clone()), decided_at: book.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    // A new book has registered no currency yet.
    let functional = currency::iso_by_code(&open.functional_currency).ok_or_else(|| {
        Rejection::new(
            Reason::UnknownCurrency { currency: open.functional_currency.clone() },
            Field::FunctionalCurrency,
        )
    })?;
    let book = Book {
        id,
        code: open.code.clone(),
        name: open.name.clone(),
        functional_currency: functional.id,
        time_zone: open.time_zone.clone(),
        decided: position,
    };
    let accounts = match open.chart {
        Chart::Saas => chart::saas(functional.id, position),
        Chart::Empty => vec![],
    };
    let mut changes = vec![Change::Book(book)];
    // Calendar years are what a book without a calendar of its own has.
    if first_month != Month::JANUARY {
        changes.push(Change::Calendar(Calendar { first_month, ..Calendar::default() }));
    }
    changes.extend(accounts.into_iter().map(Change::Account));
    Ok(Plan { changes, ..Plan::default() })
}
