//! Settling a refund: the money leaves. Debit refunds payable, credit the payment's source.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` unless the refund is pending; the source and the
//! refunds-payable account; `document_full`; the balances.

use crate::document::{Refund, RefundState};
use crate::entry::{DocumentRef, Rule};
use crate::id::Item;
use crate::operation::MoveRefund;
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

use super::payment::source_place;

pub fn plan<S: Read>(context: &Context<'_, S>, settle: &MoveRefund) -> Result<Plan, Rejection> {
    let mut refund = context.refund(&settle.id)?;
    match refund.state {
        RefundState::Pending => {}
        RefundState::Succeeded | RefundState::Failed => {
            return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole));
        }
    }
    let mut payment = context.payment(&refund.payment, Field::Whole)?;
    let payable = payable_place(context, &refund)?;
    let source = source_place(context, &payment, Field::Source)?;
    let mut lines = Lines::default();
    lines.debit(&payable, refund.amount.minor());
    lines.credit(&source, refund.amount.minor());
    let document = DocumentRef::Refund(refund.id.clone());
    let entry = lines.into_entry(context, Rule::RefundSettle, &settle.details, document)?;
    refund.state = RefundState::Succeeded;
    list_entry(&mut refund.entries, context.first_entry)?;
    list_entry(&mut payment.entries, context.first_entry)?;
    Ok(Plan {
        entries: vec![entry],
        changes: vec![Change::Refund(refund), Change::Payment(payment)],
        ..Plan::default()
    })
}

fn payable_place<S: Read>(context: &Context<'_, S>, refund: &Refund) -> Result<Place, Rejection> {
    let account = context.account_by_id(refund.payable, Field::Whole)?;
    let item = Item::from(&refund.id);
    let currency = context.currency_of(refund.currency);
    Place::new(&account, Some(&refund.customer), Some(&item), &currency, (Field::Whole, Field::Whole))
}
