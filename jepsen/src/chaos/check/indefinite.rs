//! What got no definite answer took effect once or not at all until it was sent again at the end, and then had one.

use std::collections::{BTreeMap, BTreeSet};

use super::effects::FeedDecision;
use super::{Anomalies, Judgement, Verdict, count};
use crate::chaos::history::{Phase, Record, Status};
use crate::chaos::settlement::each_attempt;

/// What became of a key that some attempt left open.
#[derive(Default)]
struct Open {
    /// A definite answer under the load: as a replay it says that the open attempt, or another one, had decided.
    answered: bool,
    /// The final phase's answer: whether it was a replay, and the position.
    resent: Option<(bool, Option<u64>)>,
}

/// `feed` is the whole journal after the run.
#[must_use]
pub fn check(history: &[Record], feed: &[FeedDecision]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let mut open: BTreeMap<&str, Open> = BTreeMap::new();
    for record in history.iter().filter(|record| record.phase == Phase::Main && record.status == Status::Info) {
        each_attempt(record, |attempt| {
            open.entry(attempt.key).or_default();
        });
    }
    for record in history {
        each_attempt(record, |attempt| {
            let Some(known) = open.get_mut(attempt.key) else { return };
            if record.phase == Phase::Final {
                if let Some(outcome) = attempt.outcome {
                    known.resent.get_or_insert((outcome.replayed, outcome.position));
                }
            } else {
                known.answered |= attempt.outcome.is_some();
            }
        });
    }
    let mut decided: BTreeMap<&str, u64> = BTreeMap::new();
    let mut twice: BTreeSet<&str> = BTreeSet::new();
    for decision in feed {
        if let Some(key) = decision.key.as_deref().filter(|key| open.contains_key(key))
            && decided.insert(key, decision.position).is_some()
        {
            twice.insert(key);
        }
    }
    for key in &twice {
        anomalies.add(|| format!("key {key} was left open and took effect twice"));
    }
    let (mut had_effect, mut only_now, mut meanwhile, mut unresolved) = (0, 0, 0, 0);
    for (key, known) in &open {
        match (&known.resent, decided.get(key)) {
            (Some((replayed, position)), Some(at)) => {
                if *position != Some(*at) {
                    anomalies.add(|| format!("key {key} was answered with {position:?} at the end, and is at {at}"));
                }
                if *replayed {
                    had_effect += 1;
                } else {
                    only_now += 1;
                }
            }
            (Some(answer), None) => {
                anomalies.add(|| format!("key {key} was answered at the end, {answer:?}, and is not in the journal"));
            }
            (None, _) if known.answered => meanwhile += 1,
            (None, _) => unresolved += 1,
        }
    }
    let mut result = anomalies.judge();
    if result == Judgement::Passed && unresolved > 0 {
        result = Judgement::Unknown(format!("{unresolved} keys have no definite answer even at the end"));
    }
    let counted = vec![
        ("keys left open", count(open.len())),
        ("resolved while the load went on", meanwhile),
        ("had taken effect when sent again", had_effect),
        ("decided only then", only_now),
    ];
    let claim = "what got no definite answer took effect at most once, and had a definite answer in the end";
    Verdict { checker: "indefinite", claim, result, counted }
}
