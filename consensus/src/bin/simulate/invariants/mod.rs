//! What must hold after every step: one file each. Those that concern what a node says are asked at the moment it says it.

mod acknowledged_once;
mod answers_from_the_journal;
mod appends_are_durable;
mod applied_in_order;
mod checkpoint_before_purge;
mod committed_is_kept;
mod committed_on_a_quorum;
mod debits_equal_credits;
mod decided_by_the_rules;
mod equal_heads;
mod keys_decided_once;
mod leaders_are_elected;
mod log_matching;
mod log_reaches_its_mark;
mod old_leader_steps_back;
mod reads_see_acknowledged;
mod refused_is_not_decided;
mod state_behind_log;
mod tables_follow_from_journal;
mod votes_are_durable;

use std::collections::BTreeMap;
use std::fmt;

use partita_consensus::simulated::Said;
use partita_storage::log::memory::MemoryLog;

use crate::cluster::Site;
use crate::looks::Seen;
use crate::network::Host;

pub(crate) use acknowledged_once::AcknowledgedOnce;
pub(crate) use answers_from_the_journal::{NAME as ANSWERS, check_answer, check_order};
pub(crate) use reads_see_acknowledged::ReadsSeeAcknowledged;
pub(crate) use refused_is_not_decided::RefusedIsNotDecided;

/// What did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) message: String,
}

impl Broken {
    pub(crate) fn new(invariant: &'static str, message: impl Into<String>) -> Self {
        Self { invariant, message: message.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

trait Invariant {
    fn name(&self) -> &'static str;

    /// After a step.
    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String>;

    /// What a crash left on a machine's disks.
    fn after_crash(&mut self, site: &Site) -> Result<(), String> {
        let _ = site;
        Ok(())
    }

    /// At the end, when all nodes stand at one place.
    fn finish(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        self.check(seen)
    }
}

/// All that are asked after every step.
pub(crate) struct Invariants(Vec<Box<dyn Invariant>>);

impl Invariants {
    pub(crate) fn new() -> Self {
        Self(vec![
            Box::new(leaders_are_elected::LeadersAreElected::default()),
            Box::new(log_matching::LogMatching::default()),
            Box::new(log_reaches_its_mark::LogReachesItsMark::default()),
            Box::new(old_leader_steps_back::OldLeaderStepsBack::default()),
            Box::new(committed_is_kept::CommittedIsKept::default()),
            Box::new(committed_on_a_quorum::CommittedOnAQuorum::default()),
            Box::new(checkpoint_before_purge::CheckpointBeforePurge::default()),
            Box::new(state_behind_log::StateBehindLog::default()),
            Box::new(equal_heads::EqualHeads::default()),
            Box::new(decided_by_the_rules::DecidedByTheRules::default()),
            Box::new(keys_decided_once::KeysDecidedOnce),
            Box::new(debits_equal_credits::DebitsEqualCredits::default()),
            Box::new(tables_follow_from_journal::TablesFollowFromJournal::default()),
            // Behind those that say which decision is one too many.
            Box::new(applied_in_order::AppliedInOrder::default()),
        ])
    }

    pub(crate) fn check(&mut self, seen: &Seen<'_>) -> Result<(), Broken> {
        self.each(|invariant| invariant.check(seen))
    }

    pub(crate) fn after_crash(&mut self, site: &Site) -> Result<(), Broken> {
        self.each(|invariant| invariant.after_crash(site))
    }

    pub(crate) fn finish(&mut self, seen: &Seen<'_>) -> Result<(), Broken> {
        self.each(|invariant| invariant.finish(seen))
    }

    fn each(&mut self, mut ask: impl FnMut(&mut dyn Invariant) -> Result<(), String>) -> Result<(), Broken> {
        for invariant in &mut self.0 {
            ask(invariant.as_mut()).map_err(|message| Broken::new(invariant.name(), message))?;
        }
        Ok(())
    }
}

/// Hears what nodes say, and compares it with their disks before anybody else hears it.
#[derive(Default)]
pub(crate) struct Witness {
    /// The log on each machine's disk.
    pub(crate) logs: BTreeMap<u64, MemoryLog>,
    pub(crate) broken: Option<Broken>,
    votes: votes_are_durable::VotesAreDurable,
    appends: appends_are_durable::AppendsAreDurable,
}

impl Witness {
    pub(crate) fn votes_given(&self, ballot: (u64, u64)) -> usize {
        self.votes.given(ballot)
    }

    pub(crate) fn hear(&mut self, host: &Host, said: Said) {
        let node = host.node;
        let Some(log) = self.logs.get(&node) else { return };
        let votes = self.votes.hear(host, said, log).map_err(|message| Broken::new("votes are durable", message));
        let heard = votes.and_then(|()| {
            self.appends.hear(node, said, log).map_err(|message| Broken::new("appends are durable", message))
        });
        if let Err(broken) = heard {
            self.broken.get_or_insert(broken);
        }
    }
}
