//! Applying a payment to charges: what the operations on payments share. Posts nothing itself.

use crate::commit::applicable_amount;
use crate::currency::Currency;
use crate::document::{Application, Charge, MAX_DOCUMENT_ENTRIES, Payment};
use crate::id::{DocumentId, EntryNumber};
use crate::money::Amount;
use crate::operation::WrittenApplication;
use crate::plan::{Change, Context};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

/// What a request asks to apply to one charge.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) charge: DocumentId,
    pub(super) amount: i128,
    pub(super) field: Field,
}

/// The amounts of a request in minor units: `too_many_decimals`.
pub(super) fn asked<S: Read>(
    context: &Context<'_, S>,
    written: &[WrittenApplication],
    currency: &Currency,
) -> Result<Vec<Asked>, Rejection> {
    let asked = (0u16..).zip(written).map(|(number, application)| {
        let field = Field::Apply(number);
        let amount = context.amount(application.amount, currency, field)?.minor();
        Ok(Asked { charge: application.charge.clone(), amount, field })
    });
    asked.collect()
}

/// What a payment's creation asked for and has not got yet.
pub(super) fn still_asked(payment: &Payment) -> Vec<Asked> {
    let mut applied: Vec<Application> = payment.applications.clone();
    let asked = (0u16..).zip(&payment.requested).filter_map(|(number, (charge, amount)): (_, &(_, Amount))| {
        let mut left = amount.minor();
        if let Some(application) = applied.iter_mut().find(|application| application.charge == *charge) {
            let got = left.min(application.amount);
            application.amount -= got;
            left -= got;
        }
        (left > 0).then(|| Asked { charge: charge.clone(), amount: left, field: Field::Apply(number) })
    });
    asked.collect()
}

/// A charge that a request names, as the operation leaves it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) charge: Charge,
    /// What is still open of it and not reserved by a hold, less what this operation applied.
    pub(super) open: i128,
    touched: bool,
}

/// The charges of a request, each once.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<Target>);

impl Targets {
    /// Looks them up: `unknown_document`, `customer_mismatch`, `currency_mismatch`.
    pub(super) fn find<S: Read>(
        context: &Context<'_, S>,
        payment: &Payment,
        asked: &[Asked],
    ) -> Result<Self, Rejection> {
        let mut targets: Vec<Target> = vec![];
        for Asked { charge: id, field, .. } in asked {
            let charge = context.charge(id, *field)?;
            if charge.customer != payment.customer {
                return Err(Rejection::new(Reason::CustomerMismatch, *field));
            }
            if charge.currency != payment.currency {
                return Err(Rejection::new(Reason::CurrencyMismatch, *field));
            }
            if targets.iter().all(|target| target.charge.id != charge.id) {
                // Only manual entries make a voided charge's item differ from zero; it takes no payment all the same.
                let open =
                    if charge.voided { 0 } else { applicable_amount(context.state, context.book.id, &charge).max(0) };
                targets.push(Target { charge, open, touched: false });
            }
        }
        Ok(Self(targets))
    }

    pub(super) fn get(&mut self, id: &DocumentId) -> &mut Target {
        self.0.iter_mut().find(|target| target.charge.id == *id).expect("every charge of the request was looked up")
    }

    /// Remembers on both documents that `amount` of the payment settles the charge (or, below zero, no longer does).
    pub(super) fn apply(
        &mut self,
        payment: &mut Payment,
        id: &DocumentId,
        amount: i128,
        entry: EntryNumber,
    ) -> Result<(), Rejection> {
        let target = self.get(id);
        target.open -= amount;
        if !target.touched {
            list_entry(&mut target.charge.entries, entry)?;
            target.touched = true;
        }
        if !target.charge.payments.contains(&payment.id) {
            target.charge.payments.push(payment.id.clone());
        }
        match payment.applications.iter().position(|application| application.charge == *id) {
            Some(index) => payment.applications[index].amount += amount,
            None if payment.applications.len() >= MAX_DOCUMENT_ENTRIES => {
                return Err(Rejection::new(Reason::DocumentFull, Field::Whole));
            }
            None => payment.applications.push(Application { charge: id.clone(), amount, refunded: 0 }),
        }
        Ok(())
    }

    /// The charges that something was applied to.
    pub(super) fn into_changes(self) -> impl Iterator<Item = Change> {
        self.0.into_iter().filter(|target| target.touched).map(|target| Change::Charge(target.charge))
    }
}
