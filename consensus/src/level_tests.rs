//! Programs of adjacent versions over one log: what the newer one replays and raises, and where the older one stops.

use std::sync::Arc;
use std::time::Duration;

use partita_storage::codec::{Level, Levels};
use partita_storage::engine::MemoryEngine;
use partita_storage::log::memory::{Power, Unsynced};
use partita_storage::state::OpenError;
use tokio::time::{Instant, sleep};

use crate::testing::{Disks, TestMachine, commands, recovered, soon, start};
use crate::{Node, StartError};

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

/// What is left after a crash, for a program whose newest level this is.
fn for_program(disks: &Disks, newest: u8) -> Disks {
    Disks { levels: Levels::upto(level(newest)), ..disks.after_power_cut(Unsynced::Lost, 0) }
}

async fn wait_for_level(node: &Node<MemoryEngine>, wanted: u8) {
    let deadline = soon();
    while node.status().level != Some(level(wanted)) {
        assert!(Instant::now() < deadline, "{:?}", node.status());
        sleep(Duration::from_millis(1)).await;
    }
}

/// Why a program of this level does not run on these disks.
async fn refusal(disks: &Disks, newest: u8) -> String {
    let machine = TestMachine::new();
    let disks = for_program(disks, newest);
    // The log is replayed behind the start, so that both may be.
    let node = start(&disks, &machine).await;
    match &node {
        Ok(_running) => machine.stopped().await,
        Err(error) => crate::errors::chain(error),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_program_replays_an_older_log_and_raises_its_level() {
    let first = Disks::new(Power::steady());
    let node = recovered(&first).await;
    node.submit(commands(1, 500), soon()).await.unwrap();
    assert_eq!(node.status().level, Some(level(1)));
    let head = node.reader().read(|view| view.head_hash());

    // Nothing was checkpointed: all of it is a tail of the log.
    let second = for_program(&first, 2);
    let newer = recovered(&second).await;
    assert_eq!(newer.reader().read(|view| view.head_hash()), head, "the same decisions, byte for byte");
    wait_for_level(&newer, 2).await;
    newer.submit(commands(501, 600), soon()).await.unwrap();

    let said = refusal(&second, 1).await;
    assert!(said.contains("replicated level 2 is unknown: this program knows level 1"), "{said}");
    // Two versions later the log's first batches are not known any more; the version between writes a checkpoint.
    let said = refusal(&second, 3).await;
    assert!(said.contains("replicated level 1 is no longer known"), "{said}");
    newer.shutdown(soon()).await;
    let third = recovered(&for_program(&second, 3)).await;
    wait_for_level(&third, 3).await;
    assert_eq!(third.reader().position().0, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_a_level_that_is_not_known_is_not_opened() {
    let disks = Disks { levels: Levels::upto(level(2)), ..Disks::new(Power::steady()) };
    let node = recovered(&disks).await;
    node.submit(commands(1, 10), soon()).await.unwrap();
    wait_for_level(&node, 2).await;
    node.shutdown(soon()).await;
    let older = for_program(&disks, 1);
    let error = start(&older, &TestMachine::new()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::State(OpenError::Level(_))), "{error}");
    let newer = recovered(&for_program(&disks, 2)).await;
    assert_eq!(newer.status().level, Some(level(2)), "a checkpoint keeps the level");
}

/// Commands that were encoded before the level was raised, and are proposed after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_their_way_when_the_level_is_raised_are_decided() {
    let first = Disks::new(Power::steady());
    recovered(&first).await.submit(commands(1, 1), soon()).await.unwrap();
    let second = for_program(&first, 2);
    let node = Arc::new(start(&second, &TestMachine::new()).await.unwrap());
    // From before it leads until after it has raised the level, somebody writes.
    let mut number = 2;
    let (mut before, mut after) = (0, 0);
    while after < 50 {
        match node.submit(commands(number, number), soon()).await {
            Ok(_answers) => number += 1,
            Err(crate::SubmitError::NoLeader) => continue,
            Err(error) => panic!("{error}"),
        }
        let raised = node.status().level == Some(level(2));
        before += u64::from(!raised);
        after += u64::from(raised);
    }
    assert_eq!(node.reader().position().0, number - 1);
    eprintln!("{before} commands before the level was raised, {after} after it");
    let again = recovered(&for_program(&second, 2)).await;
    assert_eq!(again.reader().position().0, number - 1);
}
