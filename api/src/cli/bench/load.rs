//! The loads, the requests they send, and the clients that send them in a closed loop.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::super::client::Client;
use super::connection::{Connection, Prepared};
use super::{BenchError, Measured};

/// Subaccounts that transfers go between.
const ACCOUNTS: usize = 10_000;
/// Requests are made beforehand; this bounds their memory, and a load that sends them all ends early.
const MOST_PREPARED_BYTES: usize = 600 << 20;
/// Enough for two million singles or eight million transfers in batches per ten seconds: beyond what one node does.
const MOST_TRANSFERS_PER_SECOND: usize = 500_000;
const MOST_REQUESTS_PER_SECOND: usize = 60_000;

#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `transfers:batch` with this many.
    Batch(usize),
    /// `transfers`, one each.
    Single,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub shape: Shape,
    pub clients: usize,
    /// Of the cluster that it is put on; clients talk to the leader.
    pub nodes: usize,
    /// Whether every transfer debits one and the same account.
    pub hot: bool,
}

/// What one client saw.
#[derive(Debug)]
struct Seen {
    latency_us: Histogram<u64>,
    in_window: u64,
    all: u64,
    /// When its last request of the window was answered.
    last: Instant,
    batches: Vec<Bytes>,
}

/// What every client of a load shares.
#[derive(Debug)]
struct Drive {
    load: Load,
    url: String,
    path: String,
    requests: Vec<Prepared>,
    next: AtomicUsize,
    window_starts: Instant,
    window_ends: Instant,
}

#[derive(Deserialize)]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    results: Vec<BatchResult<'a>>,
}

#[derive(Deserialize)]
struct BatchResult<'a> {
    status: &'a str,
}

pub(super) fn all() -> Vec<Load> {
    let mut loads = Vec::new();
    for hot in [false, true] {
        loads.extend([8_000, 1_000, 100, 10, 1].map(|size| Load { shape: Shape::Batch(size), ..Load::one(1, hot) }));
        loads.extend([32, 256].map(|clients| Load::one(clients, hot)));
    }
    let three = |load| Load { nodes: 3, ..load };
    loads.extend([8_000, 1_000, 100, 1].map(|size| three(Load { shape: Shape::Batch(size), ..Load::one(1, false) })));
    loads.extend([32, 256].map(|clients| three(Load::one(clients, false))));
    loads
}

impl Load {
    /// Singles on one node.
    fn one(clients: usize, hot: bool) -> Self {
        Self { shape: Shape::Single, clients, nodes: 1, hot }
    }
}

impl Shape {
    fn transfers(self) -> usize {
        match self {
            Self::Batch(size) => size,
            Self::Single => 1,
        }
    }
}

/// Opens the book and the two accounts that transfers use.
pub(super) async fn set_up(client: &Client, book: &str) -> Result<(), BenchError> {
    let body = json!({"id": book, "name": "Bench", "functional_currency": "USD", "time_zone": "UTC", "chart": "empty"});
    let patience = Duration::from_secs(10);
    client.post_for(patience, "/v1/books", &Uuid::now_v7().to_string(), Bytes::from(body.to_string())).await?;
    let wallet = json!({"code": "liabilities:wallet", "name": "Wallet", "class": "liability", "party": "customer"});
    let bank = json!({"code": "assets:bank", "name": "Bank", "class": "asset"});
    for account in [wallet, bank] {
        let path = format!("/v1/books/{book}/accounts");
        client.post_for(patience, &path, &Uuid::now_v7().to_string(), Bytes::from(account.to_string())).await?;
    }
    Ok(())
}

/// The ledger's own sum must be what was acknowledged: nothing lost, nothing twice.
pub(super) async fn check_total(load: &Load, client: &Client, book: &str, acknowledged: u64) -> Result<(), BenchError> {
    let report = client.get_json(&format!("/v1/books/{book}/reports/trial-balance"), &[]).await?;
    let total = report["totals"][0]["debits"].as_str().unwrap_or("nothing").to_owned();
    // Each transfer is of 1.00.
    if total == format!("{acknowledged}.00") {
        return Ok(());
    }
    Err(BenchError::WrongTotal { load: load.name(), acknowledged, total })
}

pub(super) async fn drive(load: &Load, url: &str, book: &str, window: Duration) -> Result<Measured, BenchError> {
    let warm_up = window / 5;
    let requests = prepare(load, warm_up + window);
    let connection_failed = |source| BenchError::Connection { load: load.name(), source };
    let end = match load.shape {
        Shape::Batch(_) => "transfers:batch",
        Shape::Single => "transfers",
    };
    let path = format!("/v1/books/{book}/{end}");
    let mut connections = Vec::new();
    for _ in 0..load.clients {
        connections.push(Connection::open(url, path.clone()).await.map_err(connection_failed)?);
    }
    let window_starts = Instant::now() + warm_up;
    let window_ends = window_starts + window;
    let next = AtomicUsize::new(0);
    let drive = Drive { load: *load, url: url.to_owned(), path, requests, next, window_starts, window_ends };
    let drive = Arc::new(drive);
    let mut clients = JoinSet::new();
    for connection in connections {
        clients.spawn(Arc::clone(&drive).client(connection));
    }
    let mut seen = Vec::new();
    while let Some(result) = clients.join_next().await {
        seen.push(result.expect("a client does not panic and is never aborted")?);
    }
    sum(&drive, seen)
}

impl Drive {
    async fn client(self: Arc<Self>, mut connection: Connection) -> Result<Seen, BenchError> {
        let failed = |source| BenchError::Connection { load: self.load.name(), source };
        let mut seen =
            Seen { latency_us: histogram(), in_window: 0, all: 0, last: self.window_starts, batches: Vec::new() };
        let transfers = u64::try_from(self.load.shape.transfers()).expect("a batch has at most 10,000");
        loop {
            let sent = Instant::now();
            let request = self.requests.get(self.next.fetch_add(1, Ordering::Relaxed));
            let Some(request) = request.filter(|_| sent < self.window_ends) else { return Ok(seen) };
            let (status, body) = connection.post(request.clone()).await.map_err(failed)?;
            let answered = Instant::now();
            let expected = match self.load.shape {
                Shape::Batch(_) => StatusCode::OK,
                Shape::Single => StatusCode::CREATED,
            };
            if status != expected {
                let answer = format!("{status} {} by {}{}", String::from_utf8_lossy(&body), self.url, self.path);
                return Err(BenchError::NotPosted { load: self.load.name(), answer });
            }
            seen.all += transfers;
            if sent >= self.window_starts {
                seen.in_window += transfers;
                seen.last = answered;
                let micros = u64::try_from((answered - sent).as_micros()).expect("a request ends within ages");
                seen.latency_us.saturating_record(micros);
            }
            if matches!(self.load.shape, Shape::Batch(_)) {
                seen.batches.push(body);
            }
        }
    }
}

/// Adds the clients up and looks into every batch's answer, now that no clock runs.
fn sum(drive: &Drive, seen: Vec<Seen>) -> Result<Measured, BenchError> {
    let mut measured = Measured {
        load: drive.load,
        transfers: 0,
        window: Duration::ZERO,
        latency_us: histogram(),
        cost: None,
        transfers_with_warm_up: 0,
    };
    for client in seen {
        measured.transfers += client.in_window;
        measured.transfers_with_warm_up += client.all;
        measured.window = measured.window.max(client.last.saturating_duration_since(drive.window_starts));
        measured.latency_us.add(&client.latency_us).expect("both have the same bounds");
        for body in &client.batches {
            check_batch(drive, body)?;
        }
    }
    if measured.transfers == 0 {
        return Err(BenchError::TooFast { load: drive.load.name() });
    }
    Ok(measured)
}

fn check_batch(drive: &Drive, body: &Bytes) -> Result<(), BenchError> {
    let not_posted = || {
        let answer = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        BenchError::NotPosted { load: drive.load.name(), answer }
    };
    let Ok(answer) = serde_json::from_slice::<BatchAnswer<'_>>(body) else { return Err(not_posted()) };
    let all_posted = answer.results.iter().all(|result| result.status == "posted");
    if answer.results.len() != drive.load.shape.transfers() || !all_posted {
        return Err(not_posted());
    }
    Ok(())
}

/// One microsecond to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are constants that fit")
}

fn prepare(load: &Load, time: Duration) -> Vec<Prepared> {
    let seconds = usize::try_from(time.as_secs() + 1).unwrap_or(usize::MAX);
    let size = load.shape.transfers();
    let item_bytes = 160;
    let requests = (MOST_TRANSFERS_PER_SECOND.saturating_mul(seconds) / size)
        .min(MOST_REQUESTS_PER_SECOND.saturating_mul(seconds))
        .min(MOST_PREPARED_BYTES / (size * item_bytes));
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    (0..requests.max(1)).map(|_| request(load, &mut draw)).collect()
}

fn request(load: &Load, draw: &mut Draw) -> Prepared {
    match load.shape {
        Shape::Single => {
            let mut body = String::from("{");
            push_transfer(&mut body, load.hot, draw);
            Prepared { key: Some(Uuid::now_v7().to_string()), body: Bytes::from(body) }
        }
        Shape::Batch(size) => {
            let mut body = String::from("{\"transfers\":[");
            for index in 0..size {
                body.push_str(if index == 0 { "" } else { "," });
                write!(body, "{{\"idempotency_key\":\"{}\",", Uuid::now_v7()).expect("a string takes what is written");
                push_transfer(&mut body, load.hot, draw);
            }
            body.push_str("]}");
            Prepared { key: None, body: Bytes::from(body) }
        }
    }
}

/// The rest of an object that is open already.
fn push_transfer(body: &mut String, hot: bool, draw: &mut Draw) {
    let credit = draw.below(ACCOUNTS);
    // Another one than the credit's.
    let debit = (credit + 1 + draw.below(ACCOUNTS - 1)) % ACCOUNTS;
    let written = if hot {
        write!(body, "\"debit\":\"assets:bank\"")
    } else {
        write!(body, "\"debit\":\"liabilities:wallet/acc_{debit:05}\"")
    };
    written
        .and_then(|()| {
            write!(
                body,
                ",\"credit\":\"liabilities:wallet/acc_{credit:05}\",\"amount\":\"1.00\",\"currency\":\"USD\"}}"
            )
        })
        .expect("a string takes what is written");
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same accounts in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let bound = u64::try_from(bound).expect("bounds are small");
        usize::try_from(mixed % bound).expect("it is below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_json_with_as_many_distinct_keys_as_transfers() {
        let load = Load { shape: Shape::Batch(100), ..Load::one(1, false) };
        let prepared = request(&load, &mut Draw(1));
        let body: serde_json::Value = serde_json::from_slice(&prepared.body).expect("it is JSON");
        let transfers = body["transfers"].as_array().expect("a list");
        let keys: std::collections::BTreeSet<_> =
            transfers.iter().map(|transfer| transfer["idempotency_key"].to_string()).collect();
        assert_eq!(keys.len(), 100);
        assert!(transfers.iter().all(|transfer| transfer["debit"] != transfer["credit"]));
    }
}
