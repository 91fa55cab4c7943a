//! A subaccount's postings, counted again: sums, pointers and dates, from the definition and not from core's code.

use partita_core::chain::{Chain, PostingRef};
use partita_core::entry::{After, Side};
use partita_core::state::{Subaccount, Sums};
use partita_core::time::Date;

/// What a subaccount's postings come to.
///
/// The postings form a list of perfect binary trees, the newest first (Myers 1983): a posting becomes the root over
/// the two newest trees if they are of one size, else a tree of its own. It points to the posting before it, and
/// past its own tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Postings {
    pub(super) sums: Sums,
    count: u64,
    newest: Option<PostingRef>,
    /// Root and size of each tree, the newest last.
    trees: Vec<(PostingRef, u64)>,
    greatest_date: Option<Date>,
}

impl Postings {
    /// Counts one posting and says what it must carry.
    pub(super) fn post(&mut self, at: PostingRef, side: Side, minor: i128, date: Date) -> After {
        add(&mut self.sums, side, minor);
        self.count += 1;
        let greatest_date = self.greatest_date.map_or(date, |greatest| greatest.max(date));
        self.greatest_date = Some(greatest_date);
        let (previous, size) = (self.newest, self.merged_size());
        // What is left of the trees begins where the new posting's own tree ends.
        let jump = self.trees.last().map(|tree| tree.0);
        self.trees.push((at, size));
        self.newest = Some(at);
        let Sums { debits, credits, .. } = self.sums;
        After { debits, credits, ordinal: self.count, greatest_date, previous, jump }
    }

    /// Takes the two newest trees away if they are of one size; the size of the next posting's tree.
    fn merged_size(&mut self) -> u64 {
        match self.trees[..] {
            [.., (_, left), (_, right)] if left == right => {
                self.trees.truncate(self.trees.len() - 2);
                left + right + 1
            }
            _ => 1,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The subaccount's row; `None` if core's form of the chain does not take these roots.
    pub(super) fn row(&self) -> Option<Subaccount> {
        let roots = self.trees.iter().rev().map(|tree| tree.0).collect();
        let chain = Chain::from_parts(self.count, roots)?;
        Some(Subaccount { sums: self.sums, chain, greatest_date: self.greatest_date })
    }
}

/// Sums that would pass their width stay at it, and then differ from what is stored.
pub(super) fn add(sums: &mut Sums, side: Side, minor: i128) {
    let sum = match side {
        Side::Debit => &mut sums.debits,
        Side::Credit => &mut sums.credits,
    };
    *sum = sum.saturating_add(minor);
}

pub(super) fn add_pending(sums: &mut Sums, side: Side, delta: i128) {
    let sum = match side {
        Side::Debit => &mut sums.pending_debits,
        Side::Credit => &mut sums.pending_credits,
    };
    *sum = sum.saturating_add(delta);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples::date;
    use partita_core::id::Position;

    #[test]
    fn pointers_agree_with_the_ones_that_core_makes() {
        let (mut postings, mut chain) = (Postings::default(), Chain::default());
        for ordinal in 1..2_000u64 {
            let at = PostingRef { position: Position(ordinal * 3), line: 1 };
            let after = postings.post(at, Side::Debit, 2, date("2026-01-02"));
            let link = chain.append(at);
            assert_eq!((after.ordinal, after.previous, after.jump), (link.ordinal, link.previous, link.jump));
            assert_eq!(postings.row().map(|row| row.chain), Some(chain.clone()));
        }
    }
}
