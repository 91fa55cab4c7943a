//! Whoever leads has the votes of a quorum, given aloud; so no two lead at once with followers that obey them.
//!
//! In raft as openraft has it here, one term can see several leaders, of rising node ids; a vote is for term and node.

use std::collections::BTreeSet;

use super::Invariant;
use crate::looks::Seen;

#[derive(Debug, Default)]
pub(super) struct LeadersAreElected {
    known: BTreeSet<(u64, u64)>,
}

impl Invariant for LeadersAreElected {
    fn name(&self) -> &'static str {
        "leaders are elected"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values().filter(|look| look.raft.leads) {
            let vote = look.raft.vote;
            let ballot = (vote.term, vote.node);
            if vote.node != look.node {
                return Err(format!("node {} leads by the vote for node {}", look.node, vote.node));
            }
            if !self.known.insert(ballot) {
                continue;
            }
            seen.cluster.trace.count("leaders");
            seen.cluster.trace.say(&format_args!("node {}: leads in term {}", look.node, vote.term));
            let voters = look.raft.voters.len();
            let given = seen.votes_given(ballot);
            // The newest voter may have come with the leader's own first entries.
            if voters > 1 && given < (voters - 1) / 2 + 1 {
                return Err(format!("node {} leads in term {} by {given} of {voters} votes", look.node, vote.term));
            }
        }
        Ok(())
    }
}
