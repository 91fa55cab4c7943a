//! One short chaos run of each size in every test run; `make chaos` has the long ones.

use partita_jepsen::HarnessError;
use partita_jepsen::chaos::faults::FaultKind;
use partita_jepsen::chaos::faults::available::Available;
use partita_jepsen::chaos::report::{self, Made};
use partita_jepsen::chaos::run::{Floors, Plan, complaints, run};
use partita_jepsen::chaos::workload::Workload;

async fn passes(plan: Plan) -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let seed = plan.seed;
    let done = run(plan, directory.path()).await?;
    let command = "cargo test -p partita-jepsen --test chaos".to_owned();
    let made = Made { command, commit: "this one".to_owned(), unavailable: vec![] };
    eprintln!("{}", report::text(&done, &made));
    let complaints = complaints(&done);
    if !complaints.is_empty() {
        let kept = directory.keep();
        panic!("seed {seed}: {complaints:#?}\nhistory, logs and data are kept in {}", kept.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_their_promises_under_faults() -> Result<(), HarnessError> {
    let faults = vec![FaultKind::KillLeader, FaultKind::PauseLeader, FaultKind::IsolateLeader, FaultKind::KillAll];
    let floors = Floors { ok: 500, faults: 3, reads_during_faults: 50, leader_hits: 3 };
    // All workloads on one cluster: the bank, billing, keys sent again, statements and trial balances.
    passes(Plan {
        workload: Workload::Mixed,
        nodes: 3,
        clients_per_node: 2,
        pause_ms: 5,
        groups: 3,
        seconds: 25,
        faults,
        with_proxies: false,
        seed: 11,
        floors,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_their_promises_when_disks_and_clocks_fail() -> Result<(), HarnessError> {
    let mut faults = vec![FaultKind::PowerLossAll, FaultKind::SyncsFail, FaultKind::ClockAndKill, FaultKind::DamageLog];
    for (kind, why) in Available::here().others {
        if faults.contains(&kind) {
            eprintln!("SKIPPED: {}: {why}", kind.name());
        }
        faults.retain(|other| *other != kind);
    }
    let floors = Floors { ok: 500, faults: 1, reads_during_faults: 50, leader_hits: 0 };
    passes(Plan {
        workload: Workload::Bank,
        nodes: 3,
        clients_per_node: 2,
        pause_ms: 5,
        groups: 3,
        seconds: 25,
        faults,
        with_proxies: true,
        seed: 12,
        floors,
    })
    .await
}
