//! What a node does at the edges of its means: a disk that fills, a clock that is set back.

use partita_core::decision::Answer;
use partita_core::id::Position;
use partita_core::time::Timestamp;
use partita_storage::log::memory::{Power, Unsynced};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::testing::{Disks, TestMachine, command, commands, position_of, soon, start};
use crate::{Shortage, SubmitError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_short_of_disk_takes_no_writes_reads_on_and_recovers_by_itself() {
    let machine = TestMachine::new();
    let node = start(&Disks::new(Power::steady()), &machine).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    node.submit(commands(1, 10), soon()).await.unwrap();

    // 64 MiB of memory: generations of 8 MiB, two of them and their log.
    let needed_bytes = (4 * 8 + 64) << 20;
    machine.set_free_bytes(needed_bytes - 1);
    let deadline = soon();
    while node.status().short_of_disk.is_none() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
    let refused = node.submit(commands(11, 11), soon()).await;
    assert_eq!(refused, Err(SubmitError::ShortOfDisk(Shortage { free_bytes: needed_bytes - 1, needed_bytes })));
    node.barrier(soon()).await.unwrap();
    assert_eq!(node.reader().position(), Position(10), "it reads on, and nothing was proposed");

    machine.set_free_bytes(needed_bytes * 2);
    let deadline = soon();
    let answers = loop {
        match node.submit(commands(11, 11), soon()).await {
            Ok(answers) => break answers,
            Err(SubmitError::ShortOfDisk(_)) => assert!(Instant::now() < deadline),
            Err(error) => panic!("{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(position_of(&answers[0]), Position(11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_on_a_full_disk_takes_nothing() {
    let machine = TestMachine::new();
    machine.set_free_bytes(0);
    let node = start(&Disks::new(Power::steady()), &machine).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    let refused = node.submit(commands(1, 1), soon()).await.unwrap_err();
    assert!(matches!(refused, SubmitError::ShortOfDisk(Shortage { free_bytes: 0, .. })), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_never_takes_the_ledger_back() {
    let machine = TestMachine::new();
    let disks = Disks::new(Power::steady());
    let node = start(&disks, &machine).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    let mut times: Vec<Timestamp> = Vec::new();
    // Forward, back by most of it, back to where it stood, forward again.
    for (number, clock) in (1..).zip([1_000_000, 5, 1_000_000, 1_000_002, 2_000_000]) {
        machine.set_clock(clock);
        times.push(recorded_at(&node.submit(vec![command(number)], soon()).await.unwrap()));
    }
    assert_eq!(times, [1_000_000, 1_000_001, 1_000_002, 1_000_003, 2_000_000].map(Timestamp));

    // A crash, and a machine whose clock starts at nothing.
    let left = disks.after_power_cut(Unsynced::Lost, 0);
    let again = start(&left, &TestMachine::new()).await.unwrap();
    again.wait_recovered(soon()).await.unwrap();
    assert_eq!(recorded_at(&again.submit(vec![command(6)], soon()).await.unwrap()), Timestamp(2_000_001));
}

fn recorded_at(answers: &[Answer]) -> Timestamp {
    match answers {
        [Answer::Decided(decision)] => decision.recorded_at,
        other => panic!("{other:?}"),
    }
}
