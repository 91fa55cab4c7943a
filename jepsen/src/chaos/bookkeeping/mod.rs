//! The run's two books on a ledger: how they are opened, and how operations become requests and answers become
//! outcomes. The one place of the harness's chaos runs that knows the ledger's HTTP interface.

mod answers;
mod billing;
mod requests;

use std::time::Duration;

use serde_json::{Value, json};

use super::bank::FUNDS;
use super::check::effects::FeedDecision;
use super::check::heads::Head;
use super::history::{Cents, Operation, Outcome, Posting, Status};
use crate::HarnessError;
use crate::books;
use crate::client::Client;

/// The book with the bank's accounts.
pub const BANK: &str = "bank";
/// The book with charges, payments and refunds.
pub const BILLING: &str = "billing";
const VAULT: &str = "assets:vault";
/// After it, what was asked for may or may not happen.
const PATIENCE: Duration = Duration::from_secs(5);
/// The greatest date: a trial balance as of it holds everything.
const FOR_EVER: &str = "9999-12-31";

/// One node, asked for operations.
#[derive(Clone, Debug)]
pub struct Bookkeeper {
    client: Client,
}

/// What came of one request.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub status: Status,
    pub outcome: Option<Outcome>,
    pub why: Option<String>,
    /// Of a list: where its next page begins.
    pub next: Option<String>,
}

impl Attempt {
    fn ok(outcome: Outcome) -> Self {
        Self { status: Status::Ok, outcome: Some(outcome), why: None, next: None }
    }

    fn without_answer(status: Status, why: String) -> Self {
        Self { status, outcome: None, why: Some(why), next: None }
    }
}

impl Bookkeeper {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { client: Client::with_timeout(url, PATIENCE) }
    }

    /// One request, sent once. `cursor` is where a page begins, as the page before it said.
    pub async fn attempt(
        &self,
        operation: &Operation,
        key: Option<&str>,
        cursor: Option<&str>,
        accounts: usize,
    ) -> Attempt {
        let sent = match requests::of(operation, cursor) {
            requests::Asked::Nothing => return Attempt::without_answer(Status::Fail, "nothing is sent".to_owned()),
            requests::Asked::Get(path) => self.client.get(&path).await,
            requests::Asked::Post(path, body) => self.client.post(&path, key, &body).await,
        };
        match sent {
            Ok(reply) => answers::of(operation, &reply, accounts),
            // A connection that was never made carried nothing.
            Err(HarnessError::NoAnswer { source, .. }) if source.is_connect() => {
                Attempt::without_answer(Status::Fail, source.to_string())
            }
            Err(error) => Attempt::without_answer(Status::Info, error.to_string()),
        }
    }

    /// Opens the books and the bank's accounts and gives each its funds; returns the keys in the order of their positions.
    pub async fn set_up(&self, accounts: usize) -> Result<Vec<String>, HarnessError> {
        let mut keys = vec![];
        let mut create = async |path: String, key: String, body: Value| {
            self.client.create(&path, &key, &body).await?;
            keys.push(key);
            Ok::<_, HarnessError>(())
        };
        for (book, chart) in [(BANK, "empty"), (BILLING, "saas")] {
            let body = json!({"id": book, "functional_currency": "USD", "time_zone": "UTC", "chart": chart});
            create("/v1/books".to_owned(), format!("setup-{book}"), body).await?;
        }
        let path = format!("/v1/books/{BANK}/accounts");
        let vault = json!({"code": VAULT, "name": "Vault", "class": "asset"});
        create(path.clone(), "setup-vault".to_owned(), vault).await?;
        for number in 0..accounts {
            let code = account(number);
            let body = json!({"code": code, "name": code, "class": "liability", "overdraft": "forbid"});
            create(path.clone(), format!("setup-account-{number}"), body).await?;
        }
        for number in 0..accounts {
            let body = transfer(VAULT, &account(number), FUNDS);
            create(format!("/v1/books/{BANK}/transfers"), format!("setup-funds-{number}"), body).await?;
        }
        Ok(keys)
    }

    /// The whole journal.
    pub async fn feed(&self) -> Result<Vec<FeedDecision>, HarnessError> {
        let mut all: Vec<FeedDecision> = vec![];
        loop {
            let after = all.last().map_or(0, |decision| decision.position);
            let path = format!("/v1/journal?after_position={after}&limit=5000");
            let lines = self.client.lines(&path).await?;
            if lines.is_empty() {
                return Ok(all);
            }
            for line in lines {
                let position = line["position"].as_u64().ok_or_else(|| unexpected(&path, &line))?;
                let key = line["idempotency_key"].as_str().map(str::to_owned);
                all.push(FeedDecision { position, key, accepted: line["outcome"] == "accepted" });
            }
        }
    }

    /// An account's whole statement, oldest first.
    pub async fn statement(&self, number: usize) -> Result<Vec<Posting>, HarnessError> {
        let path = format!("/v1/books/{BANK}/accounts/{}/postings?order=oldest&limit=1000", account(number));
        let lines = books::pages(&self.client, &path).await?;
        lines.iter().map(|line| answers::posting(line).ok_or_else(|| unexpected(&path, line))).collect()
    }

    /// The term and the leader's id, if the node answers soon and knows one.
    pub async fn leader(&self) -> Option<(u64, u64)> {
        let asked = tokio::time::timeout(Duration::from_secs(1), self.client.read("/v1/cluster")).await;
        let cluster = asked.ok()?.ok()?;
        Some((cluster["term"].as_u64()?, cluster["leader"].as_u64()?))
    }

    /// Where the node stands.
    pub async fn head(&self, node: usize) -> Result<Head, HarnessError> {
        let (position, hash) = books::head(&self.client, BANK).await?;
        match (position.as_u64(), hash.as_str()) {
            (Some(position), Some(hash)) => Ok(Head { node, position, hash: hash.to_owned() }),
            _ => Err(unexpected("the book's head", &hash)),
        }
    }
}

fn unexpected(path: &str, body: &Value) -> HarnessError {
    HarnessError::Unexpected { request: format!("GET {path}"), status: 200, body: body.to_string() }
}

fn account(number: usize) -> String {
    format!("liabilities:a{number}")
}

fn transfer(debit: &str, credit: &str, amount: Cents) -> Value {
    json!({"debit": debit, "credit": credit, "amount": money(amount), "currency": "USD"})
}

/// An amount above zero.
fn money(amount: Cents) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

/// `"12.34"` or `"-12.34"` in cents.
fn cents(text: &Value) -> Option<Cents> {
    let text = text.as_str()?;
    let (whole, part) = text.split_once('.')?;
    if part.len() != 2 {
        return None;
    }
    format!("{whole}{part}").parse().ok()
}
