//! A node that is stopped, in order or by force, under load and while it checkpoints, loses nothing that it acknowledged
//! and does nothing twice.

use std::path::Path;
use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::command::{partita, verify};
use partita_jepsen::node::Node;
use partita_jepsen::transfers::{self, Transfers};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// So little memory that checkpoints follow each other closely.
const SMALL: [&str; 2] = ["--memory", "64MiB"];
const DEADLINE: Duration = Duration::from_secs(60);

async fn wait_for_acknowledgements(load: &Transfers, more_than: usize) {
    let deadline = Instant::now() + DEADLINE;
    while load.acknowledged().await <= more_than {
        assert!(Instant::now() < deadline, "the load acknowledged nothing");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn assert_verified(data: &Path) -> Result<(), HarnessError> {
    let verified = verify(data).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    Ok(())
}

/// The position that a killed node's tables are durable up to; they are right as of there, whatever was under way.
async fn durable_position(data: &Path) -> Result<u64, HarnessError> {
    let data = data.to_string_lossy().into_owned();
    let verified = partita(["verify", "--format", "json", "--data", &data]).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    let report: Value = serde_json::from_slice(&verified.output.stdout).expect("verify prints JSON when asked");
    Ok(report["position"].as_u64().expect("a report has a position"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_keeps_everything_acknowledged() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let load = Transfers::default();
    for round in 0..3 {
        let mut node = Node::start(&data, &[]).await?;
        transfers::open_book(&node.client()).await?;
        let before = load.acknowledged().await;
        let running = load.start(&node.client(), 16);
        wait_for_acknowledgements(&load, before + 2_000).await;
        let status = node.stop().await?;
        assert!(status.success(), "round {round}: {status}: {}", node.log_tail());
        running.stop().await;
        assert_verified(&data).await?;
    }
    let node = Node::start(&data, &[]).await?;
    let checked = load.check(&node.client()).await?;
    eprintln!("{checked:?}");
    assert!(checked.acknowledged > 6_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_checkpoints_are_written_lose_and_double_nothing() -> Result<(), HarnessError> {
    let seed =
        std::env::var("PARTITA_SEED").map_or_else(|_| rand::rng().random(), |text| text.parse().expect("a number"));
    eprintln!("PARTITA_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let load = Transfers::default();
    let (mut durable, mut checkpointed, mut rounds) = (0, 0, 0);
    // A slow machine gets to a checkpoint in fewer of its rounds; it takes more of them.
    while rounds < 10 || checkpointed < 5 {
        assert!(rounds < 60, "only {checkpointed} of {rounds} rounds wrote a checkpoint");
        rounds += 1;
        let mut node = Node::start(&data, &SMALL).await?;
        transfers::open_book(&node.client()).await?;
        let before = load.acknowledged().await;
        let running = load.start(&node.client(), 8);
        wait_for_acknowledgements(&load, before + 500).await;
        // A moment of any phase: appends, seals, journal chunks, table batches, flushes, purges.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..700_000))).await;
        node.kill()?;
        running.stop().await;
        let position = durable_position(&data).await?;
        assert!(position >= durable, "the tables went back from {durable} to {position}");
        checkpointed += u32::from(position > durable);
        durable = position;
    }
    let mut node = Node::start(&data, &SMALL).await?;
    let checked = load.check(&node.client()).await?;
    eprintln!("{checked:?}, {checkpointed} of {rounds} rounds had checkpoints, the last at position {durable}");
    assert!(checked.acknowledged > 10 * 500);
    assert!(node.stop().await?.success(), "{}", node.log_tail());
    assert_verified(&data).await
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_cut_short_lose_and_double_nothing() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let load = Transfers::default();
    Node::start(&data, &SMALL).await?.kill()?;
    let mut cut = 0;
    // From the first append that passes the length to the middle of a longer file, the log's or a table's.
    for kibibytes in [256, 384, 512, 700, 1_100, 1_600] {
        let mut node = Node::start_with_file_limit(&data, &SMALL, kibibytes).await?;
        transfers::open_book(&node.client()).await?;
        let running = load.start(&node.client(), 8);
        let status = node.wait_for_end("a write cut short").await?;
        running.stop().await;
        cut += u32::from(!status.success());

        let mut node = Node::start(&data, &SMALL).await?;
        let checked = load.check(&node.client()).await?;
        eprintln!("at {kibibytes} KiB: {status}, {checked:?}");
        // In order, so that the next round's log starts short again.
        assert!(node.stop().await?.success(), "{}", node.log_tail());
        assert_verified(&data).await?;
    }
    assert_eq!(cut, 6, "every round was cut off");
    Ok(())
}
