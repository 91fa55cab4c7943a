//! Reports as pure functions of what was posted. They know nothing of storage, of names in JSON or of layout.
//!
//! What they take is [`Posted`]: sums per account, currency and date. Whoever reads the ledger may add up the days of
//! a stretch and give its last day, as long as no date that the report asks about lies inside a stretch; so a report
//! costs the number of accounts and not that of days or entries.

pub mod ageing;
pub mod deferred;
pub mod financial_statements;
pub mod statement;
pub mod trial_balance;
pub mod year_close;

use crate::entry::Side;
use crate::id::{AccountId, CurrencyId};
use crate::state::Movement;
use crate::time::Date;

/// What was posted to one account and currency with one effective date, or over a stretch that ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    pub account: AccountId,
    pub currency: CurrencyId,
    pub date: Date,
    pub movement: Movement,
}

impl Posted {
    /// Debits less credits.
    #[must_use]
    pub fn debit_balance(&self) -> i128 {
        self.movement.debits - self.movement.credits
    }
}

/// A balance (debits less credits) as it is shown: positive on `normal`.
#[must_use]
pub fn on_side(debit_balance: i128, normal: Side) -> i128 {
    match normal {
        Side::Debit => debit_balance,
        Side::Credit => -debit_balance,
    }
}

/// A report whose sides differ is no report: the ledger's own data are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the report does not balance in currency {currency}: {debits} on one side, {credits} on the other")]
pub struct OutOfBalance {
    pub currency: CurrencyId,
    pub debits: i128,
    pub credits: i128,
}

/// Refuses sides that differ.
fn balanced(currency: CurrencyId, debits: i128, credits: i128) -> Result<(), OutOfBalance> {
    if debits == credits { Ok(()) } else { Err(OutOfBalance { currency, debits, credits }) }
}
