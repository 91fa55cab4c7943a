//! An account's postings form one order, each with the right balance after it, and are exactly the posted transfers; and
//! whatever page of it was read on whatever node, at any time, is a piece of that one order, up to where it says.

use std::collections::{BTreeMap, VecDeque};

use super::{Anomalies, Verdict, count};
use crate::chaos::bank::FUNDS;
use crate::chaos::history::{Cents, Detail, Operation, Page, Phase, Posting, Record, Status};
use crate::chaos::settlement::{Asked, Settlement};

/// `statements` are whole, by account; each begins with its funds.
#[must_use]
pub fn check(history: &[Record], settlement: &Settlement<'_>, statements: &[Vec<Posting>]) -> Verdict {
    let mut anomalies = Anomalies::default();
    let lines = whole(settlement, statements, &mut anomalies);
    let (mut pages, mut during, mut local, mut further) = (0, 0, 0, 0);
    for record in history {
        let (Operation::Statement { local: is_local, after, .. }, Status::Ok, Some(outcome)) =
            (&record.operation, record.status, &record.result)
        else {
            continue;
        };
        pages += 1;
        during += u64::from(record.phase == Phase::Main);
        local += u64::from(*is_local);
        further += u64::from(after.is_some());
        if let Some(Detail::Page(page)) = outcome.detail.as_deref()
            && let Err(why) = compare(record, outcome.index, page, statements)
        {
            let (client, node, index) = (record.client, record.node, outcome.index);
            anomalies.add(|| {
                format!("client {client}: {:?} on node {node} as of {index}: {why}: {page:?}", record.operation)
            });
        }
    }
    let counted = vec![
        ("statements", count(statements.len())),
        ("lines", lines),
        ("pages", pages),
        ("of them under the load", during),
        ("local", local),
        ("going on where another ended", further),
    ];
    let claim = "each statement is one order of exactly the posted transfers, with the right balance after each; every \
                 page of it, whenever and wherever read, is a piece of that order";
    Verdict { checker: "statements", claim, result: anomalies.judge(), counted }
}

/// The final statements; returns how many lines they have.
fn whole(settlement: &Settlement<'_>, statements: &[Vec<Posting>], anomalies: &mut Anomalies) -> u64 {
    // An atomic batch may have several postings of one account at its position.
    let mut expected: Vec<BTreeMap<u64, VecDeque<Cents>>> = vec![BTreeMap::new(); statements.len()];
    for settled in settlement.decided.values().filter(|settled| settled.outcome.code == "posted") {
        let mut moved = |from: usize, to: usize, amount: Cents| {
            expected[from].entry(settled.position).or_default().push_back(-amount);
            expected[to].entry(settled.position).or_default().push_back(amount);
        };
        match settled.asked {
            Asked::Transfer { from, to, amount } => moved(from, to, amount),
            Asked::Atomic(items) => items.iter().for_each(|item| moved(item.from, item.to, item.amount)),
            Asked::Billing(_) => {}
        }
    }
    let mut lines = 0;
    for (account, (statement, mut expected)) in statements.iter().zip(expected).enumerate() {
        let mut balance = 0;
        let mut last = 0;
        for (number, posting) in statement.iter().enumerate() {
            lines += 1;
            balance += posting.change;
            if posting.balance_after != balance || posting.position < last {
                anomalies.add(|| format!("account {account}: {posting:?} after position {last}, not {balance}"));
            }
            (balance, last) = (posting.balance_after, posting.position);
            let known = if number == 0 {
                Some(FUNDS)
            } else {
                expected.get_mut(&posting.position).and_then(VecDeque::pop_front)
            };
            if known != Some(posting.change) {
                anomalies.add(|| format!("account {account}: {posting:?}, but {known:?} was asked for there"));
            }
        }
        for (position, changes) in expected.into_iter().filter(|(_, changes)| !changes.is_empty()) {
            anomalies.add(|| format!("account {account}: {changes:?} posted at {position} is not in its statement"));
        }
    }
    lines
}

/// Whether a page is what the whole statement had there at that position.
fn compare(record: &Record, index: u64, page: &Page, statements: &[Vec<Posting>]) -> Result<(), &'static str> {
    let Operation::Statement { account, newest_first, min_position, after, limit, .. } = &record.operation else {
        return Ok(());
    };
    if min_position.is_some_and(|wanted| index < wanted) {
        return Err("it is behind the position that was asked for");
    }
    let whole = &statements[*account];
    let visible = whole.partition_point(|posting| posting.position <= index);
    // Where the page may begin: postings at one position cannot be told apart by it.
    let begins: Vec<usize> = match (after, newest_first) {
        (None, true) => vec![visible],
        (None, false) => vec![0],
        (Some(after), _) => {
            let found = (0..whole.len()).filter(|&at| whole[at].position == *after);
            found.map(|at| if *newest_first { at } else { at + 1 }).collect()
        }
    };
    let is_piece = |begin: &usize| {
        let rest: &[Posting] = if *newest_first { &whole[..*begin] } else { &whole[(*begin).min(visible)..visible] };
        let length = rest.len().min(*limit);
        let same = if *newest_first {
            page.postings.iter().rev().eq(&rest[rest.len() - length..])
        } else {
            page.postings.iter().eq(&rest[..length])
        };
        // A page that is not the last one may not say that it is.
        same && (page.goes_on || rest.len() == length)
    };
    if begins.iter().any(is_piece) { Ok(()) } else { Err("it is no piece of the account's statement") }
}
