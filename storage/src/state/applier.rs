//! Applying raft entries: each command is executed on the working set, each decision goes to the journal and the
//! hash trees. One applier owns all writing; readers see the state between two raft entries, never inside one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use partita_core::decision::{Answer, Command};
use partita_core::execute::{Executed, execute};
use partita_core::id::Position;
use partita_core::planted::executing;

use super::checkpoint::Sealed;
use super::head::Applied;
use super::prefetch::prefetch;
use super::working::{WorkingSet, or_stop};
use crate::codec::{Writer, write_decision};
use crate::engine::TableEngine;
use crate::journal::block::BlockBuilder;
use crate::tree::{LEAF, leaf_of};

/// What the applier, the checkpointer and the readers have in common.
#[derive(Debug)]
pub(super) struct Shared<E> {
    pub(super) engine: Arc<E>,
    /// Written while one raft entry is executed and for the moments of sealing and settling a generation.
    pub(super) working: RwLock<WorkingSet<E>>,
    /// The working set's position, readable without the lock.
    position: AtomicU64,
}

impl<E: TableEngine> Shared<E> {
    pub(super) fn new(working: WorkingSet<E>) -> Self {
        let position = AtomicU64::new(working.head.position.0);
        Self { engine: Arc::clone(&working.engine), working: RwLock::new(working), position }
    }

    pub(super) fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// Runs `read` against the state after some raft entry.
    pub(super) fn read<T>(&self, read: impl FnOnce(&WorkingSet<E>) -> T) -> T {
        let working = self.working.read();
        assert!(!working.is_executing, "the state machine stopped in the middle of a raft entry");
        read(&working)
    }
}

/// The one writer of a node's state.
pub struct Applier<E> {
    shared: Arc<Shared<E>>,
    applied: Applied,
    generation_limit_bytes: usize,
    generation_bytes: usize,
    /// Whether anything was applied since the last seal.
    is_dirty: bool,
    /// How often the engine was asked up to the last entry, its reading ahead included.
    asked: u64,
    /// Whether it was for the last entry.
    asks: bool,
}

impl<E> fmt::Debug for Applier<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("applied", &self.applied.index).finish_non_exhaustive()
    }
}

impl<E: TableEngine> Applier<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, generation_limit_bytes: usize) -> Self {
        let applied = shared.working.read().applied.clone();
        Self { shared, applied, generation_limit_bytes, generation_bytes: 0, is_dirty: false, asked: 0, asks: true }
    }

    /// The last raft entry that the state includes; nothing yet if its raft bytes are empty.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.position()
    }

    /// The store underneath, for replacing it.
    #[must_use]
    pub fn engine(&self) -> Arc<E> {
        Arc::clone(&self.shared.engine)
    }

    /// Executes the commands of one raft entry, in order, as of which the state is `applied`. Entries without
    /// commands are applied too.
    ///
    /// # Panics
    /// If the entry was applied already, if an invariant of the ledger does not hold, or if the state cannot be
    /// read: the node stops.
    pub fn apply(&mut self, applied: Applied, commands: Vec<Command>) -> Vec<Answer> {
        let is_first = self.applied.raft.is_empty();
        assert!(is_first || applied.index > self.applied.index, "raft entry {} is applied twice", applied.index);
        if self.asks {
            or_stop(prefetch(&self.shared.working.read(), &commands));
        }
        let mut working = self.shared.working.write();
        let asked_before = std::mem::replace(&mut self.asked, working.asked());
        working.is_executing = true;
        let before = working.head.position;
        let mut answers = Vec::with_capacity(commands.len());
        let last = if commands.len() > 1 { commands.len() } else { 0 };
        for (number, command) in (1..).zip(commands) {
            executing(number == last);
            let Executed { expired, answer } = execute(&mut *working, &command);
            working.unblocked.extend(expired);
            if let Answer::Decided(decision) = &answer {
                working.unblocked.push(Arc::clone(decision));
            }
            answers.push(answer);
        }
        write_journal(&mut working, before, applied.index);
        working.applied = applied.clone();
        working.is_executing = false;
        self.generation_bytes = working.generation_bytes;
        // Reading ahead is worth its way as long as there is something to read.
        self.asks = working.asked() > asked_before;
        self.shared.position.store(working.head.position.0, Ordering::Release);
        drop(working);
        self.applied = applied;
        self.is_dirty = true;
        answers
    }

    /// Whether the current generation is worth a checkpoint.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        self.generation_bytes >= self.generation_limit_bytes
    }

    /// Whether applying must wait until the checkpoint that is being written is done: the current generation is
    /// full, and two are the most that memory has room for.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.checkpoint_due() && self.shared.working.read().is_sealed()
    }

    /// Closes the current generation for the checkpointer and begins a new one; `None` while a checkpoint is being
    /// written, and if nothing was applied since the last one.
    pub fn seal(&mut self) -> Option<Sealed> {
        if !self.is_dirty {
            return None;
        }
        let mut working = self.shared.working.write();
        if working.is_sealed() {
            return None;
        }
        self.is_dirty = false;
        self.generation_bytes = 0;
        Some(Sealed::of(&mut working))
    }
}

/// Puts the decisions of one raft entry into blocks and hash trees.
fn write_journal<E: TableEngine>(working: &mut WorkingSet<E>, before: Position, raft_index: u64) {
    let decisions = std::mem::take(&mut working.unblocked);
    let mut next = before;
    let mut builder = BlockBuilder::new(raft_index);
    let mut prefixed = Vec::new();
    for decision in &decisions {
        next = next.next();
        assert_eq!(decision.position, next, "positions are gapless");
        let mut writer = Writer::from_vec(std::mem::take(&mut prefixed));
        writer.byte(LEAF);
        write_decision(decision, &mut writer);
        prefixed = writer.into_vec();
        let bytes = &prefixed[1..];
        if !builder.fits(bytes.len()) {
            finish(working, std::mem::replace(&mut builder, BlockBuilder::new(raft_index)));
        }
        builder.push(decision, bytes);
        let leaf = leaf_of(&prefixed);
        prefixed.clear();
        working.tree.push(leaf);
        working.charts.push_leaf(decision.book, leaf);
    }
    assert_eq!(working.head.position, next, "every decision of the head is in the journal");
    assert_eq!(working.tree.size(), next.0, "every decision is in the hash tree");
    if !builder.is_empty() {
        finish(working, builder);
    }
}

fn finish<E: TableEngine>(working: &mut WorkingSet<E>, builder: BlockBuilder) {
    let first = builder.first().expect("a block that is finished has a decision");
    let block = builder.finish();
    working.generation_bytes += block.len();
    working.journal.append(first, block);
}
