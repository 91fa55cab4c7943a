//! Opening the State DB: where it stands, what of it is held in memory, and what a crash left beyond the head.

use std::sync::Arc;

use partita_core::id::Position;
use partita_core::planted::{Bug, planted};

use super::applier::{Applier, Shared};
use super::charts::{Charts, for_each_row};
use super::checkpoint::Checkpointer;
use super::error::{OpenError, StorageError};
use super::head::{HORIZON_PREFIX, HeadRecord, parse_horizon_key, read_head};
use super::horizon::Horizons;
use super::journal::stored_block;
use super::reader::Reader;
use super::working::WorkingSet;
use crate::codec::keys::TableKey;
use crate::codec::{Levels, decode_record};
use crate::engine::{Batch, KeyRange, Table, TableEngine, TableRead};

/// What a state is opened with.
#[derive(Clone, Copy, Debug)]
pub struct StateConfig {
    /// How much memory the working set may use, the engine's own not included.
    ///
    /// A quarter each: the generation that fills, the one that a checkpoint writes, the one that the last
    /// checkpoint wrote and that is kept to be read, and caches of records read. A generation that is written has
    /// no blocks of the journal any more; balances of the generations before it take about their place.
    pub memory_bytes: usize,
    /// The replicated levels that the program knows.
    pub levels: Levels,
}

impl StateConfig {
    /// The most that one generation holds; a checkpoint writes one.
    #[must_use]
    pub const fn generation_bytes(&self) -> usize {
        self.memory_bytes / 4
    }
}

/// The three hands on one state: who writes it, who makes it durable, who reads it.
pub type Opened<E> = (Applier<E>, Checkpointer<E>, Reader<E>);

/// Opens a state; an empty engine is the state before the first raft entry.
pub fn open_state<E: TableEngine>(engine: E, config: StateConfig) -> Result<Opened<E>, OpenError> {
    let part_bytes = config.generation_bytes();
    let mut working = WorkingSet::new(Arc::new(engine), part_bytes);
    let engine = Arc::clone(&working.engine);
    let stored = read_head(&*engine, config.levels)?;
    let head = stored.as_ref().map_or(Position(0), |record| record.head.position);
    cut_journal(&*engine, head)?;
    if let Some(HeadRecord { format: _, head, applied, tree }) = stored {
        working.head = head;
        working.applied = applied;
        working.tree = tree;
        working.charts = Charts::load(&*engine)?;
        working.all_keys = load_horizons(&*engine)?;
        working.written_keys = working.all_keys.clone();
        if !planted(Bug::ExpiriesNotRestored) {
            working.find_next_expiry(vec![])?;
        }
        #[cfg(feature = "planted-bugs")]
        super::planted::forget_refund_totals(&mut working)?;
    }
    let shared = Arc::new(Shared::new(working));
    let applier = Applier::new(Arc::clone(&shared), part_bytes);
    Ok((applier, Checkpointer::new(Arc::clone(&shared)), Reader::new(shared)))
}

/// Removes the blocks beyond the head, which a checkpoint that was never finished left, and checks that the
/// journal ends exactly there.
fn cut_journal<E: TableEngine>(engine: &E, head: Position) -> Result<(), StorageError> {
    let beyond = KeyRange { from: head.next().to_bytes(), to: None };
    let mut cut = Batch::new();
    for_each_row(engine, Table::Journal, beyond, |key, _block| {
        cut.remove(Table::Journal, key);
        Ok(())
    })?;
    if !cut.is_empty() {
        tracing::info!(blocks = cut.steps().len(), head = head.0, "journal blocks beyond the head are cut");
        engine.write(cut)?;
    }
    let last = match stored_block(engine, head)? {
        Some(block) => block.header()?.last(),
        None => Position(0),
    };
    if last == head { Ok(()) } else { Err(StorageError::Gap { position: head.min(last.next()) }) }
}

/// What the checkpoints wrote about keys.
pub(crate) fn load_horizons(engine: &impl TableRead) -> Result<Horizons, StorageError> {
    let mut horizons = Horizons::default();
    for_each_row(engine, Table::Meta, KeyRange::prefix(HORIZON_PREFIX.to_vec()), |key, bytes| {
        let Some((book, class)) = parse_horizon_key(&key) else {
            let problem = "not the key of a key horizon";
            return Err(StorageError::Inconsistent { table: Table::Meta, key, problem });
        };
        let horizon =
            decode_record(&bytes).map_err(|source| StorageError::Corrupt { table: Table::Meta, key, source })?;
        horizons.insert(book, class, horizon);
        Ok(())
    })?;
    Ok(horizons)
}
