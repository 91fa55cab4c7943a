//! Registering a currency that ISO 4217 does not know.

use crate::currency::{Currency, FIRST_REGISTERED, MAX_REGISTERED};
use crate::id::CurrencyId;
use crate::operation::RegisterCurrency;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::resolve::find_currency;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, register: &RegisterCurrency) -> Result<Plan, Rejection> {
    if let Some(known) = find_currency(context.state, context.book.id, &register.code) {
        let reason = Reason::AlreadyExists { what: Existing::Currency(known.code), decided_at: known.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    let registered = context.state.totals(context.book.id).registered_currencies;
    if registered >= MAX_REGISTERED {
        return Err(Rejection::new(Reason::TooManyCurrencies, Field::Whole));
    }
    let currency = Currency {
        id: CurrencyId(FIRST_REGISTERED + registered),
        code: register.code.clone(),
        decimals: register.decimals,
        decided: context.position,
    };
    Ok(Plan { changes: vec![Change::Currency(currency)], ..Plan::default() })
}
