//! From the decisions of one raft entry to blocks of the journal and hash trees.
//!
//! It needs nothing of the state but the trees as they stood, so that it can run beside the execution.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_core::decision::Decision;
use partita_core::id::{BookId, Position};

use crate::codec::{Writer, write_decision};
use crate::hashing::hash_each;
use crate::journal::block::BlockBuilder;
use crate::tree::{Frontier, Hash, LEAF};

/// So many bytes of decisions are hashed together at most, but for the last decision: they are still near.
const HASHED_TOGETHER: usize = 64 << 10;

/// Takes decisions one after the other.
#[derive(Debug)]
pub(super) struct Journaling {
    raft_index: u64,
    builder: BlockBuilder,
    blocks: Vec<(Position, Vec<u8>)>,
    tree: Frontier,
    trees: BTreeMap<BookId, Frontier>,
    other_leaves: Vec<(BookId, Hash)>,
    unhashed: Unhashed,
    spent: Duration,
}

/// Decisions that are in blocks and not in the trees yet. Many are hashed at once.
#[derive(Debug, Default)]
struct Unhashed {
    /// [`LEAF`] and the canonical bytes, of each.
    bytes: Vec<u8>,
    /// Where each is in them, and of which book it is.
    parts: Vec<Range<usize>>,
    books: Vec<BookId>,
}

/// What a raft entry adds to the journal.
#[derive(Debug)]
pub(super) struct Journaled {
    /// By first position, in order.
    pub(super) blocks: Vec<(Position, Vec<u8>)>,
    /// The tree over all decisions, as it stands after them.
    pub(super) tree: Frontier,
    /// Those of the books that were given.
    pub(super) trees: BTreeMap<BookId, Frontier>,
    /// The leaves of other books: what expired there, or was opened.
    pub(super) other_leaves: Vec<(BookId, Hash)>,
    /// The time that it took.
    pub(super) spent: Duration,
}

impl Journaling {
    /// `tree` and `trees` as they stand before the entry; `trees` of the books that it is mostly about.
    pub(super) fn begin(raft_index: u64, tree: Frontier, trees: BTreeMap<BookId, Frontier>) -> Self {
        Self {
            raft_index,
            builder: BlockBuilder::new(raft_index),
            blocks: Vec::new(),
            tree,
            trees,
            other_leaves: Vec::new(),
            unhashed: Unhashed::default(),
            spent: Duration::ZERO,
        }
    }

    /// # Panics
    /// If a position does not follow.
    pub(super) fn push_all(&mut self, decisions: &[Arc<Decision>]) {
        let began = Instant::now();
        for decision in decisions {
            self.push(decision);
            if self.unhashed.bytes.len() >= HASHED_TOGETHER {
                self.hash();
            }
        }
        self.hash();
        self.spent += began.elapsed();
    }

    fn push(&mut self, decision: &Decision) {
        let Unhashed { bytes, parts, books } = &mut self.unhashed;
        let before = self.tree.size() + u64::try_from(parts.len()).expect("what is in memory can be counted");
        assert_eq!(decision.position.0, before + 1, "positions are gapless");
        let start = bytes.len();
        let mut writer = Writer::from_vec(std::mem::take(bytes));
        writer.byte(LEAF);
        write_decision(decision, &mut writer);
        *bytes = writer.into_vec();
        parts.push(start..bytes.len());
        books.push(decision.book);
        let canonical = &bytes[start + 1..];
        if !self.builder.fits(canonical.len()) {
            let full = std::mem::replace(&mut self.builder, BlockBuilder::new(self.raft_index));
            self.blocks.push(finished(full));
        }
        self.builder.push(decision, canonical);
    }

    /// What is in blocks comes into the trees.
    fn hash(&mut self) {
        let Unhashed { bytes, parts, books } = &mut self.unhashed;
        let mut leaves = Vec::new();
        hash_each(bytes, parts, &mut leaves);
        self.tree.push_all(&leaves);
        let mut rest = leaves.as_slice();
        for run in books.chunk_by(BookId::eq) {
            let (of_book, others) = rest.split_at(run.len());
            match self.trees.get_mut(&run[0]) {
                Some(tree) => tree.push_all(of_book),
                None => self.other_leaves.extend(of_book.iter().map(|leaf| (run[0], *leaf))),
            }
            rest = others;
        }
        bytes.clear();
        parts.clear();
        books.clear();
    }

    pub(super) fn finish(mut self) -> Journaled {
        if !self.builder.is_empty() {
            self.blocks.push(finished(self.builder));
        }
        let Self { blocks, tree, trees, other_leaves, spent, .. } = self;
        Journaled { blocks, tree, trees, other_leaves, spent }
    }
}

fn finished(builder: BlockBuilder) -> (Position, Vec<u8>) {
    let first = builder.first().expect("a block that is finished has a decision");
    (first, builder.finish())
}
