//! A node whose log does not get to the disk: what was proposed has an unknown outcome, what does not fit into the
//! queue is refused before it is proposed, and nothing is decided twice when the disk goes on.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use partita_api::app::REQUEST_DEADLINE;
use partita_consensus::environment::Machine;
use partita_consensus::node::{Identity, Stores};
use partita_consensus::{ClusterId, Node};
use partita_storage::codec::Levels;
use partita_storage::log::mark::MarkFile;
use partita_storage::log::{LogEngine, LogError, LogWrite, Note, RocksLog};
use partita_storage::snapshot::DiskStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Ledger;

/// A disk that does not answer while it is held.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<bool>, Condvar)>);

impl Disk {
    fn hold(&self) {
        *self.0.0.lock() = true;
    }

    fn go_on(&self) {
        *self.0.0.lock() = false;
        self.0.1.notify_all();
    }
}

/// A real log on that disk.
struct Stalling {
    log: RocksLog,
    disk: Disk,
}

impl LogEngine for Stalling {
    fn commit(&self, batch: &[LogWrite]) -> Result<(), LogError> {
        let mut held = self.disk.0.0.lock();
        while *held {
            self.disk.0.1.wait(&mut held);
        }
        drop(held);
        self.log.commit(batch)
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, LogError> {
        self.log.note(note)
    }

    fn scan(&self, first: u64, last: u64, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.log.scan(first, last, limit_bytes)
    }

    fn first_index(&self) -> Result<Option<u64>, LogError> {
        self.log.first_index()
    }

    fn last_index(&self) -> Result<Option<u64>, LogError> {
        self.log.last_index()
    }
}

async fn ledger(disk: &Disk) -> Ledger {
    let directory = TempDir::new().unwrap();
    let path = |name| directory.path().join(name);
    let log = RocksLog::open(&path("log"), 8 << 20).unwrap();
    let stores = Stores {
        log: Stalling { log, disk: disk.clone() },
        mark: MarkFile::new(&path("mark")),
        tables: DiskStore::new(directory.path(), 32 << 20),
        directories: vec![directory.path().to_owned()],
    };
    let identity = Identity { cluster: ClusterId([7; 16]), node_id: 1, levels: Levels::OWN };
    let node = Node::start_with(stores, identity, 256 << 20, Arc::new(Machine)).await.unwrap();
    Ledger::over(node, directory).await.with_acme().await
}

fn transfer() -> Value {
    json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_proposed_and_not_decided_in_time_is_unknown_and_decided_once() {
    let disk = Disk::default();
    let ledger = ledger(&disk).await;
    let before = ledger.position();
    disk.hold();
    let began = Instant::now();
    let answer = ledger.post("/v1/books/acme/transfers", "k", &transfer()).await;
    assert!(began.elapsed() >= REQUEST_DEADLINE);
    assert_eq!(answer.headers.get("retry-after"), None);
    assert_eq!(answer.expect(504)["code"], "outcome_unknown");
    assert_eq!(ledger.position(), before);

    disk.go_on();
    let again = ledger.post("/v1/books/acme/transfers", "k", &transfer()).await;
    assert!(again.replayed(), "it was decided while nobody waited: {}", again.text);
    assert_eq!(again.expect(201)["position"], before + 1);
    assert_eq!(ledger.position(), before + 1);
    ledger.close().await;
}

/// A batch of nearly 16 MiB, and of how many transfers.
fn large_batch(number: usize) -> (Value, u64) {
    const TRANSFERS: u64 = 500;
    let metadata: serde_json::Map<String, Value> =
        (0..50).map(|pair| (format!("name-{pair}"), "v".repeat(500).into())).collect();
    let transfers: Vec<Value> = (0..TRANSFERS)
        .map(|item| {
            let mut transfer = transfer();
            transfer["idempotency_key"] = format!("large-{number}-{item}").into();
            transfer["metadata"] = Value::Object(metadata.clone());
            transfer
        })
        .collect();
    (json!({"transfers": transfers}), TRANSFERS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_into_the_queue_is_refused_before_it_is_proposed() {
    let disk = Disk::default();
    let ledger = Arc::new(ledger(&disk).await);
    let before = ledger.position();
    disk.hold();
    let mut callers = vec![];
    let mut sizes = vec![];
    // The queue takes 64 MiB: not all of these.
    for number in 0..8 {
        let (batch, transfers) = large_batch(number);
        sizes.push(transfers);
        let ledger = Arc::clone(&ledger);
        callers.push(tokio::spawn(async move {
            let path = "/v1/books/acme/transfers:batch";
            let answer = ledger.post(path, "unused", &batch).await;
            (number, batch, answer)
        }));
    }
    let (first, _, rest) = futures::future::select_all(callers).await;
    let (number, refused, answer) = first.unwrap();
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.expect(503)["code"], "overloaded", "the first that is answered at all");
    assert_eq!(ledger.position(), before);

    disk.go_on();
    let (mut decided, mut overloaded) = (0, 1);
    for caller in rest {
        let (number, _, answer) = caller.await.unwrap();
        match answer.status.as_u16() {
            200 => decided += sizes[number],
            503 => overloaded += 1,
            status => panic!("{status}: {}", answer.text),
        }
    }
    assert!(decided > 0, "all eight were refused");
    assert_eq!(ledger.position(), before + decided, "{overloaded} were refused");
    // Refused before it was proposed: its keys are new, so all of it is decided now.
    let again = ledger.post("/v1/books/acme/transfers:batch", "unused", &refused).await.expect(200);
    assert!(again["results"].as_array().unwrap().iter().all(|result| result["status"] == "posted"), "{again}");
    assert_eq!(ledger.position(), before + decided + sizes[number]);
    let Ok(ledger) = Arc::try_unwrap(ledger) else { panic!("every caller has ended") };
    ledger.close().await;
}
