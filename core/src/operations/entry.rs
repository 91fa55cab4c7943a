//! Manual entries, single or several as one decision.

use crate::entry::Rule;
use crate::operation::{ManualKind, PostEntry};
use crate::plan::{Context, Plan, PlannedEntry};
use crate::rejection::{Field, Rejection};
use crate::state::Read;

/// `atomic`: refusals say which of the entries they are about.
pub fn plan<S: Read>(context: &Context<'_, S>, entries: &[PostEntry], atomic: bool) -> Result<Plan, Rejection> {
    let mut plan = Plan::default();
    for (index, entry) in (0u32..).zip(entries) {
        let index = atomic.then_some(index);
        let planned = plan_one(context, entry).map_err(|rejection| Rejection { index, ..rejection })?;
        plan.entries.push(PlannedEntry { index, ..planned });
    }
    Ok(plan)
}

fn plan_one<S: Read>(context: &Context<'_, S>, entry: &PostEntry) -> Result<PlannedEntry, Rejection> {
    let mut lines = Vec::with_capacity(entry.lines.len());
    for (number, line) in (0u16..).zip(&entry.lines) {
        let field = Field::Line(number);
        lines.push(context.written_line(
            &line.account,
            line.side,
            line.amount,
            &line.currency,
            (field, field, field),
        )?);
    }
    let rule = match entry.kind {
        ManualKind::Standard => Rule::Standard,
        ManualKind::Opening => Rule::Opening,
        ManualKind::Adjusting => Rule::Adjusting,
    };
    let planned = PlannedEntry::new(rule, context.effective_date(&entry.details), &entry.details, lines);
    Ok(planned.expect("an entry that balances as written balances in minor units"))
}
