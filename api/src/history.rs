//! Looking back through the journal: an item's postings.
//!
//! These walks are bounded by time rather than by size: a caller who asks too much of one request is told so.

use partita_core::entry::Side;
use partita_core::id::{Item, Position};
use partita_core::state::{Movement, SubaccountKey};
use partita_core::time::Date;

use crate::app::{App, REQUEST_DEADLINE};
use crate::problem::{Code, Problem};
use partita_storage::state::Order;

/// Postings read at one time.
const POSTINGS: usize = 200;

/// How long one request may look back.
#[derive(Debug)]
pub(crate) struct Patience(std::time::Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.0.elapsed() < REQUEST_DEADLINE { Ok(()) } else { Err(impatient()) }
    }
}

pub(crate) fn impatient() -> Problem {
    let detail = "too much was posted since then for one request; ask for a later known_at, or for one party's part";
    Problem::new(Code::Overloaded, detail)
}

/// An item's postings, out of its subaccount's chain.
pub(crate) fn item_at(
    app: &App,
    key: &SubaccountKey,
    item: &Item,
    as_of: Option<Date>,
    known: Option<Position>,
) -> Result<Movement, Problem> {
    let patience = Patience::new();
    let mut sum = Movement::default();
    let mut after = None;
    loop {
        patience.check()?;
        let postings = app.past(|reader| reader.postings(key, Order::Oldest, after, POSTINGS));
        let Some(last) = postings.last() else { return Ok(sum) };
        after = Some(last.line.after.ordinal);
        for posting in &postings {
            if known.is_some_and(|known| posting.reference.position > known) {
                return Ok(sum);
            }
            if posting.line.item.as_ref() != Some(item)
                || as_of.is_some_and(|as_of| posting.entry.effective_date > as_of)
            {
                continue;
            }
            match posting.line.side {
                Side::Debit => sum.debits += posting.line.amount.minor(),
                Side::Credit => sum.credits += posting.line.amount.minor(),
            }
        }
    }
}
