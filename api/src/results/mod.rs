//! The answer to a batch, written item by item into one buffer, as JSON or in the binary form.

mod binary;
mod digits;
mod json;
#[cfg(test)]
mod tests;

use axum::http::HeaderValue;
use partita_core::account::Account;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{AccountId, CurrencyId, Position};
use partita_core::time::Timestamp;

use crate::batch::ResultJson;
use crate::names::Names;

pub(crate) use binary::BinaryResults;
pub(crate) use json::JsonResults;

/// Results so far, in the order of the request.
pub(crate) trait Results<'a> {
    const CONTENT_TYPE: HeaderValue;

    /// For about `count` results. `decision` is that of an atomic batch.
    fn new(names: &'a Names, count: usize, decision: Option<(Position, Timestamp)>) -> Self;

    /// An entry that was posted now.
    fn posted(&mut self, entry: &Entry, position: Position);

    /// Anything else.
    fn other(&mut self, result: &ResultJson);

    fn finish(self) -> Vec<u8>;
}

/// Accounts with numbers above this are looked up each time: numbers are dense, and a chart seldom has as many.
const MOST_SIDES: usize = 65_536;

/// What balances look like: the normal sides of the accounts met so far, and the decimals of the currency met last.
#[derive(Debug)]
struct Balances<'a> {
    names: &'a Names,
    sides: Vec<Option<Side>>,
    decimals: Option<(CurrencyId, u8)>,
}

impl<'a> Balances<'a> {
    fn new(names: &'a Names) -> Self {
        Self { names, sides: Vec::new(), decimals: None }
    }

    /// The balance after a line in minor units, positive on its account's normal side, and its currency's decimals.
    fn after(&mut self, line: &Line) -> (i128, u8) {
        (line.balance_after(self.side(line.account)), self.decimals(line.currency))
    }

    fn side(&mut self, account: AccountId) -> Side {
        let index = usize::try_from(account.0).unwrap_or(usize::MAX);
        if let Some(Some(side)) = self.sides.get(index) {
            return *side;
        }
        let side = Account::normal_side(&self.names.account(account));
        if index < MOST_SIDES {
            if index >= self.sides.len() {
                self.sides.resize(index + 1, None);
            }
            self.sides[index] = Some(side);
        }
        side
    }

    fn decimals(&mut self, currency: CurrencyId) -> u8 {
        match self.decimals {
            Some((known, decimals)) if known == currency => decimals,
            _ => {
                let decimals = self.names.currency(currency).decimals;
                self.decimals = Some((currency, decimals));
                decimals
            }
        }
    }
}
