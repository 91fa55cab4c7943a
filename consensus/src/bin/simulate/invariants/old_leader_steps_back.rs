//! A leader that was replaced takes no more writes, though nobody tells it: without a quorum's answers it soon does not
//! count itself for one.

use std::collections::BTreeMap;

use super::Invariant;
use crate::looks::Seen;

/// From the moment at which another leads in a later term. It was silent for some time before, or no other were elected.
const STEPS_BACK_MS: u64 = 1_500;

#[derive(Debug, Default)]
pub(super) struct OldLeaderStepsBack {
    /// For how many steps each process has run and said that it leads, though another does.
    steps: BTreeMap<(u64, u64), u64>,
}

impl Invariant for OldLeaderStepsBack {
    fn name(&self) -> &'static str {
        "an old leader steps back"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let newest = seen.looks.values().filter(|look| look.raft.leads).map(|look| look.raft.vote).max();
        for look in seen.looks.values() {
            let process = (look.node, look.incarnation);
            let is_old = look.raft.leads && newest > Some(look.raft.vote);
            let named = seen.cluster.leader_named_by(look.node);
            if !is_old || named != Some(look.node) {
                self.steps.remove(&process);
                continue;
            }
            let steps = self.steps.entry(process).or_insert(0);
            *steps += 1;
            if *steps > STEPS_BACK_MS {
                return Err(format!(
                    "node {} takes writes as the leader of term {}, {STEPS_BACK_MS} ms after {newest:?}",
                    look.node, look.raft.term
                ));
            }
        }
        Ok(())
    }
}
