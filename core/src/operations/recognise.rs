//! Recognising deferred revenue: debit the charge's deferred item, credit the revenue of its lines, as much as is due
//! by the end of a day (docs/rules.md, rule 13).
//!
//! One command goes over a bounded part of the deferred items, in the order of customer and item, and says where the
//! next one goes on. Each charge that something is due of gets an entry of its own, dated that day. What is not due
//! posts nothing, so that recognising twice is recognising once; never more is recognised than the item holds and no
//! hold reserves.
//!
//! Refusals, in order: `role_missing`; charge by charge closed accounts of its lines; `period_closed`.

use crate::account::Account;
use crate::commit::available;
use crate::document::Charge;
use crate::entry::{DocumentRef, Rule, Side};
use crate::id::{DocumentId, EntryNumber, Item, Party};
use crate::operation::{Details, Recognise};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::recognition::{MAX_EXAMINED, MAX_RECOGNISED, Recognised, RecognisedUpTo, RecognitionRun, deferred_lines};
use crate::rejection::{Field, Rejection};
use crate::resolve::role;
use crate::schedule::due;
use crate::state::{ItemKey, Read, Sums};

pub fn plan<S: Read>(context: &Context<'_, S>, recognise: &Recognise) -> Result<Plan, Rejection> {
    let account = context.role(role::DEFERRED_REVENUE)?;
    let rows = context.state.items_after(context.book.id, account.id, recognise.after.as_ref(), MAX_EXAMINED);
    let mut plan = Plan::default();
    let mut run = RecognitionRun { through: recognise.through, charges: 0, amount: 0, next: None };
    let is_last_page = rows.len() < MAX_EXAMINED;
    let mut last = None;
    for (key, sums) in rows {
        if plan.entries.len() == MAX_RECOGNISED {
            run.next = last.clone();
            break;
        }
        last = Some(RecognisedUpTo { customer: key.party.clone(), item: key.item.clone() });
        let number = context.entry_number(plan.entries.len());
        let Some(step) = step(context, recognise, number, (&account, &key, &sums))? else { continue };
        run.charges += 1;
        run.amount += step.amount;
        plan.entries.push(step.entry);
        plan.changes.push(Change::Recognised(step.recognised));
    }
    if run.next.is_none() && !is_last_page {
        run.next = last;
    }
    plan.changes.insert(0, Change::RecognitionRun(run));
    Ok(plan)
}

/// What is recognised of one charge.
struct Step {
    entry: PlannedEntry,
    recognised: Recognised,
    amount: i128,
}

fn step<S: Read>(
    context: &Context<'_, S>,
    recognise: &Recognise,
    number: EntryNumber,
    (account, key, sums): (&Account, &ItemKey, &Sums),
) -> Result<Option<Step>, Rejection> {
    let balance = available(sums, Side::Credit);
    if balance <= 0 || key.currency != context.book.functional_currency {
        return Ok(None);
    }
    let Some(charge) = charge_of(context, account, key) else { return Ok(None) };
    let before = context.state.recognised(context.book.id, &charge.id);
    let lines = deferred_lines(&charge, before.as_ref());
    let deferred: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
    let amounts = due(&deferred, balance, recognise.through);
    let amount: i128 = amounts.iter().sum();
    if amount == 0 {
        return Ok(None);
    }
    let mut recognised = Recognised {
        charge: charge.id.clone(),
        customer: charge.customer.clone(),
        lines: before.as_ref().map_or_else(|| vec![0; charge.lines.len()], |before| before.lines.clone()),
        through: before.as_ref().map_or(recognise.through, |before| before.through.max(recognise.through)),
        last_entry: number,
        decided: context.position,
    };
    let functional = context.functional();
    let at = (Field::Whole, Field::Whole);
    let mut posted = Lines::default();
    posted.debit(&Place::new(account, Some(&charge.customer), Some(&key.item), &functional, at)?, amount);
    for ((index, _), amount) in lines.iter().zip(&amounts) {
        let revenue = context.account_by_id(charge.lines[*index].revenue, Field::Whole)?;
        posted.credit(&Place::new(&revenue, None, None, &functional, at)?, *amount);
        recognised.lines[*index] += amount;
    }
    let details = Details {
        effective_date: Some(recognise.through),
        description: format!("Recognition through {}", recognise.through),
        metadata: recognise.metadata.clone(),
    };
    let entry = posted.into_entry(context, Rule::Recognition, &details, DocumentRef::Charge(charge.id))?;
    Ok(Some(Step { entry, recognised, amount }))
}

/// The charge that a deferred item is of: a manual entry may have made the item instead.
fn charge_of<S: Read>(context: &Context<'_, S>, account: &Account, key: &ItemKey) -> Option<Charge> {
    let id = charge_id(&key.item);
    let charge = context.state.charge(context.book.id, &id)?;
    let is_its_own = key.party.as_ref() == Some::<&Party>(&charge.customer) && charge.deferred == Some(account.id);
    (is_its_own && !charge.voided).then_some(charge)
}

fn charge_id(item: &Item) -> DocumentId {
    DocumentId::new(item.as_str()).expect("items and documents have the same characters")
}
