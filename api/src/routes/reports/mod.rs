//! The reports, one file each: its query, the pure function of core that makes it, its columns.

pub mod journal_listing;
pub mod trial_balance;

use partita_core::id::CurrencyId;

use crate::names::Names;
use crate::problem::{Code, Problem};

/// The ledger's own data are wrong: there is no report.
fn unequal(names: &Names, currency: CurrencyId) -> Problem {
    let currency = names.currency_code(currency);
    tracing::error!(book = %names.book.code, currency, "a report does not balance");
    let detail = format!("book {}: debits and credits differ in {currency}; run `partita verify`", names.book.code);
    Problem::new(Code::OutOfBalance, detail).with("currency", currency)
}
