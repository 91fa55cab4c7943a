//! What reports read of a book: sums by stretches of effective dates as known at a position, and its entries in order.
//!
//! For the present the sums cost the number of accounts: a control balance, less what daily movements say of the
//! dates behind a stretch. For a position in the past, what was decided since is taken back, block by block: where a
//! block moved an account within one stretch, its footer says how much and no decision is read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use partita_core::decision::{Decision, Outcome};
use partita_core::entry::Side;
use partita_core::id::{AccountId, BookId, CurrencyId, Position};
use partita_core::operation::OperationKind;
use partita_core::report::Posted;
use partita_core::state::{ControlKey, Movement, MovementKey};
use partita_core::time::Date;

use super::error::StorageError;
use super::past::UpTo;
use super::reader::{MovementsOf, Reader};
use crate::codec::decode_decision_operation;
use crate::codec::keys::{TableKey, prefix};
use crate::engine::{KeyRange, TableEngine};
use crate::journal::block::{Block, Total};

/// Blocks that one step of a pass reads at most, however few of them have what is looked for.
const MAX_BLOCKS: usize = 256;

/// An account and currency, with a sum per stretch and one for what is dated behind the last.
type Sums = BTreeMap<(AccountId, CurrencyId), Vec<Movement>>;

/// Which entries are looked for. It is blocks that are passed over; their decisions may hold others too.
#[derive(Clone, Debug)]
pub struct EntriesOf {
    pub book: BookId,
    /// With a line of this account in this currency.
    pub control: Option<(AccountId, CurrencyId)>,
    /// With effective dates from this one on, and up to that one.
    pub from: Option<Date>,
    pub until: Option<Date>,
    /// Made by these operations; empty: by any.
    pub operations: &'static [OperationKind],
}

/// A step of a pass through the journal.
#[derive(Debug)]
pub struct Entries {
    /// Accepted decisions of the book with entries, in order.
    pub decisions: Vec<Decision>,
    /// Where the next step begins.
    pub next: Position,
}

fn damaged(block: &Block<'_>) -> impl Fn(crate::journal::block::BlockError) -> StorageError {
    let first = block.header().first;
    move |source| StorageError::Block { first, source }
}

impl<E: TableEngine> Reader<E> {
    /// What was posted to every account of a book or to one of them, as known at position `at` (`None`: at the head):
    /// a sum for each stretch of effective dates that ends with one of `cuts` (rising), dated with it. What is dated
    /// behind the last of them is left out.
    ///
    /// Where `at` lies far back this takes long: `go_on` is asked now and then, and `None` is the answer when it said no.
    ///
    /// # Panics
    /// Without cuts.
    pub fn posted(
        &self,
        of: MovementsOf<'_>,
        cuts: &[Date],
        at: Option<Position>,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Option<Vec<Posted>>, StorageError> {
        assert!(cuts.is_sorted_by(|a, b| a < b), "cuts rise");
        let (past, mut sums) = self.posted_now(of, cuts)?;
        if let Some(at) = at.filter(|at| *at < past.head.position) {
            let mut back = TakeBack { of, cuts, at, sums: &mut sums };
            if !back.run(&past, &mut go_on)? {
                return Ok(None);
            }
        }
        let mut posted = vec![];
        for ((account, currency), stretches) in sums {
            for (date, movement) in cuts.iter().copied().zip(stretches) {
                if movement != Movement::default() {
                    posted.push(Posted { account, currency, date, movement });
                }
            }
        }
        Ok(Some(posted))
    }

    /// The sums at the head, and the journal up to it.
    fn posted_now(&self, of: MovementsOf<'_>, cuts: &[Date]) -> Result<(UpTo<E>, Sums), StorageError> {
        let first = cuts.first().expect("a report asks about a date");
        let shared = self.shared();
        let (head, controls, ranges, changed, snapshot) = shared.read(|working| {
            let charts = &working.charts;
            let controls = match of {
                MovementsOf::Book(book) => charts.controls(book),
                MovementsOf::Control(key) => vec![(key.clone(), charts.control(key))],
            };
            let ranges: Vec<KeyRange> = controls.iter().map(|(key, _)| behind(key, *first)).collect();
            let changed = working.movements.parts(&ranges);
            (working.head, controls, ranges, changed, shared.engine.snapshot())
        });
        let mut sums = Sums::new();
        for ((key, control), range) in controls.into_iter().zip(ranges) {
            let mut stretches = vec![Movement::default(); cuts.len() + 1];
            stretches[0] = Movement { debits: control.debits, credits: control.credits };
            for (day, movement) in changed.scan(&snapshot, &range, usize::MAX)? {
                let stretch = stretch_of(cuts, day.date);
                stretches[stretch].debits += movement.debits;
                stretches[stretch].credits += movement.credits;
                stretches[0].debits -= movement.debits;
                stretches[0].credits -= movement.credits;
            }
            sums.insert((key.account, key.currency), stretches);
        }
        drop(snapshot);
        Ok((UpTo { shared, head }, sums))
    }

    /// The entries of decisions `from` to `until`, as many as come with about `max_bytes` of them; or none yet, where
    /// many blocks have nothing that is looked for. The pass is over when `next` is behind `until`.
    pub fn entries(
        &self,
        of: &EntriesOf,
        from: Position,
        until: Position,
        max_bytes: usize,
    ) -> Result<Entries, StorageError> {
        let past = self.past();
        let mut found = Entries { decisions: vec![], next: from };
        let (mut bytes, mut blocks) = (0, 0);
        past.for_each_block(from, until, |block| {
            blocks += 1;
            if of.may_be_in(block)? {
                bytes += of.decisions(block, from, until, &mut found.decisions)?;
            }
            found.next = block.header().last().min(until).next();
            let is_enough = bytes >= max_bytes || blocks == MAX_BLOCKS;
            Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if blocks == 0 {
            found.next = until.next();
        }
        Ok(found)
    }
}

impl EntriesOf {
    fn may_be_in(&self, block: &Block<'_>) -> Result<bool, StorageError> {
        let totals = block.totals().map_err(damaged(block))?;
        Ok(totals.iter().any(|total| {
            total.book == self.book
                && self.control.is_none_or(|control| control == (total.account, total.currency))
                && self.from.is_none_or(|from| from <= total.greatest_date)
                && self.until.is_none_or(|until| total.least_date <= until)
        }))
    }

    /// Appends the block's; the bytes that were read for them.
    fn decisions(
        &self,
        block: &Block<'_>,
        from: Position,
        until: Position,
        found: &mut Vec<Decision>,
    ) -> Result<usize, StorageError> {
        let mut read = 0;
        for (position, bytes) in block.iter().filter(|(position, _)| (from..=until).contains(position)) {
            if !self.operations.is_empty() {
                let (book, operation) =
                    decode_decision_operation(bytes).map_err(|source| damaged(block)(source.into()))?;
                if book != self.book || !self.operations.contains(&operation) {
                    continue;
                }
            }
            read += bytes.len();
            let decision = block.decision(position).map_err(damaged(block))?;
            let has_entries = match &decision.outcome {
                Outcome::Accepted(effects) => !effects.entries.is_empty(),
                Outcome::Refused(_) => false,
            };
            if has_entries && decision.book == self.book {
                found.push(decision);
            }
        }
        Ok(read)
    }
}

/// Movements of a control that are dated behind `date`.
fn behind(key: &ControlKey, date: Date) -> KeyRange {
    let mut range = KeyRange::prefix(prefix::movements(key));
    range.from = MovementKey { control: key.clone(), date }.to_bytes();
    range.from.push(0);
    range
}

/// Which of the stretches a date lies in; the one behind the last cut is the last.
fn stretch_of(cuts: &[Date], date: Date) -> usize {
    cuts.partition_point(|cut| *cut < date)
}

/// Takes what was decided after `at` out of the sums.
struct TakeBack<'a> {
    of: MovementsOf<'a>,
    cuts: &'a [Date],
    at: Position,
    sums: &'a mut Sums,
}

impl TakeBack<'_> {
    /// False if `go_on` said no.
    fn run<E: TableEngine>(&mut self, past: &UpTo<E>, go_on: &mut impl FnMut() -> bool) -> Result<bool, StorageError> {
        let (from, until) = (self.at.next(), past.head.position);
        let mut is_whole = true;
        past.for_each_block(from, until, |block| {
            if !go_on() {
                is_whole = false;
                return Ok(ControlFlow::Break(()));
            }
            let mut totals: Vec<Total> = block.totals().map_err(damaged(block))?;
            totals.retain(|total| self.is_of(total.book, total.account, total.currency));
            let counts = |position: Position| (from..=until).contains(&position);
            let is_all = counts(block.header().first) && counts(block.header().last());
            if is_all && totals.iter().all(|total| self.stretch(total.least_date) == self.stretch(total.greatest_date))
            {
                for total in totals {
                    let moved = Movement { debits: total.debits, credits: total.credits };
                    self.subtract((total.account, total.currency), total.least_date, moved);
                }
            } else if !totals.is_empty() {
                for (position, _) in block.iter().filter(|(position, _)| counts(*position)) {
                    self.decision(&block.decision(position).map_err(damaged(block))?);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(is_whole)
    }

    fn decision(&mut self, decision: &Decision) {
        let Outcome::Accepted(effects) = &decision.outcome else { return };
        for entry in &effects.entries {
            for line in &entry.lines {
                let minor = line.amount.minor();
                let moved = match line.side {
                    Side::Debit => Movement { debits: minor, credits: 0 },
                    Side::Credit => Movement { debits: 0, credits: minor },
                };
                if self.is_of(decision.book, line.account, line.currency) {
                    self.subtract((line.account, line.currency), entry.effective_date, moved);
                }
            }
        }
    }

    fn is_of(&self, book: BookId, account: AccountId, currency: CurrencyId) -> bool {
        match self.of {
            MovementsOf::Book(own) => book == own,
            MovementsOf::Control(own) => (book, account, currency) == (own.book, own.account, own.currency),
        }
    }

    fn stretch(&self, date: Date) -> usize {
        stretch_of(self.cuts, date)
    }

    fn subtract(&mut self, at: (AccountId, CurrencyId), date: Date, moved: Movement) {
        let stretch = self.stretch(date);
        let stretches = self.sums.get_mut(&at).expect("a control is kept of whatever was posted to");
        stretches[stretch].debits -= moved.debits;
        stretches[stretch].credits -= moved.credits;
    }
}
