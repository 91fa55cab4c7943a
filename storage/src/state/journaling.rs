//! From the decisions of one raft entry to blocks of the journal and hash trees.
//!
//! It needs nothing of the state but the trees as they stood, so that it can run beside the execution.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_core::decision::Decision;
use partita_core::id::{BookId, Position};

use crate::codec::{Writer, write_decision};
use crate::journal::block::BlockBuilder;
use crate::tree::{Frontier, Hash, LEAF, leaf_of};

/// Takes decisions one after the other.
#[derive(Debug)]
pub(super) struct Journaling {
    raft_index: u64,
    builder: BlockBuilder,
    blocks: Vec<(Position, Vec<u8>)>,
    tree: Frontier,
    trees: BTreeMap<BookId, Frontier>,
    other_leaves: Vec<(BookId, Hash)>,
    /// [`LEAF`] and a decision's canonical bytes; kept for its memory.
    prefixed: Vec<u8>,
    spent: Duration,
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
            prefixed: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    /// # Panics
    /// If a position does not follow.
    pub(super) fn push_all(&mut self, decisions: &[Arc<Decision>]) {
        let began = Instant::now();
        decisions.iter().for_each(|decision| self.push(decision));
        self.spent += began.elapsed();
    }

    fn push(&mut self, decision: &Decision) {
        assert_eq!(decision.position.0, self.tree.size() + 1, "positions are gapless");
        let mut writer = Writer::from_vec(std::mem::take(&mut self.prefixed));
        writer.byte(LEAF);
        write_decision(decision, &mut writer);
        self.prefixed = writer.into_vec();
        let bytes = &self.prefixed[1..];
        if !self.builder.fits(bytes.len()) {
            let full = std::mem::replace(&mut self.builder, BlockBuilder::new(self.raft_index));
            self.blocks.push(finished(full));
        }
        self.builder.push(decision, bytes);
        let leaf = leaf_of(&self.prefixed);
        self.prefixed.clear();
        self.tree.push(leaf);
        match self.trees.get_mut(&decision.book) {
            Some(tree) => tree.push(leaf),
            None => self.other_leaves.push((decision.book, leaf)),
        }
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
