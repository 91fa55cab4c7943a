//! In every book and currency debits equal credits, on every node at every moment.

use std::collections::BTreeMap;

use partita_core::id::{BookId, Position};
use partita_core::state::Read as _;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct DebitsEqualCredits {
    looked: BTreeMap<(u64, u64), Position>,
}

impl Invariant for DebitsEqualCredits {
    fn name(&self) -> &'static str {
        "debits equal credits"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values() {
            if self.looked.insert((look.node, look.incarnation), look.position) == Some(look.position) {
                continue;
            }
            let Some(running) = seen.cluster.node(look.node) else { continue };
            let books = u32::try_from(seen.oracle.model.shelves.len()).expect("books are few");
            running.reader().read(|view| {
                for book in (1..=books).map(BookId).filter(|book| view.book(*book).is_some()) {
                    for (currency, sums) in &view.totals(book).sums {
                        if sums.debits != sums.credits {
                            return Err(format!("node {}, book {book}, currency {currency}: {sums:?}", look.node));
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
