//! Taking a payment off charges again: debit receivable, credit unapplied cash. What refunds took stays applied.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` if nothing was captured; the unapplied-cash account
//! and the amounts; charge by charge `unknown_document`, `customer_mismatch`, `currency_mismatch`; charge by charge
//! `over_application` (nothing is available of a charge that the payment was never applied to); `document_full`; the
//! balances.

use crate::document::Payment;
use crate::entry::{DocumentRef, Rule};
use crate::id::DocumentId;
use crate::operation::ApplyPayment;
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

use super::application::{Asked, Targets, asked};
use super::payment::unapplied_place;

pub fn plan<S: Read>(context: &Context<'_, S>, unapply: &ApplyPayment) -> Result<Plan, Rejection> {
    let mut payment = context.payment(&unapply.id, Field::Whole)?;
    if payment.captured == 0 {
        return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole));
    }
    let unapplied = unapplied_place(context, &payment)?;
    let currency = context.currency_of(payment.currency);
    let asked = asked(context, &unapply.apply, &currency)?;
    let mut targets = Targets::find(context, &payment, &asked)?;
    let mut lines = Lines::default();
    let mut total = 0;
    for Asked { charge, amount, field } in &asked {
        let available = applied(&payment, charge);
        if *amount > available {
            let reason = Reason::OverApplication { available, decimals: currency.decimals };
            return Err(Rejection::new(reason, *field));
        }
        let target = targets.get(charge);
        context.account_by_id(target.charge.receivable, *field)?;
        lines.debit(&Place::receivable(&target.charge, *field), *amount);
        targets.apply(&mut payment, charge, -amount, context.first_entry)?;
        total += amount;
    }
    lines.credit(&unapplied, total);
    list_entry(&mut payment.entries, context.first_entry)?;
    let document = DocumentRef::Payment(payment.id.clone());
    let entry = lines.into_entry(context, Rule::PaymentUnapply, &unapply.details, document)?;
    let changes = std::iter::once(Change::Payment(payment)).chain(targets.into_changes()).collect();
    Ok(Plan { entries: vec![entry], changes, ..Plan::default() })
}

/// What of the payment is applied to the charge and was not refunded.
fn applied(payment: &Payment, charge: &DocumentId) -> i128 {
    let application = payment.applications.iter().find(|application| application.charge == *charge);
    application.map_or(0, |application| application.amount - application.refunded)
}
