//! Fault after fault for as long as a run takes, and what of what it promised it did not do.

use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::{FaultKind, FaultRecord, inject};
use crate::chaos::load::Load;
use crate::cluster::Cluster;

/// Each of `kinds` in a drawn order, again and again until `seconds` are over; each once, whatever the time.
pub async fn trouble(
    cluster: &mut Cluster,
    kinds: &[FaultKind],
    seconds: u64,
    random: &mut StdRng,
    load: &Load,
) -> Vec<FaultRecord> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut faults: Vec<FaultRecord> = vec![];
    let mut waiting: Vec<FaultKind> = vec![];
    tokio::time::sleep(Duration::from_secs(1)).await;
    while !kinds.is_empty() && (Instant::now() < end || faults.len() < kinds.len()) {
        if waiting.is_empty() {
            waiting = kinds.to_vec();
            waiting.shuffle(random);
        }
        let Some(kind) = waiting.pop() else { break };
        let fault = inject(cluster, kind, random, load).await;
        tracing::info!(kind = kind.name(), nodes = ?fault.nodes, state = ?fault.state, notes = ?fault.notes, "fault");
        faults.push(fault);
        tokio::time::sleep(Duration::from_millis(random.random_range(500..2_000))).await;
    }
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    faults
}

/// In words: kinds that were promised and never installed, and what nodes did that they must not.
#[must_use]
pub fn broken_promises(kinds: &[FaultKind], faults: &[FaultRecord]) -> Vec<String> {
    let mut broken = vec![];
    for kind in kinds {
        let of_kind = || faults.iter().filter(|fault| fault.kind == *kind);
        if !of_kind().any(FaultRecord::installed) {
            let why = of_kind().find_map(FaultRecord::why).unwrap_or("its turn never came");
            broken.push(format!("{} was promised and never installed: {why}", kind.name()));
        }
    }
    broken
}

/// After which faults a node did what it must not.
#[must_use]
pub fn violations(faults: &[FaultRecord]) -> Vec<String> {
    let violated = faults.iter().filter_map(|fault| match &fault.state {
        super::FaultState::Violated(what) => Some(format!("{}: {what}", fault.kind.name())),
        super::FaultState::Installed | super::FaultState::Skipped(_) | super::FaultState::Indeterminate(_) => None,
    });
    violated.collect()
}
