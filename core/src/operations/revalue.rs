//! Revaluing the FX position at the rates of a date: what is left of the position at those rates goes to unrealised
//! gains and losses, and the position is zero at them.
//!
//! The position's functional balance is one for all foreign currencies, so there is one entry for all of them; its
//! metadata says each one's balance, rate and value. Nothing to post is no refusal.
//!
//! Refusals, in order: `role_missing`; `rate_missing`, by the currencies' numbers; `period_closed`; the balances.

use crate::entry::Rule;
use crate::fx::{CannotValue, Valuation, value};
use crate::money::Formatted;
use crate::operation::{Details, Revalue};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::role;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, revalue: &Revalue) -> Result<Plan, Rejection> {
    let functional = context.functional();
    let position = context.role(role::FX_POSITION)?;
    let unrealised = context.role(role::FX_UNREALISED)?;
    let at = (Field::Role, Field::Role);
    let position_place = Place::new(&position, None, None, &functional, at)?;
    let unrealised_place = Place::new(&unrealised, None, None, &functional, at)?;
    let valuation =
        value(context.state, context.book.id, functional.id, &position, revalue.date).map_err(|cannot| {
            let reason = match cannot {
                CannotValue::RateMissing(currency) => Reason::RateMissing {
                    base: context.currency_of(currency).code,
                    quote: functional.code.clone(),
                    date: revalue.date,
                },
                CannotValue::TooLarge => Reason::BalanceTooLarge { account: position.code.clone() },
            };
            Rejection::new(reason, Field::Whole)
        })?;
    let mut lines = Lines::default();
    lines.debit(&position_place, -valuation.difference);
    lines.credit(&unrealised_place, -valuation.difference);
    let lines = lines.into_lines();
    let mut entries = vec![];
    if !lines.is_empty() {
        let details = details(context, revalue, &valuation);
        let entry = PlannedEntry::new(Rule::Revaluation, revalue.date, &details, lines);
        entries.push(entry.expect("both lines have one amount and currency"));
    }
    Ok(Plan { entries, changes: vec![Change::Valuation(valuation)], ..Plan::default() })
}

fn details<S: Read>(context: &Context<'_, S>, revalue: &Revalue, valuation: &Valuation) -> Details {
    let mut details = Details {
        effective_date: Some(revalue.date),
        description: format!("Revaluation of the FX position at {}", revalue.date),
        ..Details::default()
    };
    let functional = context.functional();
    // At most as many pairs as an entry has; the decision's own record has all of them.
    for valued in valuation.currencies.iter().take(crate::entry::MAX_METADATA.0) {
        let currency = context.currency_of(valued.currency);
        let balance = Formatted { minor: valued.balance, decimals: currency.decimals };
        let value = Formatted { minor: valued.value, decimals: functional.decimals };
        let text = format!("{balance} at {} is {value} {}", valued.rate, functional.code);
        details.metadata.insert(currency.code.to_string(), text);
    }
    details
}
