//! A node that was away and one that is new catch up while writes go on: by the log, and by a snapshot.

use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::cluster::Cluster;
use partita_jepsen::hosts::Hosts;
use partita_jepsen::transfers::{self, BOOK, Transfers};

use crate::{SMALL, alone, number, wait_for_more};

/// Of the greatest batch.
const BATCH: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(600);
/// What a node says when it takes the state instead of the log.
const RECEIVED: &str = "a snapshot is received";

/// Waits until a node shows, by itself, everything that was acknowledged when it was asked; returns how long it took.
async fn caught_up(cluster: &mut Cluster, node: usize, load: &Transfers) -> Result<Duration, HarnessError> {
    let began = Instant::now();
    let position = load.acknowledged_position().load(std::sync::atomic::Ordering::SeqCst);
    let path = format!("/v1/books/{BOOK}?consistency=local&min_position={position}");
    loop {
        if cluster.client(node).get(&path).await.is_ok_and(|reply| reply.status == 200) {
            return Ok(began.elapsed());
        }
        assert_eq!(cluster.ended_by_itself()?, None);
        assert!(began.elapsed() < PATIENCE, "node {} stays behind:\n{}", node + 1, cluster.log_tail(node));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The long form is a million transfers long:
/// `PARTITA_AWAY=1000000 cargo test --release -p partita-jepsen --test cluster catching_up -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_away_catches_up_under_load() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let away = number("PARTITA_AWAY", 5_000);
    // So much that what is written while the node is away fits between two checkpoints.
    let memory = if away > 100_000 { ["--memory", "8GiB"] } else { ["--memory", "256MiB"] };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &memory).await?;
    transfers::open_book(&cluster.client(0)).await?;
    let load = Transfers::default();
    let writers = load.start_over(&cluster.urls(), 4, BATCH);

    // Away, and back by the log.
    wait_for_more(&load, 1_000).await;
    let leader = cluster.wait_for_leader().await?;
    let absent = (leader + 1) % 3;
    cluster.kill(absent)?;
    wait_for_more(&load, away).await;
    cluster.restart(absent).await?;
    let by_log = caught_up(&mut cluster, absent, &load).await?;

    wait_for_more(&load, 1_000).await;
    writers.stop().await;

    assert_eq!(cluster.ended_by_itself()?, None);
    let (position, head) = cluster.wait_for_equal_heads(BOOK).await?;
    let checked = load.check(&cluster.client(absent)).await?;
    eprintln!(
        "{away} transfers away: back by the log in {} ms; {checked:?}; all nodes at {position} with head {head}",
        by_log.as_millis()
    );
    assert!(checked.acknowledged >= away + 2_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_new_begins_with_a_snapshot_under_load() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &SMALL).await?;
    transfers::open_book(&cluster.client(0)).await?;
    let load = Transfers::default();
    let writers = load.start_over(&cluster.urls(), 4, BATCH);
    // From then on the log does not go back to its beginning.
    let leader = cluster.wait_for_leader().await?;
    cluster.wait_for_purge(leader).await?;
    let new = cluster.add(directory.path(), &SMALL).await?;
    let took = caught_up(&mut cluster, new, &load).await?;
    assert!(cluster.said(new, RECEIVED)?, "it was to begin with a snapshot");
    wait_for_more(&load, 1_000).await;
    writers.stop().await;

    assert_eq!(cluster.ended_by_itself()?, None);
    let (position, head) = cluster.wait_for_equal_heads(BOOK).await?;
    let checked = load.check(&cluster.client(new)).await?;
    eprintln!("new at position {position}: there in {} ms; {checked:?}; all four with head {head}", took.as_millis());
    assert!(checked.acknowledged >= 2_000);
    Ok(())
}
