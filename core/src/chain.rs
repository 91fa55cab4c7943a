//! The chain of a subaccount's postings: who came before, and how to get far back in few steps.
//!
//! Every posting carries a pointer to the one before it and a jump pointer, after Myers, "An applicative
//! random-access stack" (1983): the postings form a list of perfect trees whose sizes are a skew-binary
//! number. The balance keeps the roots of that list, so that an append reads nothing; a walk back to any
//! earlier posting takes O(log n) steps.

use crate::id::Position;

/// A posting's place: its decision, and its line counted over all entries of that decision, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostingRef {
    pub position: Position,
    pub line: u32,
}

/// The roots of a chain, newest first; the tree sizes follow from the number of postings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    postings: u64,
    roots: Vec<PostingRef>,
}

/// What a new posting stores of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// 1 for the first posting of the subaccount.
    pub ordinal: u64,
    pub previous: Option<PostingRef>,
    pub jump: Option<PostingRef>,
}

impl Chain {
    /// For the codec: `None` if the number of roots does not fit the number of postings.
    #[must_use]
    pub fn from_parts(postings: u64, roots: Vec<PostingRef>) -> Option<Self> {
        (tree_sizes(postings).len() == roots.len()).then_some(Self { postings, roots })
    }

    #[must_use]
    pub fn postings(&self) -> u64 {
        self.postings
    }

    /// Newest first; at most about 64.
    #[must_use]
    pub fn roots(&self) -> &[PostingRef] {
        &self.roots
    }

    /// The newest posting.
    #[must_use]
    pub fn newest(&self) -> Option<PostingRef> {
        self.roots.first().copied()
    }

    /// Appends `posting` and says what it must store.
    pub fn append(&mut self, posting: PostingRef) -> Link {
        let previous = self.newest();
        let sizes = tree_sizes(self.postings);
        let merges = sizes.len() >= 2 && sizes[0] == sizes[1];
        // The new posting's tree swallows the two newest trees when they are of one size; its jump leads past its tree.
        let jump = if merges { self.roots.get(2).copied() } else { previous };
        if merges {
            self.roots.drain(..2);
        }
        self.roots.insert(0, posting);
        self.postings += 1;
        Link { ordinal: self.postings, previous, jump }
    }
}

/// The tree sizes of `postings` in skew-binary form, newest (smallest) first; only the two newest can be equal.
fn tree_sizes(postings: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut rest = postings;
    while rest > 0 {
        // The greatest 2^k - 1 that fits.
        let size = if rest == u64::MAX { rest } else { (1u64 << (rest + 1).ilog2()) - 1 };
        sizes.push(size);
        rest -= size;
    }
    sizes.reverse();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ordinal: u64) -> PostingRef {
        PostingRef { position: Position(ordinal), line: 0 }
    }

    #[test]
    fn every_earlier_posting_is_a_few_steps_away() {
        let mut chain = Chain::default();
        let mut links = vec![];
        for ordinal in 1..=3000u64 {
            let link = chain.append(at(ordinal));
            assert_eq!(link.ordinal, ordinal);
            assert_eq!(link.previous, (ordinal > 1).then(|| at(ordinal - 1)));
            links.push(link);
            assert_eq!(Chain::from_parts(chain.postings(), chain.roots().to_vec()), Some(chain.clone()));
        }
        let mut longest = 0;
        for target in 1..=3000u64 {
            let (mut here, mut steps) = (3000u64, 0);
            while here != target {
                let link = links[usize::try_from(here - 1).unwrap()];
                here = match link.jump {
                    Some(jump) if jump.position.0 >= target => jump.position.0,
                    _ => link.previous.unwrap().position.0,
                };
                steps += 1;
            }
            longest = longest.max(steps);
        }
        // Myers: at most 3 lg n.
        assert!(longest <= 3 * 12, "{longest} steps for 3,000 postings");
    }
}
