//! A run in words and as one page, in the manner of Jepsen's analyses: what was claimed, what was done, what was found,
//! and what was not tested.
//!
//! - [`text`]: for a terminal; the page has the same words;
//! - [`html`]: the page, with its `timeline`;
//! - `latencies`, `evidence`: how long answers took; the operations that an anomaly is about;
//! - [`summary`]: several runs and the simulator's together.

mod evidence;
mod html;
mod latencies;
pub mod summary;
mod text;
mod timeline;

pub use html::html;
pub use text::text;

use super::faults::{FaultKind, FaultRecord, FaultState};
use super::run::Run;

/// How a run was made, so that it can be made again.
#[derive(Clone, Debug)]
pub struct Made {
    pub command: String,
    pub commit: String,
    /// What this machine does not allow, with the reasons; `None` where nobody asked.
    pub unavailable: Vec<(FaultKind, String)>,
}

/// How often each kind was installed, and what became of the others.
#[derive(Clone, Debug)]
struct Tally {
    kind: FaultKind,
    installed: usize,
    hit_leader: usize,
    skipped: Vec<String>,
    indeterminate: Vec<String>,
    violated: Vec<String>,
}

/// In the order in which kinds are listed; kinds that were never tried are left out.
fn tallies(records: &[FaultRecord]) -> Vec<Tally> {
    let mut all = vec![];
    for kind in FaultKind::ALL {
        let mut tally =
            Tally { kind, installed: 0, hit_leader: 0, skipped: vec![], indeterminate: vec![], violated: vec![] };
        let mut tried = false;
        for fault in records.iter().filter(|fault| fault.kind == kind) {
            tried = true;
            tally.installed += usize::from(fault.installed());
            tally.hit_leader += usize::from(fault.installed() && fault.hit_leader);
            match &fault.state {
                FaultState::Installed => {}
                FaultState::Skipped(why) => tally.skipped.push(why.clone()),
                FaultState::Indeterminate(why) => tally.indeterminate.push(why.clone()),
                FaultState::Violated(why) => tally.violated.push(why.clone()),
            }
        }
        if tried {
            all.push(tally);
        }
    }
    all
}

/// What a green run does not say.
fn not_tested(run: &Run, made: &Made) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    let left_out: Vec<FaultKind> = FaultKind::ALL.into_iter().filter(|kind| !run.plan.faults.contains(kind)).collect();
    let unavailable = |kind: FaultKind| made.unavailable.iter().find(|(other, _)| *other == kind);
    let chosen: Vec<&str> =
        left_out.iter().filter(|kind| unavailable(**kind).is_none()).map(|kind| kind.name()).collect();
    if !chosen.is_empty() {
        all.push(format!("Faults that this run did not promise: {}.", chosen.join(", ")));
    }
    for (kind, why) in left_out.iter().filter_map(|kind| unavailable(*kind)) {
        all.push(format!("{}: not possible here: {why}.", kind.name()));
    }
    all.push(
        "Beyond any run of this kind: more than one machine, disks that change what they were given without a word (but \
         for the bytes that were flipped), kernels that fail, weeks of running, and every request that the workload does \
         not make."
            .to_owned(),
    );
    all
}
