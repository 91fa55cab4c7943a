//! Looking back through the journal: what was decided after a position, and an item's postings.
//!
//! These walks are bounded by time rather than by size: a caller who asks too much of one request is told so.

use partita_core::decision::Outcome;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{BookId, Item, Position};
use partita_core::state::{Movement, SubaccountKey};
use partita_core::time::Date;

use crate::app::{App, REQUEST_DEADLINE};
use crate::problem::{Code, Problem};
use partita_storage::state::Order;

/// Decisions read at one time.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 256 << 10;
/// Postings read at one time.
const POSTINGS: usize = 200;

/// A stretch of the journal, seen from one book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    pub book: BookId,
    /// Not included.
    pub after: Position,
    /// Included.
    pub until: Position,
}

/// How long one request may look back.
#[derive(Debug)]
pub(crate) struct Patience(std::time::Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.0.elapsed() < REQUEST_DEADLINE {
            return Ok(());
        }
        let detail =
            "too much was posted since then for one request; ask for a later known_at, or for one party's part";
        Err(Problem::new(Code::Overloaded, detail))
    }
}

/// Calls `each` for every line posted in the stretch, with its effective date.
pub(crate) fn each_line(app: &App, since: Since, mut each: impl FnMut(Date, &Line)) -> Result<(), Problem> {
    each_entry(app, since, |entry| entry.lines.iter().for_each(|line| each(entry.effective_date, line)))
}

fn each_entry(app: &App, since: Since, mut each: impl FnMut(&Entry)) -> Result<(), Problem> {
    let patience = Patience::new();
    let mut next = since.after.next();
    while next <= since.until {
        patience.check()?;
        let decisions = app.past(|reader| reader.decisions(next, CHUNK, CHUNK_BYTES));
        let Some(last) = decisions.last() else { break };
        next = last.position.next();
        for decision in decisions {
            if decision.position > since.until || decision.book != since.book {
                continue;
            }
            let Outcome::Accepted(effects) = decision.outcome else { continue };
            effects.entries.iter().for_each(&mut each);
        }
    }
    Ok(())
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
