//! Manual entries, single or several as one decision.

use crate::entry::Rule;
use crate::operation::{ManualKind, PostEntry};
use crate::plan::{Context, Plan, PlannedEntry, PlannedLine};
use crate::rejection::{Field, Reason, Rejection};
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
    check_sums(entry, &lines)?;
    let rule = match entry.kind {
        ManualKind::Standard => Rule::Standard,
        ManualKind::Opening => Rule::Opening,
        ManualKind::Adjusting => Rule::Adjusting,
    };
    let planned = PlannedEntry::new(rule, context.effective_date(&entry.details), &entry.details, lines);
    Ok(planned.expect("an entry that balances as written balances in minor units"))
}

/// 1,000 amounts below 10^36 each can pass what an integer of 128 bits holds.
fn check_sums(entry: &PostEntry, lines: &[PlannedLine]) -> Result<(), Rejection> {
    let mut sum = 0i128;
    for ((number, written), planned) in (0u16..).zip(&entry.lines).zip(lines) {
        sum = sum.checked_add(planned.line.amount.minor()).ok_or_else(|| {
            let account = written.account.code.clone();
            Rejection::new(Reason::BalanceTooLarge { account }, Field::Line(number))
        })?;
    }
    Ok(())
}
