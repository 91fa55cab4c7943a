//! A log that was cut short is never shorter than its high-water mark says, or its node would not start again.

use std::collections::BTreeMap;

use partita_storage::log::memory::{Power, Unsynced};
use partita_storage::log::open_log;

use super::Invariant;
use crate::cluster::Site;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct LogReachesItsMark {
    /// Where each machine's log ended.
    ends: BTreeMap<u64, Option<u64>>,
}

impl Invariant for LogReachesItsMark {
    fn name(&self) -> &'static str {
        "a log reaches its mark"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for (id, site) in &seen.cluster.machines {
            let end = site.disks.log.synced_last().map(|last| last.index);
            let before = self.ends.insert(*id, end).flatten();
            if end < before {
                opens(site)?;
                seen.cluster.trace.count("logs cut short");
            }
        }
        Ok(())
    }

    fn after_crash(&mut self, site: &Site) -> Result<(), String> {
        opens(site)
    }
}

/// Whether a process would start on the log after a power cut now.
fn opens(site: &Site) -> Result<(), String> {
    let power = Power::steady();
    let log = site.disks.log.after_power_cut(Unsynced::Lost, power.clone());
    let mark = site.disks.mark.after_power_cut(Unsynced::Lost, power);
    open_log(log, mark, 0).map(drop).map_err(|error| format!("node {}: {error}", site.id))
}
