//! One short chaos run of each size in every test run; `make chaos` has the long ones.

use partita_jepsen::HarnessError;
use partita_jepsen::chaos::faults::FaultKind;
use partita_jepsen::chaos::report;
use partita_jepsen::chaos::run::{Floors, Plan, complaints, run};
use partita_jepsen::chaos::workload::Workload;
use partita_jepsen::hosts::Hosts;

async fn passes(plan: Plan) -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let seed = plan.seed;
    let done = run(plan, directory.path()).await?;
    eprintln!("{}", report::text(&done, "cargo test -p partita-jepsen --test chaos", "this one"));
    let complaints = complaints(&done);
    if !complaints.is_empty() {
        let kept = directory.keep();
        panic!("seed {seed}: {complaints:#?}\nhistory, logs and data are kept in {}", kept.display());
    }
    Ok(())
}

/// Where no way can be cut, the faults are those that need none.
fn faults(with_cuts: &[FaultKind], without: &[FaultKind]) -> Result<Vec<FaultKind>, HarnessError> {
    let can_cut = Hosts::new(1)?.can_cut();
    if !can_cut {
        eprintln!("not tried: cut ways, for there are no network namespaces for this user");
    }
    Ok(if can_cut { with_cuts } else { without }.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_their_promises_under_faults() -> Result<(), HarnessError> {
    let faults = faults(
        &[FaultKind::KillLeader, FaultKind::PauseLeader, FaultKind::IsolateLeader, FaultKind::KillAll],
        &[FaultKind::KillLeader, FaultKind::PauseLeader, FaultKind::KillAll],
    )?;
    let floors = Floors { ok: 500, faults: 3, reads_during_faults: 50, leader_hits: 3 };
    passes(Plan {
        workload: Workload::Bank,
        nodes: 3,
        clients_per_node: 2,
        groups: 3,
        seconds: 20,
        faults,
        seed: 11,
        floors,
    })
    .await
}
