//! Walking a subaccount's chain of postings through the journal: statements and balances at any earlier moment.
//!
//! Each posting names the one before it and a jump further back (see `partita_core::chain`), so any posting is
//! O(log n) journal reads away from the balance.

use std::sync::Arc;

use partita_core::chain::{Chain, PostingRef};
use partita_core::decision::{Decision, Outcome};
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::Position;
use partita_core::state::{Movement, SubaccountKey};
use partita_core::time::{Date, Timestamp};

use super::error::StorageError;
use super::journal::StoredBlock;
use super::past::Past;
use crate::codec::keys::TableKey;
use crate::engine::Table;

/// From which end a statement is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Newest,
    Oldest,
}

/// A line with the entry it is part of and when that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    pub reference: PostingRef,
    pub line: Line,
    pub entry: Entry,
    pub recorded_at: Timestamp,
}

/// One walk; it remembers the block and the decision it read last, as neighbours are often together.
pub(super) struct Walk<'a, P> {
    past: &'a P,
    block: Option<StoredBlock>,
    decision: Option<Arc<Decision>>,
}

/// Where a posting stands in its decision.
struct Place {
    decision: Arc<Decision>,
    entry: usize,
    line: usize,
}

impl Place {
    fn entry(&self) -> &Entry {
        match &self.decision.outcome {
            Outcome::Accepted(effects) => &effects.entries[self.entry],
            Outcome::Refused(_) => unreachable!("a place is in an accepted decision"),
        }
    }

    fn line(&self) -> &Line {
        &self.entry().lines[self.line]
    }
}

/// The size of the tree whose root is the posting of this ordinal: its jump leads that many postings back.
fn tree_size(ordinal: u64) -> u64 {
    let (mut rest, mut size) = (ordinal, 0);
    while rest > 0 {
        // The greatest 2^k - 1 that fits.
        size = rest.checked_add(1).map_or(u64::MAX, |above| (1 << above.ilog2()) - 1);
        rest -= size;
    }
    size
}

/// The roots of a chain with their ordinals, newest first.
fn roots(chain: &Chain) -> Vec<(u64, PostingRef)> {
    let mut ordinal = chain.postings();
    chain
        .roots()
        .map(|root| {
            let at = ordinal;
            ordinal -= tree_size(ordinal);
            (at, root)
        })
        .collect()
}

impl<'a, P: Past> Walk<'a, P> {
    pub(super) fn new(past: &'a P) -> Self {
        Self { past, block: None, decision: None }
    }

    fn decision(&mut self, position: Position) -> Result<Option<Arc<Decision>>, StorageError> {
        if let Some(decision) = self.decision.as_ref().filter(|decision| decision.position == position) {
            return Ok(Some(Arc::clone(decision)));
        }
        if position == Position(0) || position > self.past.until().position {
            return Ok(None);
        }
        let block = match self.block.take() {
            Some(block) if block.first <= position && position <= block.header()?.last() => block,
            Some(_) | None => self.past.block(position)?,
        };
        let decision = Arc::new(block.decision(position)?);
        self.block = Some(block);
        self.decision = Some(Arc::clone(&decision));
        Ok(Some(decision))
    }

    fn place(&mut self, at: PostingRef) -> Result<Option<Place>, StorageError> {
        let Some(decision) = self.decision(at.position)? else { return Ok(None) };
        let Outcome::Accepted(effects) = &decision.outcome else { return Ok(None) };
        let mut line = usize::try_from(at.line).expect("a line's number within memory");
        for (entry, posted) in effects.entries.iter().enumerate() {
            if line < posted.lines.len() {
                return Ok(Some(Place { decision, entry, line }));
            }
            line -= posted.lines.len();
        }
        Ok(None)
    }

    /// A posting that a chain of `key` names: it must exist and belong to it.
    fn chained(&mut self, key: &SubaccountKey, at: PostingRef) -> Result<Place, StorageError> {
        let broken = || StorageError::Inconsistent {
            table: Table::Subaccounts,
            key: key.to_bytes(),
            problem: "its chain leads to a posting that is not its own",
        };
        let place = self.place(at)?.ok_or_else(broken)?;
        let line = place.line();
        let is_own = place.decision.book == key.book
            && (line.account, &line.party, line.currency) == (key.account, &key.party, key.currency);
        if is_own { Ok(place) } else { Err(broken()) }
    }

    pub(super) fn posting(&mut self, at: PostingRef) -> Result<Option<Posting>, StorageError> {
        Ok(self.place(at)?.map(|place| posting(at, &place)))
    }

    pub(super) fn postings(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        order: Order,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Posting>, StorageError> {
        let count = chain.postings();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        // The page's ordinals, both ends included.
        let (first, last) = match order {
            Order::Newest => {
                let last = after.map_or(count, |ordinal| count.min(ordinal.saturating_sub(1)));
                (last.saturating_sub(limit) + 1, last)
            }
            Order::Oldest => {
                let first = after.map_or(1, |ordinal| ordinal.saturating_add(1));
                (first, count.min(first.saturating_add(limit).saturating_sub(1)))
            }
        };
        if last == 0 || first > last {
            return Ok(vec![]);
        }
        let mut page = vec![];
        let mut next = self.find(key, chain, last)?;
        for _ in first..=last {
            let at = next.expect("a chain has as many postings as its balance says");
            let place = self.chained(key, at)?;
            next = place.line().after.previous;
            page.push(posting(at, &place));
        }
        match order {
            Order::Newest => {}
            Order::Oldest => page.reverse(),
        }
        Ok(page)
    }

    /// The posting with this ordinal.
    fn find(&mut self, key: &SubaccountKey, chain: &Chain, ordinal: u64) -> Result<Option<PostingRef>, StorageError> {
        let Some((mut at, mut here)) = roots(chain).into_iter().rfind(|root| root.0 >= ordinal) else {
            return Ok(None);
        };
        while at != ordinal {
            let after = self.chained(key, here)?.line().after;
            let jump_to = at - tree_size(at);
            let next = if jump_to >= ordinal { (jump_to, after.jump) } else { (at - 1, after.previous) };
            let Some(reference) = next.1 else { return Ok(None) };
            (at, here) = (next.0, reference);
        }
        Ok(Some(here))
    }

    pub(super) fn balance_at(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        as_of: Option<Date>,
        at: Option<Position>,
    ) -> Result<Movement, StorageError> {
        let mut next = self.newest_until(key, chain, at.unwrap_or(Position(u64::MAX)))?;
        // What was posted behind the last moment when all dates were early enough is looked at one by one.
        let mut sum = Movement::default();
        while let Some(reference) = next {
            let place = self.chained(key, reference)?;
            let line = place.line();
            if as_of.is_none_or(|date| line.after.greatest_date <= date) {
                sum.debits += line.after.debits;
                sum.credits += line.after.credits;
                break;
            }
            if as_of.is_none_or(|date| place.entry().effective_date <= date) {
                match line.side {
                    Side::Debit => sum.debits += line.amount.minor(),
                    Side::Credit => sum.credits += line.amount.minor(),
                }
            }
            next = line.after.previous;
        }
        Ok(sum)
    }

    /// The newest posting at `position` or before.
    fn newest_until(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        position: Position,
    ) -> Result<Option<PostingRef>, StorageError> {
        self.newest_not(key, chain, |_walk, at| Ok(at.position > position))
    }

    /// The ordinal of the newest posting that only ones dated before `date` came up to; 0 if there is none.
    pub(super) fn ordinal_before(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        date: Date,
    ) -> Result<u64, StorageError> {
        let found = self.newest_not(key, chain, |walk, at| {
            let place = walk.chained(key, at)?;
            Ok(place.line().after.greatest_date >= date)
        })?;
        found.map_or(Ok(0), |at| Ok(self.chained(key, at)?.line().after.ordinal))
    }

    /// The newest posting that is not beyond something that, once a posting is beyond it, all later ones are too.
    fn newest_not(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        is_beyond: impl Fn(&mut Self, PostingRef) -> Result<bool, StorageError>,
    ) -> Result<Option<PostingRef>, StorageError> {
        // Roots stand newest first: those that are beyond come before the others.
        let (mut low, mut high) = (0, chain.roots().len());
        let root = |number| chain.root(number).expect("it is below the number of roots");
        while low < high {
            let middle = low + (high - low) / 2;
            if is_beyond(self, root(middle))? { low = middle + 1 } else { high = middle }
        }
        let Some(oldest_beyond) = low.checked_sub(1) else { return Ok(chain.newest()) };
        let mut here = root(oldest_beyond);
        loop {
            let after = self.chained(key, here)?.line().after;
            if let Some(jump) = after.jump
                && is_beyond(self, jump)?
            {
                here = jump;
                continue;
            }
            match after.previous {
                Some(previous) if is_beyond(self, previous)? => here = previous,
                previous => return Ok(previous),
            }
        }
    }

    /// At most `limit` postings, from the newest at `position` or before, going back.
    pub(super) fn postings_until(
        &mut self,
        key: &SubaccountKey,
        chain: &Chain,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Posting>, StorageError> {
        let mut page = vec![];
        let mut next = self.newest_until(key, chain, position)?;
        while let Some(at) = next.filter(|_| page.len() < limit) {
            let place = self.chained(key, at)?;
            next = place.line().after.previous;
            page.push(posting(at, &place));
        }
        Ok(page)
    }
}

fn posting(reference: PostingRef, place: &Place) -> Posting {
    Posting {
        reference,
        line: place.line().clone(),
        entry: place.entry().clone(),
        recorded_at: place.decision.recorded_at,
    }
}
