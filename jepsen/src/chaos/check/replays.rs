//! One key is one decision, however often, wherever and with whatever it is sent again: one answer is the first, all others
//! are marked as replays and say the same; with other content it is refused and decides nothing.

use std::collections::HashMap;

use super::trial_balances::Disturbance;
use super::{Anomalies, Verdict, count};
use crate::chaos::history::{Detail, Operation, Outcome, Phase, Record, Status};
use crate::chaos::settlement::{Asked, each_attempt, same_answer};

/// What happened to the cluster, as far as replays are counted by it.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// When another leader was first seen.
    pub leader_changes: Vec<u64>,
    /// Ends of restarts, each of one node.
    pub restarts: Vec<Disturbance>,
    /// Ends of changes in which a node took the state as a snapshot.
    pub snapshots: Vec<Disturbance>,
}

/// One definite answer under a key.
#[derive(Clone, Copy)]
struct Answer<'a> {
    record: &'a Record,
    outcome: &'a Outcome,
}

/// What is seen of a key, answers in the order in which they came.
#[derive(Default)]
struct Seen<'a> {
    answers: Vec<Answer<'a>>,
    /// When it was sent, and where, answered or not.
    sent: Vec<(u64, u64, usize)>,
}

#[derive(Default)]
struct Counted {
    replays: u64,
    elsewhere: u64,
    at_the_same_time: u64,
    after_leader_change: u64,
    after_restart: u64,
    after_snapshot: u64,
    doubled_in_batches: u64,
    atomic: u64,
    reused: u64,
}

#[must_use]
pub fn check(history: &[Record], events: &Events) -> Verdict {
    let mut anomalies = Anomalies::default();
    let mut counted = Counted::default();
    let mut keys: HashMap<&str, Seen<'_>> = HashMap::new();
    for record in history {
        let mut in_this_one: Vec<&str> = vec![];
        each_attempt(record, |attempt| {
            let seen = keys.entry(attempt.key).or_default();
            seen.sent.push((record.start, record.end, record.node));
            if let Some(outcome) = attempt.outcome {
                seen.answers.push(Answer { record, outcome });
                counted.atomic += u64::from(outcome.replayed && matches!(attempt.asked, Asked::Atomic(_)));
                if in_this_one.contains(&attempt.key) {
                    counted.doubled_in_batches += 1;
                } else if matches!(record.operation, Operation::Batch { atomic: false, .. }) {
                    in_this_one.push(attempt.key);
                }
            }
        });
    }
    let mut sorted: Vec<(&&str, &Seen<'_>)> = keys.iter().filter(|(_, seen)| seen.sent.len() > 1).collect();
    sorted.sort_unstable_by_key(|(key, _)| **key);
    for (key, seen) in sorted {
        one_decision(key, &seen.answers, &mut anomalies);
        counted.count(seen, events);
    }
    for record in history {
        if let (Operation::Reuse { .. }, Status::Ok, Some(outcome)) = (&record.operation, record.status, &record.result)
        {
            let first = record.key.as_deref().and_then(|key| keys.get(key)).and_then(|seen| seen.answers.first());
            counted.reused += 1;
            let decided_at = match outcome.detail.as_deref() {
                Some(Detail::DecidedAt(position)) => Some(*position),
                _ => None,
            };
            let is_refused = outcome.code == "idempotency_key_reused" && outcome.position.is_none();
            if !is_refused || decided_at != first.and_then(|first| first.outcome.position) {
                let first = first.map(|first| first.outcome);
                anomalies.add(|| format!("other content under {:?}: {outcome:?}, after {first:?}", record.key));
            }
        }
    }
    let claim = "one key has one decision: it is answered once, and again as a replay that says the same; other \
                 content under it is refused and decides nothing";
    Verdict { checker: "replays", claim, result: anomalies.judge(), counted: counted.list(events) }
}

fn one_decision(key: &str, answers: &[Answer<'_>], anomalies: &mut Anomalies) {
    let Some(any) = answers.first() else { return };
    if let Some(other) = answers.iter().find(|other| !same_answer(any.outcome, other.outcome)) {
        anomalies.add(|| format!("key {key} was answered {:?} and {:?}", any.outcome, other.outcome));
    }
    let mut firsts = answers.iter().filter(|answer| !answer.outcome.replayed);
    let Some(first) = firsts.next() else { return };
    if let Some(second) = firsts.next() {
        anomalies.add(|| {
            format!(
                "key {key} was answered twice as if for the first time: {:?} on node {} and {:?} on node {}",
                first.outcome, first.record.node, second.outcome, second.record.node
            )
        });
    }
    if let Some(before) = answers.iter().find(|before| before.record.end < first.record.start) {
        anomalies.add(|| {
            format!("key {key} was answered by {:?}, and later by {:?}, no replay", before.outcome, first.outcome)
        });
    }
}

impl Counted {
    fn count(&mut self, seen: &Seen<'_>, events: &Events) {
        // As soon as anybody can have been told what was decided.
        let Some(known) = seen.answers.iter().map(|answer| answer.record.end).min() else { return };
        let overlap =
            |one: &(u64, u64, usize), other: &(u64, u64, usize)| one.0 < other.1 && other.0 < one.1 && one.2 != other.2;
        if seen.sent.iter().enumerate().any(|(at, one)| seen.sent[at + 1..].iter().any(|other| overlap(one, other))) {
            self.at_the_same_time += 1;
        }
        let first_node = seen.sent[0].2;
        for Answer { record, outcome } in &seen.answers {
            if !outcome.replayed {
                continue;
            }
            self.replays += 1;
            self.elsewhere += u64::from(record.node != first_node);
            if record.phase == Phase::Final || record.start < known {
                continue;
            }
            let between = |at: u64| known < at && at < record.start;
            let here = |one: &Disturbance| one.node == record.node && between(one.end);
            self.after_leader_change += u64::from(events.leader_changes.iter().any(|at| between(*at)));
            self.after_restart += u64::from(events.restarts.iter().any(here));
            self.after_snapshot += u64::from(events.snapshots.iter().any(here));
        }
    }

    fn list(&self, events: &Events) -> Vec<(&'static str, u64)> {
        vec![
            ("replays", self.replays),
            ("on another node", self.elsewhere),
            ("keys sent to two nodes at the same time", self.at_the_same_time),
            ("replays after a change of leader", self.after_leader_change),
            ("after a restart of the node", self.after_restart),
            ("after a snapshot on the node", self.after_snapshot),
            ("keys twice in one batch", self.doubled_in_batches),
            ("atomic batches replayed", self.atomic),
            ("refused for other content", self.reused),
            ("changes of leader", count(events.leader_changes.len())),
            ("restarts", count(events.restarts.len())),
            ("snapshots", count(events.snapshots.len())),
        ]
    }
}
