//! The drill: a backup of a node under load, restored, is the ledger as it stood at the backup's position; requests sent
//! again do nothing twice; one flipped byte anywhere in the backup is refused.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use partita_jepsen::client::Client;
use partita_jepsen::command::{Ended, partita, verify};
use partita_jepsen::node::Node;
use partita_jepsen::{HarnessError, books, damage, transfers};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Small enough for checkpoints under way while the backup is taken.
const ARGS: [&str; 2] = ["--memory", "64MiB"];

/// What was sent, and the answer to it.
struct Sent {
    key: String,
    body: Value,
    answer: Value,
}

/// Posts transfers one after the other until told to stop.
async fn load(client: Client, numbers: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Result<Vec<Sent>, HarnessError> {
    let mut sent = vec![];
    while !stop.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let credit = format!("liabilities:wallet/cus_{}", number % 50);
        let body = json!({"debit": "assets:bank", "credit": credit, "currency": "USD",
            "amount": format!("{}.{:02}", 1 + number % 90, number % 100)});
        let key = format!("drill-{number:06}");
        let (answer, replayed) = client.create(&path(), &key, &body).await?;
        assert!(!replayed, "{key} is new");
        sent.push(Sent { key, body, answer });
    }
    Ok(sent)
}

fn path() -> String {
    format!("/v1/books/{}/transfers", transfers::BOOK)
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} is missing: {value}"))
}

async fn restore(backup: &Path, data: &Path) -> Result<Ended, HarnessError> {
    let args = ["restore", "--format", "json", "--backup"].map(OsStr::new);
    partita(args.into_iter().chain([backup.as_os_str(), OsStr::new("--data"), data.as_os_str()])).await
}

fn said(ended: &Ended) -> Value {
    assert!(ended.succeeded(), "{}", ended.said());
    serde_json::from_slice(&ended.output.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.said()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_and_requests_sent_again_do_nothing_twice() -> Result<(), HarnessError> {
    let home = tempfile::tempdir().expect("a directory for the test");
    let (data, backup, restored) = (home.path().join("data"), home.path().join("backup"), home.path().join("restored"));
    let mut node = Node::start(&data, &ARGS).await?;
    transfers::open_book(&node.client()).await?;
    let (numbers, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(load(node.client(), Arc::clone(&numbers), Arc::clone(&stop)));
    }
    let reach = async |count: u64| {
        while numbers.load(Ordering::Relaxed) < count {
            tokio::task::yield_now().await;
        }
    };
    reach(400).await;
    let before = books::head(&node.client(), transfers::BOOK).await?;
    let args = ["backup", "--format", "json", "--url", node.url(), "--to"].map(OsStr::new);
    let taken = said(&partita(args.into_iter().chain([backup.as_os_str()])).await?);
    let position = number(&taken, "position");
    assert!(position >= before.0.as_u64().expect("a position"), "everything acknowledged before it began");
    reach(numbers.load(Ordering::Relaxed) + 400).await;
    stop.store(true, Ordering::Relaxed);
    let mut sent = vec![];
    for client in clients.join_all().await {
        sent.extend(client?);
    }
    let journal = node.client().feed().await?;
    node.stop().await?;

    let made = said(&restore(&backup, &restored).await?);
    assert_eq!((&made["position"], &made["head"]), (&taken["position"], &taken["head"]));
    let verified = verify(&restored).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    let mut again = Node::start(&restored, &ARGS).await?;
    let client = again.client();
    assert_eq!(books::head(&client, transfers::BOOK).await?, (taken["position"].clone(), taken["head"].clone()));
    let kept = usize::try_from(position).expect("a position within memory");
    assert!(client.feed().await? == journal[..kept], "every decision up to the backup, and none after it");

    // The last minute again: what the backup has is replayed, the rest is decided once.
    let (mut replays, mut anew) = (0, 0);
    for Sent { key, body, answer } in &sent {
        let (found, replayed) = client.create(&path(), key, body).await?;
        assert_eq!(replayed, number(answer, "position") <= position, "{key}");
        if replayed {
            assert_eq!(found, *answer, "{key}: the first answer");
            replays += 1;
        } else {
            anew += 1;
        }
    }
    assert!(replays > 300 && anew > 300, "{replays} replays, {anew} anew");
    let entries = books::entries(&client, transfers::BOOK).await?;
    assert_eq!(entries.len(), sent.len(), "each transfer once");
    again.stop().await?;
    let verified = verify(&restored).await?;
    assert!(verified.succeeded(), "{}", verified.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_anywhere_in_a_backup_is_refused_by_its_files_name() -> Result<(), HarnessError> {
    let home = tempfile::tempdir().expect("a directory for the test");
    let (data, backup) = (home.path().join("data"), home.path().join("backup"));
    let mut node = Node::start(&data, &ARGS).await?;
    transfers::open_book(&node.client()).await?;
    let args = ["backup", "--url", node.url(), "--to"].map(OsStr::new);
    let taken = partita(args.into_iter().chain([backup.as_os_str()])).await?;
    assert!(taken.succeeded(), "{}", taken.said());
    let into_the_same = partita(args.into_iter().chain([backup.as_os_str()])).await?;
    assert!(!into_the_same.succeeded(), "a backup is not written over another");
    node.stop().await?;

    let target = home.path().join("restored");
    let mut refused = 0;
    let names: Vec<_> = fs::read_dir(&backup).expect("it is there").map(|file| file.expect("a file").path()).collect();
    for file in names {
        let length = damage::length(&file)?;
        if length == 0 {
            // RocksDB's empty write-ahead log: there is no byte to flip.
            continue;
        }
        for offset in [0, length / 2, length.saturating_sub(1)] {
            damage::flip(&file, offset)?;
            let ended = restore(&backup, &target).await?;
            let name = file.file_name().and_then(OsStr::to_str).expect("a name");
            assert!(!ended.succeeded() && ended.said().contains(name), "{name}: {}", ended.said());
            assert!(!target.exists(), "nothing is made of a damaged backup");
            damage::flip(&file, offset)?;
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused} flips");
    let whole = restore(&backup, &target).await?;
    assert!(whole.succeeded(), "{}", whole.said());
    let twice = restore(&backup, &target).await?;
    assert!(!twice.succeeded(), "a data directory that is in use is left alone");
    Ok(())
}
