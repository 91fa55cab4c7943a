//! In no journal does a key of a book stand twice.

use std::collections::BTreeMap;

use partita_core::decision::Origin;
use partita_core::id::Position;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug)]
pub(super) struct KeysDecidedOnce;

impl Invariant for KeysDecidedOnce {
    fn name(&self) -> &'static str {
        "keys decided once"
    }

    fn check(&mut self, _: &Seen<'_>) -> Result<(), String> {
        // During a run a second decision is none of the model's.
        Ok(())
    }

    fn finish(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for node in seen.looks.keys() {
            let Some(running) = seen.cluster.node(*node) else { continue };
            let decisions = running.reader().decisions(Position(1), usize::MAX, usize::MAX);
            let mut keys = BTreeMap::new();
            for decision in decisions.map_err(|error| error.to_string())? {
                let Origin::Request { key, .. } = decision.origin else { continue };
                if let Some(first) = keys.insert((decision.book, key.clone()), decision.position) {
                    return Err(format!("node {node} decided key {key} at {first} and at {}", decision.position));
                }
            }
        }
        Ok(())
    }
}
