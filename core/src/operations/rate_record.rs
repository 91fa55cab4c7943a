//! Recording a rate. One for the same pair and date replaces the one before; both stay in the journal.
//!
//! Refusals, in order: `unknown_currency` of base, then quote.

use crate::fx::Rate;
use crate::operation::RecordRate;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, record: &RecordRate) -> Result<Plan, Rejection> {
    let base = context.currency(&record.base, Field::Base)?;
    let quote = context.currency(&record.quote, Field::Quote)?;
    let rate = Rate {
        base: base.id,
        quote: quote.id,
        date: record.date,
        rate: record.rate,
        source: record.source.clone(),
        decided: context.position,
    };
    Ok(Plan { changes: vec![Change::Rate(rate)], ..Plan::default() })
}
