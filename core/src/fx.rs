//! Rates, and the FX position valued at them.
//!
//! Every entry in a foreign currency leaves its counterpart on the FX-position account: the foreign amount on one side,
//! the functional value at the rate of the day on the other. The position is valued at a date's rates by multiplying
//! each foreign balance; what is left of that and of the functional balance is the gain or loss not yet posted.

use rust_decimal::Decimal;

use crate::account::Account;
use crate::id::{BookId, CurrencyId, Position};
use crate::money::convert_half_up;
use crate::resolve::known_currency;
use crate::state::{ControlKey, Read};
use crate::time::Date;

/// The price of one unit of `base` in units of `quote`, from this date until the next one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub base: CurrencyId,
    pub quote: CurrencyId,
    pub date: Date,
    /// Above zero, normalised.
    pub rate: Decimal,
    /// Who says so: `ECB`.
    pub source: String,
    /// The decision that left it so.
    pub decided: Position,
}

/// One foreign currency of the FX position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valued {
    pub currency: CurrencyId,
    /// The position's balance in it, debits less credits.
    pub balance: i128,
    pub rate: Decimal,
    /// The rate's own date: the last one up to the valuation's.
    pub rate_date: Date,
    /// The balance at the rate, in the functional currency.
    pub value: i128,
}

/// The FX position valued at the rates of a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valuation {
    pub date: Date,
    /// Currencies with a balance, in the order of their numbers.
    pub currencies: Vec<Valued>,
    /// The position's balance in the functional currency, debits less credits.
    pub functional: i128,
    /// What is left: `functional` and all values together. Zero after a revaluation at the same rates.
    pub difference: i128,
}

/// Why a position cannot be valued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotValue {
    /// There is no rate of it in the functional currency up to the date.
    RateMissing(CurrencyId),
    TooLarge,
}

/// Values the FX-position account as of a date, with each currency's last rate up to it.
pub fn value(
    state: &impl Read,
    book: BookId,
    functional: CurrencyId,
    position: &Account,
    date: Date,
) -> Result<Valuation, CannotValue> {
    let mut valuation = Valuation { date, currencies: vec![], functional: 0, difference: 0 };
    let decimals = known_currency(state, book, functional).decimals;
    for (currency, _) in state.controls_of(book, position.id) {
        let posted = state.posted_until(&ControlKey { book, account: position.id, currency }, date);
        let balance = posted.debits - posted.credits;
        if currency == functional {
            valuation.functional = balance;
        } else if balance != 0 {
            let rate = state.rate(book, currency, functional, date).ok_or(CannotValue::RateMissing(currency))?;
            let foreign = known_currency(state, book, currency).decimals;
            let value = convert_half_up(balance.abs(), rate.rate, foreign, decimals).ok_or(CannotValue::TooLarge)?;
            let value = value * balance.signum();
            valuation.currencies.push(Valued { currency, balance, rate: rate.rate, rate_date: rate.date, value });
        }
    }
    let values = valuation.currencies.iter().try_fold(0i128, |sum, valued| sum.checked_add(valued.value));
    valuation.difference =
        values.and_then(|values| values.checked_add(valuation.functional)).ok_or(CannotValue::TooLarge)?;
    Ok(valuation)
}
