//! Billing: charges, payments and refunds of customers, and the model that has to reproduce every answer. Written from
//! `docs/rules.md`, rules 6 and 11; it knows states and amounts, not entries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{Cents, Detail, Outcome};

/// What is asked of the billing book. Ids are counted over the run; each kind of document has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Request {
    /// `amount` is gross.
    Charge {
        id: u64,
        customer: u64,
        amount: Cents,
        tax: Cents,
    },
    VoidCharge {
        id: u64,
    },
    /// Captured at once, or only authorised; applied to a charge as far as that is open.
    Pay {
        id: u64,
        customer: u64,
        amount: Cents,
        authorise: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        apply: Option<Application>,
    },
    Capture {
        id: u64,
        amount: Cents,
        /// The rest is released.
        last: bool,
    },
    VoidPayment {
        id: u64,
    },
    Apply {
        id: u64,
        apply: Application,
    },
    Unapply {
        id: u64,
        apply: Application,
    },
    /// Of what is unapplied first, then of the newest application.
    Refund {
        id: u64,
        payment: u64,
        amount: Cents,
        /// Paid out in a step of its own.
        manual: bool,
    },
    Settle {
        id: u64,
    },
    Fail {
        id: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub charge: u64,
    pub amount: Cents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    Charge,
    Payment,
    Refund,
}

/// A document as an answer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Document {
    Charge {
        state: ChargeState,
        open: Cents,
        credited: Cents,
    },
    Payment {
        state: PaymentState,
        captured: Cents,
        pending: Cents,
        applied: Cents,
        unapplied: Cents,
        refunded: Cents,
        refundable: Cents,
    },
    Refund {
        state: RefundState,
        amount: Cents,
        unapplied: Cents,
        tax: Cents,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum ChargeState {
    Open,
    Paid,
    Voided,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    Authorised,
    PartiallyCaptured,
    Captured,
    Voided,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    Pending,
    Succeeded,
    Failed,
}

/// What the model says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Done(Document),
    Refused { code: &'static str, available: Option<Cents> },
}

impl Said {
    /// Whether an answer says the same.
    #[must_use]
    pub fn agrees(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Done(document) => {
                outcome.code == "posted" && outcome.detail.as_deref() == Some(&Detail::Document(*document))
            }
            Self::Refused { code, available } => {
                outcome.code == *code && outcome.available == *available && outcome.code != "posted"
            }
        }
    }
}

/// The control accounts that the model follows, in the order of [`Billing::totals`]; debits are positive.
pub const CONTROL_ACCOUNTS: [&str; 7] = [
    "assets:processor-clearing",
    "assets:receivable",
    "liabilities:unapplied-cash",
    "liabilities:refunds-payable",
    "liabilities:tax-payable",
    "revenue:subscription",
    "revenue:credits-and-refunds",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Charge {
    customer: u64,
    amount: Cents,
    tax: Cents,
    open: Cents,
    credited: Cents,
    credited_tax: Cents,
    is_voided: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Payment {
    customer: u64,
    state: PaymentState,
    captured: Cents,
    pending: Cents,
    unapplied: Cents,
    refunded: Cents,
    /// What the authorisation asked for.
    asked: Option<(u64, Cents)>,
    /// In the order of first application.
    applied: Vec<Applied>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Applied {
    charge: u64,
    amount: Cents,
    refunded: Cents,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refund {
    payment: u64,
    amount: Cents,
    state: RefundState,
    unapplied: Cents,
    /// Charge, amount, and its tax.
    parts: Vec<(u64, Cents, Cents)>,
}

/// The billing book's documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Billing {
    charges: BTreeMap<u64, Charge>,
    payments: BTreeMap<u64, Payment>,
    refunds: BTreeMap<u64, Refund>,
    totals: [Cents; 7],
}

const ALREADY_EXISTS: Said = refused("already_exists");
const UNKNOWN_DOCUMENT: Said = refused("unknown_document");
const PAYMENT_NOT_OPEN: Said = refused("payment_not_open");
const CHARGE_NOT_OPEN: Said = refused("charge_not_open");

const fn refused(code: &'static str) -> Said {
    Said::Refused { code, available: None }
}

fn too_much(code: &'static str, available: Cents) -> Said {
    Said::Refused { code, available: Some(available) }
}

impl Billing {
    /// Signed: debits positive.
    #[must_use]
    pub fn totals(&self) -> &[Cents] {
        &self.totals
    }

    #[must_use]
    pub fn document(&self, kind: DocumentKind, id: u64) -> Option<Document> {
        match kind {
            DocumentKind::Charge => self.charges.get(&id).map(Charge::shown),
            DocumentKind::Payment => self.payments.get(&id).map(Payment::shown),
            DocumentKind::Refund => self.refunds.get(&id).map(Refund::shown),
        }
    }

    pub fn decide(&mut self, request: &Request) -> Said {
        match *request {
            Request::Charge { id, customer, amount, tax } => self.charge(id, customer, amount, tax),
            Request::VoidCharge { id } => self.void_charge(id),
            Request::Pay { id, customer, amount, authorise, apply } => self.pay(id, customer, amount, authorise, apply),
            Request::Capture { id, amount, last } => self.capture(id, amount, last),
            Request::VoidPayment { id } => self.void_payment(id),
            Request::Apply { id, apply } => self.apply(id, apply),
            Request::Unapply { id, apply } => self.unapply(id, apply),
            Request::Refund { id, payment, amount, manual } => self.refund(id, payment, amount, manual),
            Request::Settle { id } => self.settle(id),
            Request::Fail { id } => self.fail(id),
        }
    }

    /// Adds to the control accounts: clearing, receivable, unapplied, payable, tax, revenue, credits.
    fn post(&mut self, changes: [Cents; 7]) {
        assert_eq!(changes.iter().sum::<Cents>(), 0, "the model posts balanced entries");
        for (total, change) in self.totals.iter_mut().zip(changes) {
            *total += change;
        }
    }

    fn charge(&mut self, id: u64, customer: u64, amount: Cents, tax: Cents) -> Said {
        if self.charges.contains_key(&id) {
            return ALREADY_EXISTS;
        }
        let charge = Charge { customer, amount, tax, open: amount, credited: 0, credited_tax: 0, is_voided: false };
        self.post([0, amount, 0, 0, -tax, tax - amount, 0]);
        let shown = charge.shown();
        self.charges.insert(id, charge);
        Said::Done(shown)
    }

    fn void_charge(&mut self, id: u64) -> Said {
        let Some(charge) = self.charges.get_mut(&id) else { return UNKNOWN_DOCUMENT };
        if charge.is_voided || charge.open != charge.amount || charge.credited != 0 {
            return CHARGE_NOT_OPEN;
        }
        (charge.is_voided, charge.open) = (true, 0);
        let (shown, amount, tax) = (charge.shown(), charge.amount, charge.tax);
        self.post([0, -amount, 0, 0, tax, amount - tax, 0]);
        Said::Done(shown)
    }

    fn pay(&mut self, id: u64, customer: u64, amount: Cents, authorise: bool, apply: Option<Application>) -> Said {
        if self.payments.contains_key(&id) {
            return ALREADY_EXISTS;
        }
        if let Some(apply) = apply {
            match self.charges.get(&apply.charge) {
                None => return UNKNOWN_DOCUMENT,
                Some(charge) if charge.customer != customer => return refused("customer_mismatch"),
                Some(_) => {}
            }
        }
        let asked = apply.map(|apply| (apply.charge, apply.amount));
        let mut payment = Payment {
            customer,
            state: PaymentState::Authorised,
            captured: 0,
            pending: amount,
            unapplied: 0,
            refunded: 0,
            asked,
            applied: vec![],
        };
        if !authorise {
            (payment.state, payment.pending) = (PaymentState::Captured, 0);
            self.receive(&mut payment, amount);
        }
        let shown = payment.shown();
        self.payments.insert(id, payment);
        Said::Done(shown)
    }

    /// Money comes in: to the charge that was asked for as far as it is open, the rest is unapplied.
    fn receive(&mut self, payment: &mut Payment, amount: Cents) {
        payment.captured += amount;
        let mut to_charge = 0;
        if let Some((id, asked)) = payment.asked {
            let charge = self.charges.get_mut(&id).expect("it was there when it was asked for");
            let applied = payment.applied_to(id).map_or(0, |applied| applied.amount);
            to_charge = amount.min(charge.open).min(asked - applied).max(0);
            if to_charge > 0 {
                charge.open -= to_charge;
                payment.add_to(id, to_charge);
            }
        }
        payment.unapplied += amount - to_charge;
        self.post([amount, -to_charge, to_charge - amount, 0, 0, 0, 0]);
    }

    fn capture(&mut self, id: u64, amount: Cents, last: bool) -> Said {
        let Some(mut payment) = self.payments.get(&id).cloned() else { return UNKNOWN_DOCUMENT };
        if !payment.is_authorised() {
            return PAYMENT_NOT_OPEN;
        }
        if amount > payment.pending {
            return too_much("over_capture", payment.pending);
        }
        payment.pending = if last { 0 } else { payment.pending - amount };
        payment.state = if payment.pending == 0 { PaymentState::Captured } else { PaymentState::PartiallyCaptured };
        self.receive(&mut payment, amount);
        let shown = payment.shown();
        self.payments.insert(id, payment);
        Said::Done(shown)
    }

    fn void_payment(&mut self, id: u64) -> Said {
        let Some(payment) = self.payments.get_mut(&id) else { return UNKNOWN_DOCUMENT };
        if !payment.is_authorised() {
            return PAYMENT_NOT_OPEN;
        }
        payment.pending = 0;
        payment.state = if payment.captured == 0 { PaymentState::Voided } else { PaymentState::Captured };
        Said::Done(payment.shown())
    }

    /// The payment and the charge of an application, or why there can be none.
    fn chain(&mut self, id: u64, charge: u64) -> Result<(&mut Payment, &mut Charge), Said> {
        let payment = self.payments.get_mut(&id).ok_or(UNKNOWN_DOCUMENT)?;
        if payment.captured == 0 {
            return Err(PAYMENT_NOT_OPEN);
        }
        let charge = self.charges.get_mut(&charge).ok_or(UNKNOWN_DOCUMENT)?;
        if charge.customer == payment.customer { Ok((payment, charge)) } else { Err(refused("customer_mismatch")) }
    }

    fn apply(&mut self, id: u64, apply: Application) -> Said {
        let (payment, charge) = match self.chain(id, apply.charge) {
            Ok(both) => both,
            Err(refused) => return refused,
        };
        if charge.open == 0 {
            return CHARGE_NOT_OPEN;
        }
        let available = charge.open.min(payment.unapplied);
        if apply.amount > available {
            return too_much("over_application", available);
        }
        charge.open -= apply.amount;
        payment.unapplied -= apply.amount;
        payment.add_to(apply.charge, apply.amount);
        let shown = payment.shown();
        self.post([0, -apply.amount, apply.amount, 0, 0, 0, 0]);
        Said::Done(shown)
    }

    fn unapply(&mut self, id: u64, apply: Application) -> Said {
        let (payment, charge) = match self.chain(id, apply.charge) {
            Ok(both) => both,
            Err(refused) => return refused,
        };
        let available = payment.applied_to(apply.charge).map_or(0, |applied| applied.amount - applied.refunded);
        if apply.amount > available {
            return too_much("over_application", available);
        }
        charge.open += apply.amount;
        payment.unapplied += apply.amount;
        payment.add_to(apply.charge, -apply.amount);
        let shown = payment.shown();
        self.post([0, apply.amount, -apply.amount, 0, 0, 0, 0]);
        Said::Done(shown)
    }

    fn refund(&mut self, id: u64, of: u64, amount: Cents, manual: bool) -> Said {
        if self.refunds.contains_key(&id) {
            return ALREADY_EXISTS;
        }
        let Some(payment) = self.payments.get_mut(&of) else { return UNKNOWN_DOCUMENT };
        let refundable = payment.captured - payment.refunded;
        if amount > refundable {
            return too_much("over_refund", refundable);
        }
        let unapplied = amount.min(payment.unapplied);
        payment.unapplied -= unapplied;
        payment.refunded += amount;
        let mut left = amount - unapplied;
        let mut parts = vec![];
        let mut taxes = 0;
        for applied in payment.applied.iter_mut().rev() {
            let part = left.min(applied.amount - applied.refunded);
            if part > 0 {
                let charge = self.charges.get_mut(&applied.charge).expect("it was applied");
                let tax = charge.credit(part);
                applied.refunded += part;
                left -= part;
                taxes += tax;
                parts.push((applied.charge, part, tax));
            }
        }
        assert_eq!(left, 0, "what was captured is unapplied or applied");
        let (state, cash) = if manual { (RefundState::Pending, 0) } else { (RefundState::Succeeded, amount) };
        self.post([-cash, 0, unapplied, cash - amount, taxes, 0, amount - unapplied - taxes]);
        let refund = Refund { payment: of, amount, state, unapplied, parts };
        let shown = refund.shown();
        self.refunds.insert(id, refund);
        Said::Done(shown)
    }

    fn settle(&mut self, id: u64) -> Said {
        let Some(refund) = self.refunds.get_mut(&id) else { return UNKNOWN_DOCUMENT };
        if refund.state != RefundState::Pending {
            return PAYMENT_NOT_OPEN;
        }
        refund.state = RefundState::Succeeded;
        let (shown, amount) = (refund.shown(), refund.amount);
        self.post([-amount, 0, 0, amount, 0, 0, 0]);
        Said::Done(shown)
    }

    /// The mirror image of what was posted.
    fn fail(&mut self, id: u64) -> Said {
        let Some(refund) = self.refunds.get_mut(&id) else { return UNKNOWN_DOCUMENT };
        if refund.state == RefundState::Failed {
            return PAYMENT_NOT_OPEN;
        }
        let cash = if refund.state == RefundState::Succeeded { refund.amount } else { 0 };
        refund.state = RefundState::Failed;
        let refund = refund.clone();
        let payment = self.payments.get_mut(&refund.payment).expect("it was refunded");
        payment.refunded -= refund.amount;
        payment.unapplied += refund.unapplied;
        let mut taxes = 0;
        for (id, part, tax) in &refund.parts {
            let charge = self.charges.get_mut(id).expect("it was credited");
            charge.credited -= part;
            charge.credited_tax -= tax;
            taxes += tax;
            let applied = payment.applied.iter_mut().find(|applied| applied.charge == *id);
            applied.expect("it was applied").refunded -= part;
        }
        let credits = refund.amount - refund.unapplied - taxes;
        self.post([cash, 0, -refund.unapplied, refund.amount - cash, -taxes, 0, -credits]);
        Said::Done(refund.shown())
    }
}

impl Charge {
    /// Takes back a part; returns the tax in it: what is due of all that was credited, less what went back before.
    fn credit(&mut self, part: Cents) -> Cents {
        self.credited += part;
        let share = (2 * self.tax * self.credited + self.amount) / (2 * self.amount);
        let tax = (share - self.credited_tax).max(0);
        self.credited_tax += tax;
        tax
    }

    fn shown(&self) -> Document {
        let state = match (self.is_voided, self.open) {
            (true, _) => ChargeState::Voided,
            (false, 0) => ChargeState::Paid,
            (false, _) => ChargeState::Open,
        };
        Document::Charge { state, open: self.open, credited: self.credited }
    }
}

impl Payment {
    fn is_authorised(&self) -> bool {
        matches!(self.state, PaymentState::Authorised | PaymentState::PartiallyCaptured)
    }

    fn applied_to(&self, charge: u64) -> Option<&Applied> {
        self.applied.iter().find(|applied| applied.charge == charge)
    }

    fn add_to(&mut self, charge: u64, amount: Cents) {
        match self.applied.iter_mut().find(|applied| applied.charge == charge) {
            Some(applied) => applied.amount += amount,
            None => self.applied.push(Applied { charge, amount, refunded: 0 }),
        }
    }

    fn shown(&self) -> Document {
        Document::Payment {
            state: self.state,
            captured: self.captured,
            pending: self.pending,
            applied: self.applied.iter().map(|applied| applied.amount).sum(),
            unapplied: self.unapplied,
            refunded: self.refunded,
            refundable: self.captured - self.refunded,
        }
    }
}

impl Refund {
    fn shown(&self) -> Document {
        Document::Refund {
            state: self.state,
            amount: self.amount,
            unapplied: self.unapplied,
            tax: self.parts.iter().map(|(_, _, tax)| tax).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(said: Said) -> Document {
        match said {
            Said::Done(document) => document,
            Said::Refused { code, available } => panic!("{code} {available:?}"),
        }
    }

    fn refund_of(said: Said) -> (Cents, Cents) {
        match done(said) {
            Document::Refund { unapplied, tax, .. } => (unapplied, tax),
            other => panic!("{other:?}"),
        }
    }

    const PAY: Request = Request::Pay {
        id: 1,
        customer: 1,
        amount: 12_000,
        authorise: false,
        apply: Some(Application { charge: 1, amount: 10_825 }),
    };

    fn charged() -> Billing {
        let mut billing = Billing::default();
        done(billing.decide(&Request::Charge { id: 1, customer: 1, amount: 10_825, tax: 825 }));
        billing
    }

    /// The figures of `docs/rules.md` and of `core/testdata/refund_fail.txt`.
    #[test]
    fn refunds_take_unapplied_money_first_and_end_at_the_original_tax() {
        let mut billing = charged();
        assert_eq!(
            done(billing.decide(&PAY)),
            Document::Payment {
                state: PaymentState::Captured,
                captured: 12_000,
                pending: 0,
                applied: 10_825,
                unapplied: 1_175,
                refunded: 0,
                refundable: 12_000
            }
        );
        assert_eq!(billing.totals(), [12_000, 0, -1_175, 0, -825, -10_000, 0]);
        let refund = |id, amount, manual| Request::Refund { id, payment: 1, amount, manual };
        assert_eq!(refund_of(billing.decide(&refund(1, 6_588, true))), (1_175, 413));
        assert_eq!(billing.totals(), [12_000, 0, 0, -6_588, -412, -10_000, 5_000]);
        assert_eq!(
            billing.decide(&refund(2, 5_413, true)),
            Said::Refused { code: "over_refund", available: Some(5_412) }
        );
        assert_eq!(refund_of(billing.decide(&Request::Settle { id: 1 })), (1_175, 413));
        assert_eq!(billing.decide(&Request::Settle { id: 1 }), PAYMENT_NOT_OPEN);
        assert_eq!(refund_of(billing.decide(&refund(2, 5_412, false))), (0, 412));
        assert_eq!(billing.totals(), [0, 0, 0, 0, 0, -10_000, 10_000]);
        // Failed, it can all be refunded again.
        done(billing.decide(&Request::Fail { id: 1 }));
        assert_eq!(billing.totals(), [6_588, 0, -1_175, 0, -413, -10_000, 5_000]);
        assert_eq!(billing.decide(&refund(2, 1, false)), ALREADY_EXISTS);
        assert_eq!(refund_of(billing.decide(&refund(3, 6_588, false))), (1_175, 413));
    }

    #[test]
    fn more_tax_given_back_than_its_share_is_not_taken_again() {
        let mut billing = Billing::default();
        done(billing.decide(&Request::Charge { id: 1, customer: 1, amount: 100, tax: 1 }));
        let apply = Some(Application { charge: 1, amount: 100 });
        done(billing.decide(&Request::Pay { id: 1, customer: 1, amount: 100, authorise: false, apply }));
        let mut tax =
            |id, amount| refund_of(billing.decide(&Request::Refund { id, payment: 1, amount, manual: false })).1;
        assert_eq!((tax(1, 49), tax(2, 1)), (0, 1));
        done(billing.decide(&Request::Fail { id: 1 }));
        let mut tax =
            |id, amount| refund_of(billing.decide(&Request::Refund { id, payment: 1, amount, manual: false })).1;
        assert_eq!((tax(3, 1), tax(4, 98)), (0, 0));
    }

    #[test]
    fn an_authorisation_is_captured_in_parts_and_settles_what_it_asked_for() {
        let mut billing = charged();
        let apply = Some(Application { charge: 1, amount: 2_000 });
        done(billing.decide(&Request::Pay { id: 1, customer: 1, amount: 3_000, authorise: true, apply }));
        assert_eq!(billing.decide(&Request::Apply { id: 1, apply: apply.unwrap() }), PAYMENT_NOT_OPEN);
        let mut capture = |amount, last| billing.decide(&Request::Capture { id: 1, amount, last });
        assert_eq!(capture(3_001, true), Said::Refused { code: "over_capture", available: Some(3_000) });
        done(capture(1_500, false));
        done(capture(1_000, true));
        assert_eq!(capture(1, true), PAYMENT_NOT_OPEN);
        let Some(Document::Payment { state, applied, unapplied, pending, .. }) =
            billing.document(DocumentKind::Payment, 1)
        else {
            panic!("a payment");
        };
        assert_eq!((state, applied, unapplied, pending), (PaymentState::Captured, 2_000, 500, 0));
        let mut apply = |amount| billing.decide(&Request::Apply { id: 1, apply: Application { charge: 1, amount } });
        assert_eq!(apply(501), Said::Refused { code: "over_application", available: Some(500) });
        done(apply(500));
        assert_eq!(billing.decide(&Request::VoidCharge { id: 1 }), CHARGE_NOT_OPEN);
        let all = Application { charge: 1, amount: 2_500 };
        done(billing.decide(&Request::Unapply { id: 1, apply: all }));
        done(billing.decide(&Request::VoidCharge { id: 1 }));
        assert_eq!(billing.totals(), [2_500, 0, -2_500, 0, 0, 0, 0]);
    }
}
