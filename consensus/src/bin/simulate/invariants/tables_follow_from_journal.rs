//! What a crash leaves can be recomputed from its journal, all of it: keys, balances, documents, holds, trees.

use partita_storage::engine::{MemoryEngine, TableEngine as _};
use partita_storage::verify::verify;

use super::Invariant;
use crate::cluster::Site;
use crate::looks::Seen;

/// Of so many crashes one is looked at: it takes a while.
const EVERY: u64 = 4;

#[derive(Debug, Default)]
pub(super) struct TablesFollowFromJournal {
    crashes: u64,
}

impl Invariant for TablesFollowFromJournal {
    fn name(&self) -> &'static str {
        "tables follow from the journal"
    }

    fn check(&mut self, _: &Seen<'_>) -> Result<(), String> {
        Ok(())
    }

    fn after_crash(&mut self, site: &Site) -> Result<(), String> {
        self.crashes += 1;
        if self.crashes.is_multiple_of(EVERY) { recompute(site.id, &site.disks.engine()) } else { Ok(()) }
    }

    fn finish(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        seen.cluster.machines.values().try_for_each(|site| recompute(site.id, &site.disks.engine()))
    }
}

fn recompute(node: u64, engine: &MemoryEngine) -> Result<(), String> {
    let report = verify(&engine.snapshot());
    if report.is_clean() || report.position.0 == 0 { Ok(()) } else { Err(format!("node {node}: {report}")) }
}
