//! Every trial balance is zero, on every node at every moment; what is at one position has one head everywhere; and a
//! node that was not touched does not go back.

use std::collections::BTreeMap;

use super::heads::Head;
use super::{Anomalies, Verdict, count};
use crate::chaos::history::{Detail, Operation, Outcome, Phase, Record, Status};

/// A time in which something was done to a node: what it had applied before it may be shown later again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disturbance {
    pub node: usize,
    pub start: u64,
    pub end: u64,
}

#[must_use]
pub fn check(history: &[Record], disturbances: &[Disturbance], finals: &[Head]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let (mut reports, mut during, mut local, mut shared) = (0, 0, 0, 0);
    let mut heads: BTreeMap<u64, (&str, usize)> = BTreeMap::new();
    for head in finals {
        heads.insert(head.position, (&head.hash, head.node));
    }
    let mut locally: Vec<(&Record, u64)> = vec![];
    for record in history {
        let (Operation::TrialBalance { min_position, local: is_local, .. }, Status::Ok, Some(outcome)) =
            (&record.operation, record.status, &record.result)
        else {
            continue;
        };
        reports += 1;
        during += u64::from(record.phase == Phase::Main);
        if *is_local {
            local += 1;
            locally.push((record, outcome.index));
        }
        let Some(Detail::Book { head, .. }) = outcome.detail.as_deref() else {
            anomalies.add(|| format!("{record:?} has no totals"));
            continue;
        };
        if let Some(why) = wrong(outcome, *min_position) {
            anomalies.add(|| format!("{:?} on node {} {why}: {outcome:?}", record.operation, record.node));
        }
        match heads.insert(outcome.index, (head, record.node)) {
            None => {}
            Some((other, node)) if other != head => anomalies.add(|| {
                format!("as of {} node {} has the head {head}, node {node} {other}", outcome.index, record.node)
            }),
            Some((_, node)) => shared += u64::from(node != record.node),
        }
    }
    let followed = monotone(&locally, disturbances, &mut anomalies);
    let counted = vec![
        ("trial balances", reports),
        ("of them under the load", during),
        ("local", local),
        ("local after another on an untouched node", followed),
        ("positions with a head", count(heads.len())),
        ("heads compared between nodes", shared),
    ];
    let claim = "every trial balance is zero and says where it stands; one position has one head on all nodes; no \
                 node goes back by itself";
    Verdict { checker: "trial balances", claim, result: anomalies.judge(), counted }
}

fn wrong(outcome: &Outcome, min_position: Option<u64>) -> Option<&'static str> {
    let Some(Detail::Book { debits, credits, total_debit, total_credit, .. }) = outcome.detail.as_deref() else {
        return None;
    };
    if debits != credits || total_debit != total_credit {
        return Some("is not zero");
    }
    if debits != total_debit {
        return Some("has totals that its rows do not add up to");
    }
    if outcome.position != Some(outcome.index) {
        return Some("names another position than its header");
    }
    min_position.is_some_and(|wanted| outcome.index < wanted).then_some("is behind the position that was asked for")
}

/// Of two local reads of one node, the second not before the first; returns how many were compared.
fn monotone(reads: &[(&Record, u64)], disturbances: &[Disturbance], anomalies: &mut Anomalies) -> u64 {
    // By node and by how often it had been touched before.
    let mut calm: BTreeMap<(usize, usize), Vec<(&Record, u64)>> = BTreeMap::new();
    for (record, index) in reads {
        let of_node = || disturbances.iter().filter(|one| one.node == record.node);
        if of_node().any(|one| one.start <= record.end && record.start <= one.end) {
            continue;
        }
        let touched = of_node().filter(|one| one.end < record.start).count();
        calm.entry((record.node, touched)).or_default().push((record, *index));
    }
    let mut compared = 0;
    for reads in calm.values_mut() {
        reads.sort_by_key(|(record, _)| record.start);
        let mut by_end = reads.clone();
        by_end.sort_by_key(|(record, _)| record.end);
        let mut ended = by_end.iter().peekable();
        let mut reached = None;
        for (record, index) in reads.iter() {
            while let Some((_, before)) = ended.next_if(|(before, _)| before.end < record.start) {
                reached = reached.max(Some(*before));
            }
            let Some(before) = reached else { continue };
            compared += 1;
            if *index < before {
                anomalies.add(|| format!("node {} showed {before} and then {index}", record.node));
            }
        }
    }
    compared
}
