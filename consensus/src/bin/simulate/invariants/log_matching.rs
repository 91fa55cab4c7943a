//! Two logs that have an entry of the same index and term have the same entry there, and the same before it. In one log
//! terms never fall: what a new leader's entries took the place of is gone, its tail too.

use std::collections::BTreeMap;

use partita_storage::log::EntryId;
use partita_storage::log::memory::MemoryLog;

use super::Invariant;
use crate::looks::Seen;
use crate::oracle::content;

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// Of each entry that ever was on a disk: its content, and the entry before it.
    known: BTreeMap<EntryId, (blake3::Hash, Option<EntryId>)>,
    /// The last entry of each machine's log that was looked at.
    looked: BTreeMap<u64, EntryId>,
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "log matching"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for (id, site) in &seen.cluster.machines {
            let log = &site.disks.log;
            let Some(last) = log.synced_last() else { continue };
            // Only then can entries of an older term be behind those of a newer one.
            if log.synced_vote().is_some_and(|vote| vote.term > last.term) {
                terms_rise(log, last).map_err(|(before, entry)| {
                    format!("node {id} has {before} before {entry} on its disk: what was removed is still there")
                })?;
            }
            if self.looked.get(id) == Some(&last) {
                continue;
            }
            // Back from the end, to what is known of this log.
            let mut index = last.index;
            while let Some(entry) = log.synced_entry(index) {
                let before = index.checked_sub(1).and_then(|before| log.synced_entry(before)).map(|entry| entry.id);
                let found = (content(&entry), before);
                match self.known.get_mut(&entry.id) {
                    None => {
                        self.known.insert(entry.id, found);
                    }
                    Some(known) if known.0 != found.0 => {
                        return Err(format!("node {id} has another {} than others had", entry.id));
                    }
                    Some((_, known)) => match (*known, before) {
                        (Some(a), Some(b)) if a != b => {
                            return Err(format!("before {} node {id} has {b}, another {a}", entry.id));
                        }
                        (None, Some(_)) => *known = before,
                        (Some(_) | None, Some(_) | None) => {}
                    },
                }
                if self.looked.get(id) == Some(&entry.id) || index == 0 {
                    break;
                }
                index -= 1;
            }
            self.looked.insert(*id, last);
        }
        Ok(())
    }
}

/// Entries looked at from the end of a log.
const TAIL: u64 = 64;

/// The first two of the log's tail that are out of order.
fn terms_rise(log: &MemoryLog, last: EntryId) -> Result<(), (EntryId, EntryId)> {
    let mut after = last;
    for index in (last.index.saturating_sub(TAIL)..last.index).rev() {
        let Some(entry) = log.synced_entry(index) else { break };
        if entry.id.term > after.term {
            return Err((entry.id, after));
        }
        after = entry.id;
    }
    Ok(())
}
