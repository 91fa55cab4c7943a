//! A load of transfers whose every acknowledgement is remembered, and the check that nothing acknowledged is lost and
//! nothing posted twice, against sums of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::HarnessError;
use crate::books;
use crate::client::Client;

pub const BOOK: &str = "load";
const ACCOUNTS: u64 = 500;
const BANK: &str = "assets:bank";
/// How long a client waits for a node that may have been stopped.
const PATIENCE: Duration = Duration::from_secs(4);
/// Before the same is sent to the next node.
const AGAIN: Duration = Duration::from_millis(20);
const WALLET: &str = "liabilities:wallet";

/// What has been sent and acknowledged over all rounds against one data directory.
#[derive(Clone, Debug, Default)]
pub struct Transfers {
    inner: Arc<Mutex<Known>>,
    /// Of keys: no two rounds share one.
    next: Arc<AtomicU64>,
    /// The greatest position that was acknowledged.
    acknowledged_position: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Known {
    sent: BTreeSet<String>,
    /// Key → (number, position).
    acknowledged: BTreeMap<String, (u64, u64)>,
    /// When each request was answered.
    answered_at: Vec<Instant>,
}

/// A running load.
#[derive(Debug)]
pub struct Running {
    stopped: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

/// What a check went through, so that a test can see that it was not nothing.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    pub entries: usize,
    pub acknowledged: usize,
}

/// Opens the load's book and accounts; a later round finds them there.
pub async fn open_book(client: &Client) -> Result<(), HarnessError> {
    let book = json!({"id": BOOK, "name": "Load", "functional_currency": "USD", "time_zone": "UTC", "chart": "empty"});
    client.create("/v1/books", "load-book", &book).await?;
    let bank = json!({"code": BANK, "name": "Bank", "class": "asset"});
    let wallet = json!({"code": WALLET, "name": "Wallet", "class": "liability", "party": "customer"});
    for account in [bank, wallet] {
        let key = format!("load-account-{}", account["code"].as_str().unwrap_or(""));
        client.create(&format!("/v1/books/{BOOK}/accounts"), &key, &account).await?;
    }
    Ok(())
}

impl Transfers {
    /// `clients` connections, each sending singles and batches one after the other until stopped or cut off.
    #[must_use]
    pub fn start(&self, client: &Client, clients: usize) -> Running {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn(self.clone().client(client.clone(), Arc::clone(&stopped)));
        }
        Running { stopped, clients: running }
    }

    /// The same over several nodes. A client that gets no definite answer sends the same again, keys and all, to the
    /// next node, until it has one: it ends only when it is stopped. `most` is the greatest batch.
    #[must_use]
    pub fn start_over(&self, urls: &[String], clients: usize, most: u64) -> Running {
        let stopped = Arc::new(AtomicBool::new(false));
        let nodes: Vec<Client> = urls.iter().map(|url| Client::with_timeout(url, PATIENCE)).collect();
        let mut running = JoinSet::new();
        for number in 0..clients {
            running.spawn(self.clone().persistent(nodes.clone(), number, most, Arc::clone(&stopped)));
        }
        Running { stopped, clients: running }
    }

    /// The greatest position that was acknowledged, kept up to date.
    #[must_use]
    pub fn acknowledged_position(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.acknowledged_position)
    }

    /// When requests were answered, in their order, from the last one before `since` on.
    pub async fn answers_since(&self, since: Instant) -> Vec<Instant> {
        let known = self.inner.lock().await;
        let first = known.answered_at.partition_point(|at| *at <= since).saturating_sub(1);
        known.answered_at[first..].to_vec()
    }

    async fn persistent(self, nodes: Vec<Client>, number: usize, most: u64, stopped: Arc<AtomicBool>) {
        while !stopped.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(most, Ordering::Relaxed);
            let size = 1 + (first / most * 37) % most;
            // Each time from its own node on: they do not all gather at one, which may be stopped next.
            let mut at = number;
            loop {
                let node = &nodes[at % nodes.len()];
                let sent = if size == 1 { self.single(node, first).await } else { self.batch(node, first, size).await };
                match sent {
                    Ok(()) => break,
                    Err(_no_answer) if stopped.load(Ordering::Relaxed) => return,
                    Err(HarnessError::Unexpected { request, status, body }) if status != 503 && status != 504 => {
                        panic!("{request} was answered {status}: {body}");
                    }
                    // The node is gone, or nobody leads, or it is not known what became of it.
                    Err(_no_answer) => {
                        at += 1;
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        }
    }

    pub async fn acknowledged(&self) -> usize {
        self.inner.lock().await.acknowledged.len()
    }

    async fn client(self, client: Client, stopped: Arc<AtomicBool>) {
        while !stopped.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(200, Ordering::Relaxed);
            // One in four is a single; the others are batches of many sizes.
            let size = if first.is_multiple_of(800) { 1 } else { 1 + (first / 200 * 37) % 200 };
            let round =
                if size == 1 { self.single(&client, first).await } else { self.batch(&client, first, size).await };
            if round.is_err() {
                // The node is gone or going; what it did not acknowledge may have happened or not.
                return;
            }
        }
    }

    async fn single(&self, client: &Client, number: u64) -> Result<(), HarnessError> {
        let (key, body) = transfer(number);
        self.inner.lock().await.sent.insert(key.clone());
        let (entry, _) = client.create(&format!("/v1/books/{BOOK}/transfers"), &key, &body).await?;
        self.acknowledge(&[(key, entry)]).await;
        Ok(())
    }

    async fn batch(&self, client: &Client, first: u64, size: u64) -> Result<(), HarnessError> {
        let mut keys = Vec::new();
        let mut items = Vec::new();
        for number in first..first + size {
            let (key, mut body) = transfer(number);
            body["idempotency_key"] = key.clone().into();
            keys.push(key);
            items.push(body);
        }
        self.inner.lock().await.sent.extend(keys.iter().cloned());
        let path = format!("/v1/books/{BOOK}/transfers:batch");
        let answer = client.post(&path, None, &json!({"transfers": items})).await?.expect(&[200])?;
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        let pairs: Vec<_> = keys.into_iter().zip(results).collect();
        self.acknowledge(&pairs).await;
        Ok(())
    }

    async fn acknowledge(&self, answers: &[(String, Value)]) {
        let mut known = self.inner.lock().await;
        for (key, answer) in answers {
            let number = |field: &str| answer[field].as_u64().expect("a posted transfer has a number and a position");
            known.acknowledged.insert(key.clone(), (number("number"), number("position")));
            self.acknowledged_position.fetch_max(number("position"), Ordering::SeqCst);
        }
        known.answered_at.push(Instant::now());
    }

    /// Reads the whole book and holds it against what was sent and acknowledged.
    ///
    /// # Panics
    /// If anything acknowledged is missing or elsewhere, anything stands twice or was never sent, numbers have gaps,
    /// or the trial balance is not the sum of the entries.
    pub async fn check(&self, client: &Client) -> Result<Checked, HarnessError> {
        let entries = books::entries(client, BOOK).await?;
        let known = self.inner.lock().await;
        let mut found = BTreeMap::new();
        let mut last_position = 0;
        for (index, entry) in entries.iter().enumerate() {
            let field = |name: &str| entry[name].as_u64().expect("an entry has a number and a position");
            assert_eq!(usize::try_from(field("number")), Ok(index + 1), "entry numbers have no gaps: {entry}");
            assert!(field("position") > last_position, "positions rise with numbers: {entry}");
            last_position = field("position");
            let key = entry["idempotency_key"].as_str().expect("a transfer has a key").to_owned();
            assert!(known.sent.contains(&key), "nobody sent {key}");
            let before = found.insert(key.clone(), (field("number"), field("position")));
            assert_eq!(before, None, "{key} was applied twice");
        }
        for (key, at) in &known.acknowledged {
            assert_eq!(found.get(key), Some(at), "{key} was acknowledged at {at:?}");
        }
        check_sums(client, &entries).await?;
        Ok(Checked { entries: entries.len(), acknowledged: known.acknowledged.len() })
    }
}

impl Running {
    /// Ends the load and waits for its clients.
    pub async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client ends by itself and does not panic");
        }
    }
}

/// Between two wallets, or from the bank to one. The amount follows from the number, so that sums tell transfers apart.
fn transfer(number: u64) -> (String, Value) {
    let debit = match number % 3 {
        0 => BANK.to_owned(),
        _ => format!("{WALLET}/cus_{}", number * 7 % ACCOUNTS),
    };
    let credit = format!("{WALLET}/cus_{}", (number * 7 + 1) % ACCOUNTS);
    let amount = format!("{}.{:02}", 1 + number % 97, number % 100);
    (format!("load-{number:09}"), json!({"debit": debit, "credit": credit, "amount": amount, "currency": "USD"}))
}

/// The trial balance's debits and credits of each account are the sums of the entries' lines.
async fn check_sums(client: &Client, entries: &[Value]) -> Result<(), HarnessError> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in entries.iter().flat_map(|entry| entry["lines"].as_array().into_iter().flatten()) {
        let account = line["account"].as_str().expect("a line has an account").to_owned();
        let (debits, credits) = sums.entry(account).or_default();
        let cents = cents(&line["amount"]);
        match line["side"].as_str() {
            Some("debit") => *debits += cents,
            Some("credit") => *credits += cents,
            side => panic!("{side:?} is no side"),
        }
    }
    let report = client.read(&format!("/v1/books/{BOOK}/reports/trial-balance")).await?;
    let mut rows = BTreeMap::new();
    for row in report["rows"].as_array().into_iter().flatten() {
        let account = row["account"].as_str().expect("a row has an account").to_owned();
        rows.insert(account, (cents(&row["debits"]), cents(&row["credits"])));
    }
    assert_eq!(rows, sums, "the trial balance is the sum of the entries");
    Ok(())
}

/// An amount with two decimals.
fn cents(amount: &Value) -> u64 {
    let text = amount.as_str().expect("an amount is a string");
    let (whole, decimals) = text.split_once('.').expect("USD has decimals");
    assert_eq!(decimals.len(), 2, "{text}: USD has two decimals");
    format!("{whole}{decimals}").parse().expect("an amount is made of digits")
}
