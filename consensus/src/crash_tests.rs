//! A node whose power goes: at every write and sync of the raft log, and at every write and flush of checkpoints.
//! Nothing acknowledged is lost, and nothing is decided twice.

use partita_core::decision::Answer;
use partita_core::id::Position;
use partita_storage::engine::Stop;
use partita_storage::log::LogEngine;
use partita_storage::log::memory::{Power, Unsynced};

use crate::StartError;
use crate::testing::{Disks, TestMachine, commands, position_of, recovered, soon, start};

/// Makes a checkpoint of every few books.
const SMALL_MEMORY_BYTES: usize = 8 << 10;

/// Writes `batches` of `size` commands one after the other until the power goes; returns how many commands were
/// acknowledged.
async fn write_until_stopped(disks: &Disks, batches: u64, size: u64) -> u64 {
    let machine = TestMachine::new();
    machine.let_wait_for_disk();
    let mut acknowledged = 0;
    let work = async {
        let node = start(disks, &machine).await.ok()?;
        node.wait_recovered(soon()).await.ok()?;
        for batch in 0..batches {
            let answers = node.submit(commands(batch * size + 1, (batch + 1) * size), soon()).await.ok()?;
            if machine.has_stopped() {
                return None;
            }
            let positions: Vec<u64> = answers.iter().map(|answer| position_of(answer).0).collect();
            assert_eq!(positions, (batch * size + 1..=(batch + 1) * size).collect::<Vec<_>>());
            acknowledged += size;
        }
        node.shutdown(soon()).await;
        Some(())
    };
    tokio::select! {
        _ = work => {}
        _ = machine.stopped() => {}
    }
    acknowledged
}

/// Starts over what is left, and sends everything again that was acknowledged.
async fn check_after(disks: &Disks, acknowledged: u64, size: u64, case: &str) {
    let node = recovered(disks).await;
    let position = node.reader().position().0;
    assert!(position >= acknowledged, "{case}: {acknowledged} acknowledged, {position} left");
    assert_eq!(position % size, 0, "{case}: a part of a raft entry");
    let again = node.submit(commands(1, acknowledged), soon()).await.unwrap();
    let first: Vec<Answer> =
        (1..=acknowledged).map(|position| Answer::Replayed { position: Position(position) }).collect();
    assert_eq!(again, first, "{case}: the first answers");
    let new = node.submit(commands(1_000, 1_000), soon()).await.unwrap();
    assert_eq!(position_of(&new[0]).0, position + 1, "{case}");
}

/// The power goes at every write and every sync of the raft log and its mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_step_of_the_log() {
    let power = Power::steady();
    assert_eq!(write_until_stopped(&Disks::new(power.clone()), 6, 3).await, 18);
    let steps = power.steps();
    assert!(steps > 20, "the writes must reach the log: {steps} steps");
    let mut cut_while_writing = 0;
    for stop_at in 0..steps {
        let disks = Disks::new(Power::failing_at(stop_at));
        let acknowledged = write_until_stopped(&disks, 6, 3).await;
        cut_while_writing += u64::from((1..18).contains(&acknowledged));
        for unsynced in [Unsynced::Lost, Unsynced::Kept] {
            let left = disks.after_power_cut(unsynced, 0);
            check_after(&left, acknowledged, 3, &format!("stopped at {stop_at}, {unsynced:?}")).await;
        }
    }
    assert!(cut_while_writing > 5, "only {cut_while_writing} cuts fell between acknowledgements");
}

/// The power goes at every write and every flush of checkpoints; of what was written and not flushed, the store had
/// made nothing durable by itself, or everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_step_of_a_checkpoint() {
    let small = || Disks { memory_bytes: SMALL_MEMORY_BYTES, ..Disks::new(Power::steady()) };
    let disks = small();
    assert_eq!(write_until_stopped(&disks, 8, 10).await, 80);
    let operations = disks.tables.engine().operations();
    assert!(operations > 12, "several checkpoints must be written: {operations} operations");
    let first_left = disks.log.first_index().unwrap();
    assert!(first_left.is_none_or(|first| first > 2), "the log was purged behind checkpoints: {first_left:?}");
    let mut stopped = 0;
    for operation in 1..=operations {
        for takes_effect in [false, true] {
            let disks = small();
            disks.tables.engine().stop_at(Some(Stop { operation, takes_effect }));
            let acknowledged = write_until_stopped(&disks, 8, 10).await;
            stopped += u64::from(disks.tables.engine().operations() >= operation);
            for kept in [0, usize::MAX] {
                let left = disks.after_power_cut(Unsynced::Lost, kept);
                let case = format!("operation {operation}, takes effect: {takes_effect}, kept {kept}");
                check_after(&left, acknowledged, 10, &case).await;
            }
        }
    }
    assert!(stopped > 10, "only {stopped} stops happened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_and_a_state_of_different_times_do_not_start() {
    let disks = Disks { memory_bytes: SMALL_MEMORY_BYTES, ..Disks::new(Power::steady()) };
    assert_eq!(write_until_stopped(&disks, 8, 10).await, 80);
    let fresh = Disks::new(Power::steady());
    let tables = disks.tables.after_power_cut(Unsynced::Lost, 0, Power::steady());
    let without_log = Disks { tables, ..fresh.clone() };
    let error = start(&without_log, &TestMachine::new()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::LogBehindState { .. }), "{error}");
    let without_state = Disks { tables: fresh.tables, ..disks.after_power_cut(Unsynced::Lost, 0) };
    let error = start(&without_state, &TestMachine::new()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::LogBeyondState { .. }), "{error}");
}
