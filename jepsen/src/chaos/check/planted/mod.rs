//! Each checker passes an honest history and finds what is planted into it.

mod billing;
mod keys;
mod reads;

use super::effects::FeedDecision;
use super::heads::Head;
use super::{Judgement, Verdict, availability, effects, heads, search, statements, sums, witness};
use crate::chaos::bank::{Bank, Decided, FUNDS, GROUP};
use crate::chaos::faults::{FaultKind, FaultRecord, FaultState};
use crate::chaos::history::{Cents, Operation, Outcome, Phase, Posting, Record, Status};
use crate::chaos::settlement::settle;

const ACCOUNTS: usize = 2 * GROUP;
const FIRST: u64 = 4;

/// A ledger that tells the truth, and what its clients saw: three clients whose operations overlap.
struct Told {
    history: Vec<Record>,
    feed: Vec<FeedDecision>,
    statements: Vec<Vec<Posting>>,
    last: u64,
}

fn outcome(code: &str, index: u64) -> Outcome {
    Outcome { code: code.to_owned().into(), index, ..Outcome::default() }
}

fn record(number: u64, operation: Operation, key: Option<String>, result: Outcome) -> Record {
    // Three clients in turn: an operation begins before the one before it ends.
    let (start, end) = (number * 10, number * 10 + 15);
    let (client, status, phase) = (number % 3, Status::Ok, Phase::Main);
    Record { client, operation, key, result: Some(result), start, end, status, phase, node: 0, why: None }
}

fn honest() -> Told {
    let mut bank = Bank::funded(ACCOUNTS);
    let mut told = Told { history: vec![], feed: vec![], statements: vec![vec![]; ACCOUNTS], last: FIRST - 1 };
    for position in 1..FIRST {
        let key = format!("setup-{position}");
        let mut made =
            record(position, Operation::Create { what: key.clone() }, Some(key.clone()), outcome("posted", position));
        made.phase = Phase::Setup;
        told.history.push(made);
        told.feed.push(FeedDecision { position, key: Some(key), accepted: true });
    }
    for statement in &mut told.statements {
        statement.push(Posting { position: 3, change: FUNDS, balance_after: FUNDS });
    }
    for number in 10..200_u64 {
        let group = usize::try_from(number % 2).unwrap() * GROUP;
        let at = |by: u64| group + usize::try_from((number * by / 3) % 6).unwrap();
        let (from, to) = (at(1), at(5));
        if number % 4 == 3 || from == to {
            let mut read = outcome("read", told.last);
            let operation = if number % 8 == 7 {
                read.balances = bank.balances().to_vec();
                Operation::ReadAll
            } else {
                read.balances = vec![bank.balances()[from]];
                Operation::Read { account: from }
            };
            told.history.push(record(number, operation, None, read));
            continue;
        }
        let amount = if number % 10 == 0 { FUNDS * 3 } else { Cents::try_from(number * 37 % 9_000 + 1).unwrap() };
        told.last += 1;
        let position = told.last;
        let mut answer = outcome("posted", position);
        answer.position = Some(position);
        match bank.transfer(from, to, amount) {
            Decided::Posted(one, other) => {
                answer.balances = vec![one, other];
                told.statements[from].push(Posting { position, change: -amount, balance_after: one });
                told.statements[to].push(Posting { position, change: amount, balance_after: other });
            }
            Decided::Overdraft { available, .. } => {
                answer.code = "overdraft".into();
                answer.available = Some(available);
            }
            Decided::AllPosted(_) => unreachable!("it was one transfer"),
        }
        let key = format!("k-{number}");
        told.feed.push(FeedDecision { position, key: Some(key.clone()), accepted: answer.code == "posted" });
        told.history.push(record(number, Operation::Transfer { from, to, amount }, Some(key), answer));
    }
    told
}

/// The names of the checkers that do not pass.
fn complaining(told: &Told) -> Vec<&'static str> {
    let settlement = settle(&told.history);
    let last = settlement.decided.keys().next_back().copied().unwrap();
    let head = |node| Head { node, position: told.last, hash: "h".to_owned() };
    let verdicts = [
        witness::check(&told.history, &settlement, ACCOUNTS, FIRST),
        search::check(&told.history, ACCOUNTS),
        effects::check(&told.history, &told.feed),
        sums::check(&told.history),
        statements::check(&told.history, &settlement, &told.statements),
        heads::check(&[head(0), head(1)], 2, last),
    ];
    verdicts.iter().filter(|verdict| !verdict.passed()).map(|verdict| verdict.checker).collect()
}

/// The n-th posted transfer of the history.
fn posted(told: &mut Told, n: usize) -> &mut Record {
    let is_posted = |record: &&mut Record| {
        matches!(record.operation, Operation::Transfer { .. }) && record.result.as_ref().unwrap().code == "posted"
    };
    told.history.iter_mut().filter(is_posted).nth(n).unwrap()
}

#[test]
fn an_honest_history_passes_and_is_not_empty() {
    let told = honest();
    assert_eq!(complaining(&told), Vec::<&str>::new());
    let settlement = settle(&told.history);
    let verdict = witness::check(&told.history, &settlement, ACCOUNTS, FIRST);
    assert!([0, 2, 3].iter().all(|at| verdict.counted[*at].1 > 40), "{verdict:?}");
    let verdict = search::check(&told.history, ACCOUNTS);
    assert_eq!(verdict.counted[0], ("groups decided to their end", 2));
}

#[test]
fn a_stale_read_is_found_with_and_without_positions() {
    let mut told = honest();
    let mut stale = posted(&mut told, 5).clone();
    let Operation::Transfer { from, amount, .. } = stale.operation else { panic!("a transfer") };
    let answer = stale.result.clone().unwrap();
    // Long after the transfer was answered, its account is read as it was before it.
    (stale.start, stale.end, stale.key) = (stale.end + 1, stale.end + 2, None);
    stale.operation = Operation::Read { account: from };
    stale.result = Some(Outcome { balances: vec![answer.balances[0] + amount], ..outcome("read", answer.index - 1) });
    told.history.push(stale);
    assert_eq!(complaining(&told), ["witness", "search"]);
}

#[test]
fn a_wrong_balance_after_is_found() {
    let mut told = honest();
    posted(&mut told, 7).result.as_mut().unwrap().balances[1] += 1;
    assert_eq!(complaining(&told), ["witness", "search"]);
}

#[test]
fn an_acknowledged_transfer_that_the_journal_lacks_is_found() {
    let mut told = honest();
    let position = posted(&mut told, 9).result.as_ref().unwrap().position.unwrap();
    told.feed.retain(|decision| decision.position != position);
    assert_eq!(complaining(&told), ["effects"]);
}

#[test]
fn a_transfer_that_was_posted_twice_is_found() {
    let mut told = honest();
    let key = posted(&mut told, 9).key.clone();
    told.last += 1;
    told.feed.push(FeedDecision { position: told.last, key, accepted: true });
    // The nodes stand one position beyond everything that anybody was told.
    assert_eq!(complaining(&told), ["effects", "heads"]);
}

#[test]
fn a_decision_that_nobody_asked_for_is_found() {
    let mut told = honest();
    let lost = posted(&mut told, 9).key.clone().unwrap();
    told.history.retain(|record| record.key.as_ref() != Some(&lost));
    // Balances without a cause, a position without a key, a key without a sender, a posting without a transfer.
    assert_eq!(complaining(&told), ["witness", "search", "effects", "statements"]);
}

#[test]
fn a_transfer_that_was_denied_and_posted_is_found() {
    let mut told = honest();
    let denied = posted(&mut told, 9);
    (denied.status, denied.result) = (Status::Fail, None);
    // Every checker misses what it did; the journal has it by its key.
    assert_eq!(complaining(&told), ["witness", "search", "effects", "statements"]);
    let verdict = effects::check(&told.history, &told.feed);
    assert!(verdict.counted.contains(&("keys certainly not proposed", 1)), "{verdict:?}");
    let Judgement::Failed(found) = verdict.result else { panic!("{verdict:?}") };
    assert!(found.len() == 1 && found[0].starts_with("denied: "), "{found:?}");
}

#[test]
fn a_key_that_a_look_up_does_not_know_stays_open() {
    let mut told = honest();
    let mut open = posted(&mut told, 4).clone();
    (open.status, open.result, open.key) = (Status::Info, None, Some("open".to_owned()));
    let mut look = record(999, Operation::Lookup { of: "open".to_owned() }, None, outcome("unknown_key", told.last));
    look.phase = Phase::Final;
    told.history.extend([open, look]);
    assert_eq!(settle(&told.history).unresolved, ["open"]);
    assert_eq!(complaining(&told), ["witness"]);
}

#[test]
fn money_made_in_a_read_is_found() {
    let mut told = honest();
    let whole = told.history.iter_mut().find(|record| record.operation == Operation::ReadAll).unwrap();
    whole.result.as_mut().unwrap().balances[0] += 100;
    assert_eq!(complaining(&told), ["witness", "search", "sums"]);
}

#[test]
fn one_key_with_two_answers_is_found() {
    let mut told = honest();
    let mut again = posted(&mut told, 3).clone();
    (again.start, again.end) = (9_000, 9_001);
    let answer = again.result.as_mut().unwrap();
    (answer.replayed, answer.index) = (true, told.last);
    answer.position = answer.position.map(|position| position + 1);
    told.history.push(again);
    // The search looks at one answer of each key, the first.
    assert_eq!(complaining(&told), ["witness", "effects"]);
}

#[test]
fn statements_out_of_order_are_found() {
    let mut told = honest();
    let statement = told.statements.iter_mut().find(|statement| statement.len() > 3).unwrap();
    statement.swap(1, 2);
    assert_eq!(complaining(&told), ["statements"]);
}

#[test]
fn positions_against_real_time_are_found() {
    let mut told = honest();
    // Answered before the one that was decided before it was asked.
    let late = posted(&mut told, 20);
    (late.start, late.end) = (1, 2);
    assert!(complaining(&told).contains(&"witness"));
    assert!(complaining(&told).contains(&"search"));
}

#[test]
fn a_key_that_is_never_resolved_is_unknown_and_not_passed() {
    let mut told = honest();
    let open = posted(&mut told, 4);
    (open.status, open.result) = (Status::Info, None);
    let settlement = settle(&told.history);
    let verdict = witness::check(&told.history, &settlement, ACCOUNTS, FIRST);
    assert!(!verdict.passed());
    assert_eq!(settlement.unresolved.len(), 1);
    // Without its answer the search still finds the one order there is.
    assert!(search::check(&told.history, ACCOUNTS).passed());
}

#[test]
fn nodes_that_differ_are_found() {
    let head = |node, hash: &str| Head { node, position: 9, hash: hash.to_owned() };
    assert!(heads::check(&[head(0, "a"), head(1, "a")], 2, 9).passed());
    assert!(!heads::check(&[head(0, "a"), head(1, "b")], 2, 9).passed());
    assert!(!heads::check(&[head(0, "a"), head(1, "a")], 3, 9).passed());
    assert!(!heads::check(&[head(0, "a"), head(1, "a")], 2, 8).passed());
}

#[test]
fn a_cluster_that_does_not_come_back_is_found() {
    let told = honest();
    let fault = |start, end| FaultRecord {
        kind: FaultKind::KillLeader,
        nodes: vec![0],
        start,
        end,
        state: FaultState::Installed,
    };
    let measured = availability::measure(&told.history, &[fault(300, 400)]);
    assert_eq!((measured.recoveries_ms.len(), measured.never_recovered), (1, 0));
    assert!(availability::check(&measured).passed());
    // The only operations after the second heal are reads.
    let end = told.history.iter().rev().find(|record| record.key.is_some()).unwrap().start + 1;
    let measured = availability::measure(&told.history, &[fault(300, end)]);
    assert_eq!(measured.never_recovered, 1);
    let verdict: Verdict = availability::check(&measured);
    assert!(matches!(verdict.result, Judgement::Failed(_)));
}
