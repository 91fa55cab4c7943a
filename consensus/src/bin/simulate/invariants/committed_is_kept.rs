//! What is committed is never lost: every node applies the same entries, and whoever leads in a later term has them all.

use std::collections::BTreeMap;

use super::Invariant;
use crate::looks::Seen;
use crate::oracle::content;

#[derive(Debug, Default)]
pub(super) struct CommittedIsKept {
    /// Up to where each process was compared.
    compared: BTreeMap<(u64, u64), u64>,
    /// Leaders whose logs were looked at, by term.
    led: BTreeMap<u64, u64>,
    /// How many entries were committed when the term before was the last one.
    committed: usize,
}

impl Invariant for CommittedIsKept {
    fn name(&self) -> &'static str {
        "committed is kept"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let committed = &seen.oracle.committed;
        for look in seen.looks.values() {
            let log = &seen.cluster.machines[&look.node].disks.log;
            let first = self.compared.get(&(look.node, look.incarnation)).copied().unwrap_or(0);
            let Some(applied) = look.raft.applied else { continue };
            for index in first..=applied.index {
                // What was purged, or is not synced here yet, is somebody else's to show.
                let Some(entry) = log.synced_entry(index) else { continue };
                let expected = committed[usize::try_from(index).expect("in memory")];
                if (entry.id, content(&entry)) != expected && entry.id.term >= expected.0.term {
                    return Err(format!("node {} applied {}, others {}", look.node, entry.id, expected.0));
                }
            }
            self.compared.insert((look.node, look.incarnation), applied.index + 1);
            if look.raft.leads && self.led.insert(look.raft.term, look.node).is_none() {
                self.leads(seen, look.node, look.raft.term, look.raft.last_index)?;
            }
        }
        self.committed = committed.len();
        Ok(())
    }
}

impl CommittedIsKept {
    fn leads(&self, seen: &Seen<'_>, node: u64, term: u64, last_index: Option<u64>) -> Result<(), String> {
        let Some((last, _)) = self.committed.checked_sub(1).map(|last| seen.oracle.committed[last]) else {
            return Ok(());
        };
        if last.term > term {
            // A leader of the past that has just begun to say so.
            return Ok(());
        }
        if last_index < Some(last.index) {
            return Err(format!("node {node} leads in term {term} without the committed {last}"));
        }
        match seen.cluster.machines[&node].disks.log.synced_entry(last.index) {
            Some(entry) if entry.id != last => {
                Err(format!("node {node} leads in term {term} with {} for the committed {last}", entry.id))
            }
            Some(_) | None => Ok(()),
        }
    }
}
