//! Applying raft entries: each command is executed on the working set, each decision goes to the journal and the
//! hash trees. One applier owns all writing; readers see the state between two raft entries, never inside one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::RwLock;
use partita_core::decision::{Answer, Command, Decision};
use partita_core::execute::{Executed, execute};
use partita_core::id::Position;
use partita_core::planted::executing;

use super::checkpoint::Sealed;
use super::head::Applied;
use super::journaling::{Journaled, Journaling};
use super::prefetch::{NewKeys, ReadAhead, prefetch, touch};
use super::working::{Asked, WorkingSet, or_stop};
use crate::engine::TableEngine;

/// From so many commands on, a second thread makes a raft entry's blocks and hashes while they are executed: about a
/// millisecond of work, against which starting the thread is nothing.
const BESIDE_COMMANDS: usize = 256;
/// Decisions handed over to it at one time.
const HANDED_OVER: usize = 64;
/// A generation ends with the raft entry that reaches so many commands, however much memory there is: a restart repeats two
/// generations at most.
pub(super) const GENERATION_COMMANDS: usize = if cfg!(test) { 1_000 } else { 500_000 };
/// Commands whose keys and balances are brought into the processor's caches at one time: they fit in.
const TOUCHED_AHEAD: usize = 64;
/// Reading ahead looks for everything that is named; it pays from one record in so many commands on that memory lacks.
const WORTH_READING_AHEAD: u64 = 16;

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
    generation_commands: usize,
    /// Whether anything was applied since the last seal.
    is_dirty: bool,
    /// For how many records the engine was asked up to the last entry, its reading ahead included.
    asked: Asked,
    /// Of what the last entry asked it for so many that reading ahead is worth its way.
    ahead: ReadAhead,
    journal: JournalWork,
}

/// What the journal had of one raft entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalWork {
    /// Of its blocks.
    pub bytes: usize,
    /// For making blocks and hashes; in a large entry beside the execution.
    pub spent: Duration,
}

impl<E> fmt::Debug for Applier<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("applied", &self.applied.index).finish_non_exhaustive()
    }
}

impl<E: TableEngine> Applier<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, generation_limit_bytes: usize) -> Self {
        let applied = shared.working.read().applied.clone();
        Self {
            shared,
            applied,
            generation_limit_bytes,
            generation_bytes: 0,
            generation_commands: 0,
            is_dirty: false,
            asked: Asked::default(),
            ahead: ReadAhead { keys: true, others: true },
            journal: JournalWork::default(),
        }
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

    /// Of the last entry.
    #[must_use]
    pub fn journal_work(&self) -> JournalWork {
        self.journal
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
        self.apply_pieces(applied, vec![commands])
    }

    /// The same, with the commands in pieces that follow each other.
    pub fn apply_pieces(&mut self, applied: Applied, pieces: Vec<Vec<Command>>) -> Vec<Answer> {
        self.apply_with(applied, pieces, BESIDE_COMMANDS)
    }

    /// The same, with the second thread from `beside` commands on.
    pub(super) fn apply_with(&mut self, applied: Applied, pieces: Vec<Vec<Command>>, beside: usize) -> Vec<Answer> {
        let is_first = self.applied.raft.is_empty();
        assert!(is_first || applied.index > self.applied.index, "raft entry {} is applied twice", applied.index);
        let new_keys = if self.ahead.keys || self.ahead.others {
            or_stop(prefetch(&self.shared.working.read(), pieces.iter().flatten(), self.ahead))
        } else {
            NewKeys::default()
        };
        let mut working = self.shared.working.write();
        working.is_executing = true;
        working.new_keys = new_keys;
        let books = pieces.iter().flatten().map(|command| command.book);
        let journaling = Journaling::begin(applied.index, working.tree.clone(), working.charts.trees(books));
        let (answers, journaled) = if count(&pieces) < beside {
            execute_alone(&mut working, pieces, journaling)
        } else {
            execute_beside(&mut working, pieces, journaling)
        };
        let bytes = journaled.blocks.iter().map(|(_, block)| block.len()).sum();
        self.journal = JournalWork { bytes, spent: journaled.spent };
        enter(&mut working, journaled);
        working.applied = applied.clone();
        // They are of this entry only: a later one may repeat one of them.
        working.new_keys = NewKeys::default();
        working.is_executing = false;
        self.generation_bytes = working.generation_bytes;
        self.generation_commands += answers.len();
        let before = std::mem::replace(&mut self.asked, working.asked());
        self.ahead = ReadAhead {
            keys: is_worth_reading_ahead(self.asked.keys - before.keys, answers.len()),
            others: is_worth_reading_ahead(self.asked.others - before.others, answers.len()),
        };
        self.shared.position.store(working.head.position.0, Ordering::Release);
        drop(working);
        self.applied = applied;
        self.is_dirty = true;
        answers
    }

    /// Whether the current generation is worth a checkpoint.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        self.generation_bytes >= self.generation_limit_bytes || self.generation_commands >= GENERATION_COMMANDS
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
        self.generation_commands = 0;
        Some(Sealed::of(&mut working))
    }
}

fn is_worth_reading_ahead(asked: u64, commands: usize) -> bool {
    asked > 0 && asked.saturating_mul(WORTH_READING_AHEAD) >= u64::try_from(commands).unwrap_or(u64::MAX)
}

fn count(pieces: &[Vec<Command>]) -> usize {
    pieces.iter().map(Vec::len).sum()
}

/// `made` gets each decision as soon as it is made, in order.
fn execute_all<E: TableEngine>(
    working: &mut WorkingSet<E>,
    pieces: Vec<Vec<Command>>,
    mut made: impl FnMut(&Arc<Decision>),
) -> Vec<Answer> {
    let count = count(&pieces);
    let last = if count > 1 { count } else { 0 };
    let mut answers = Vec::with_capacity(count);
    for some in pieces.iter().flat_map(|piece| piece.chunks(TOUCHED_AHEAD)) {
        touch(working, some);
        for command in some {
            executing(answers.len() + 1 == last);
            let Executed { expired, answer } = execute(working, command);
            let decided = match &answer {
                Answer::Decided(decision) => Some(Arc::clone(decision)),
                Answer::Replayed { .. } | Answer::KeyReused { .. } => None,
            };
            for decision in expired.into_iter().chain(decided) {
                made(&decision);
                working.unblocked.push(decision);
            }
            answers.push(answer);
        }
    }
    answers
}

fn execute_alone<E: TableEngine>(
    working: &mut WorkingSet<E>,
    pieces: Vec<Vec<Command>>,
    mut journaling: Journaling,
) -> (Vec<Answer>, Journaled) {
    let answers = execute_all(working, pieces, |_decision| {});
    journaling.push_all(&working.unblocked);
    (answers, journaling.finish())
}

/// What is decided is written into blocks and hashed on another thread while the next commands are executed: that is a
/// third of an entry's work, and needs nothing of the rest but its decisions, in their order.
fn execute_beside<E: TableEngine>(
    working: &mut WorkingSet<E>,
    pieces: Vec<Vec<Command>>,
    mut journaling: Journaling,
) -> (Vec<Answer>, Journaled) {
    let (sender, decisions) = mpsc::channel::<Vec<Arc<Decision>>>();
    thread::scope(|scope| {
        let beside = scope.spawn(move || {
            decisions.iter().for_each(|handed_over| journaling.push_all(&handed_over));
            journaling.finish()
        });
        let hand_over = |decisions| sender.send(decisions).expect("it goes on until nobody can send any more");
        let mut waiting = Vec::with_capacity(HANDED_OVER);
        let answers = execute_all(working, pieces, |decision| {
            waiting.push(Arc::clone(decision));
            if waiting.len() == HANDED_OVER {
                hand_over(std::mem::replace(&mut waiting, Vec::with_capacity(HANDED_OVER)));
            }
        });
        hand_over(waiting);
        drop(sender);
        (answers, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Makes the blocks and trees of a raft entry part of the state.
fn enter<E: TableEngine>(working: &mut WorkingSet<E>, journaled: Journaled) {
    let Journaled { blocks, tree, trees, other_leaves, spent: _ } = journaled;
    assert_eq!(
        working.head.position.0,
        tree.size(),
        "every decision of the head is in the journal and in the hash tree"
    );
    working.unblocked.clear();
    for (first, block) in blocks {
        working.generation_bytes += block.len();
        working.journal.append(first, block);
    }
    working.tree = tree;
    for (book, tree) in trees {
        working.charts.put_tree(book, tree);
    }
    for (book, leaf) in other_leaves {
        working.charts.push_leaf(book, leaf);
    }
}
