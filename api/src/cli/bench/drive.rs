//! Puts a load on a ledger: the book, the clients that write and read, and what they saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use partita_client::connection::{Connection, Request};
use partita_client::{Amount, Transfer};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::super::client::Client;
use super::body::{BINARY_TYPE, Maker};
use super::load::{Format, KeyOrder, Load, Operation, Shape};
use super::pace::{Pace, Ticking};
use super::{BenchError, check};

const PATIENCE: Duration = Duration::from_secs(10);
/// How many of the accounts that are read are touched in one batch beforehand.
const TOUCHED: usize = 5_000;
/// Writes between two lines of a long run's progress.
pub(super) const MARK: u64 = 1_000_000;

/// When a load is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// After a warm-up of a fifth of it.
    Time(Duration),
    /// After so many writes, all of them measured.
    Writes(u64),
}

/// What all clients together saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// In the measured window.
    pub writes: u64,
    pub reads: u64,
    /// From the window's beginning to the last answer to what began in it.
    pub window: Duration,
    /// Microseconds of a request, or a caller's call, that writes.
    pub write_us: Histogram<u64>,
    pub read_us: Histogram<u64>,
    /// With the warm-up.
    pub all_writes: u64,
}

/// So many writes were acknowledged, then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub writes: u64,
    pub at: Instant,
}

#[derive(Debug)]
struct Drive {
    load: Load,
    url: String,
    host: String,
    book: String,
    window_starts: Instant,
    window_ends: Instant,
    /// Of a load that is bounded by writes: how many are left to begin.
    left: Option<AtomicU64>,
    pace: Option<Arc<Pace>>,
    seen: Mutex<Seen>,
    marks: mpsc::UnboundedSender<Mark>,
}

/// Opens the book and the accounts that loads use, and gives every account that is read a balance. How many writes
/// that took.
pub(super) async fn set_up(load: &Load, client: &Client, url: &str, book: &str) -> Result<u64, BenchError> {
    let key = || Uuid::now_v7().to_string();
    let new = json!({"id": book, "name": "Bench", "functional_currency": "USD", "time_zone": "UTC", "chart": "saas"});
    client.post_for(PATIENCE, "/v1/books", &key(), Bytes::from(new.to_string())).await?;
    let wallet = json!({"code": "liabilities:wallet", "name": "Wallet", "class": "liability", "party": "customer"});
    let path = format!("/v1/books/{book}/accounts");
    client.post_for(PATIENCE, &path, &key(), Bytes::from(wallet.to_string())).await?;
    if load.readers == 0 {
        return Ok(0);
    }
    let failed = |source| BenchError::Connection { load: load.name.clone(), source };
    let mut connection = Connection::open(host(url)).await.map_err(failed)?;
    let mut maker = Maker::new(load, usize::MAX);
    let (mut body, mut first) = (Vec::new(), 0);
    let path = format!("/v1/books/{book}/transfers:batch");
    while first < load.accounts {
        let size = TOUCHED.min(load.accounts - first);
        maker.touch(first, size, &mut body);
        let request = write_request(&path, None, "application/json");
        let response = connection.exchange(&request, &body).await.map_err(failed)?;
        if !check::is_all_posted(response.content_type, response.body, size) {
            return Err(not_posted(load, response.status, response.body));
        }
        first += size;
    }
    Ok(u64::try_from(load.accounts).expect("64 bits"))
}

/// Runs the load. `marks` hears of every million writes.
pub(super) async fn drive(
    load: &Load,
    url: &str,
    book: &str,
    bound: Bound,
    marks: mpsc::UnboundedSender<Mark>,
) -> Result<Seen, BenchError> {
    let now = Instant::now();
    let (window_starts, window_ends, left) = match bound {
        Bound::Time(window) => (now + window / 5, now + window / 5 + window, None),
        // A year is no bound.
        Bound::Writes(writes) => (now, now + Duration::from_secs(31_536_000), Some(AtomicU64::new(writes))),
    };
    let ticking: Option<Ticking> = load.rate.map(|rate| {
        let size = u32::try_from(load.size()).expect("a batch has at most 10,000");
        Pace::start(rate / f64::from(size), now, window_ends)
    });
    let drive = Arc::new(Drive {
        load: load.clone(),
        url: url.to_owned(),
        host: host(url).to_owned(),
        book: book.to_owned(),
        window_starts,
        window_ends,
        left,
        pace: ticking.as_ref().map(Ticking::pace),
        seen: Mutex::new(Seen::new()),
        marks,
    });
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let shared = Arc::clone(&drive);
    // One thread for all clients: they cost the server as little as they can, and wake nobody else.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(BenchError::Spawn).and_then(|runtime| runtime.block_on(shared.run()));
        // Interrupted, nobody waits any more.
        drop(sender.send(result));
    });
    receiver.await.unwrap_or(Err(BenchError::Interrupted))?;
    drop(ticking);
    let mut seen = drive.lock();
    let seen = std::mem::replace(&mut *seen, Seen::new());
    if seen.writes == 0 {
        return Err(BenchError::NothingDone { load: load.name.clone() });
    }
    Ok(seen)
}

impl Seen {
    fn new() -> Self {
        let (write_us, read_us) = (histogram(), histogram());
        Self { writes: 0, reads: 0, window: Duration::ZERO, write_us, read_us, all_writes: 0 }
    }
}

impl Drive {
    async fn run(self: Arc<Self>) -> Result<(), BenchError> {
        let mut clients = JoinSet::new();
        let callers = match self.load.shape {
            Shape::Callers => {
                let format = self.load.format.of_batches();
                let config = partita_client::Config { format, ..partita_client::Config::default() };
                Some(partita_client::Client::with(&self.url, config).map_err(BenchError::BadUrl)?)
            }
            Shape::Batch(_) | Shape::Single => None,
        };
        for client in 0..self.load.clients {
            match &callers {
                Some(callers) => clients.spawn(Arc::clone(&self).caller(client, callers.book(&self.book))),
                None => clients.spawn(Arc::clone(&self).writer(client)),
            };
        }
        for reader in 0..self.load.readers {
            clients.spawn(Arc::clone(&self).reader(self.load.clients + reader));
        }
        while let Some(result) = clients.join_next().await {
            result.expect("a client does not panic and is never aborted")?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next request of so many writes is meant to begin; `None` when there is none.
    async fn begin(&self, size: u64) -> Option<Option<Instant>> {
        if let Some(left) = &self.left {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size)).ok()?;
        } else if Instant::now() >= self.window_ends {
            return None;
        }
        match &self.pace {
            None => Some(None),
            Some(pace) => Some(Some(pace.next().await?)),
        }
    }

    fn wrote(&self, size: u64, began: Instant) {
        let answered = Instant::now();
        let mut seen = self.lock();
        let before = seen.all_writes;
        seen.all_writes += size;
        if before / MARK != seen.all_writes / MARK {
            // Whoever does not listen is not told.
            let _told = self.marks.send(Mark { writes: seen.all_writes, at: answered });
        }
        if began >= self.window_starts {
            seen.writes += size;
            seen.window = seen.window.max(answered - self.window_starts);
            seen.write_us.saturating_record(micros(answered - began));
        }
    }

    async fn writer(self: Arc<Self>, client: usize) -> Result<(), BenchError> {
        let load = &self.load;
        let failed = |source| BenchError::Connection { load: load.name.clone(), source };
        let mut connection = Connection::open(&self.host).await.map_err(failed)?;
        let mut maker = Maker::new(load, client);
        let mut body = Vec::new();
        let shares = load.mix.sum();
        let base = format!("/v1/books/{}/", self.book);
        loop {
            let place = if shares == 1 { 0 } else { maker.draw_below(shares) };
            let operation = load.mix.at(place);
            let size = match operation {
                Operation::Transfers | Operation::Entries => load.size(),
                Operation::Charges | Operation::Payments => 1,
            };
            let writes = u64::try_from(size).expect("64 bits");
            let Some(intended) = self.begin(writes).await else { return Ok(()) };
            let is_batch = matches!(load.shape, Shape::Batch(_)) && operation.has_batches();
            let (key, content_type);
            if is_batch {
                maker.batch(operation, size, &mut body);
                key = None;
                content_type = match load.format {
                    Format::Binary if operation == Operation::Transfers => BINARY_TYPE,
                    Format::Binary | Format::Json => "application/json",
                };
            } else {
                maker.single(operation, &mut body);
                key = Some(maker.key());
                content_type = "application/json";
            }
            let path = format!("{base}{operation}{}", if is_batch { ":batch" } else { "" });
            let key = key.as_ref().map(|key| text(key));
            let request = write_request(&path, key, content_type);
            let began = intended.unwrap_or_else(Instant::now);
            let response = connection.exchange(&request, &body).await.map_err(failed)?;
            let is_posted = if is_batch {
                response.status == 200 && check::is_all_posted(response.content_type, response.body, size)
            } else {
                check::is_created(response.status)
            };
            if !is_posted {
                return Err(not_posted(load, response.status, response.body));
            }
            self.wrote(writes, began);
        }
    }

    async fn caller(self: Arc<Self>, client: usize, book: partita_client::Book) -> Result<(), BenchError> {
        let mut maker = Maker::new(&self.load, client);
        let (mut debit, mut credit) = (Vec::new(), Vec::new());
        while let Some(intended) = self.begin(1).await {
            let (from, to) = maker.pair();
            debit.clear();
            credit.clear();
            maker.push_account(from, &mut debit);
            maker.push_account(to, &mut credit);
            let key = match self.load.keys {
                KeyOrder::Time => None,
                KeyOrder::Random => Some(maker.key()),
            };
            let mut transfer = Transfer::new(text(&debit), text(&credit), Amount::new(100, 2), "USD");
            transfer.key = key.as_ref().map(|key| text(key));
            let began = intended.unwrap_or_else(Instant::now);
            let posted = book.transfer(&transfer).await;
            if !posted.as_ref().is_ok_and(|posted| !posted.is_replayed) {
                return Err(BenchError::NotPosted { load: self.load.name.clone(), answer: format!("{posted:?}") });
            }
            self.wrote(1, began);
        }
        Ok(())
    }

    /// Reads balances in a closed loop until the writers' time is over.
    async fn reader(self: Arc<Self>, client: usize) -> Result<(), BenchError> {
        let load = &self.load;
        let failed = |source| BenchError::Connection { load: load.name.clone(), source };
        let mut connection = Connection::open(&self.host).await.map_err(failed)?;
        let mut maker = Maker::new(load, client);
        let (mut requests, mut path, mut body) = (Vec::new(), String::new(), Vec::new());
        let consistency = if load.local_reads { "?consistency=local" } else { "" };
        let query = format!("/v1/books/{}/balances:query{consistency}", self.book);
        while Instant::now() < self.window_ends {
            requests.clear();
            for _read in 0..load.pipeline {
                if load.read_batch > 1 {
                    maker.balances(load.read_batch, &mut body);
                    connection.write_head(&write_request(&query, None, "application/json"), body.len(), &mut requests);
                    requests.extend_from_slice(&body);
                } else {
                    maker.balance_path(&self.book, load.local_reads, &mut path);
                    let request = Request { method: "GET", path: &path, key: None, content_type: None, accept: None };
                    connection.write_head(&request, 0, &mut requests);
                }
            }
            let began = Instant::now();
            connection.send_raw(&requests).await.map_err(failed)?;
            for _read in 0..load.pipeline {
                let response = connection.receive().await.map_err(failed)?;
                if !check::are_balances(response.status, response.body, load.read_batch) {
                    return Err(not_posted(load, response.status, response.body));
                }
            }
            if began >= self.window_starts {
                let answered = Instant::now();
                let mut seen = self.lock();
                let reads = u64::try_from(load.pipeline).expect("64 bits");
                seen.reads += reads * u64::try_from(load.read_batch).expect("64 bits");
                seen.read_us.saturating_record_n(micros(answered - began), reads);
            }
        }
        Ok(())
    }
}

impl Operation {
    fn has_batches(self) -> bool {
        match self {
            Self::Transfers | Self::Entries => true,
            Self::Charges | Self::Payments => false,
        }
    }
}

/// Of what was made here.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("keys and accounts are ASCII")
}

pub(super) fn host(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

pub(super) fn write_request<'a>(path: &'a str, key: Option<&'a str>, content_type: &'a str) -> Request<'a> {
    Request { method: "POST", path, key, content_type: Some(content_type), accept: Some(content_type) }
}

fn not_posted(load: &Load, status: u16, body: &[u8]) -> BenchError {
    let said = String::from_utf8_lossy(&body[..body.len().min(300)]);
    BenchError::NotPosted { load: load.name.clone(), answer: format!("{status} {said}") }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("a request ends within ages")
}

/// One microsecond to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are constants that fit")
}
