//! Voiding a charge: the mirror image of its entry, while nothing has happened to it.
//!
//! Refusals, in order: `unknown_document`; `charge_not_open` if it is voided, credited, applied to, paid by a manual
//! entry or recognised in part; closed accounts of the entry's lines.

use crate::commit::{deferred_amount, open_amount};
use crate::document::Charge;
use crate::entry::{DocumentRef, Rule};
use crate::operation::VoidCharge;
use crate::place::Lines;
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, void: &VoidCharge) -> Result<Plan, Rejection> {
    let mut charge = context.charge(&void.id, Field::Whole)?;
    if !untouched(context, &charge) {
        return Err(Rejection::new(Reason::ChargeNotOpen, Field::Whole));
    }
    let number = *charge.entries.first().expect("a charge has the entry that made it");
    let charged = context.state.entry(context.book.id, number).expect("a charge's entry stands in the journal");
    let mirrored = Lines::from(super::reverse::mirror(context, &charged.lines)?);
    let document = DocumentRef::Charge(charge.id.clone());
    let entry = mirrored.into_entry(context, Rule::ChargeVoid, &void.details, document)?;
    charge.voided = true;
    list_entry(&mut charge.entries, context.first_entry)?;
    Ok(Plan {
        entries: vec![PlannedEntry { reverses: Some(number), ..entry }],
        changes: vec![Change::Charge(charge)],
        ..Plan::default()
    })
}

fn untouched<S: Read>(context: &Context<'_, S>, charge: &Charge) -> bool {
    let book = &context.book;
    let deferred: i128 = charge.lines.iter().filter(|line| line.defer.is_some()).map(|line| line.functional_net).sum();
    let applied = charge.payments.iter().any(|id| {
        let payment = context.state.payment(book.id, id).expect("a charge lists payments that exist");
        payment.applications.iter().any(|application| application.charge == charge.id && application.amount > 0)
    });
    !charge.voided
        && charge.credited == 0
        && !applied
        && open_amount(context.state, book.id, charge) == charge.amount.minor()
        && deferred_amount(context.state, book.id, charge, book.functional_currency) == deferred
}
