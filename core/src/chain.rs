//! The chain of a subaccount's postings: who came before, and how to get far back in few steps.
//!
//! Every posting carries a pointer to the one before it and a jump pointer, after Myers, "An applicative
//! random-access stack" (1983): the postings form a list of perfect trees whose sizes are a skew-binary
//! number. The balance keeps the roots of that list, so that an append reads nothing; a walk back to any
//! earlier posting takes O(log n) steps.

use smallvec::SmallVec;

use crate::id::Position;

/// A posting's place: its decision, and its line counted over all entries of that decision, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostingRef {
    pub position: Position,
    pub line: u32,
}

/// A posting's place without the four bytes of padding: balances are the most of what is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Root {
    position: [u32; 2],
    line: u32,
}

impl From<PostingRef> for Root {
    fn from(PostingRef { position: Position(position), line }: PostingRef) -> Self {
        let low = u32::try_from(position & u64::from(u32::MAX)).expect("the lower half has 32 bits");
        let high = u32::try_from(position >> 32).expect("the upper half has 32 bits");
        Self { position: [high, low], line }
    }
}

impl From<Root> for PostingRef {
    fn from(Root { position: [high, low], line }: Root) -> Self {
        Self { position: Position(u64::from(high) << 32 | u64::from(low)), line }
    }
}

/// The roots of a chain; the tree sizes follow from the number of postings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    postings: u64,
    /// Oldest first: an append touches the end only. Of the first 400 numbers of postings, 24 of 25 have at most six.
    roots: SmallVec<[Root; 6]>,
}

/// What a new posting stores of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// 1 for the first posting of the subaccount.
    pub ordinal: u64,
    pub previous: Option<PostingRef>,
    pub jump: Option<PostingRef>,
}

/// What an append needs to know of a chain: its length, its newest roots, and whether it swallows two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    postings: u64,
    newest: Option<PostingRef>,
    third: Option<PostingRef>,
    /// Whether the two newest trees are of one size.
    merges: bool,
}

impl Tip {
    /// What the next posting must store.
    #[must_use]
    pub fn link(&self) -> Link {
        // A new tree that swallows the two newest has its jump lead past both.
        let jump = if self.merges { self.third } else { self.newest };
        Link { ordinal: self.postings + 1, previous: self.newest, jump }
    }
}

impl Chain {
    /// For the codec, with the newest root first: `None` if the number of roots does not fit the number of postings.
    #[must_use]
    pub fn from_parts(postings: u64, roots: Vec<PostingRef>) -> Option<Self> {
        let fits = tree_sizes(postings).len() == roots.len();
        fits.then(|| Self { postings, roots: roots.into_iter().rev().map(Root::from).collect() })
    }

    #[must_use]
    pub fn postings(&self) -> u64 {
        self.postings
    }

    /// Newest first; at most about 64.
    pub fn roots(&self) -> impl ExactSizeIterator<Item = PostingRef> + '_ {
        self.roots.iter().rev().map(|root| PostingRef::from(*root))
    }

    /// Counted from the newest, which is number 0.
    #[must_use]
    pub fn root(&self, number: usize) -> Option<PostingRef> {
        self.roots.len().checked_sub(number + 1).map(|place| self.roots[place].into())
    }

    /// The newest posting.
    #[must_use]
    pub fn newest(&self) -> Option<PostingRef> {
        self.roots.last().map(|root| PostingRef::from(*root))
    }

    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip { postings: self.postings, newest: self.newest(), third: self.root(2), merges: self.merges() }
    }

    /// Whether the two newest trees are of one size.
    ///
    /// With one more than its postings every tree is a power of two. As many different ones have as many bits in their
    /// sum; two that are equal carry.
    fn merges(&self) -> bool {
        let trees = u32::try_from(self.roots.len()).expect("about 64 at most");
        (u128::from(self.postings) + u128::from(trees)).count_ones() != trees
    }

    /// Appends `posting` and says what it must store.
    pub fn append(&mut self, posting: PostingRef) -> Link {
        let link = self.tip().link();
        self.push(posting);
        link
    }

    /// Appends `posting`, of which is known already what it must store.
    pub fn push(&mut self, posting: PostingRef) {
        // The new posting's tree swallows the two newest trees when they are of one size.
        if self.merges() {
            self.roots.truncate(self.roots.len() - 2);
        }
        self.roots.push(posting.into());
        self.postings += 1;
    }
}

/// The size of the greatest perfect tree that is no larger than `postings`: 2^k − 1.
fn greatest_tree(postings: u64) -> u64 {
    if postings == u64::MAX { postings } else { (1u64 << (postings + 1).ilog2()) - 1 }
}

/// The tree sizes of `postings` in skew-binary form, newest (smallest) first; only the two newest can be equal.
fn tree_sizes(postings: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut rest = postings;
    while rest > 0 {
        let size = greatest_tree(rest);
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
    fn a_root_says_the_whole_place() {
        for position in [0, 1, u64::from(u32::MAX), 1 << 32, 0x0123_4567_89ab_cdef, u64::MAX] {
            for line in [0, 7, u32::MAX] {
                let place = PostingRef { position: Position(position), line };
                assert_eq!(PostingRef::from(Root::from(place)), place);
            }
        }
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
            assert_eq!(Chain::from_parts(chain.postings(), chain.roots().collect()), Some(chain.clone()));
        }
        for postings in (0..5_000u64).chain(u64::MAX - 100..=u64::MAX) {
            let sizes = tree_sizes(postings);
            let chain = Chain::from_parts(postings, vec![at(1); sizes.len()]).unwrap();
            assert_eq!(chain.merges(), sizes.len() >= 2 && sizes[0] == sizes[1], "{postings} postings");
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
