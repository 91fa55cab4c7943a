//! A vote that a node gives, or stands for itself with, is on its disk before anybody hears of it; and a process gives
//! none that is lower than one that a process before it on that machine gave.
//!
//! One process may be heard to say things in another order than it did them in: they go over different connections.

use std::collections::{BTreeMap, BTreeSet};

use partita_consensus::simulated::Said;
use partita_storage::log::memory::MemoryLog;

use crate::network::Host;

/// Term, and who stands in it: the order in which raft here has its votes.
type Ballot = (u64, u64);

#[derive(Debug, Default)]
pub(crate) struct VotesAreDurable {
    /// The highest that each process gave, by node and process.
    promised: BTreeMap<(u64, u64), Ballot>,
    /// Who voted for each, the candidate itself included.
    given: BTreeMap<Ballot, BTreeSet<u64>>,
}

impl VotesAreDurable {
    pub(crate) fn hear(&mut self, host: &Host, said: Said, log: &MemoryLog) -> Result<(), String> {
        let (ballot, is_promise) = match said {
            Said::Stands { vote } | Said::Granted { vote } => ((vote.term, vote.node), true),
            Said::Leads { vote } => ((vote.term, vote.node), false),
            Said::Has { .. } => return Ok(()),
        };
        let node = host.node;
        let stored = log.synced_vote();
        if stored.is_none_or(|stored| (stored.term, stored.node) < ballot) {
            return Err(format!("node {node} says {said:?}, and its disk has {stored:?}"));
        }
        if is_promise {
            let before = self.promised.range((node, 0)..(node, host.incarnation)).map(|(_, promised)| *promised).max();
            if before > Some(ballot) {
                return Err(format!("node {node} says {said:?} after its last process had voted for {before:?}"));
            }
            let promised = self.promised.entry((node, host.incarnation)).or_insert(ballot);
            *promised = ballot.max(*promised);
            self.given.entry(ballot).or_default().insert(node);
        }
        Ok(())
    }

    pub(crate) fn given(&self, ballot: Ballot) -> usize {
        self.given.get(&ballot).map_or(0, BTreeSet::len)
    }
}
