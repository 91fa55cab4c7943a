//! Lost, phantom, doubled and denied effects: the journal against what was sent and what was said of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Anomalies, Verdict, count};
use crate::chaos::history::{Record, Status};
use crate::chaos::settlement::each_attempt;

/// One decision as the journal's feed shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedDecision {
    pub position: u64,
    /// Absent for what the ledger decided by itself.
    pub key: Option<String>,
    pub accepted: bool,
}

/// `feed` is the whole journal after the run.
#[must_use]
pub fn check(history: &[Record], feed: &[FeedDecision]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let mut positions: BTreeMap<&str, &FeedDecision> = BTreeMap::new();
    for (decision, expected) in feed.iter().zip(1..) {
        if decision.position != expected {
            anomalies.add(|| format!("the journal has {} where {expected} should be", decision.position));
        }
        let Some(key) = &decision.key else {
            anomalies.add(|| format!("nobody asked for what was decided at {}", decision.position));
            continue;
        };
        if let Some(before) = positions.insert(key, decision) {
            let first = before.position;
            anomalies.add(|| format!("doubled: key {key} was decided at {first} and at {}", decision.position));
        }
    }
    let mut sent: BTreeSet<&str> = history.iter().filter_map(|record| record.key.as_deref()).collect();
    let mut possible: BTreeMap<&str, bool> = BTreeMap::new();
    let mut acknowledged = 0;
    for record in history {
        each_attempt(record, |attempt| {
            let key = attempt.key;
            sent.insert(key);
            *possible.entry(key).or_default() |= record.status != Status::Fail;
            let Some(outcome) = attempt.outcome else { return };
            acknowledged += 1;
            let found = positions.get(key);
            let is_same = found.is_some_and(|decision| {
                Some(decision.position) == outcome.position && decision.accepted == (outcome.code == "posted")
            });
            if !is_same {
                anomalies.add(|| format!("lost: key {key} was answered {outcome:?}, the journal has {found:?}"));
            }
        });
    }
    for key in positions.keys() {
        if !sent.contains(key) {
            anomalies.add(|| format!("phantom: nobody sent key {key}"));
        }
    }
    let denied = possible.iter().filter(|(_, possible)| !**possible);
    for (key, _) in denied.clone() {
        if let Some(decision) = positions.get(key) {
            anomalies.add(|| format!("denied: key {key} was said not to be proposed, and is at {}", decision.position));
        }
    }
    let counted = vec![
        ("acknowledged", acknowledged),
        ("decisions in the journal", count(feed.len())),
        ("keys sent", count(sent.len())),
        ("keys certainly not proposed", count(denied.count())),
    ];
    let claim = "what was acknowledged is in the journal, once; what was refused before the proposal is not, nor is anything else";
    Verdict { checker: "effects", claim, result: anomalies.judge(), counted }
}
