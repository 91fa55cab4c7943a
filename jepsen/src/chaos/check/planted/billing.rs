//! What is planted into an honest history of billing.

use super::outcome;
use crate::chaos::billing::{Application, Billing, Document, DocumentKind, Request, Said};
use crate::chaos::check::{Judgement, caps, search, witness};
use crate::chaos::history::{Detail, Operation, Outcome, Phase, Record, Status};
use crate::chaos::settlement::settle;

const FIRST: u64 = 4;

/// Three clients whose requests overlap, and a ledger that tells the truth; in the end every document is read.
fn honest() -> Vec<Record> {
    let mut billing = Billing::default();
    let mut history = vec![];
    let mut position = FIRST - 1;
    let mut number = 0;
    let mut ask = |billing: &mut Billing, history: &mut Vec<Record>, request: Request| {
        (position, number) = (position + 1, number + 1);
        let mut answer = outcome("posted", position);
        answer.position = Some(position);
        match billing.decide(&request) {
            Said::Done(document) => answer.detail = Some(Box::new(Detail::Document(document))),
            Said::Refused { code, available } => (answer.code, answer.available) = (code.into(), available),
        }
        let key = format!("billing-{number}");
        history.push(record(number, Operation::Billing(request), Some(key), answer));
    };
    for customer in 0..6 {
        let id = |kind: u64| customer * 100 + kind;
        let apply = Some(Application { charge: id(1), amount: 9_000 });
        for request in [
            Request::Charge { id: id(1), customer, amount: 9_000, tax: 700 },
            Request::Charge { id: id(1), customer, amount: 9_000, tax: 700 },
            Request::Pay { id: id(2), customer, amount: 10_000, authorise: true, apply },
            Request::Capture { id: id(2), amount: 6_000, last: false },
            Request::Capture { id: id(2), amount: 6_000, last: false },
            Request::Capture { id: id(2), amount: 4_000, last: true },
            Request::Refund { id: id(3), payment: id(2), amount: 6_000, manual: true },
            Request::Refund { id: id(4), payment: id(2), amount: 6_000, manual: false },
            Request::Fail { id: id(3) },
            Request::Settle { id: id(3) },
            Request::Refund { id: id(5), payment: id(2), amount: 10_000, manual: false },
        ] {
            ask(&mut billing, &mut history, request);
        }
    }
    for customer in 0..6 {
        for (kind, id) in [
            (DocumentKind::Charge, 1),
            (DocumentKind::Payment, 2),
            (DocumentKind::Refund, 3),
            (DocumentKind::Refund, 4),
            (DocumentKind::Refund, 5),
        ] {
            let id = customer * 100 + id;
            number += 1;
            let mut answer = outcome("not_found", position);
            if let Some(document) = billing.document(kind, id) {
                (answer.code, answer.detail) = ("read".into(), Some(Box::new(Detail::Document(document))));
            }
            let mut read = record(number, Operation::Document { kind, id }, None, answer);
            read.phase = Phase::Final;
            history.push(read);
        }
    }
    let totals = Outcome { balances: billing.totals().to_vec(), ..outcome("read", position) };
    history.push(record(number + 1, Operation::BillingTotals, None, totals));
    history
}

fn record(number: u64, operation: Operation, key: Option<String>, result: Outcome) -> Record {
    super::record(number, operation, key, result)
}

fn complaining(history: &[Record]) -> Vec<&'static str> {
    let settlement = settle(history);
    let verdicts =
        [witness::check(history, &settlement, 0, FIRST), search::check(history, 0), caps::check(history, &settlement)];
    verdicts.iter().filter(|verdict| !verdict.passed()).map(|verdict| verdict.checker).collect()
}

fn refused<'a>(history: &'a mut [Record], code: &str) -> &'a mut Record {
    history.iter_mut().find(|record| record.result.as_ref().is_some_and(|result| result.code == *code)).unwrap()
}

#[test]
fn an_honest_history_passes_and_is_not_empty() {
    let history = honest();
    assert_eq!(complaining(&history), Vec::<&str>::new());
    let verdict = caps::check(&history, &settle(&history));
    let counted = |what: &str| verdict.counted.iter().find(|(name, _)| *name == what).unwrap().1;
    assert_eq!(counted("documents in the end"), 24);
    assert_eq!(counted("refused over_refund"), 6);
    assert_eq!(counted("over_capture"), 6);
    assert_eq!(counted("already_exists"), 6);
    // The first two of each customer overlap, and the third stands alone.
    assert_eq!(counted("refunds that raced another of their payment"), 12);
    let verdict = search::check(&history, 0);
    assert_eq!(verdict.counted[1], ("customers decided to their end", 6));
}

#[test]
fn a_refund_beyond_what_was_captured_is_found() {
    let mut history = honest();
    let refund = refused(&mut history, "over_refund");
    let result = refund.result.as_mut().unwrap();
    (result.code, result.available) = ("posted".into(), None);
    let document = Document::Refund {
        state: crate::chaos::billing::RefundState::Succeeded,
        amount: 6_000,
        unapplied: 0,
        tax: 400,
    };
    result.detail = Some(Box::new(Detail::Document(document)));
    assert_eq!(complaining(&history), ["witness", "search", "caps"]);
}

#[test]
fn what_a_failed_refund_did_not_give_back_is_found() {
    let mut history = honest();
    // The refund after the failure is refused, as if the failure had restored nothing.
    let after =
        history.iter_mut().find(|record| matches!(record.operation, Operation::Billing(Request::Refund { id: 5, .. })));
    let result = after.unwrap().result.as_mut().unwrap();
    (result.code, result.available, result.detail) = ("over_refund".into(), Some(4_000), None);
    // Its document is there, and nobody was told that it was made.
    assert_eq!(complaining(&history), ["witness", "search", "caps"]);
}

#[test]
fn a_stale_document_is_found() {
    let mut history = honest();
    let read =
        history.iter_mut().find(|record| record.operation == Operation::Document { kind: DocumentKind::Refund, id: 3 });
    let read = read.unwrap();
    // As it was before it failed.
    read.phase = Phase::Main;
    let Some(Detail::Document(Document::Refund { state, .. })) = read.result.as_mut().unwrap().detail.as_deref_mut()
    else {
        panic!("a refund");
    };
    *state = crate::chaos::billing::RefundState::Pending;
    assert_eq!(complaining(&history), ["witness", "search", "caps"]);
}

#[test]
fn an_accepted_document_that_is_gone_is_found() {
    let mut history = honest();
    let read = history
        .iter_mut()
        .find(|record| record.operation == Operation::Document { kind: DocumentKind::Payment, id: 2 });
    let result = read.unwrap().result.as_mut().unwrap();
    (result.code, result.detail) = ("not_found".into(), None);
    assert_eq!(complaining(&history), ["witness", "search", "caps"]);
}

#[test]
fn control_accounts_that_do_not_fit_are_found() {
    let mut history = honest();
    history.last_mut().unwrap().result.as_mut().unwrap().balances[3] += 1;
    assert_eq!(complaining(&history), ["witness"]);
}

#[test]
fn another_code_or_another_amount_available_is_found() {
    let mut history = honest();
    refused(&mut history, "over_capture").result.as_mut().unwrap().available = Some(4_001);
    assert_eq!(complaining(&history), ["witness", "search"]);
    let mut history = honest();
    refused(&mut history, "already_exists").result.as_mut().unwrap().code = "over_refund".into();
    assert_eq!(complaining(&history), ["witness", "search"]);
}

#[test]
fn an_answer_that_never_came_leaves_the_verdict_open() {
    let mut history = honest();
    let refund = refused(&mut history, "over_refund");
    (refund.status, refund.result) = (Status::Info, None);
    let settlement = settle(&history);
    assert!(!matches!(witness::check(&history, &settlement, 0, FIRST).result, Judgement::Passed));
    assert!(search::check(&history, 0).passed(), "some order still explains the rest");
}
