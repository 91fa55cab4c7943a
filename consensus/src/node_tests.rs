//! A node of one member: batching, deadlines, overload, restarts, reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use partita_core::id::Position;
use partita_storage::log::memory::{Power, Unsynced};
use tokio::time::{sleep, timeout_at};

use crate::testing::{Disks, MEMORY_BYTES, TestMachine, command, commands, in_ms, position_of, recovered, soon, start};
use crate::{DirectoryError, Node, NodeConfig, ReadError, Role, StartError, SubmitError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_share_raft_entries() {
    let disks = Disks::new(Power::steady());
    let node = Arc::new(recovered(&disks).await);
    let before = node.status().applied_index.unwrap();
    disks.log.gate.close();
    let callers: Vec<_> = (1..=200)
        .map(|number| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.submit(vec![command(number)], soon()).await })
        })
        .collect();
    // Four proposals fill the pipe; everybody else waits for the next one.
    while node.status().queued_commands < 100 {
        sleep(Duration::from_millis(1)).await;
    }
    disks.log.gate.open();
    let mut positions = BTreeSet::new();
    for caller in callers {
        let answers = timeout_at(soon(), caller).await.unwrap().unwrap().unwrap();
        assert_eq!(answers.len(), 1);
        positions.insert(position_of(&answers[0]));
    }
    assert_eq!(positions, (1..=200).map(Position).collect());
    node.barrier(soon()).await.unwrap();
    let entries = node.status().applied_index.unwrap() - before;
    assert!((1..=110).contains(&entries), "200 commands took {entries} raft entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_is_answered_in_its_order() {
    let node = recovered(&Disks::new(Power::steady())).await;
    let before = node.status().applied_index.unwrap();
    let answers = node.submit(commands(1, 10_000), soon()).await.unwrap();
    let positions: Vec<Position> = answers.iter().map(position_of).collect();
    assert_eq!(positions, (1..=10_000).map(Position).collect::<Vec<_>>());
    node.barrier(soon()).await.unwrap();
    let entries = node.status().applied_index.unwrap() - before;
    assert!((1..=5).contains(&entries), "10,000 commands took {entries} raft entries");
    assert_eq!(node.reader().position(), Position(10_000));
    assert_eq!(node.submit(vec![], soon()).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_tells_what_was_proposed_from_what_never_was() {
    let disks = Disks::new(Power::steady());
    let node = Arc::new(recovered(&disks).await);
    disks.log.gate.close();
    let mut proposed = Vec::new();
    for number in 1..=4 {
        let caller = Arc::clone(&node);
        proposed.push(tokio::spawn(async move { caller.submit(vec![command(number)], in_ms(300)).await }));
        while node.status().queued_commands > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
    // The pipe is full: this one waits before it, and is withdrawn.
    let withdrawn = node.submit(vec![command(5)], in_ms(100)).await;
    assert_eq!(withdrawn, Err(SubmitError::Overloaded { retry_after: Duration::from_secs(1) }));
    for caller in proposed {
        assert_eq!(timeout_at(soon(), caller).await.unwrap().unwrap(), Err(SubmitError::OutcomeUnknown));
    }
    disks.log.gate.open();
    let answers = node.submit(vec![command(6)], soon()).await.unwrap();
    assert_eq!(position_of(&answers[0]), Position(5), "four were decided after all, the withdrawn one was not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once() {
    let disks = Disks::new(Power::steady());
    let node = Arc::new(recovered(&disks).await);
    disks.log.gate.close();
    let callers: Vec<_> = (0..40)
        .map(|caller| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.submit(commands(caller * 10_000, caller * 10_000 + 9_999), soon()).await })
        })
        .collect();
    while node.status().queued_commands < 190_000 {
        sleep(Duration::from_millis(1)).await;
    }
    let refused = node.submit(commands(1_000_000, 1_020_000), soon()).await;
    assert_eq!(refused, Err(SubmitError::Overloaded { retry_after: Duration::from_secs(1) }));
    disks.log.gate.open();
    let mut decided = 0;
    let mut overloaded = 0;
    for caller in callers {
        match timeout_at(soon(), caller).await.unwrap().unwrap() {
            Ok(answers) => decided += answers.len(),
            Err(SubmitError::Overloaded { .. }) => overloaded += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(overloaded > 0, "40 batches fit into the queue");
    assert_eq!(node.reader().position(), Position(u64::try_from(decided).unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_replays_the_log_and_a_shutdown_leaves_nothing_to_replay() {
    let disks = Disks::new(Power::steady());
    let node = recovered(&disks).await;
    node.submit(commands(1, 500), soon()).await.unwrap();
    assert_eq!(node.status().role, Role::Leader);

    let after_crash = disks.after_power_cut(Unsynced::Lost, 0);
    let again = recovered(&after_crash).await;
    assert_eq!(again.reader().position(), Position(500));
    let retried = again.submit(commands(500, 501), soon()).await.unwrap();
    assert_eq!(position_of(&retried[1]), Position(501));
    again.shutdown(soon()).await;
    assert_eq!(again.submit(commands(1, 1), soon()).await, Err(SubmitError::ShuttingDown));
    let status = again.status();
    assert_eq!(status.position, Position(501));
    assert!(status.durable_index.is_some() && status.durable_index >= status.applied_index, "{status:?}");

    let after_shutdown = after_crash.after_power_cut(Unsynced::Lost, 0);
    let third = start(&after_shutdown, &TestMachine::new()).await.unwrap();
    assert_eq!(third.reader().position(), Position(501), "before anything was replayed");
    third.wait_recovered(soon()).await.unwrap();
    assert_eq!(third.reader().position(), Position(501));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_wait_for_positions_and_say_how_far_they_got() {
    let node = Arc::new(recovered(&Disks::new(Power::steady())).await);
    let waiting = {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.wait_position(Position(2), soon()).await })
    };
    node.submit(commands(1, 2), soon()).await.unwrap();
    assert_eq!(timeout_at(soon(), waiting).await.unwrap().unwrap(), Ok(()));
    let too_far = node.wait_position(Position(3), in_ms(50)).await;
    assert_eq!(too_far, Err(ReadError::PositionNotReached { wanted: Position(3), reached: Position(2) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_data_directory_is_one_process_and_one_node() {
    let directory = tempfile::tempdir().unwrap();
    let config = |node_id| NodeConfig::alone(directory.path().join("data"), node_id, MEMORY_BYTES);
    let node = Node::start(config(1)).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    node.submit(commands(1, 10), soon()).await.unwrap();
    let second = Node::start(config(1)).await.map(|_| ()).unwrap_err();
    assert!(matches!(second, StartError::Directory(DirectoryError::InUse { .. })), "{second}");
    node.shutdown(soon()).await;
    drop(node);
    let other = Node::start(config(2)).await.map(|_| ()).unwrap_err();
    assert!(matches!(other, StartError::Directory(DirectoryError::OtherNode { .. })), "{other}");
    // The threads of the first one close their databases in their own time.
    let deadline = soon();
    let again = loop {
        match Node::start(config(1)).await {
            Ok(node) => break node,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}: {error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    again.wait_recovered(soon()).await.unwrap();
    assert_eq!(again.reader().position(), Position(10));
}
