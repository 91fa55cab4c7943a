//! Reversal: the mirror image of an entry, dated today unless said otherwise (docs/rules.md, rule 2).

use crate::entry::{DraftLine, Line, Rule};
use crate::operation::{Details, ReverseEntry};
use crate::plan::{Context, Plan, PlannedEntry, PlannedLine};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, reverse: &ReverseEntry) -> Result<Plan, Rejection> {
    let refuse = |reason| Rejection::new(reason, Field::Whole);
    let book = context.book.id;
    let record = context.state.entry_record(book, reverse.number).ok_or_else(|| refuse(Reason::UnknownDocument))?;
    if let Some(by) = record.reversed_by {
        return Err(refuse(Reason::AlreadyReversed { by }));
    }
    let entry = context.state.entry(book, reverse.number).expect("an entry that has a record stands in the journal");
    if !entry.rule.reversible() {
        return Err(refuse(Reason::NotReversible));
    }
    let lines = mirror(context, &entry.lines)?;
    let description = match reverse.details.description.as_str() {
        "" => format!("Reversal of entry {}", entry.number),
        given => given.to_owned(),
    };
    let details = Details { description, ..reverse.details.clone() };
    let planned = PlannedEntry::new(Rule::Reversal, context.effective_date(&details), &details, lines)
        .expect("the mirror image of a balanced entry is balanced");
    Ok(Plan { entries: vec![PlannedEntry { reverses: Some(entry.number), ..planned }], ..Plan::default() })
}

/// The same lines on their other sides; their accounts must be open still.
pub fn mirror<S: Read>(context: &Context<'_, S>, lines: &[Line]) -> Result<Vec<PlannedLine>, Rejection> {
    let mut mirrored = Vec::with_capacity(lines.len());
    for (number, line) in (0u16..).zip(lines) {
        let field = Field::Line(number);
        context.account_by_id(line.account, field)?;
        let line = DraftLine {
            account: line.account,
            party: line.party.clone(),
            item: line.item.clone(),
            side: line.side.opposite(),
            amount: line.amount,
            currency: line.currency,
        };
        mirrored.push(PlannedLine { line, field });
    }
    Ok(mirrored)
}
