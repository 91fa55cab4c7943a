//! Reading the journal by position and by instant.
//!
//! What is decided never changes, so the past can be read without keeping the applier waiting: [`UpTo`] takes the
//! lock for as long as it looks into memory for a block, and reads the disk without it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use partita_core::decision::Decision;
use partita_core::id::Position;
use partita_core::state::Head;
use partita_core::time::Timestamp;

use super::applier::Shared;
use super::error::StorageError;
use super::journal::{StoredBlock, stored_block, stored_blocks};
use super::working::WorkingSet;
use crate::engine::TableEngine;
use crate::journal::block::Block;

/// Blocks that a pass through the journal reads at one time.
const BLOCKS_AHEAD: usize = 16;

/// A journal up to a head.
pub(super) trait Past {
    fn until(&self) -> Head;
    /// The block that holds a decision, which is not beyond the head.
    fn block(&self, position: Position) -> Result<StoredBlock, StorageError>;
}

impl<E: TableEngine> Past for WorkingSet<E> {
    fn until(&self) -> Head {
        self.head
    }

    fn block(&self, position: Position) -> Result<StoredBlock, StorageError> {
        self.journal.block(&*self.engine, position)
    }
}

/// The journal as it was at one moment, while the applier goes on.
#[derive(Debug)]
pub(super) struct UpTo<E> {
    pub(super) shared: Arc<Shared<E>>,
    pub(super) head: Head,
}

impl<E: TableEngine> Past for UpTo<E> {
    fn until(&self) -> Head {
        self.head
    }

    fn block(&self, position: Position) -> Result<StoredBlock, StorageError> {
        let in_memory = self.shared.working.read().journal.block_in_memory(position);
        match in_memory {
            Some(block) => Ok(block),
            // A block leaves memory only once the engine has it.
            None => stored_block(&*self.shared.engine, position)?.ok_or(StorageError::Gap { position }),
        }
    }
}

impl<E: TableEngine> UpTo<E> {
    /// Calls `visit` for the blocks that hold the decisions of `from` to `until`, in order, until it breaks. The
    /// first and the last of them may hold others too.
    pub(super) fn for_each_block(
        &self,
        from: Position,
        until: Position,
        mut visit: impl FnMut(&Block<'_>) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        let (mut next, until) = (from.max(Position(1)), until.min(self.head.position));
        let mut ahead = VecDeque::new();
        while next <= until {
            let stored = match ahead.pop_front() {
                Some(stored) => stored,
                None => self.blocks_from(next, &mut ahead)?,
            };
            let block = stored.open()?;
            let header = block.header();
            if header.first > next || header.last() < next {
                return Err(StorageError::Gap { position: next });
            }
            next = header.last().next();
            if visit(&block)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The block that holds `position`; blocks behind it go to `ahead` where they come with it.
    fn blocks_from(&self, position: Position, ahead: &mut VecDeque<StoredBlock>) -> Result<StoredBlock, StorageError> {
        let in_memory = self.shared.working.read().journal.block_in_memory(position);
        if let Some(block) = in_memory {
            return Ok(block);
        }
        ahead.extend(stored_blocks(&*self.shared.engine, position, BLOCKS_AHEAD)?);
        match ahead.front() {
            Some(first) if first.first == position => {}
            // It begins before: only the first block of a pass may.
            Some(_) | None => {
                ahead.clear();
                return stored_block(&*self.shared.engine, position)?.ok_or(StorageError::Gap { position });
            }
        }
        ahead.pop_front().ok_or(StorageError::Gap { position })
    }
}

/// `None` beyond the head.
pub(super) fn decision(past: &impl Past, position: Position) -> Result<Option<Decision>, StorageError> {
    if position == Position(0) || position > past.until().position {
        return Ok(None);
    }
    past.block(position)?.decision(position).map(Some)
}

/// Decisions in order: at most `limit`, and no more once their stored bytes reach `max_bytes`.
pub(super) fn decisions(
    past: &impl Past,
    from: Position,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<Decision>, StorageError> {
    let (mut found, mut bytes) = (vec![], 0);
    let mut next = from.max(Position(1));
    while next <= past.until().position {
        let stored = past.block(next)?;
        let block = stored.open()?;
        let damaged = |source| StorageError::Block { first: stored.first, source };
        if block.header().last() < next {
            return Err(StorageError::Gap { position: next });
        }
        while next <= block.header().last() {
            if found.len() >= limit || (bytes >= max_bytes && !found.is_empty()) {
                return Ok(found);
            }
            bytes += block.decision_bytes(next).map_err(damaged)?.len();
            found.push(block.decision(next).map_err(damaged)?);
            next = next.next();
        }
    }
    Ok(found)
}

/// The decisions of the block that holds `until`, from `until` back to the block's first. None at position 0.
pub(super) fn decisions_back(past: &impl Past, until: Position) -> Result<Vec<Decision>, StorageError> {
    let until = until.min(past.until().position);
    if until == Position(0) {
        return Ok(vec![]);
    }
    let stored = past.block(until)?;
    let block = stored.open()?;
    let first = block.header().first;
    if block.header().last() < until {
        return Err(StorageError::Gap { position: until });
    }
    let decision = |position| block.decision(Position(position));
    (first.0..=until.0)
        .rev()
        .map(decision)
        .collect::<Result<_, _>>()
        .map_err(|source| StorageError::Block { first: stored.first, source })
}

/// The last decision recorded at `instant` or before; 0 if there is none.
pub(super) fn position_at(past: &impl Past, instant: Timestamp) -> Result<Position, StorageError> {
    let head = past.until();
    if instant >= head.time {
        return Ok(head.position);
    }
    // What is recorded in time ends at `before` or later, and before `beyond`.
    let (mut before, mut beyond) = (Position(0), head.position);
    while beyond.0 - before.0 > 1 {
        let middle = Position(before.0 + (beyond.0 - before.0) / 2);
        let stored = past.block(middle)?;
        let block = stored.open()?;
        let header = block.header();
        if header.first_recorded_at > instant {
            beyond = header.first;
        } else if header.last_recorded_at <= instant {
            before = header.last();
        } else {
            let damaged = |source| StorageError::Block { first: stored.first, source };
            let mut last = header.first;
            while last < header.last() && block.decision(last.next()).map_err(damaged)?.recorded_at <= instant {
                last = last.next();
            }
            return Ok(last);
        }
    }
    Ok(before)
}
