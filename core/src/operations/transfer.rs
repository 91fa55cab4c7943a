//! Transfers: entries of two lines, single or several as one decision.

use crate::entry::{Rule, Side};
use crate::operation::Transfer;
use crate::plan::{Context, Plan, PlannedEntry};
use crate::rejection::{Field, Rejection};
use crate::state::Read;

/// `atomic`: refusals say which of the transfers they are about.
pub fn plan<S: Read>(context: &Context<'_, S>, transfers: &[Transfer], atomic: bool) -> Result<Plan, Rejection> {
    let mut plan = Plan { entries: Vec::with_capacity(transfers.len()), ..Plan::default() };
    for (index, transfer) in (0u32..).zip(transfers) {
        let index = atomic.then_some(index);
        let planned = plan_one(context, transfer).map_err(|rejection| Rejection { index, ..rejection })?;
        plan.entries.push(PlannedEntry { index, ..planned });
    }
    Ok(plan)
}

fn plan_one<S: Read>(context: &Context<'_, S>, transfer: &Transfer) -> Result<PlannedEntry, Rejection> {
    let Transfer { debit, credit, amount, currency, details } = transfer;
    let lines = vec![
        context.written_line(debit, Side::Debit, *amount, currency, (Field::Debit, Field::Currency, Field::Amount))?,
        context.written_line(
            credit,
            Side::Credit,
            *amount,
            currency,
            (Field::Credit, Field::Currency, Field::Amount),
        )?,
    ];
    let planned = PlannedEntry::new(Rule::Transfer, context.effective_date(details), details, lines);
    Ok(planned.expect("both lines have one amount and currency"))
}
