//! Two nodes at one position have the same journal: their heads are equal.

use std::collections::BTreeMap;

use partita_core::id::Position;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct EqualHeads {
    heads: BTreeMap<Position, ([u8; 32], u64)>,
    looked: BTreeMap<(u64, u64), Position>,
}

impl Invariant for EqualHeads {
    fn name(&self) -> &'static str {
        "equal heads"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values() {
            if self.looked.insert((look.node, look.incarnation), look.position) == Some(look.position) {
                continue;
            }
            self.compare(seen, look.node)?;
        }
        Ok(())
    }

    fn finish(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        seen.looks.keys().try_for_each(|node| self.compare(seen, *node))
    }
}

impl EqualHeads {
    fn compare(&mut self, seen: &Seen<'_>, node: u64) -> Result<(), String> {
        let Some(running) = seen.cluster.node(node) else { return Ok(()) };
        let (position, head) = running.reader().read(|view| (view.position(), view.head_hash()));
        let (known, by) = *self.heads.entry(position).or_insert((head, node));
        seen.cluster.trace.count("heads compared");
        if known == head { Ok(()) } else { Err(format!("nodes {by} and {node} differ at position {position}")) }
    }
}
