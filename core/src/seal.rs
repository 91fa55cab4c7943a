//! The trial balance that a close seals, and the text that its hash is taken of.
//!
//! The text is made so that anybody can make it again and run `b3sum` over it (docs/accounting.md, "Periods"): UTF-8,
//! every line ended by one line feed, single spaces, amounts as decimals with as many digits as the currency has.
//!
//! ```text
//! partita trial balance 1
//! book acme
//! as of 2026-01-31
//! assets:bank USD 1350.00 0.00
//! ```
//!
//! A row is account, currency, all debits and all credits since inception; rows are in the order of account and
//! currency codes, and those that nothing was ever posted to are left out.

use std::fmt::Write as _;

use crate::account::Book;
use crate::id::{AccountId, BookId};
use crate::money::Formatted;
use crate::period::{Digest, SealedBalance};
use crate::resolve::known_currency;
use crate::state::{ControlKey, Read};
use crate::time::Date;

/// All debits and credits of every account and currency of a book up to `as_of`, inclusive, in the order of codes.
pub fn trial_balance(state: &impl Read, book: BookId, as_of: Date) -> Vec<SealedBalance> {
    let mut rows = vec![];
    for number in 1..=state.totals(book).last_account.0 {
        let account = AccountId(number);
        for (currency, _) in state.controls_of(book, account) {
            let posted = state.posted_until(&ControlKey { book, account, currency }, as_of);
            if posted.debits != 0 || posted.credits != 0 {
                rows.push(SealedBalance { account, currency, debits: posted.debits, credits: posted.credits });
            }
        }
    }
    rows.sort_by_cached_key(|row| {
        let account = state.account(book, row.account).expect("a control is of an account of the chart");
        (account.code.clone(), known_currency(state, book, row.currency).code)
    });
    rows
}

/// The sealed text.
pub fn text(state: &impl Read, book: &Book, as_of: Date, balances: &[SealedBalance]) -> String {
    let mut text = format!("partita trial balance 1\nbook {}\nas of {as_of}\n", book.code);
    for row in balances {
        let account = state.account(book.id, row.account).expect("a sealed account is of the chart");
        let currency = known_currency(state, book.id, row.currency);
        let money = |minor| Formatted { minor, decimals: currency.decimals };
        let (debits, credits) = (money(row.debits), money(row.credits));
        writeln!(text, "{} {} {debits} {credits}", account.code, currency.code).expect("a string takes all text");
    }
    text
}

#[must_use]
pub fn hash(text: &str) -> Digest {
    Digest(*blake3::hash(text.as_bytes()).as_bytes())
}
