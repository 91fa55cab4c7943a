//! Voiding a payment's authorisation: what is still reserved is released; what was captured stays.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` if nothing is reserved.

use crate::document::{Payment, PaymentState};
use crate::operation::VoidPayment;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::Read;

use super::payment::{reservations, source_place, unapplied_place};

pub fn plan<S: Read>(context: &Context<'_, S>, void: &VoidPayment) -> Result<Plan, Rejection> {
    let payment = context.payment(&void.id, Field::Whole)?;
    if payment.pending == 0 {
        return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole));
    }
    release(context, payment, PaymentState::Voided)
}

/// Releases all that is pending; `state` is the payment's new state unless part of it was captured.
///
/// Its accounts are open: an account with pending amounts cannot be closed.
pub(super) fn release<S: Read>(
    context: &Context<'_, S>,
    mut payment: Payment,
    state: PaymentState,
) -> Result<Plan, Rejection> {
    let source = source_place(context, &payment, Field::Source)?;
    let unapplied = unapplied_place(context, &payment)?;
    let reservations = reservations(&source, &unapplied, -payment.pending).into();
    payment.pending = 0;
    payment.state = if payment.captured > 0 { PaymentState::Captured } else { state };
    Ok(Plan { reservations, changes: vec![Change::Payment(payment)], ..Plan::default() })
}
