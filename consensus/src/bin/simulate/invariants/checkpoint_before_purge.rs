//! The raft log is purged only behind a checkpoint that is on the disk.

use std::collections::BTreeMap;

use partita_storage::codec::Levels;
use partita_storage::log::memory::{Power, Unsynced};
use partita_storage::snapshot::StateHome;
use partita_storage::state::read_head;

use super::Invariant;
use crate::cluster::Site;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct CheckpointBeforePurge {
    looked: BTreeMap<u64, u64>,
}

impl Invariant for CheckpointBeforePurge {
    fn name(&self) -> &'static str {
        "checkpoint before purge"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for (id, site) in &seen.cluster.machines {
            let Some(purged) = site.disks.log.synced_purged() else { continue };
            if self.looked.insert(*id, purged.index) == Some(purged.index) {
                continue;
            }
            seen.cluster.trace.count("purges");
            let durable = durable(site)?.index;
            if durable < Some(purged.index) {
                return Err(format!("node {id} purged up to {purged}, its durable checkpoint ends at {durable:?}"));
            }
        }
        Ok(())
    }
}

/// What a power cut now would leave of a state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Durable {
    /// The last entry that it includes.
    pub(super) index: Option<u64>,
    /// The last one that it included when it was installed.
    pub(super) installed: Option<u64>,
}

pub(super) fn durable(site: &Site) -> Result<Durable, String> {
    let tables = site.disks.tables.after_power_cut(Unsynced::Lost, 0, Power::steady());
    let home = StateHome::recover(tables, Levels::OWN).map_err(|error| error.to_string())?;
    let engine = home.open().map_err(|error| error.to_string())?;
    let head = read_head(&engine, Levels::OWN).map_err(|error| error.to_string())?;
    let index = head.filter(|head| !head.applied.raft.is_empty()).map(|head| head.applied.index);
    Ok(Durable { index, installed: home.installed() })
}
