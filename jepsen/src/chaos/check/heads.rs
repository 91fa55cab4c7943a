//! All replicas hold the same journal: equal head hashes at equal positions, and nothing after the last decision.

use super::{Anomalies, Verdict, count};

/// Where one node stands after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub node: usize,
    pub position: u64,
    pub hash: String,
}

/// `nodes` is how many there are; `last` the last position that is accounted for.
#[must_use]
pub fn check(heads: &[Head], nodes: usize, last: u64) -> Verdict {
    let mut anomalies = Anomalies::default();
    if heads.len() != nodes {
        anomalies.add(|| format!("{} of {nodes} nodes said where they stand", heads.len()));
    }
    for head in heads {
        if head.position != last {
            anomalies.add(|| format!("node {} stands at {}, the history ends at {last}", head.node, head.position));
        }
        if head.hash != heads[0].hash {
            anomalies.add(|| format!("nodes {} and {} have different heads at {last}", heads[0].node, head.node));
        }
    }
    let counted = vec![("heads", count(heads.len())), ("position", last)];
    let claim = "every replica ends with the same head hash at the same position";
    Verdict { checker: "heads", claim, result: anomalies.judge(), counted }
}
