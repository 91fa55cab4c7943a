//! What a node says it has of a leader's log is on its disk before the leader hears of it.

use partita_consensus::simulated::Said;
use partita_storage::log::memory::MemoryLog;

#[derive(Debug, Default)]
pub(crate) struct AppendsAreDurable;

impl AppendsAreDurable {
    pub(crate) fn hear(&mut self, node: u64, said: Said, log: &MemoryLog) -> Result<(), String> {
        let Said::Has { leader, upto } = said else { return Ok(()) };
        if log.synced_purged().is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        // A later leader may have replaced it meanwhile, which the node's vote then says.
        if log.synced_vote().is_some_and(|vote| (vote.term, vote.node) > (leader.term, leader.node)) {
            return Ok(());
        }
        match log.synced_entry(upto.index) {
            Some(entry) if entry.id == upto => Ok(()),
            other => Err(format!(
                "node {node} says that it has {upto}, and its disk has {}",
                other.map_or_else(|| "nothing there".to_owned(), |entry| entry.id.to_string())
            )),
        }
    }
}
