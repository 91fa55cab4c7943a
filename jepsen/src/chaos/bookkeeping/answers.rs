//! What the answers say. One that is definite in form and is not understood counts as no answer, so that no checker
//! passes over it.

use serde_json::Value;

use super::{Attempt, account, billing, cents};
use crate::chaos::billing::CONTROL_ACCOUNTS;
use crate::chaos::history::{Cents, Code, Detail, Item, Operation, Outcome, Page, Posting, Status};
use crate::client::Reply;

/// What an answer says, or that it says nothing definite.
pub(super) fn of(operation: &Operation, reply: &Reply, accounts: usize) -> Attempt {
    let said = || format!("{} {}", reply.status, reply.body);
    match reply.status {
        503 => return Attempt::without_answer(Status::Fail, said()),
        500.. => return Attempt::without_answer(Status::Info, said()),
        _ => {}
    }
    let body = &reply.body;
    let is_read = reply.status == 200;
    let outcome = match operation {
        Operation::Create { .. } => None,
        Operation::Transfer { from, to, .. } => transferred(body, reply.status, *from, *to),
        Operation::Reuse { .. } => reused(body),
        Operation::Batch { atomic: true, items } => atomic(body, reply.status, items.len()),
        Operation::Batch { atomic: false, items } => batch(reply, items).filter(|_| is_read),
        Operation::Read { .. } => {
            let balances = body["balances"].as_array();
            balances.and_then(|all| cents(&all.first()?["balance"])).map(|one| read(vec![one])).filter(|_| is_read)
        }
        Operation::ReadAll => whole(body, accounts).map(read).filter(|_| is_read),
        Operation::Statement { .. } => page(body).filter(|_| is_read),
        Operation::TrialBalance { .. } => trial_balance(body).filter(|_| is_read),
        Operation::Billing(request) => billing::decided(request, body, reply.status),
        Operation::Document { kind, .. } => billing::looked_at(*kind, reply),
        Operation::BillingTotals => control_accounts(body).map(read).filter(|_| is_read),
        Operation::Lookup { of } => looked_up(of, reply),
    };
    match (outcome, reply.position) {
        (Some(outcome), Some(index)) => {
            let replayed = outcome.replayed || reply.replayed;
            let attempt = Attempt::ok(Outcome { index, replayed, ..outcome });
            Attempt { next: body["next"].as_str().map(str::to_owned), ..attempt }
        }
        _ => Attempt::without_answer(Status::Info, said()),
    }
}

/// Those that come often are not kept as text of their own.
pub(super) fn code(text: &str) -> Code {
    const OFTEN: [&str; 11] = [
        "posted",
        "read",
        "overdraft",
        "unknown_key",
        "idempotency_key_reused",
        "already_exists",
        "over_refund",
        "over_capture",
        "over_application",
        "payment_not_open",
        "charge_not_open",
    ];
    match OFTEN.into_iter().find(|often| *often == text) {
        Some(often) => often.into(),
        None => text.to_owned().into(),
    }
}

fn read(balances: Vec<Cents>) -> Outcome {
    Outcome { code: "read".into(), balances, ..Outcome::default() }
}

/// A refusal by the state machine; the index is the caller's to fill in.
pub(super) fn refused(body: &Value) -> Option<Outcome> {
    Some(Outcome {
        code: code(body["code"].as_str()?),
        position: Some(body["position"].as_u64()?),
        available: cents(&body["available"]),
        ..Outcome::default()
    })
}

fn posted(position: &Value, balances: Vec<Cents>) -> Option<Outcome> {
    Some(Outcome { code: "posted".into(), position: Some(position.as_u64()?), balances, ..Outcome::default() })
}

fn transferred(body: &Value, status: u16, from: usize, to: usize) -> Option<Outcome> {
    if status != 201 {
        return refused(body);
    }
    let lines = body["lines"].as_array()?;
    let after = |number: usize| {
        let code = account(number);
        cents(&lines.iter().find(|line| line["account"] == code.as_str())?["balance_after"])
    };
    posted(&body["position"], vec![after(from)?, after(to)?])
}

/// Of a key that was used for something else no position is taken; any other answer has one, and is shown with it.
fn reused(body: &Value) -> Option<Outcome> {
    let decided_at = body["decided_at"].as_u64().map(|position| Box::new(Detail::DecidedAt(position)));
    Some(Outcome {
        code: body["code"].as_str().map_or("posted".into(), code),
        position: body["position"].as_u64(),
        detail: decided_at,
        ..Outcome::default()
    })
}

fn all_cents(values: &Value) -> Option<Vec<Cents>> {
    values.as_array()?.iter().map(cents).collect()
}

/// The balances of all transfers of a batch that was posted as one.
fn atomic_balances(results: &Value) -> Option<Vec<Cents>> {
    let results = results.as_array()?;
    let each: Option<Vec<Vec<Cents>>> = results.iter().map(|result| all_cents(&result["balances"])).collect();
    Some(each?.concat())
}

fn element(body: &Value, outcome: Outcome) -> Outcome {
    let element = body["index"].as_u64().map(|element| Box::new(Detail::Element(element)));
    Outcome { detail: element, ..outcome }
}

fn atomic(body: &Value, status: u16, items: usize) -> Option<Outcome> {
    if status != 200 {
        return refused(body).map(|outcome| element(body, outcome));
    }
    let balances = atomic_balances(&body["results"])?;
    posted(&body["position"], balances).filter(|outcome| outcome.balances.len() == 2 * items)
}

fn batch(reply: &Reply, items: &[Item]) -> Option<Outcome> {
    let results = reply.body["results"].as_array().filter(|results| results.len() == items.len())?;
    let of = |result: &Value| {
        let position = result["position"].as_u64();
        let known = Outcome { position, index: reply.position?, ..Outcome::default() };
        match (result["status"].as_str()?, result["code"].as_str()) {
            ("posted", None) => {
                Some(Outcome { code: "posted".into(), balances: all_cents(&result["balances"])?, ..known })
            }
            // It says where it was decided, and not the balances again.
            ("replayed", None) => Some(Outcome { code: "posted".into(), replayed: true, ..known }),
            (status @ ("rejected" | "replayed"), Some(refusal)) => Some(Outcome {
                code: code(refusal),
                replayed: status == "replayed",
                available: cents(&result["available"]),
                ..known
            }),
            _ => None,
        }
    };
    let outcomes = results.iter().map(of).collect::<Option<Vec<_>>>()?;
    Some(Outcome { code: "batch".into(), detail: Some(Box::new(Detail::Items(outcomes))), ..Outcome::default() })
}

/// A row's balance, positive on the debit side.
fn debit_balance(row: &Value) -> Option<Cents> {
    match (cents(&row["debit"]), cents(&row["credit"])) {
        (Some(debit), None) => Some(debit),
        (None, Some(credit)) => Some(-credit),
        _ => None,
    }
}

fn whole(report: &Value, accounts: usize) -> Option<Vec<Cents>> {
    let rows = report["rows"].as_array()?;
    let balance = |number: usize| {
        let code = account(number);
        rows.iter().find(|row| row["account"] == code.as_str()).and_then(debit_balance).map(|debit| -debit)
    };
    (0..accounts).map(balance).collect()
}

/// An account without a row never had a posting.
fn control_accounts(report: &Value) -> Option<Vec<Cents>> {
    let rows = report["rows"].as_array()?;
    let balance = |code: &&str| match rows.iter().find(|row| row["account"] == *code) {
        Some(row) => debit_balance(row),
        None => Some(0),
    };
    CONTROL_ACCOUNTS.iter().map(balance).collect()
}

fn trial_balance(report: &Value) -> Option<Outcome> {
    let rows: Vec<Cents> = report["rows"].as_array()?.iter().map(debit_balance).collect::<Option<_>>()?;
    let totals = report["totals"].as_array()?;
    // The books have one currency. Of an empty one there are no totals.
    let total = |side: &str| match totals.as_slice() {
        [] => Some(0),
        [only] => cents(&only[side]),
        _ => None,
    };
    let book = Detail::Book {
        debits: rows.iter().filter(|balance| **balance > 0).sum(),
        credits: -rows.iter().filter(|balance| **balance < 0).sum::<Cents>(),
        total_debit: total("debit")?,
        total_credit: total("credit")?,
        head: report["head"].as_str()?.to_owned(),
    };
    Some(Outcome {
        code: "read".into(),
        position: Some(report["position"].as_u64()?),
        detail: Some(Box::new(book)),
        ..Outcome::default()
    })
}

pub(super) fn posting(line: &Value) -> Option<Posting> {
    let amount = cents(&line["amount"])?;
    let change = if line["side"] == "credit" { amount } else { -amount };
    Some(Posting { position: line["position"].as_u64()?, change, balance_after: cents(&line["balance_after"])? })
}

fn page(body: &Value) -> Option<Outcome> {
    let postings = body["data"].as_array()?.iter().map(posting).collect::<Option<Vec<_>>>()?;
    let page = Page { postings, goes_on: body["next"].is_string() };
    Some(Outcome { code: "read".into(), detail: Some(Box::new(Detail::Page(page))), ..Outcome::default() })
}

/// The look-up repeats the first answer.
fn looked_up(key: &str, reply: &Reply) -> Option<Outcome> {
    if reply.status == 404 {
        let unknown = Outcome { code: "unknown_key".into(), ..Outcome::default() };
        return (reply.body["code"] == "not_found").then_some(unknown);
    }
    let answer = &reply.body["answer"];
    if reply.body["status"].as_u64()? >= 300 {
        return refused(answer).map(|outcome| element(answer, outcome));
    }
    if key.starts_with(billing::KEYS) {
        return billing::first_answer(reply.body["operation"].as_str()?, answer);
    }
    if answer["results"].is_array() {
        return posted(&answer["position"], atomic_balances(&answer["results"])?);
    }
    // Debits come first, as they were written: `from`, then `to`.
    let lines = answer["lines"].as_array()?;
    let balances = lines.iter().map(|line| cents(&line["balance_after"])).collect::<Option<Vec<_>>>()?;
    posted(&answer["position"], balances)
}
