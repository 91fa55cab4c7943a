//! What was acknowledged is in the journal, where its caller was told, for ever.

use std::collections::BTreeMap;

use partita_core::id::{BookId, Key, Position};

use crate::oracle::Oracle;

#[derive(Debug, Default)]
pub(crate) struct AcknowledgedOnce {
    at: BTreeMap<(BookId, Key), Position>,
}

impl AcknowledgedOnce {
    pub(crate) const NAME: &'static str = "acknowledged once";

    pub(crate) fn acknowledged(&mut self, book: BookId, key: &Key, position: Position) -> Result<(), String> {
        let first = *self.at.entry((book, key.clone())).or_insert(position);
        if first == position {
            return Ok(());
        }
        Err(format!("key {key} was acknowledged at {first}, and then at {position}"))
    }

    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    pub(crate) fn finish(&self, oracle: &Oracle) -> Result<(), String> {
        for ((book, key), position) in &self.at {
            let found = oracle.position_of(*book, key);
            if found != Some(*position) {
                return Err(format!("key {key} was acknowledged at {position}, the journal has it at {found:?}"));
            }
        }
        Ok(())
    }
}
