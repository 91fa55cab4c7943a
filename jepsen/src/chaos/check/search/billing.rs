//! The customers of billing.

use std::collections::{BTreeMap, HashMap};

use super::{Model, Seen, Sums};
use crate::chaos::billing::{Billing, Document, DocumentKind, Request};
use crate::chaos::history::{Detail, Operation, Outcome, Record, Status};
use crate::chaos::settlement::{Asked, each_attempt};

/// Configurations looked at for one customer.
const BOUND: usize = 20_000;

#[derive(Clone, Debug)]
pub(super) enum Action {
    Ask(Request),
    Look { kind: DocumentKind, id: u64, document: Option<Document> },
}

impl Model for Billing {
    type Action = Action;

    fn takes(&mut self, action: &Action, outcome: Option<&Outcome>) -> bool {
        match action {
            Action::Ask(request) => {
                let said = self.decide(request);
                outcome.is_none_or(|outcome| said.agrees(outcome))
            }
            Action::Look { kind, id, document } => self.document(*kind, *id) == *document,
        }
    }
}

pub(super) fn search(history: &[Record]) -> Sums {
    let owners = Owners::of(history);
    // By customer, and there by key.
    let mut asked: BTreeMap<u64, BTreeMap<&str, Seen<Action>>> = BTreeMap::new();
    let mut looked: BTreeMap<u64, Vec<Seen<Action>>> = BTreeMap::new();
    for record in history {
        each_attempt(record, |attempt| {
            let Asked::Billing(request) = attempt.asked else { return };
            let Some(customer) = owners.of_request(request) else { return };
            let asked = asked.entry(customer).or_default();
            if record.status == Status::Fail && !asked.contains_key(attempt.key) {
                return;
            }
            let new = Seen { action: Action::Ask(*request), outcome: None, start: record.start, end: None };
            asked.entry(attempt.key).or_insert(new).again(record, attempt.outcome);
        });
        if let (Operation::Document { kind, id }, Status::Ok, Some(outcome)) =
            (&record.operation, record.status, &record.result)
            && let Some(customer) = owners.of_document(*kind, *id)
        {
            let document = match outcome.detail.as_deref() {
                Some(Detail::Document(document)) => Some(*document),
                _ => None,
            };
            let action = Action::Look { kind: *kind, id: *id, document };
            let seen = Seen { action, outcome: None, start: record.start, end: Some(record.end) };
            looked.entry(customer).or_default().push(seen);
        }
    }
    let mut sums = Sums::default();
    for (customer, asked) in asked {
        let mut seen: Vec<Seen<Action>> = asked.into_values().collect();
        seen.extend(looked.remove(&customer).unwrap_or_default());
        sums.add(&format!("customer {customer}"), Billing::default(), &seen, BOUND);
    }
    sums
}

/// Whose document each is.
#[derive(Default)]
struct Owners {
    charges: HashMap<u64, u64>,
    payments: HashMap<u64, u64>,
    refunds: HashMap<u64, u64>,
}

impl Owners {
    fn of(history: &[Record]) -> Self {
        let mut owners = Self::default();
        for record in history {
            match record.operation {
                Operation::Billing(Request::Charge { id, customer, .. }) => drop(owners.charges.insert(id, customer)),
                Operation::Billing(Request::Pay { id, customer, .. }) => drop(owners.payments.insert(id, customer)),
                _ => {}
            }
        }
        for record in history {
            if let Operation::Billing(Request::Refund { id, payment, .. }) = record.operation
                && let Some(customer) = owners.payments.get(&payment)
            {
                owners.refunds.insert(id, *customer);
            }
        }
        owners
    }

    fn of_request(&self, request: &Request) -> Option<u64> {
        match *request {
            Request::Charge { customer, .. } | Request::Pay { customer, .. } => Some(customer),
            Request::VoidCharge { id } => self.of_document(DocumentKind::Charge, id),
            Request::Capture { id, .. }
            | Request::VoidPayment { id }
            | Request::Apply { id, .. }
            | Request::Unapply { id, .. } => self.of_document(DocumentKind::Payment, id),
            Request::Refund { payment, .. } => self.of_document(DocumentKind::Payment, payment),
            Request::Settle { id } | Request::Fail { id } => self.of_document(DocumentKind::Refund, id),
        }
    }

    fn of_document(&self, kind: DocumentKind, id: u64) -> Option<u64> {
        let owners = match kind {
            DocumentKind::Charge => &self.charges,
            DocumentKind::Payment => &self.payments,
            DocumentKind::Refund => &self.refunds,
        };
        owners.get(&id).copied()
    }
}
