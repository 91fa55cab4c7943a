//! Capturing a payment, whole or in part: what is captured is posted and applied; a final capture releases the rest.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` if nothing is reserved; the payment's accounts, the
//! amount, the fee's account and amount, the amounts to apply; `unknown_document`, `customer_mismatch`,
//! `currency_mismatch` of each charge; `over_capture`; `document_full`; the balances.

use crate::document::{Payment, PaymentState};
use crate::entry::{DocumentRef, Rule};
use crate::money::Amount;
use crate::operation::{CapturePayment, Details};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

use super::application::{Asked, Targets, asked, still_asked};
use super::payment::{reservations, source_place, unapplied_place};
use super::payment_fee::{Fee, fee};

pub fn plan<S: Read>(context: &Context<'_, S>, operation: &CapturePayment) -> Result<Plan, Rejection> {
    let mut payment = context.payment(&operation.id, Field::Whole)?;
    if payment.pending == 0 {
        return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole));
    }
    let source = source_place(context, &payment, Field::Source)?;
    let unapplied = unapplied_place(context, &payment)?;
    let currency = context.currency_of(payment.currency);
    let amount = match operation.amount {
        Some(written) => context.amount(written, &currency, Field::Amount)?,
        None => Amount::new(payment.pending).expect("a pending amount that is not zero is above it"),
    };
    let fee = operation.fee.map(|written| fee(context, written, &currency, Field::Fee)).transpose()?;
    let asked = match &operation.apply {
        Some(written) => asked(context, written, &currency)?,
        None => still_asked(&payment),
    };
    let targets = Targets::find(context, &payment, &asked)?;
    if amount.minor() > payment.pending {
        let reason = Reason::OverCapture { available: payment.pending, decimals: currency.decimals };
        return Err(Rejection::new(reason, Field::Amount));
    }
    let released = if operation.is_final { payment.pending } else { amount.minor() };
    payment.pending -= released;
    payment.state = if payment.pending == 0 { PaymentState::Captured } else { PaymentState::PartiallyCaptured };
    let what = Capture { amount, source: &source, unapplied: &unapplied, asked, targets, fee };
    let plan = capture(context, payment, what, &operation.details)?;
    Ok(Plan { reservations: reservations(&source, &unapplied, -released).into(), ..plan })
}

/// Money that has arrived, and what is to become of it.
pub(super) struct Capture<'a> {
    pub(super) amount: Amount,
    pub(super) source: &'a Place,
    pub(super) unapplied: &'a Place,
    pub(super) asked: Vec<Asked>,
    pub(super) targets: Targets,
    pub(super) fee: Option<Fee>,
}

/// Posts what has arrived: as much as is asked for, open and left goes to each charge, the rest to unapplied cash.
pub(super) fn capture<S: Read>(
    context: &Context<'_, S>,
    mut payment: Payment,
    what: Capture<'_>,
    details: &Details,
) -> Result<Plan, Rejection> {
    let Capture { amount, source, unapplied, asked, mut targets, fee } = what;
    let document = || DocumentRef::Payment(payment.id.clone());
    let mut lines = Lines::default();
    lines.debit(source, amount.minor());
    let mut left = amount.minor();
    let mut applied = vec![];
    for Asked { charge, amount, field } in &asked {
        let target = targets.get(charge);
        let part = left.min(*amount).min(target.open - applied_to(&applied, charge));
        if part > 0 {
            context.account_by_id(target.charge.receivable, *field)?;
            lines.credit(&Place::receivable(&target.charge, *field), part);
            applied.push((charge, part));
            left -= part;
        }
    }
    lines.credit(unapplied, left);
    let mut entries = vec![lines.into_entry(context, Rule::PaymentCapture, details, document())?];
    if let Some(fee) = &fee {
        entries.push(fee.entry(context, Rule::PaymentFee, source, details, document())?);
        payment.fees += fee.minor();
    }
    for index in 0..entries.len() {
        list_entry(&mut payment.entries, context.entry_number(index))?;
    }
    for (charge, part) in applied {
        targets.apply(&mut payment, charge, part, context.first_entry)?;
    }
    payment.captured += amount.minor();
    let changes = std::iter::once(Change::Payment(payment)).chain(targets.into_changes()).collect();
    Ok(Plan { entries, changes, ..Plan::default() })
}

fn applied_to(applied: &[(&crate::id::DocumentId, i128)], charge: &crate::id::DocumentId) -> i128 {
    applied.iter().filter(|(id, _)| *id == charge).map(|(_, part)| part).sum()
}
