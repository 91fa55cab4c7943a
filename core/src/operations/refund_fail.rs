//! A refund that failed, also after it had succeeded: the mirror image of all that it posted, and what it took can
//! be refunded again.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` if it failed before; closed accounts of its entries'
//! lines; `document_full`; the balances.

use crate::document::{Charge, Payment, Refund, RefundPart, RefundState};
use crate::entry::{DocumentRef, Rule};
use crate::operation::MoveRefund;
use crate::place::Lines;
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, fail: &MoveRefund) -> Result<Plan, Rejection> {
    let mut refund = context.refund(&fail.id)?;
    match refund.state {
        RefundState::Pending | RefundState::Succeeded => {}
        RefundState::Failed => return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole)),
    }
    let entry = mirrored(context, &refund, fail)?;
    let mut payment = context.payment(&refund.payment, Field::Whole)?;
    let mut charges = vec![];
    for part in &refund.parts {
        let mut charge = context.charge(&part.charge, Field::Whole)?;
        restore(&mut payment, &mut charge, part);
        list_entry(&mut charge.entries, context.first_entry)?;
        charges.push(Change::Charge(charge));
    }
    payment.refunded -= refund.amount.minor();
    payment.refunded_unapplied -= refund.unapplied;
    list_entry(&mut payment.entries, context.first_entry)?;
    refund.state = RefundState::Failed;
    list_entry(&mut refund.entries, context.first_entry)?;
    let changes = [Change::Refund(refund), Change::Payment(payment)].into_iter().chain(charges).collect();
    Ok(Plan { entries: vec![entry], changes, ..Plan::default() })
}

/// One mirror image of the refund's entries; it names the one that it reverses where there is only one.
fn mirrored<S: Read>(context: &Context<'_, S>, refund: &Refund, fail: &MoveRefund) -> Result<PlannedEntry, Rejection> {
    let mut lines = vec![];
    for number in &refund.entries {
        let entry = context.state.entry(context.book.id, *number).expect("a refund's entries stand in the journal");
        lines.extend(super::reverse::mirror(context, &entry.lines)?);
    }
    let document = DocumentRef::Refund(refund.id.clone());
    let entry = Lines::from(lines).into_entry(context, Rule::RefundFail, &fail.details, document)?;
    let reverses = match refund.entries.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    Ok(PlannedEntry { reverses, ..entry })
}

/// Takes back what `super::refund` remembered on the payment's application and on the charge.
fn restore(payment: &mut Payment, charge: &mut Charge, part: &RefundPart) {
    let application = payment
        .applications
        .iter_mut()
        .find(|application| application.charge == part.charge)
        .expect("a refund's part was taken of an application, which is kept");
    application.refunded -= part.amount.minor();
    charge.credited -= part.amount.minor();
    charge.credited_functional_net -= part.functional_net;
    for (line, taken) in charge.lines.iter_mut().zip(&part.tax) {
        for (tax, taken) in line.tax.iter_mut().zip(taken) {
            tax.refunded -= taken;
        }
    }
}
