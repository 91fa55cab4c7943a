//! A process applies entries in their order, never more than are committed, and its position never goes back.

use std::collections::BTreeMap;

use partita_core::id::Position;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct AppliedInOrder {
    last: BTreeMap<(u64, u64), (Option<u64>, Position)>,
}

impl Invariant for AppliedInOrder {
    fn name(&self) -> &'static str {
        "applied in order"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values() {
            let applied = look.raft.applied.map(|id| id.index);
            let now = (applied, look.position);
            let before = self.last.insert((look.node, look.incarnation), now);
            if let Some(before) = before
                && (now.0 < before.0 || now.1 < before.1)
            {
                return Err(format!("node {} went from {before:?} back to {now:?}", look.node));
            }
            // The applier may be further than raft knows; where raft knows everything, so is the model.
            let knows_all = look.raft.applied.map(|id| id.index) == seen.oracle.last_index();
            if knows_all && look.position > seen.oracle.position() {
                let committed = seen.oracle.position();
                return Err(format!(
                    "node {} is at {}, what is committed ends at {committed}",
                    look.node, look.position
                ));
            }
        }
        Ok(())
    }
}
