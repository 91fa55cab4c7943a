//! What a leader commits is on the disks of a quorum of its voters, its own or others'.

use std::collections::BTreeMap;

use partita_storage::log::EntryId;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct CommittedOnAQuorum {
    /// Of each process that led: the last entry that was looked at, and how many voters there were.
    looked: BTreeMap<(u64, u64), (EntryId, usize)>,
}

impl Invariant for CommittedOnAQuorum {
    fn name(&self) -> &'static str {
        "committed on a quorum"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values().filter(|look| look.raft.leads) {
            let Some(committed) = look.raft.committed else { continue };
            let process = (look.node, look.incarnation);
            let before = self.looked.get(&process).copied();
            let voters = look.raft.voters.len();
            self.looked.insert(process, (committed, voters));
            // With more voters from now on, it was committed with those before them.
            let counted = before.map_or(voters, |(_, before)| before.min(voters));
            if before.is_some_and(|(known, _)| known == committed) {
                continue;
            }
            let has = |site: &&crate::cluster::Site| {
                let log = &site.disks.log;
                log.synced_entry(committed.index).is_some_and(|entry| entry.id == committed)
                    || log.synced_purged().is_some_and(|purged| purged.index >= committed.index)
            };
            let holders: Vec<u64> = seen.cluster.machines.values().filter(has).map(|site| site.id).collect();
            if holders.len() < counted / 2 + 1 {
                let voters = &look.raft.voters;
                return Err(format!(
                    "node {} committed {committed}, which is on the disks of {holders:?} alone; voters are {voters:?}",
                    look.node
                ));
            }
        }
        Ok(())
    }
}
