//! The balances that a beancount ledger says it has: those that pads fill up to, and those that are asserted.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_decimal::Decimal;

use super::booking::Leg;
use super::source::Block;
use super::{Event, What};
use crate::cli::import_journal::proposed::Journal;

/// By beancount's account name and currency.
#[derive(Debug, Default)]
pub(super) struct Balances(BTreeMap<(String, String), Decimal>);

/// What each pad adds, by its place among the events: the currency, and the lines.
pub(super) type Pads = HashMap<usize, Vec<(Option<String>, Vec<(String, Leg)>)>>;

struct Padding<'a> {
    index: usize,
    source: &'a str,
    /// Only the first balance after it in each currency counts.
    done: HashSet<&'a str>,
}

impl Balances {
    pub(super) fn add(&mut self, legs: &[(String, Leg)]) {
        for (name, leg) in legs.iter().filter(|(_, leg)| leg.posting.is_some()) {
            *self.0.entry((name.clone(), leg.currency.clone())).or_default() += leg.amount;
        }
    }

    /// Of an account with those below it.
    fn of(&self, account: &str, currency: &str) -> Decimal {
        let within =
            |name: &str| name.strip_prefix(account).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        let own = self.0.iter().filter(|((name, own), _)| own == currency && within(name));
        own.map(|(_, amount)| *amount).sum()
    }

    /// What the pads come to. Beancount computes each from the transactions and the account's own earlier pads alone.
    pub(super) fn pads(&self, events: &[Event<'_>]) -> Pads {
        let mut balances = Self::default();
        let mut padding: HashMap<&str, Padding<'_>> = HashMap::new();
        let mut pads = Pads::new();
        for (index, event) in events.iter().enumerate() {
            match &event.what {
                What::Transaction(legs) => balances.add(legs),
                What::Pad { account, source } => {
                    padding.insert(account, Padding { index, source, done: HashSet::new() });
                }
                What::Balance { account, amount, currency, tolerance } => {
                    let Some(padding) = padding.get_mut(account.as_str()) else { continue };
                    let missing = *amount - balances.of(account, currency);
                    if !padding.done.insert(currency) || missing.abs() <= *tolerance {
                        continue;
                    }
                    let leg = |amount| Leg { posting: Some(0), currency: currency.clone(), amount };
                    let own = (account.clone(), leg(missing));
                    balances.add(std::slice::from_ref(&own));
                    let legs = vec![own, (padding.source.to_owned(), leg(-missing))];
                    pads.entry(padding.index).or_default().push((Some(currency.clone()), legs));
                }
            }
        }
        pads
    }

    /// Whether what came before arrives at an asserted balance.
    pub(super) fn hold(
        &self,
        block: &Block,
        account: &str,
        (amount, currency, tolerance): (Decimal, &str, Decimal),
        journal: &mut Journal,
    ) {
        let found = self.of(account, currency);
        if (found - amount).abs() <= tolerance {
            journal.balances_held += 1;
        } else {
            let why = format!("{account} has {found} {currency} then, not {amount}");
            journal.refuse(&block.place, "balance_differs", why);
        }
    }
}
