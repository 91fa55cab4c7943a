//! The journal as it is read: blocks that are still in memory over those that a checkpoint has written.

use std::collections::BTreeMap;
use std::sync::Arc;

use partita_core::decision::Decision;
use partita_core::id::Position;

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::engine::{Direction, KeyRange, Row, Table, TableRead};
use crate::journal::block::{Block, BlockError, Header};

/// Blocks by first position.
pub(super) type Blocks = BTreeMap<Position, Arc<[u8]>>;

/// The blocks since the last durable checkpoint.
#[derive(Debug, Default)]
pub(super) struct JournalLayers {
    current: Blocks,
    sealed: Option<Arc<Blocks>>,
}

impl JournalLayers {
    pub(super) fn append(&mut self, first: Position, block: Vec<u8>) {
        self.current.insert(first, block.into());
    }

    pub(super) fn seal(&mut self) -> Arc<Blocks> {
        assert!(self.sealed.is_none(), "one checkpoint at a time");
        let sealed = Arc::new(std::mem::take(&mut self.current));
        self.sealed = Some(Arc::clone(&sealed));
        sealed
    }

    /// The engine has the sealed blocks. Returns them, to be dropped where nobody waits.
    pub(super) fn settle(&mut self) -> Option<Arc<Blocks>> {
        self.sealed.take()
    }

    /// The block that holds `position`, unless only the engine has it.
    pub(super) fn block_in_memory(&self, position: Position) -> Option<StoredBlock> {
        let layers = [Some(&self.current), self.sealed.as_deref()];
        layers.into_iter().flatten().find_map(|layer| {
            let (first, bytes) = layer.range(..=position).next_back()?;
            Some(StoredBlock { first: *first, bytes: Arc::clone(bytes) })
        })
    }

    /// The block that holds `position`, which is not beyond the head.
    pub(super) fn block(&self, engine: &impl TableRead, position: Position) -> Result<StoredBlock, StorageError> {
        match self.block_in_memory(position) {
            Some(block) => Ok(block),
            None => stored_block(engine, position)?.ok_or(StorageError::Gap { position }),
        }
    }
}

/// The last block in the engine that begins at `position` or before it.
pub(super) fn stored_block(engine: &impl TableRead, position: Position) -> Result<Option<StoredBlock>, StorageError> {
    let range = KeyRange { from: vec![], to: Some(position.next().to_bytes()) };
    engine.scan(Table::Journal, &range, Direction::Backward, 1)?.pop().map(StoredBlock::of_row).transpose()
}

/// At most `limit` blocks of the engine that begin at `position` or behind it, in order.
pub(super) fn stored_blocks(
    engine: &impl TableRead,
    position: Position,
    limit: usize,
) -> Result<Vec<StoredBlock>, StorageError> {
    let range = KeyRange { from: position.to_bytes(), to: None };
    engine.scan(Table::Journal, &range, Direction::Forward, limit)?.into_iter().map(StoredBlock::of_row).collect()
}

/// A block's bytes with the position that it is stored under.
#[derive(Clone, Debug)]
pub(super) struct StoredBlock {
    pub(super) first: Position,
    pub(super) bytes: Arc<[u8]>,
}

impl StoredBlock {
    fn of_row((key, bytes): Row) -> Result<Self, StorageError> {
        let first = Position::from_bytes(&key).map_err(|source| StorageError::Corrupt {
            table: Table::Journal,
            key: key.clone(),
            source,
        })?;
        Ok(Self { first, bytes: bytes.into() })
    }

    /// Checks it as a whole.
    pub(super) fn open(&self) -> Result<Block<'_>, StorageError> {
        let damaged = |source| StorageError::Block { first: self.first, source };
        let block = Block::open(&self.bytes).map_err(damaged)?;
        let found = block.header().first;
        if found == self.first {
            Ok(block)
        } else {
            Err(damaged(BlockError::Misplaced { expected: self.first, found }))
        }
    }

    pub(super) fn header(&self) -> Result<Header, StorageError> {
        Ok(self.open()?.header())
    }

    pub(super) fn decision(&self, position: Position) -> Result<Decision, StorageError> {
        self.open()?.decision(position).map_err(|source| StorageError::Block { first: self.first, source })
    }
}
