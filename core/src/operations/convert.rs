//! Converting money into another currency: what is given and what is received meet on the FX position, so that the
//! entry balances in both currencies (docs/rules.md, "Events").
//!
//! A fee is part of what the bank gave: it is borne in the currency received. What the rate of the conversion gained or
//! lost against earlier ones stays on the position until it is revalued.
//!
//! Refusals, in order: the account, currency and amount given; those received; the FX position in both currencies; the
//! fee's account and amount; `period_closed`; the balances.

use crate::entry::{Rule, Side};
use crate::operation::Convert;
use crate::place::{Lines, Place};
use crate::plan::{Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::role;
use crate::state::Read;

use super::payment_fee::fee;

pub fn plan<S: Read>(context: &Context<'_, S>, convert: &Convert) -> Result<Plan, Rejection> {
    let fields = (Field::Credit, Field::Currency, Field::Amount);
    let given = context.written_line(&convert.from, Side::Credit, convert.amount, &convert.currency, fields)?;
    let fields = (Field::Debit, Field::ReceivedCurrency, Field::Received);
    let received =
        context.written_line(&convert.to, Side::Debit, convert.received, &convert.received_currency, fields)?;
    let account = context.role(role::FX_POSITION)?;
    let (given_currency, received_currency) =
        (context.currency_of(given.line.currency), context.currency_of(received.line.currency));
    let at = (Field::Role, Field::Role);
    let position_given = Place::new(&account, None, None, &given_currency, at)?;
    let position_received = Place::new(&account, None, None, &received_currency, at)?;
    let fee = convert.fee.map(|written| fee(context, written, &received_currency, Field::Fee)).transpose()?;
    let fee_minor = fee.as_ref().map_or(0, |fee| fee.minor());
    let too_large = || Rejection::new(Reason::BalanceTooLarge { account: account.code.clone() }, Field::Fee);
    let bought = received.line.amount.minor().checked_add(fee_minor).ok_or_else(too_large)?;
    let mut position = Lines::default();
    position.debit(&position_given, given.line.amount.minor());
    position.credit(&position_received, bought);
    let mut lines = position.into_lines();
    let on_position = lines.pop().expect("both lines of the position are above zero");
    lines.push(received);
    if let Some(fee) = &fee {
        let mut borne = Lines::default();
        borne.debit(fee.place(), fee.minor());
        lines.extend(borne.into_lines());
    }
    lines.extend([given, on_position]);
    let entry = PlannedEntry::new(Rule::Conversion, context.effective_date(&convert.details), &convert.details, lines);
    Ok(Plan { entries: vec![entry.expect("each currency's lines are of one amount")], ..Plan::default() })
}
