//! The bank's book on a ledger: how its accounts are opened, and how the model's operations become requests and
//! answers become outcomes. The one place of the harness's chaos runs that knows the ledger's HTTP interface.

use std::time::Duration;

use serde_json::{Value, json};

use super::bank::FUNDS;
use super::check::effects::FeedDecision;
use super::check::heads::Head;
use super::check::statements::Posting;
use super::history::{Cents, Operation, Outcome, Status};
use crate::HarnessError;
use crate::books;
use crate::client::{Client, Reply};

pub const BOOK: &str = "bank";
const VAULT: &str = "assets:vault";
/// After it, what was asked for may or may not happen.
const PATIENCE: Duration = Duration::from_secs(5);
/// The greatest date: a trial balance as of it holds everything.
const FOR_EVER: &str = "9999-12-31";

/// One node, asked for the bank's operations.
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
}

impl Attempt {
    fn ok(outcome: Outcome) -> Self {
        Self { status: Status::Ok, outcome: Some(outcome), why: None }
    }

    fn without_answer(status: Status, why: String) -> Self {
        Self { status, outcome: None, why: Some(why) }
    }
}

impl Bookkeeper {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { client: Client::with_timeout(url, PATIENCE) }
    }

    /// One request, sent once.
    pub async fn attempt(&self, operation: &Operation, key: Option<&str>, accounts: usize) -> Attempt {
        let sent = match operation {
            Operation::Create { what } => return Attempt::without_answer(Status::Fail, format!("{what} is set up")),
            Operation::Transfer { from, to, amount } => {
                let body = transfer(&account(*from), &account(*to), *amount);
                self.client.post(&format!("/v1/books/{BOOK}/transfers"), key, &body).await
            }
            Operation::Read { account: number } => {
                self.client.get(&format!("/v1/books/{BOOK}/accounts/{}/balance", account(*number))).await
            }
            Operation::ReadAll => {
                self.client.get(&format!("/v1/books/{BOOK}/reports/trial-balance?as_of={FOR_EVER}")).await
            }
            Operation::Lookup { of } => self.client.get(&format!("/v1/books/{BOOK}/keys/{of}")).await,
        };
        match sent {
            Ok(reply) => answer(operation, &reply, accounts),
            // A connection that was never made carried nothing.
            Err(HarnessError::NoAnswer { source, .. }) if source.is_connect() => {
                Attempt::without_answer(Status::Fail, source.to_string())
            }
            Err(error) => Attempt::without_answer(Status::Info, error.to_string()),
        }
    }

    /// Opens the book and its accounts and gives each its funds; returns the keys in the order of their positions.
    pub async fn set_up(&self, accounts: usize) -> Result<Vec<String>, HarnessError> {
        let mut keys = vec![];
        let mut create = async |path: String, key: String, body: Value| {
            self.client.create(&path, &key, &body).await?;
            keys.push(key);
            Ok::<_, HarnessError>(())
        };
        let book = json!({"id": BOOK, "functional_currency": "USD", "time_zone": "UTC", "chart": "empty"});
        create("/v1/books".to_owned(), "setup-book".to_owned(), book).await?;
        let path = format!("/v1/books/{BOOK}/accounts");
        let vault = json!({"code": VAULT, "name": "Vault", "class": "asset"});
        create(path.clone(), "setup-vault".to_owned(), vault).await?;
        for number in 0..accounts {
            let code = account(number);
            let body = json!({"code": code, "name": code, "class": "liability", "overdraft": "forbid"});
            create(path.clone(), format!("setup-account-{number}"), body).await?;
        }
        for number in 0..accounts {
            let body = transfer(VAULT, &account(number), FUNDS);
            create(format!("/v1/books/{BOOK}/transfers"), format!("setup-funds-{number}"), body).await?;
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
        let path = format!("/v1/books/{BOOK}/accounts/{}/postings?order=oldest&limit=1000", account(number));
        let posting = |line: &Value| {
            let amount = cents(&line["amount"])?;
            let change = if line["side"] == "credit" { amount } else { -amount };
            Some(Posting {
                position: line["position"].as_u64()?,
                change,
                balance_after: cents(&line["balance_after"])?,
            })
        };
        let lines = books::pages(&self.client, &path).await?;
        lines.iter().map(|line| posting(line).ok_or_else(|| unexpected(&path, line))).collect()
    }

    /// Where the node stands.
    pub async fn head(&self, node: usize) -> Result<Head, HarnessError> {
        let (position, hash) = books::head(&self.client, BOOK).await?;
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
    json!({"debit": debit, "credit": credit, "amount": format!("{}.{:02}", amount / 100, amount % 100), "currency": "USD"})
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

/// What an answer says, or that it says nothing definite.
fn answer(operation: &Operation, reply: &Reply, accounts: usize) -> Attempt {
    let said = || format!("{} {}", reply.status, reply.body);
    match reply.status {
        503 => return Attempt::without_answer(Status::Fail, said()),
        500.. => return Attempt::without_answer(Status::Info, said()),
        _ => {}
    }
    let outcome = match operation {
        Operation::Create { .. } => None,
        Operation::Transfer { from, to, .. } => decided(&reply.body, reply.status, *from, *to),
        Operation::Read { .. } => {
            let balances = reply.body["balances"].as_array().filter(|_| reply.status == 200);
            balances.and_then(|balances| cents(&balances.first()?["balance"])).map(|balance| Outcome {
                code: "read".to_owned(),
                index: 0,
                position: None,
                replayed: false,
                balances: vec![balance],
                available: None,
            })
        }
        Operation::ReadAll => whole(&reply.body, accounts).filter(|_| reply.status == 200),
        Operation::Lookup { .. } => looked_up(reply),
    };
    match (outcome, reply.position) {
        (Some(outcome), Some(index)) => Attempt::ok(Outcome { index, replayed: reply.replayed, ..outcome }),
        // Definite in form and not understood: shown as unknown, so that no checker passes over it.
        _ => Attempt::without_answer(Status::Info, said()),
    }
}

/// The state machine's answer to a transfer; the index is the caller's to fill in.
fn decided(body: &Value, status: u16, from: usize, to: usize) -> Option<Outcome> {
    let position = Some(body["position"].as_u64()?);
    let plain = |code: &str| Outcome {
        code: code.to_owned(),
        index: 0,
        position,
        replayed: false,
        balances: vec![],
        available: None,
    };
    if status == 201 {
        let lines = body["lines"].as_array()?;
        let after = |number: usize| {
            let code = account(number);
            cents(&lines.iter().find(|line| line["account"] == code.as_str())?["balance_after"])
        };
        return Some(Outcome { balances: vec![after(from)?, after(to)?], ..plain("posted") });
    }
    Some(Outcome { available: cents(&body["available"]), ..plain(body["code"].as_str()?) })
}

fn whole(report: &Value, accounts: usize) -> Option<Outcome> {
    let rows = report["rows"].as_array()?;
    let balances = (0..accounts).map(|number| {
        let code = account(number);
        let row = rows.iter().find(|row| row["account"] == code.as_str())?;
        match (cents(&row["credit"]), cents(&row["debit"])) {
            (Some(credit), None) => Some(credit),
            (None, Some(debit)) => Some(-debit),
            _ => None,
        }
    });
    let balances = balances.collect::<Option<Vec<_>>>()?;
    Some(Outcome { code: "read".to_owned(), index: 0, position: None, replayed: false, balances, available: None })
}

/// The look-up repeats the first answer; which accounts it was about is in its lines.
fn looked_up(reply: &Reply) -> Option<Outcome> {
    let plain = Outcome {
        code: "unknown_key".to_owned(),
        index: 0,
        position: None,
        replayed: false,
        balances: vec![],
        available: None,
    };
    if reply.status == 404 {
        return (reply.body["code"] == "not_found").then_some(plain);
    }
    let answer = &reply.body["answer"];
    let position = Some(reply.body["position"].as_u64()?);
    if reply.body["status"] == 201 {
        // Debits come first, as they were written: `from`, then `to`.
        let lines = answer["lines"].as_array()?;
        let balances = lines.iter().map(|line| cents(&line["balance_after"])).collect::<Option<Vec<_>>>()?;
        return Some(Outcome { code: "posted".to_owned(), position, balances, ..plain });
    }
    Some(Outcome {
        code: answer["code"].as_str()?.to_owned(),
        position,
        available: cents(&answer["available"]),
        ..plain
    })
}
