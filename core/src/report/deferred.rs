//! The roll-forward of deferred revenue: opening + billed − recognised − credited = closing, month by month.
//!
//! What an entry did to deferred revenue follows from what stands against it, so that manual entries are understood
//! as well as those of operations. What stands against nothing of the kind is an adjustment, with a column of its own.

use std::collections::BTreeMap;

use crate::account::{Account, Class};
use crate::entry::{DocumentRef, Entry, Line, Side};
use crate::id::{AccountId, CurrencyId};
use crate::resolve::role;
use crate::schedule::end_of_month;
use crate::state::Movement;
use crate::time::Date;

/// Why deferred revenue changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Billed,
    Recognised,
    Credited,
    Adjusted,
}

/// What an account on the other side says about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    RefundsPayable,
    Receivable,
    CreditsAndRefunds,
    Revenue,
    Other,
}

impl Standing {
    #[must_use]
    pub fn of(account: &Account) -> Self {
        match account.role.as_ref().map(crate::id::Role::as_str) {
            Some(role::REFUNDS_PAYABLE) => Self::RefundsPayable,
            Some(role::RECEIVABLE) => Self::Receivable,
            Some(role::CREDITS_AND_REFUNDS) => Self::CreditsAndRefunds,
            Some(_) | None if account.class == Class::Revenue => Self::Revenue,
            Some(_) | None => Self::Other,
        }
    }
}

/// Why `entry` changed deferred revenue. A refund owes what it takes back; a charge, its void, and whatever is owed by a
/// customer for it is billing; what lowers a receivable otherwise is a credit; what is left against revenue is
/// recognition.
pub fn cause(entry: &Entry, standing: impl Fn(AccountId) -> Standing) -> Cause {
    let has = |wanted| entry.lines.iter().any(|line| standing(line.account) == wanted);
    let owed = |line: &Line| standing(line.account) == Standing::Receivable && line.side == Side::Debit;
    let is_charge = matches!(entry.document, Some(DocumentRef::Charge(_)));
    if has(Standing::RefundsPayable) {
        Cause::Credited
    } else if has(Standing::Receivable) {
        if is_charge || entry.lines.iter().any(owed) { Cause::Billed } else { Cause::Credited }
    } else if has(Standing::Revenue) {
        Cause::Recognised
    } else if has(Standing::CreditsAndRefunds) {
        Cause::Credited
    } else {
        Cause::Adjusted
    }
}

/// One month, or all of them; minor units, all positive on the credit side but `recognised` and `credited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub opening: i128,
    pub billed: i128,
    pub recognised: i128,
    pub credited: i128,
    pub adjusted: i128,
}

impl Flow {
    #[must_use]
    pub fn closing(self) -> i128 {
        let Self { opening, billed, recognised, credited, adjusted } = self;
        opening + billed - recognised - credited + adjusted
    }

    fn add(&mut self, cause: Cause, credit: i128) {
        match cause {
            Cause::Billed => self.billed += credit,
            Cause::Recognised => self.recognised -= credit,
            Cause::Credited => self.credited -= credit,
            Cause::Adjusted => self.adjusted += credit,
        }
    }
}

/// The flows of one deferred-revenue account, by currency and by the last day of the month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollForward {
    account: AccountId,
    months: BTreeMap<(CurrencyId, Date), Flow>,
}

/// The flows do not come to the account's balance: the ledger is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roll-forward of currency {currency} closes at {closing}, the account at {balance}")]
pub struct Untied {
    pub currency: CurrencyId,
    pub closing: i128,
    pub balance: i128,
}

/// A month's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub currency: CurrencyId,
    /// The last day of the month, or of the report.
    pub through: Date,
    pub flow: Flow,
}

impl RollForward {
    #[must_use]
    pub fn new(account: AccountId) -> Self {
        Self { account, months: BTreeMap::new() }
    }

    /// An entry of the period, in any order.
    pub fn take(&mut self, entry: &Entry, standing: impl Fn(AccountId) -> Standing) {
        let cause = cause(entry, standing);
        for line in entry.lines.iter().filter(|line| line.account == self.account) {
            let credit = match line.side {
                Side::Debit => -line.amount.minor(),
                Side::Credit => line.amount.minor(),
            };
            let month = (line.currency, end_of_month(entry.effective_date));
            self.months.entry(month).or_default().add(cause, credit);
        }
    }

    /// The rows with their openings, and a total per currency. `opening`: what stood before the period; `closing`: the
    /// account's balance as of `as_of`, counted otherwise.
    pub fn finish(
        self,
        opening: &BTreeMap<CurrencyId, Movement>,
        closing: &BTreeMap<CurrencyId, Movement>,
        as_of: Date,
    ) -> Result<(Vec<Row>, BTreeMap<CurrencyId, Flow>), Untied> {
        let balance = |sums: &BTreeMap<CurrencyId, Movement>, currency| {
            sums.get(&currency).map_or(0, |movement: &Movement| movement.credits - movement.debits)
        };
        let mut totals: BTreeMap<CurrencyId, Flow> = BTreeMap::new();
        for currency in opening.keys().chain(closing.keys()) {
            let flow = Flow { opening: balance(opening, *currency), ..Flow::default() };
            totals.insert(*currency, flow);
        }
        let mut rows = vec![];
        for ((currency, month), mut flow) in self.months {
            let total = totals.entry(currency).or_default();
            flow.opening = total.closing();
            total.billed += flow.billed;
            total.recognised += flow.recognised;
            total.credited += flow.credited;
            total.adjusted += flow.adjusted;
            rows.push(Row { currency, through: month.min(as_of), flow });
        }
        for (currency, total) in &totals {
            let (closing, balance) = (total.closing(), balance(closing, *currency));
            if closing != balance {
                return Err(Untied { currency: *currency, closing, balance });
            }
        }
        Ok((rows, totals))
    }
}
