//! A node whose directory is taken, damaged or full says so and stops. It never serves or repairs by guessing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::books;
use partita_jepsen::client::Client;
use partita_jepsen::command::verify;
use partita_jepsen::damage;
use partita_jepsen::node::Node;
use partita_jepsen::transfers::{self, Transfers};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(60);
/// As little memory as the tests need: less is asked of the disk, too.
const SMALL: [&str; 2] = ["--memory", "64MiB"];

/// A stopped node's directory with some thousands of transfers in it.
async fn filled(data: &Path, in_order: bool) -> Result<(Transfers, Vec<Value>), HarnessError> {
    let mut node = Node::start(data, &[]).await?;
    transfers::open_book(&node.client()).await?;
    let load = Transfers::default();
    let running = load.start(&node.client(), 8);
    wait_for_acknowledgements(&load, 5_000).await;
    running.stop().await;
    let entries = books::entries(&node.client(), transfers::BOOK).await?;
    if in_order {
        assert!(node.stop().await?.success(), "{}", node.log_tail());
    } else {
        node.kill()?;
    }
    Ok((load, entries))
}

/// Starts a node that must end by itself, and hands back what it said.
async fn refusal(data: &Path) -> Result<String, HarnessError> {
    let log = data.with_extension("log");
    if log.exists() {
        std::fs::remove_file(&log).map_err(|source| HarnessError::File {
            path: log,
            what: "cannot be removed",
            source,
        })?;
    }
    let mut node = Node::spawn(data, &[])?;
    let status = node.wait_for_end("the refusal to start").await?;
    let said = node.log_tail();
    assert!(!status.success(), "it ended as if all were well: {said}");
    Ok(said)
}

fn assert_says(said: &str, words: &[&str]) {
    let lower = said.to_lowercase();
    assert!(words.iter().any(|word| lower.contains(word)), "none of {words:?} is in: {said}");
}

#[tokio::test]
async fn a_second_node_on_the_same_directory_is_refused() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let node = Node::start(&data, &[]).await?;
    let mut second = Node::spawn(&data, &[])?;
    let status = second.wait_for_end("the second node's refusal").await?;
    assert!(!status.success(), "it ended as if all were well");
    assert_says(&second.log_tail(), &["another process", "in use", "already", "locked"]);
    let verified = verify(&data).await?;
    assert!(!verified.succeeded(), "a running node's tables are not read behind its back: {}", verified.said());
    assert_says(&verified.said(), &["in use by another process"]);
    assert_eq!(node.client().get("/readyz").await?.status, 200, "the first one goes on");
    Ok(())
}

/// Either the node refuses to run on it, or verify finds it; and what the node does serve is right.
async fn assert_noticed(data: &Path, entries: &[Value], what: &str) -> Result<(), HarnessError> {
    let mut node = Node::spawn(data, &[])?;
    let client = node.client();
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = node.ended()? {
            assert!(!status.success(), "{what}: it ended as if all were well");
            let said = node.log_tail();
            assert_says(&said, &["corrupt", "checksum", "damaged", "mismatch", "differs"]);
            return Ok(());
        }
        if client.get("/readyz").await.is_ok_and(|reply| reply.status == 200) {
            break;
        }
        assert!(Instant::now() < deadline, "{what}: neither ready nor ended: {}", node.log_tail());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A read that meets the damage gets no answer, or an error; never other entries.
    match books::entries(&client, transfers::BOOK).await {
        Ok(found) => assert!(found == entries, "{what}: it served something else"),
        Err(error) => eprintln!("{what}: {error}"),
    }
    node.kill()?;
    let verified = verify(data).await?;
    assert!(!verified.succeeded(), "{what}: neither the node nor verify noticed: {}", verified.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_table_file_is_noticed() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let (_, entries) = filled(&data, true).await?;
    let tables = damage::files(&data.join("state"), ".sst")?;
    assert!(!tables.is_empty(), "a node that stopped in order has written its tables");
    for (number, table) in tables.iter().enumerate() {
        let copy = directory.path().join(format!("copy-{number}"));
        damage::copy(&data, &copy)?;
        let inside = copy.join(table.strip_prefix(&data).expect("it was found below"));
        // In the first block: data, whatever the file's size.
        damage::flip(&inside, damage::length(&inside)?.min(200) / 2)?;
        assert_noticed(&copy, &entries, &table.display().to_string()).await?;
    }
    eprintln!("{} table files", tables.len());
    Ok(())
}

/// The raft log's write-ahead file: the youngest acknowledged entries are there and nowhere else.
fn log_file(data: &Path) -> Result<PathBuf, HarnessError> {
    let logs = damage::files(&data.join("log"), ".log")?;
    let mut longest = (0, None);
    for log in logs {
        let length = damage::length(&log)?;
        if length > longest.0 {
            longest = (length, Some(log));
        }
    }
    Ok(longest.1.expect("a node that was killed has a write-ahead log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_shortened_raft_log_is_refused() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("node");
    let (load, _) = filled(&data, false).await?;

    for (name, part) in [("early", 4), ("middle", 2)] {
        let copy = directory.path().join(name);
        damage::copy(&data, &copy)?;
        let log = log_file(&copy)?;
        damage::flip(&log, damage::length(&log)? / part)?;
        let said = refusal(&copy).await?;
        assert_says(&said, &["corrupt", "checksum", "shorter", "mark"]);
    }
    for (name, part) in [("half", 2), ("nothing", u64::MAX)] {
        let copy = directory.path().join(name);
        damage::copy(&data, &copy)?;
        let log = log_file(&copy)?;
        damage::truncate(&log, damage::length(&log)? / part)?;
        let said = refusal(&copy).await?;
        assert_says(&said, &["shorter", "mark", "corrupt", "missing"]);
    }

    // The undamaged original still has everything.
    let node = Node::start(&data, &[]).await?;
    let checked = load.check(&node.client()).await?;
    assert!(checked.acknowledged >= 5_000, "{checked:?}");
    Ok(())
}

/// A small file system as a node's data directory, unmounted when dropped. The node's log lies beside it, on another
/// one. Needs root.
struct Mount {
    point: PathBuf,
    _parent: tempfile::TempDir,
}

impl Mount {
    fn new(size: &str) -> Option<Self> {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let point = parent.path().join("disk");
        std::fs::create_dir(&point).expect("a directory in a temporary one");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&point).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { point, _parent: parent })
    }

    /// Takes so much of it away, or all there is, and gives it back when dropped.
    fn fill(&self, mebibytes: Option<u64>) -> Filler {
        use std::io::Write as _;
        let path = self.point.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file on a mount of our own");
        let block = vec![0xA5; 1 << 20];
        for _ in 0..mebibytes.unwrap_or(u64::MAX) {
            if let Err(error) = file.write_all(&block) {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
                assert_eq!(mebibytes, None, "the disk was to have room for the filler");
                break;
            }
        }
        Filler(path)
    }
}

struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("the filler is ours");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What stays mounted is seen in the test's output; the test's own verdict matters more.
        if !Command::new("umount").arg(&self.point).status().is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.point.display());
        }
    }
}

async fn wait_for_acknowledgements(load: &Transfers, more_than: usize) {
    let deadline = Instant::now() + DEADLINE;
    while load.acknowledged().await <= more_than {
        assert!(Instant::now() < deadline, "the load acknowledged too little");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Tries to write in a book of its own until the answer has this status; returns the answer.
async fn write_until(client: &Client, status: u16) -> Result<Value, HarnessError> {
    let transfer = json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD"});
    let deadline = Instant::now() + DEADLINE;
    for number in 0.. {
        let key = format!("{status}-{number}");
        let reply = client.post("/v1/books/probe/transfers", Some(&key), &transfer).await?;
        if reply.status == status {
            return Ok(reply.body);
        }
        assert!(Instant::now() < deadline, "{}: {}", reply.status, reply.body);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("numbers do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_disk_refuses_writes_reads_on_and_takes_them_again() -> Result<(), HarnessError> {
    let Some(mount) = Mount::new("256m") else {
        eprintln!("SKIPPED: a short disk needs a small file system, and mounting one needs root");
        return Ok(());
    };
    let load = Transfers::default();
    let mut node = Node::start(&mount.point, &SMALL).await?;
    let client = node.client();
    let probe = json!({"id": "probe", "name": "Probe", "functional_currency": "USD", "chart": "saas"});
    client.create("/v1/books", "probe", &probe).await?;
    transfers::open_book(&client).await?;
    let running = load.start(&client, 8);
    wait_for_acknowledgements(&load, 500).await;

    let filler = mount.fill(Some(200));
    let refused = write_until(&client, 503).await?;
    assert_eq!(refused["code"], "overloaded");
    let detail = refused["detail"].as_str().unwrap_or("").to_owned();
    assert!(detail.starts_with("the disk is short"), "{detail}");
    eprintln!("{detail}");
    running.stop().await;
    let checked = load.check(&client).await?;
    assert!(checked.acknowledged > 500, "{checked:?}");

    drop(filler);
    write_until(&client, 201).await?;
    assert!(node.stop().await?.success(), "{}", node.log_tail());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_and_loses_nothing_acknowledged() -> Result<(), HarnessError> {
    let Some(mount) = Mount::new("256m") else {
        eprintln!("SKIPPED: a full disk needs a small file system, and mounting one needs root");
        return Ok(());
    };
    let data = mount.point.clone();
    let load = Transfers::default();
    let mut node = Node::start(&data, &SMALL).await?;
    transfers::open_book(&node.client()).await?;
    let running = load.start(&node.client(), 8);
    wait_for_acknowledgements(&load, 500).await;
    // Faster than the node can look: its next append does not fit, or the checkpoint of its shutdown.
    let filler = mount.fill(None);
    node.terminate()?;
    let status = node.wait_for_end("the end on a full disk").await?;
    running.stop().await;
    let said = node.log_tail();
    assert!(!status.success(), "it ended as if all were well: {said}");
    assert_says(&said, &["no space", "full", "enospc"]);
    eprintln!("{}", said.lines().last().unwrap_or(""));

    drop(filler);
    let mut node = Node::start(&data, &SMALL).await?;
    let checked = load.check(&node.client()).await?;
    eprintln!("{checked:?}");
    assert!(checked.acknowledged > 500);
    assert!(node.stop().await?.success(), "{}", node.log_tail());
    let verified = verify(&data).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    drop(node);
    Ok(())
}
