//! A crash at any moment leaves a state that is not ahead of its log, unless it was installed just there, and a log that
//! reaches back to it.

use std::collections::BTreeMap;

use super::Invariant;
use super::checkpoint_before_purge::{Durable, durable};
use crate::cluster::Site;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct StateBehindLog {
    /// The checkpoint of each node that was looked at.
    looked: BTreeMap<u64, u64>,
}

impl Invariant for StateBehindLog {
    fn name(&self) -> &'static str {
        "state behind log"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values() {
            let (node, Some(index)) = (look.node, look.durable_index) else { continue };
            if self.looked.insert(node, index) == Some(index) {
                continue;
            }
            let site = &seen.cluster.machines[&node];
            let last = site.disks.log.synced_last().map(|last| last.index);
            let Durable { index, installed } = durable(site)?;
            if index > last && installed != index {
                return Err(format!("node {node}: a checkpoint holds up to {index:?}, its log ends at {last:?}"));
            }
        }
        Ok(())
    }

    fn after_crash(&mut self, site: &Site) -> Result<(), String> {
        let durable = durable(site)?.index;
        let log = &site.disks.log;
        let purged = log.synced_purged().map(|purged| purged.index);
        if durable < purged {
            return Err(format!("node {}: the state ends at {durable:?}, the log begins after {purged:?}", site.id));
        }
        Ok(())
    }
}
