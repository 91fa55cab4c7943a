//! What a caller was told had not been proposed, and never sent again, is in no journal.

use std::collections::BTreeSet;

use partita_core::id::{BookId, Key};

use crate::oracle::Oracle;

#[derive(Debug, Default)]
pub(crate) struct RefusedIsNotDecided {
    refused: BTreeSet<(BookId, Key)>,
    /// Sent at least once without such an answer.
    open: BTreeSet<(BookId, Key)>,
}

impl RefusedIsNotDecided {
    pub(crate) const NAME: &'static str = "refused is not decided";

    pub(crate) fn refused(&mut self, book: BookId, key: &Key) {
        self.refused.insert((book, key.clone()));
    }

    pub(crate) fn may_be_decided(&mut self, book: BookId, key: &Key) {
        self.open.insert((book, key.clone()));
    }

    /// How many there were to look for.
    pub(crate) fn finish(&self, oracle: &Oracle) -> Result<usize, String> {
        let never: Vec<_> = self.refused.difference(&self.open).collect();
        for (book, key) in &never {
            if let Some(position) = oracle.position_of(*book, key) {
                return Err(format!("key {key} was refused unproposed every time, and stands at {position}"));
            }
        }
        Ok(never.len())
    }
}
