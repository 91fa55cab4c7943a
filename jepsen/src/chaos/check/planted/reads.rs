//! What is planted into honest pages of statements and honest trial balances.

use super::{Told, honest, outcome};
use crate::chaos::check::heads::Head;
use crate::chaos::check::trial_balances::Disturbance;
use crate::chaos::check::{Verdict, statements, trial_balances};
use crate::chaos::history::{Detail, Operation, Outcome, Page, Phase, Posting, Record, Status};
use crate::chaos::settlement::settle;

fn page_of(told: &mut Told, newest_first: bool, after: Option<u64>, postings: &[Posting], index: u64) -> usize {
    let operation = Operation::Statement { account: 0, newest_first, local: true, min_position: None, after, limit: 3 };
    let page = Page { postings: postings.to_vec(), goes_on: postings.len() == 3 };
    let result = Outcome { detail: Some(Box::new(Detail::Page(page))), ..outcome("read", index) };
    told.history.push(super::record(500, operation, None, result));
    told.history.len() - 1
}

fn statement_verdict(told: &Told) -> Verdict {
    statements::check(&told.history, &settle(&told.history), &told.statements)
}

fn newest(told: &Told, index: u64) -> Vec<Posting> {
    let visible = told.statements[0].iter().filter(|posting| posting.position <= index);
    let mut visible: Vec<Posting> = visible.cloned().collect();
    visible.reverse();
    visible
}

#[test]
fn honest_pages_pass_from_either_end_and_go_on() {
    let mut told = honest();
    let middle = told.statements[0][4].position;
    let down = newest(&told, middle);
    page_of(&mut told, true, None, &down[..3], middle);
    let last = told.last;
    // The next page may be read later: it goes on where the one before it ended.
    page_of(&mut told, true, Some(down[2].position), &down[3..5], last);
    let up = told.statements[0].clone();
    page_of(&mut told, false, None, &up[..3], last);
    page_of(&mut told, false, Some(up[2].position), &up[3..6], last);
    let verdict = statement_verdict(&told);
    assert!(verdict.passed(), "{verdict:?}");
    assert_eq!(verdict.counted[2], ("pages", 4));
}

#[test]
fn pages_that_are_no_piece_of_the_statement_are_found() {
    let told = || {
        let told = honest();
        let down = newest(&told, told.last);
        (told, down)
    };
    let found = |mut told: Told, page: &[Posting], after: Option<u64>, index: u64| {
        page_of(&mut told, true, after, page, index);
        !statement_verdict(&told).passed()
    };
    // Stale: the newest posting is missing.
    let (it, down) = told();
    let last = it.last;
    assert!(found(it, &down[1..4], None, last));
    // From the future: a posting after what the page says it reflects.
    let (it, down) = told();
    assert!(found(it, &down[..3], None, down[0].position - 1));
    // One is left out, two are exchanged, one has another balance.
    let (it, down) = told();
    assert!(found(it, &[down[0].clone(), down[2].clone(), down[3].clone()], None, last));
    let (it, down) = told();
    assert!(found(it, &[down[1].clone(), down[0].clone(), down[2].clone()], None, last));
    let (it, mut down) = told();
    down[1].balance_after += 1;
    assert!(found(it, &down[..3], None, last));
    // The next page repeats the last line.
    let (it, down) = told();
    assert!(found(it, &down[2..5], Some(down[2].position), last));
    // It says that it is the last one.
    let (mut it, down) = told();
    let at = page_of(&mut it, true, None, &down[..2], last);
    assert!(
        matches!(it.history[at].result.as_ref().unwrap().detail.as_deref(), Some(Detail::Page(page)) if !page.goes_on)
    );
    assert!(!statement_verdict(&it).passed());
    // It is behind what was asked for.
    let (mut it, down) = told();
    let at = page_of(&mut it, true, None, &down[..3], last);
    let Operation::Statement { min_position, .. } = &mut it.history[at].operation else { panic!("a page") };
    *min_position = Some(last + 1);
    assert!(!statement_verdict(&it).passed());
}

fn trial_balance(number: u64, node: usize, local: bool, index: u64, head: &str) -> Record {
    let operation = Operation::TrialBalance { book: "bank".to_owned(), local, min_position: None };
    let book = Detail::Book { debits: 500, credits: 500, total_debit: 500, total_credit: 500, head: head.to_owned() };
    let result = Outcome { position: Some(index), detail: Some(Box::new(book)), ..outcome("read", index) };
    let mut record = super::record(number, operation, None, result);
    (record.node, record.end) = (node, record.start + 1);
    record
}

fn passes(history: &[Record], disturbances: &[Disturbance]) -> bool {
    let heads = [Head { node: 0, position: 9, hash: "nine".to_owned() }];
    trial_balances::check(history, disturbances, &heads).passed()
}

#[test]
fn trial_balances_are_zero_and_have_one_head_at_one_position() {
    let honest = || {
        vec![
            trial_balance(1, 0, false, 5, "five"),
            trial_balance(2, 1, true, 5, "five"),
            trial_balance(3, 1, true, 7, "seven"),
            trial_balance(4, 2, false, 9, "nine"),
        ]
    };
    assert!(passes(&honest(), &[]));
    let plant = |change: fn(&mut Outcome)| {
        let mut history = honest();
        change(history[1].result.as_mut().unwrap());
        passes(&history, &[])
    };
    let book = |outcome: &mut Outcome, by: [i64; 4], other: Option<&str>| {
        let Some(Detail::Book { debits, credits, total_debit, total_credit, head }) = outcome.detail.as_deref_mut()
        else {
            panic!("a book");
        };
        (*debits, *credits, *total_debit, *total_credit) =
            (*debits + by[0], *credits + by[1], *total_debit + by[2], *total_credit + by[3]);
        if let Some(other) = other {
            other.clone_into(head);
        }
    };
    let with = |by: [i64; 4], other: Option<&str>| {
        let mut history = honest();
        book(history[1].result.as_mut().unwrap(), by, other);
        passes(&history, &[])
    };
    assert!(with([0; 4], None));
    assert!(!with([1, 0, 1, 0], None), "not zero");
    assert!(!with([1, 1, 0, 0], None), "rows and totals differ");
    assert!(!with([0; 4], Some("six")), "another head at the same position");
    assert!(!plant(|outcome| outcome.position = Some(6)), "another position than its header");
    let mut history = honest();
    history.push(trial_balance(5, 1, false, 9, "other"));
    assert!(!passes(&history, &[]), "another head than in the end");
}

#[test]
fn a_node_that_goes_back_by_itself_is_found() {
    let history = [trial_balance(1, 1, true, 7, "seven"), trial_balance(5, 1, true, 5, "five")];
    assert!(!passes(&history, &[]));
    // Killed and started again it may not have applied everything yet.
    assert!(passes(&history, &[Disturbance { node: 1, start: 20, end: 40 }]));
    assert!(!passes(&history, &[Disturbance { node: 2, start: 20, end: 40 }]));
    // Another node may be behind.
    let elsewhere = [trial_balance(1, 1, true, 7, "seven"), trial_balance(5, 2, true, 5, "five")];
    assert!(passes(&elsewhere, &[]));
    // So may a read that began before the other one ended.
    let mut overlapping = history;
    overlapping[0].end = overlapping[1].end;
    assert!(passes(&overlapping, &[]));
    let mut behind = trial_balance(1, 1, true, 7, "seven");
    let Operation::TrialBalance { min_position, .. } = &mut behind.operation else { panic!("a report") };
    *min_position = Some(8);
    assert!(!passes(&[behind.clone()], &[]));
    behind.status = Status::Info;
    behind.phase = Phase::Main;
    assert!(passes(&[behind], &[]), "what has no answer shows nothing");
}
