//! No more is captured than was authorised, applied than was open, or refunded than was captured, however requests raced
//! for it: by the documents alone, without a look at positions or at the model.

use std::collections::{BTreeMap, HashMap};

use super::{Anomalies, Judgement, Verdict, count};
use crate::chaos::billing::{Document, DocumentKind, RefundState, Request};
use crate::chaos::history::{Cents, Detail, Operation, Phase, Record, Status};
use crate::chaos::settlement::{Asked, Settlement};

/// What the final phase read of each document; none where it is not known.
type Finals = BTreeMap<(DocumentKind, u64), Option<Document>>;

/// What was asked for, of everything that was accepted.
#[derive(Default)]
struct Accepted {
    /// Amount of each charge; amount of each payment; payment and amount of each refund.
    charges: BTreeMap<u64, Cents>,
    payments: BTreeMap<u64, Cents>,
    refunds: BTreeMap<u64, (u64, Cents)>,
}

#[must_use]
pub fn check(history: &[Record], settlement: &Settlement<'_>) -> Verdict {
    let mut anomalies = Anomalies::default();
    let mut accepted = Accepted::default();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for settled in settlement.decided.values() {
        let Asked::Billing(request) = settled.asked else { continue };
        if settled.outcome.code != "posted" {
            *refused.entry(&settled.outcome.code).or_default() += 1;
            continue;
        }
        match *request {
            Request::Charge { id, amount, .. } => drop(accepted.charges.insert(id, amount)),
            Request::Pay { id, amount, .. } => drop(accepted.payments.insert(id, amount)),
            Request::Refund { id, payment, amount, .. } => drop(accepted.refunds.insert(id, (payment, amount))),
            _ => {}
        }
    }
    let mut seen = 0;
    let mut finals = Finals::new();
    for record in history {
        let Some(outcome) = record.result.as_ref().filter(|_| record.status == Status::Ok) else { continue };
        let document = match outcome.detail.as_deref() {
            Some(Detail::Document(document)) => Some(*document),
            _ => None,
        };
        if let Some(document) = &document {
            seen += 1;
            if !within_caps(document) {
                anomalies.add(|| format!("{:?} on node {} showed {document:?}", record.operation, record.node));
            }
        }
        if let (Operation::Document { kind, id }, Phase::Final) = (&record.operation, record.phase) {
            finals.insert((*kind, *id), document);
        }
    }
    let (compared, unread) = compare(&accepted, &finals, &mut anomalies);
    let racing = racing_refunds(history);
    let of = |code: &str| refused.get(code).copied().unwrap_or(0);
    let counted = vec![
        ("documents seen", seen),
        ("documents in the end", compared),
        ("refunds that raced another of their payment", racing),
        ("refused over_refund", of("over_refund")),
        ("over_capture", of("over_capture")),
        ("over_application", of("over_application")),
        ("payment_not_open", of("payment_not_open")),
        ("charge_not_open", of("charge_not_open")),
        ("already_exists", of("already_exists")),
    ];
    let claim = "no more is captured than authorised, applied than open, refunded than captured, however requests race";
    let mut result = anomalies.judge();
    if result == Judgement::Passed && unread > 0 {
        result = Judgement::Unknown(format!("{unread} documents could not be read in the end"));
    }
    Verdict { checker: "caps", claim, result, counted }
}

fn within_caps(document: &Document) -> bool {
    match *document {
        Document::Charge { open, credited, .. } => open >= 0 && credited >= 0,
        Document::Payment { captured, pending, applied, unapplied, refunded, refundable, .. } => {
            let all = [captured, pending, applied, unapplied, refunded, refundable];
            all.iter().all(|amount| *amount >= 0) && refunded + refundable == captured && unapplied <= captured
        }
        Document::Refund { amount, unapplied, tax, .. } => amount > 0 && unapplied >= 0 && tax >= 0,
    }
}

/// The documents as they were in the end against what was accepted; returns how many were compared, and how many nobody
/// could read.
fn compare(accepted: &Accepted, finals: &Finals, anomalies: &mut Anomalies) -> (u64, u64) {
    let mut refunded: BTreeMap<u64, Cents> = BTreeMap::new();
    let mut reading = Reading { finals, compared: 0, unread: 0 };
    for (id, (payment, amount)) in &accepted.refunds {
        let Some(Document::Refund { state, amount: shown, .. }) = reading.find(DocumentKind::Refund, *id, anomalies)
        else {
            continue;
        };
        if shown != *amount {
            anomalies.add(|| format!("refund {id} of {amount} is one of {shown}"));
        }
        if state != RefundState::Failed {
            *refunded.entry(*payment).or_default() += amount;
        }
    }
    if reading.unread > 0 {
        // What went back of a payment is not known then.
        return (reading.compared, reading.unread);
    }
    for (id, amount) in &accepted.payments {
        let expected = refunded.get(id).copied().unwrap_or(0);
        let Some(Document::Payment { captured, refunded, .. }) = reading.find(DocumentKind::Payment, *id, anomalies)
        else {
            continue;
        };
        if captured > *amount {
            anomalies.add(|| format!("of payment {id} {captured} is captured, {amount} was authorised"));
        }
        if refunded != expected || expected > captured {
            anomalies
                .add(|| format!("payment {id}: {expected} went back, it says {refunded}, {captured} was captured"));
        }
    }
    for (id, amount) in &accepted.charges {
        let Some(Document::Charge { open, credited, .. }) = reading.find(DocumentKind::Charge, *id, anomalies) else {
            continue;
        };
        if open + credited > *amount {
            anomalies.add(|| format!("charge {id} of {amount} has {open} open and {credited} credited"));
        }
    }
    (reading.compared, reading.unread)
}

struct Reading<'a> {
    finals: &'a Finals,
    compared: u64,
    unread: u64,
}

impl Reading<'_> {
    fn find(&mut self, kind: DocumentKind, id: u64, anomalies: &mut Anomalies) -> Option<Document> {
        match self.finals.get(&(kind, id)) {
            Some(Some(document)) => {
                self.compared += 1;
                return Some(*document);
            }
            Some(None) => anomalies.add(|| format!("{kind:?} {id} was accepted and is not there in the end")),
            None => self.unread += 1,
        }
        None
    }
}

/// Refunds under way at the same time as another one of the same payment.
fn racing_refunds(history: &[Record]) -> u64 {
    let mut by_payment: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    for record in history {
        if let Operation::Billing(Request::Refund { payment, .. }) = &record.operation {
            by_payment.entry(*payment).or_default().push((record.start, record.end));
        }
    }
    let racing = |times: &Vec<(u64, u64)>| {
        let overlaps = |one: usize| {
            let (start, end) = times[one];
            times.iter().enumerate().any(|(other, time)| other != one && start < time.1 && time.0 < end)
        };
        (0..times.len()).filter(|one| overlaps(*one)).count()
    };
    count(by_payment.values().map(racing).sum())
}
