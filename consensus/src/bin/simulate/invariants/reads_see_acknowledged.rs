//! A linearizable read, on any node, sees every write that was acknowledged, and every read that had ended, before it
//! began.

use partita_core::id::Position;

#[derive(Debug, Default)]
pub(crate) struct ReadsSeeAcknowledged {
    /// The greatest position that somebody was told of.
    known: Position,
}

impl ReadsSeeAcknowledged {
    pub(crate) const NAME: &'static str = "reads see what was acknowledged";

    pub(crate) fn told(&mut self, position: Position) {
        self.known = self.known.max(position);
    }

    /// What a read that begins now has to see.
    pub(crate) fn floor(&self) -> Position {
        self.known
    }

    pub(crate) fn check(node: u64, floor: Position, seen: Position) -> Result<(), String> {
        if seen >= floor {
            return Ok(());
        }
        Err(format!("a read on node {node} saw position {seen}; {floor} had been acknowledged before it began"))
    }
}
