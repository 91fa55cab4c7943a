//! The purchases loaded through twenty kills give the book that an undisturbed load gives, entry for entry.
//!
//! `PARTITA_ROWS` says how many of the file's rows (69,659 is all of them); `PARTITA_SEED` repeats a run.

use std::path::Path;
use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::books::{self, Content};
use partita_jepsen::command::{partita, prepare, repository, verify};
use partita_jepsen::node::Node;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const BOOK: &str = "demo";
const AS_OF: &str = "1998-06-30";
const KILLS: u64 = 20;
const DEADLINE: Duration = Duration::from_secs(300);

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn import(url: &str, rows: u64, retry_for: &str) -> Vec<String> {
    let file = repository("examples/cdnow.csv").to_string_lossy().into_owned();
    let rows = rows.to_string();
    ["import", &file, "--url", url, "--book", BOOK, "--create-book", "--rows", &rows, "--retry-for", retry_for]
        .map(str::to_owned)
        .to_vec()
}

async fn position(node: &Node) -> u64 {
    let reply = node.client().get("/v1/books?consistency=local").await;
    reply.ok().and_then(|reply| reply.position).unwrap_or(0)
}

/// Loads everything in one go; the book, and the last position of its journal.
async fn undisturbed(data: &Path, rows: u64) -> Result<(Content, u64), HarnessError> {
    let mut node = Node::start(data, &[]).await?;
    let loaded = partita(import(node.url(), rows, "5")).await?;
    assert!(loaded.succeeded(), "{}", loaded.said());
    let content = books::content(&node.client(), BOOK, AS_OF).await?;
    let last = position(&node).await;
    assert!(node.stop().await?.success(), "{}", node.log_tail());
    Ok((content, last))
}

/// One load from the start, cut off when the journal has passed `target`. Whether the kill met a load that still ran.
async fn cut_off(data: &Path, rows: u64, target: u64, pause: Duration) -> Result<bool, HarnessError> {
    let mut node = Node::start(data, &[]).await?;
    let mut command = prepare(import(node.url(), rows, "0"))?;
    let cannot = |source| HarnessError::File { path: data.to_owned(), what: "no import into it can be run", source };
    let mut load = command.spawn().map_err(cannot)?;
    let deadline = Instant::now() + DEADLINE;
    while position(&node).await < target && load.try_wait().map_err(cannot)?.is_none() {
        assert!(Instant::now() < deadline, "position {target} was never reached");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(pause).await;
    node.kill()?;
    let ended = tokio::task::spawn_blocking(move || load.wait_with_output()).await.expect("waiting does not panic");
    let ended = ended.map_err(cannot)?;
    // One that succeeded had its last answer before the kill; only of the others can something have been cut off.
    Ok(!ended.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_during_the_import_change_nothing() -> Result<(), HarnessError> {
    let rows = from_environment("PARTITA_ROWS").unwrap_or(4_000);
    let seed = from_environment("PARTITA_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("PARTITA_SEED={seed} PARTITA_ROWS={rows}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (expected, last) = undisturbed(&directory.path().join("undisturbed"), rows).await?;
    assert!(!expected.entries.is_empty() && !expected.documents.is_empty(), "the import posted something");

    let data = directory.path().join("disturbed");
    let mut landed = 0;
    for kill in 0..KILLS {
        // Spread over the file but its last quarter, which can be over before the kill; at a random moment of each part.
        let part = last * 3 / 4 / KILLS;
        let target = part * kill + random.random_range(0..part);
        let pause = Duration::from_micros(random.random_range(0..3_000));
        landed += u64::from(cut_off(&data, rows, target, pause).await?);
    }
    eprintln!("{landed} of {KILLS} kills hit a running import");
    assert!(landed >= KILLS - 2, "only {landed} of {KILLS} kills hit a running import");

    let mut node = Node::start(&data, &[]).await?;
    let loaded = partita(import(node.url(), rows, "5")).await?;
    assert!(loaded.succeeded(), "{}", loaded.said());
    let found = books::content(&node.client(), BOOK, AS_OF).await?;
    assert_eq!(books::difference(&expected, &found), None);
    assert!(found.entries.values().all(|entries| entries.len() == 1), "every key posted one entry");
    assert!(node.stop().await?.success(), "{}", node.log_tail());
    for name in ["undisturbed", "disturbed"] {
        let verified = verify(&directory.path().join(name)).await?;
        assert!(verified.succeeded(), "{name}: {}", verified.said());
    }
    Ok(())
}
