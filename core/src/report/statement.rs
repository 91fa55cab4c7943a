//! A customer's statement: every entry that touched what they owe and what is theirs, with the balance after it.
//!
//! What a customer owes is their receivable; what is theirs is their unapplied cash, wallet, credit and refunds
//! payable. The balance is the one less the other, positive while they owe.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::entry::{Entry, Side};
use crate::id::{AccountId, CurrencyId, Item, Party};
use crate::resolve::role;

/// What an account holds of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Receivable,
    Unapplied,
    Wallet,
    Credit,
    RefundsPayable,
}

impl Part {
    /// By the account's role; `None`: it is no part of a statement.
    #[must_use]
    pub fn of(account: &Account) -> Option<Self> {
        account.party.as_ref()?;
        match account.role.as_ref()?.as_str() {
            role::RECEIVABLE => Some(Self::Receivable),
            role::UNAPPLIED_CASH => Some(Self::Unapplied),
            role::CUSTOMER_PREPAID => Some(Self::Wallet),
            role::CUSTOMER_CREDIT => Some(Self::Credit),
            role::REFUNDS_PAYABLE => Some(Self::RefundsPayable),
            _ => None,
        }
    }
}

/// Minor units; each is positive on its own side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Debit.
    pub receivable: i128,
    /// Credit, as all that follow.
    pub unapplied: i128,
    pub wallet: i128,
    pub credit: i128,
    pub refunds_payable: i128,
}

impl Balances {
    /// Adds debits less credits of one part.
    pub fn add(&mut self, part: Part, net_debit: i128) {
        match part {
            Part::Receivable => self.receivable += net_debit,
            Part::Unapplied => self.unapplied -= net_debit,
            Part::Wallet => self.wallet -= net_debit,
            Part::Credit => self.credit -= net_debit,
            Part::RefundsPayable => self.refunds_payable -= net_debit,
        }
    }

    /// What the customer owes, less what is theirs.
    #[must_use]
    pub fn balance(self) -> i128 {
        let Self { receivable, unapplied, wallet, credit, refunds_payable } = self;
        receivable - unapplied - wallet - credit - refunds_payable
    }
}

/// What one entry did to a customer in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub currency: CurrencyId,
    /// On all parts together.
    pub debits: i128,
    pub credits: i128,
    /// After it.
    pub after: Balances,
    /// The items of its lines, each once: the charges that a payment settled, the payment whose money was applied.
    pub items: Vec<Item>,
}

/// A statement that is being made, entry by entry.
#[derive(Clone, Debug)]
pub struct Statement {
    customer: Party,
    parts: BTreeMap<AccountId, Part>,
    running: BTreeMap<CurrencyId, Balances>,
}

impl Statement {
    /// `opening`: the balances before the first entry.
    #[must_use]
    pub fn new(customer: Party, parts: BTreeMap<AccountId, Part>, opening: BTreeMap<CurrencyId, Balances>) -> Self {
        Self { customer, parts, running: opening }
    }

    /// The next entry: a row per currency in which it touched the customer.
    pub fn take(&mut self, entry: &Entry) -> Vec<Row> {
        let mut rows: BTreeMap<CurrencyId, Row> = BTreeMap::new();
        for line in &entry.lines {
            let Some(part) = self.parts.get(&line.account) else { continue };
            if line.party.as_ref() != Some(&self.customer) {
                continue;
            }
            let running = self.running.entry(line.currency).or_default();
            let row = rows.entry(line.currency).or_insert_with(|| Row {
                currency: line.currency,
                debits: 0,
                credits: 0,
                after: *running,
                items: vec![],
            });
            let minor = line.amount.minor();
            match line.side {
                Side::Debit => {
                    row.debits += minor;
                    running.add(*part, minor);
                }
                Side::Credit => {
                    row.credits += minor;
                    running.add(*part, -minor);
                }
            }
            row.after = *running;
            if let Some(item) = line.item.as_ref().filter(|item| !row.items.contains(item)) {
                row.items.push(item.clone());
            }
        }
        rows.into_values().collect()
    }

    /// The balances after the last entry taken.
    #[must_use]
    pub fn closing(&self) -> &BTreeMap<CurrencyId, Balances> {
        &self.running
    }
}
