//! A rolling upgrade to a program whose level is one higher, and where the older program stops.

use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::client::Client;
use partita_jepsen::cluster::Cluster;
use partita_jepsen::hosts::Hosts;
use partita_jepsen::node::{Node, binary, next_binary};
use partita_jepsen::transfers::{self, BOOK, Transfers};

use crate::{BATCH, DEADLINE, SMALL, alone, wait_for_more};

async fn level(client: &Client) -> Result<u64, HarnessError> {
    let status = client.read("/v1/cluster").await?;
    Ok(status["level"].as_u64().expect("a cluster has a level"))
}

async fn wait_for_level(client: &Client, wanted: u64) -> Result<(), HarnessError> {
    let deadline = Instant::now() + DEADLINE;
    while level(client).await? != wanted {
        assert!(Instant::now() < deadline, "the level is not raised to {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_raises_the_level_when_the_last_node_has_it() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let (older, newer) = (binary()?, next_binary()?);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &SMALL).await?;
    transfers::open_book(&cluster.client(0)).await?;
    let load = Transfers::default();
    let writers = load.start_over(&cluster.urls(), 4, BATCH);
    wait_for_more(&load, 300).await;
    for node in 0..3 {
        assert_eq!(level(&cluster.client(node)).await?, 1, "before node {} is upgraded", node + 1);
        cluster.stop_for(node, &newer).await?;
        wait_for_more(&load, 300).await;
        cluster.restart(node).await?;
        cluster.wait_until_ready(node).await?;
        // Old and new leaders and followers work on one log; a new one that leads does not raise it yet.
        wait_for_more(&load, 300).await;
    }
    wait_for_level(&cluster.client(0), 2).await?;
    wait_for_more(&load, 300).await;
    writers.stop().await;
    assert_eq!(cluster.ended_by_itself()?, None);
    cluster.wait_for_equal_heads(BOOK).await?;
    let checked = load.check(&cluster.client(1)).await?;
    eprintln!("{checked:?}");
    assert!(checked.acknowledged >= 2_400);

    // The older program over what the newer one left: a checkpoint of the raised level, or its log.
    cluster.stop_for(2, &older).await?;
    let said = cluster.start_to_its_end(2).await?;
    assert!(said.contains("replicated level 2 is unknown: this program knows level 1"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_program_goes_on_where_an_older_one_was_killed() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let load = Transfers::default();
    let mut node = Node::start(&data, &[]).await?;
    transfers::open_book(&node.client()).await?;
    let running = load.start(&node.client(), 4);
    wait_for_more(&load, 1_000).await;
    node.kill()?;
    running.stop().await;

    // Everything is a tail of the log, at level 1.
    let mut newer = Node::start_program(&next_binary()?, &data, &[]).await?;
    let checked = load.check(&newer.client()).await?;
    assert!(checked.acknowledged >= 1_000);
    wait_for_level(&newer.client(), 2).await?;
    let running = load.start(&newer.client(), 4);
    wait_for_more(&load, 1_000).await;
    newer.kill()?;
    running.stop().await;

    let mut older = Node::spawn(&data, &[])?;
    let status = older.wait_for_end("the end of a program that does not know the level").await?;
    let said = older.log_tail();
    assert!(!status.success() && said.contains("replicated level 2 is unknown"), "{said}");
    let again = Node::start_program(&next_binary()?, &data, &[]).await?;
    load.check(&again.client()).await?;
    Ok(())
}
