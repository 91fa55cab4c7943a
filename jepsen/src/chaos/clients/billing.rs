//! Billing clients: one customer after the other is charged, pays in parts and is refunded, and requests that exclude
//! each other are sent to several nodes at the same time.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{Question, race};
use crate::HarnessError;
use crate::chaos::billing::{Application, ChargeState, Document, DocumentKind, PaymentState, RefundState, Request};
use crate::chaos::history::{Cents, Detail, Operation, Record, Status};
use crate::chaos::load::Load;

/// How the keys begin: the bookkeeper finds their book by it.
const KEYS: &str = "billing";
/// Steps with one customer: so few that all of it can be searched for an order.
const STEPS: usize = 30;

struct Client {
    load: Load,
    node: usize,
    random: StdRng,
    numbers: Vec<u64>,
    customer: u64,
    /// Documents as they were seen last.
    charges: Vec<(u64, Option<Document>)>,
    payments: Vec<(u64, Option<Document>)>,
    refunds: Vec<(u64, Option<Document>)>,
    /// For requests that are sent again.
    last: Option<(Request, String)>,
}

pub(super) async fn client(load: Load, node: usize, random: StdRng) -> Result<(), HarnessError> {
    let customer = load.new_document();
    let mut client = Client {
        load,
        node,
        random,
        numbers: vec![],
        customer,
        charges: vec![],
        payments: vec![],
        refunds: vec![],
        last: None,
    };
    let mut steps = 0;
    while !client.load.is_stopped() {
        if steps == STEPS {
            client.customer = client.load.new_document();
            (client.charges, client.payments, client.refunds) = (vec![], vec![], vec![]);
            steps = 0;
        }
        client.step().await?;
        steps += 1;
    }
    Ok(())
}

impl Client {
    async fn step(&mut self) -> Result<(), HarnessError> {
        let requests = self.choose();
        let mut questions = vec![];
        for request in requests {
            let key = self.load.new_key(KEYS);
            self.last = Some((request, key.clone()));
            let node = if questions.is_empty() { self.node } else { self.any_node() };
            questions.push(Question { node, operation: Operation::Billing(request), key: Some(key) });
        }
        if let Some((request, key)) = self.last.clone()
            && self.random.random_bool(0.06)
        {
            // The same once more, beside whatever else is asked: at the same time, or long decided.
            questions.push(Question { node: self.any_node(), operation: Operation::Billing(request), key: Some(key) });
        }
        if questions.is_empty() || self.random.random_bool(0.3) {
            let operation = self.read();
            questions.push(Question { node: self.any_node(), operation, key: None });
        }
        let records = race(&self.load, &mut self.numbers, questions).await?;
        for record in &records {
            self.learn(record);
        }
        Ok(())
    }

    fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.load.nodes.len())
    }

    /// Requests to be sent at the same time.
    fn choose(&mut self) -> Vec<Request> {
        if self.charges.is_empty() {
            return self.charge();
        }
        match self.random.random_range(0..100) {
            0..8 => self.charge(),
            8..30 => self.pay(),
            30..46 => self.capture(),
            46..56 => self.apply(),
            56..62 => self.unapply(),
            62..84 => self.refund(),
            84..94 => self.end_a_refund(),
            94..97 => self.void_payment(),
            97..99 => self.void_charge(),
            _ => vec![],
        }
    }

    fn pick(&mut self, from: &[(u64, Option<Document>)]) -> Option<(u64, Option<Document>)> {
        (!from.is_empty()).then(|| from[self.random.random_range(0..from.len())])
    }

    /// A part of an amount, seldom more than all of it.
    fn part(&mut self, whole: Cents) -> Cents {
        (whole * self.random.random_range(20..115) / 100).max(1)
    }

    fn charge(&mut self) -> Vec<Request> {
        let (id, customer) = (self.load.new_document(), self.customer);
        let mut charge = || {
            let amount = self.random.random_range(100..60_000);
            let tax = if self.random.random_bool(0.7) { amount * self.random.random_range(1..20) / 100 } else { 0 };
            Request::Charge { id, customer, amount, tax }
        };
        let first = charge();
        let second = charge();
        self.charges.push((id, None));
        // One id twice: one of the two exists already.
        if self.random.random_bool(0.1) { vec![first, second] } else { vec![first] }
    }

    fn pay(&mut self) -> Vec<Request> {
        let charges = self.charges.clone();
        let Some((charge, known)) = self.pick(&charges) else { return vec![] };
        let open = match known {
            Some(Document::Charge { open, .. }) if open > 0 => open,
            _ => 10_000,
        };
        let customer = self.customer;
        let mut requests = vec![];
        // Two payments of one charge: what the second finds settled is unapplied.
        for _ in 0..self.random.random_range(1..3) {
            let id = self.load.new_document();
            let amount = self.part(open);
            let apply = self.random.random_bool(0.8).then(|| Application { charge, amount: self.part(open) });
            let authorise = self.random.random_bool(0.5);
            self.payments.push((id, None));
            requests.push(Request::Pay { id, customer, amount, authorise, apply });
        }
        requests
    }

    fn capture(&mut self) -> Vec<Request> {
        let mut found = vec![];
        for (id, known) in &self.payments {
            if let Some(Document::Payment { state, pending, .. }) = known
                && matches!(state, PaymentState::Authorised | PaymentState::PartiallyCaptured)
            {
                found.push((*id, *pending));
            }
        }
        // Now and then one that is not open for it.
        let other = self.payments.last().map(|(id, _)| (*id, 1_000));
        let Some((id, pending)) = found.last().copied().or(other) else { return vec![] };
        let mut requests = vec![];
        for _ in 0..self.random.random_range(1..4) {
            requests.push(Request::Capture { id, amount: self.part(pending), last: self.random.random_bool(0.4) });
        }
        requests
    }

    fn apply(&mut self) -> Vec<Request> {
        let (payments, charges) = (self.payments.clone(), self.charges.clone());
        let with_cash = payments.iter().rev().find_map(|(id, known)| match known {
            Some(Document::Payment { unapplied, .. }) if *unapplied > 0 => Some((*id, *unapplied)),
            _ => None,
        });
        let Some((id, unapplied)) = with_cash.or(payments.last().map(|(id, _)| (*id, 500))) else { return vec![] };
        let mut requests = vec![];
        for _ in 0..self.random.random_range(1..3) {
            let Some((charge, _)) = self.pick(&charges) else { continue };
            requests.push(Request::Apply { id, apply: Application { charge, amount: self.part(unapplied) } });
        }
        requests
    }

    fn unapply(&mut self) -> Vec<Request> {
        let (payments, charges) = (self.payments.clone(), self.charges.clone());
        let (Some((id, known)), Some((charge, _))) = (self.pick(&payments), self.pick(&charges)) else {
            return vec![];
        };
        let applied = match known {
            Some(Document::Payment { applied, .. }) if applied > 0 => applied,
            _ => 500,
        };
        vec![Request::Unapply { id, apply: Application { charge, amount: self.part(applied) } }]
    }

    /// Several that together ask for more than was captured.
    fn refund(&mut self) -> Vec<Request> {
        let payments = self.payments.clone();
        let refundable = payments.iter().rev().find_map(|(id, known)| match known {
            Some(Document::Payment { refundable, .. }) if *refundable > 0 => Some((*id, *refundable)),
            _ => None,
        });
        let Some((payment, refundable)) = refundable.or(payments.last().map(|(id, _)| (*id, 700))) else {
            return vec![];
        };
        let mut requests = vec![];
        for _ in 0..self.random.random_range(2..5) {
            let id = self.load.new_document();
            let amount = self.part(refundable);
            self.refunds.push((id, None));
            requests.push(Request::Refund { id, payment, amount, manual: self.random.random_bool(0.5) });
        }
        requests
    }

    /// Settled and failed at the same time: one of them may find it done.
    fn end_a_refund(&mut self) -> Vec<Request> {
        let refunds = self.refunds.clone();
        let pending = refunds
            .iter()
            .rev()
            .find(|(_, known)| matches!(known, Some(Document::Refund { state: RefundState::Pending, .. })));
        let Some((id, _)) = pending.copied().or_else(|| self.pick(&refunds)) else { return vec![] };
        let both = [Request::Settle { id }, Request::Fail { id }];
        match self.random.random_range(0..4) {
            0 => both[..1].to_vec(),
            1 => both[1..].to_vec(),
            _ => both.to_vec(),
        }
    }

    fn void_payment(&mut self) -> Vec<Request> {
        let payments = self.payments.clone();
        self.pick(&payments).map(|(id, _)| Request::VoidPayment { id }).into_iter().collect()
    }

    fn void_charge(&mut self) -> Vec<Request> {
        let charges = self.charges.clone();
        let open = |known: &Option<Document>| matches!(known, Some(Document::Charge { state: ChargeState::Open, .. }));
        let open = charges.iter().find(|(_, known)| open(known)).copied();
        open.or_else(|| self.pick(&charges)).map(|(id, _)| Request::VoidCharge { id }).into_iter().collect()
    }

    fn read(&mut self) -> Operation {
        let mut all: Vec<(DocumentKind, u64)> = vec![];
        all.extend(self.charges.iter().map(|(id, _)| (DocumentKind::Charge, *id)));
        all.extend(self.payments.iter().map(|(id, _)| (DocumentKind::Payment, *id)));
        all.extend(self.refunds.iter().map(|(id, _)| (DocumentKind::Refund, *id)));
        if all.is_empty() || self.random.random_bool(0.15) {
            return Operation::BillingTotals;
        }
        let (kind, id) = all[self.random.random_range(0..all.len())];
        Operation::Document { kind, id }
    }

    /// What an answer shows of a document.
    fn learn(&mut self, record: &Record) {
        let shown = record.result.as_ref().filter(|_| record.status == Status::Ok);
        let Some(Detail::Document(document)) = shown.and_then(|outcome| outcome.detail.as_deref()) else { return };
        let id = match record.operation {
            Operation::Billing(
                Request::Charge { id, .. }
                | Request::VoidCharge { id }
                | Request::Pay { id, .. }
                | Request::Capture { id, .. }
                | Request::VoidPayment { id }
                | Request::Apply { id, .. }
                | Request::Unapply { id, .. }
                | Request::Refund { id, .. }
                | Request::Settle { id }
                | Request::Fail { id },
            )
            | Operation::Document { id, .. } => id,
            _ => return,
        };
        let list = match document {
            Document::Charge { .. } => &mut self.charges,
            Document::Payment { .. } => &mut self.payments,
            Document::Refund { .. } => &mut self.refunds,
        };
        if let Some(known) = list.iter_mut().find(|(known, _)| *known == id) {
            known.1 = Some(*document);
        }
    }
}
