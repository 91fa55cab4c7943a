//! Capturing a hold, whole or in part: what is captured is posted; a final capture releases the rest.

use crate::document::{Endpoint, Hold, HoldState};
use crate::entry::{DocumentRef, DraftLine, Rule, Side};
use crate::money::Amount;
use crate::operation::CaptureHold;
use crate::plan::{Change, Context, Plan, PlannedEntry, PlannedLine};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::list_entry;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, capture: &CaptureHold) -> Result<Plan, Rejection> {
    let mut hold = context.hold(&capture.id)?;
    if hold.pending == 0 {
        return Err(Rejection::new(Reason::HoldNotOpen, Field::Whole));
    }
    context.account_by_id(hold.debit.account, Field::Debit)?;
    context.account_by_id(hold.credit.account, Field::Credit)?;
    let currency = context.currency_of(hold.currency);
    let amount = match capture.amount {
        Some(written) => context.amount(written, &currency, Field::Amount)?,
        None => Amount::new(hold.pending).expect("a pending amount that is not zero is above it"),
    };
    if amount.minor() > hold.pending {
        let reason = Reason::OverCapture { available: hold.pending, decimals: currency.decimals };
        return Err(Rejection::new(reason, Field::Amount));
    }
    let released = if capture.is_final { hold.pending } else { amount.minor() };
    let reservations = super::hold_place::reservations(&hold, -released).into();
    let lines = vec![
        line(&hold, &hold.debit, Side::Debit, amount, Field::Debit),
        line(&hold, &hold.credit, Side::Credit, amount, Field::Credit),
    ];
    let entry = PlannedEntry::new(Rule::HoldCapture, context.effective_date(&capture.details), &capture.details, lines)
        .expect("both lines have one amount and currency")
        .of(DocumentRef::Hold(hold.id.clone()));
    hold.captured += amount.minor();
    hold.pending -= released;
    hold.state = if hold.pending == 0 { HoldState::Captured } else { HoldState::PartiallyCaptured };
    list_entry(&mut hold.entries, context.first_entry)?;
    Ok(Plan { entries: vec![entry], reservations, changes: vec![Change::Hold(hold)] })
}

fn line(hold: &Hold, endpoint: &Endpoint, side: Side, amount: Amount, field: Field) -> PlannedLine {
    let line = DraftLine {
        account: endpoint.account,
        party: endpoint.party.clone(),
        item: endpoint.item.clone(),
        side,
        amount,
        currency: hold.currency,
    };
    PlannedLine { line, field }
}
