//! A vote that a node gives, or stands for itself with, is on its disk before anybody hears of it, and no later one is
//! lower, whatever happens to the node in between.

use std::collections::{BTreeMap, BTreeSet};

use partita_consensus::simulated::Said;
use partita_storage::log::memory::MemoryLog;

/// Term, and who stands in it: the order in which raft here has its votes.
type Ballot = (u64, u64);

#[derive(Debug, Default)]
pub(crate) struct VotesAreDurable {
    promised: BTreeMap<u64, Ballot>,
    /// Who voted for each, the candidate itself included.
    given: BTreeMap<Ballot, BTreeSet<u64>>,
}

impl VotesAreDurable {
    pub(crate) fn hear(&mut self, node: u64, said: Said, log: &MemoryLog) -> Result<(), String> {
        let (ballot, is_promise) = match said {
            Said::Stands { vote } | Said::Granted { vote } => ((vote.term, vote.node), true),
            Said::Leads { vote } => ((vote.term, vote.node), false),
            Said::Has { .. } => return Ok(()),
        };
        let stored = log.synced_vote();
        if stored.is_none_or(|stored| (stored.term, stored.node) < ballot) {
            return Err(format!("node {node} says {said:?}, and its disk has {stored:?}"));
        }
        if is_promise {
            let promised = self.promised.insert(node, ballot);
            if promised > Some(ballot) {
                return Err(format!("node {node} says {said:?} after it had voted for {promised:?}"));
            }
            self.given.entry(ballot).or_default().insert(node);
        }
        Ok(())
    }

    pub(crate) fn given(&self, ballot: Ballot) -> usize {
        self.given.get(&ballot).map_or(0, BTreeSet::len)
    }
}
