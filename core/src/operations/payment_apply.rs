//! Applying unapplied cash to charges, on the caller's word: debit unapplied cash, credit receivable.
//!
//! Refusals, in order: `unknown_document`; `payment_not_open` if nothing was captured; the unapplied-cash account
//! and the amounts; charge by charge `unknown_document`, `customer_mismatch`, `currency_mismatch`; charge by charge
//! `charge_not_open`, `account_closed`, `over_application`; `document_full`; the balances.

use crate::commit::unapplied_amount;
use crate::entry::{DocumentRef, Rule};
use crate::operation::ApplyPayment;
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

use super::application::{Asked, Targets, asked};
use super::payment::unapplied_place;

pub fn plan<S: Read>(context: &Context<'_, S>, apply: &ApplyPayment) -> Result<Plan, Rejection> {
    let mut payment = context.payment(&apply.id, Field::Whole)?;
    if payment.captured == 0 {
        return Err(Rejection::new(Reason::PaymentNotOpen, Field::Whole));
    }
    let unapplied = unapplied_place(context, &payment)?;
    let currency = context.currency_of(payment.currency);
    let asked = asked(context, &apply.apply, &currency)?;
    let mut targets = Targets::find(context, &payment, &asked)?;
    for Asked { charge, field, .. } in &asked {
        let target = targets.get(charge);
        if target.open == 0 {
            return Err(Rejection::new(Reason::ChargeNotOpen, *field));
        }
        context.account_by_id(target.charge.receivable, *field)?;
    }
    let mut left = unapplied_amount(context.state, context.book.id, &payment).max(0);
    let total = asked.iter().map(|asked| asked.amount).sum();
    let mut lines = Lines::default();
    lines.debit(&unapplied, total);
    for Asked { charge, amount, field } in &asked {
        let target = targets.get(charge);
        let available = target.open.min(left);
        if *amount > available {
            let reason = Reason::OverApplication { available, decimals: currency.decimals };
            return Err(Rejection::new(reason, *field));
        }
        lines.credit(&Place::receivable(&target.charge, *field), *amount);
        targets.apply(&mut payment, charge, *amount, context.first_entry)?;
        left -= amount;
    }
    list_entry(&mut payment.entries, context.first_entry)?;
    let document = DocumentRef::Payment(payment.id.clone());
    let entry = lines.into_entry(context, Rule::PaymentApply, &apply.details, document)?;
    let changes = std::iter::once(Change::Payment(payment)).chain(targets.into_changes()).collect();
    Ok(Plan { entries: vec![entry], changes, ..Plan::default() })
}
