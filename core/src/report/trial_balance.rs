//! The trial balance (docs/rules.md, reports): a row per account and currency, with opening, movement and closing;
//! on demand what adjusting entries changed, and the balances of another date beside it.

use std::collections::BTreeMap;

use super::{OutOfBalance, Posted, balanced};
use crate::account::Account;
use crate::entry::Side;
use crate::id::{AccountId, CurrencyId};
use crate::state::Movement;
use crate::time::Date;

/// A balance in its column, minor units; one of the two is set and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub debit: Option<i128>,
    pub credit: Option<i128>,
}

/// Which trial balance.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'p> {
    /// The first day of the period (inclusive; `None`: since inception).
    pub from: Option<Date>,
    /// Its last day (inclusive).
    pub as_of: Date,
    /// The part of what was posted that adjusting entries posted.
    pub adjusting: &'p [Posted],
    /// Another date, whose balances stand beside.
    pub compared: Option<Date>,
}

impl Scope<'_> {
    #[must_use]
    pub fn new(from: Option<Date>, as_of: Date) -> Self {
        Self { from, as_of, adjusting: &[], compared: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub account: &'a Account,
    pub currency: CurrencyId,
    /// Before `from`; zero when the report runs since inception.
    pub opening: Columns,
    pub debits: i128,
    pub credits: i128,
    /// Without the period's adjusting entries.
    pub unadjusted: Columns,
    /// What the period's adjusting entries posted.
    pub adjustments: Movement,
    /// The adjusted balance.
    pub closing: Columns,
    pub compared: Columns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub opening_debit: i128,
    pub opening_credit: i128,
    pub debits: i128,
    pub credits: i128,
    pub unadjusted_debit: i128,
    pub unadjusted_credit: i128,
    pub adjustments: Movement,
    pub debit: i128,
    pub credit: i128,
    pub compared_debit: i128,
    pub compared_credit: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalance<'a> {
    /// By account code, then currency. An account with movement stays though it closes at zero.
    pub rows: Vec<Row<'a>>,
    pub totals: BTreeMap<CurrencyId, Total>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    opening: Movement,
    period: Movement,
    adjusting: Movement,
    compared: Movement,
}

fn add(sum: &mut Movement, movement: Movement) {
    sum.debits += movement.debits;
    sum.credits += movement.credits;
}

/// The trial balance. `posted` holds the book's movements in any order; those after the dates asked for are left out.
pub fn trial_balance<'a>(
    accounts: impl IntoIterator<Item = &'a Account>,
    posted: impl IntoIterator<Item = Posted>,
    scope: &Scope<'_>,
) -> Result<TrialBalance<'a>, OutOfBalance> {
    let sums = sums(posted, scope);
    let mut rows = vec![];
    let mut totals: BTreeMap<CurrencyId, Total> = BTreeMap::new();
    for account in accounts {
        for ((_, currency), sums) in sums.range((account.id, CurrencyId(0))..=(account.id, CurrencyId(u16::MAX))) {
            let row = row(account, *currency, *sums);
            totals.entry(*currency).or_default().add(&row);
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| (&a.account.code, a.currency).cmp(&(&b.account.code, b.currency)));
    for (currency, total) in &totals {
        total.check(*currency)?;
    }
    Ok(TrialBalance { rows, totals })
}

fn sums(posted: impl IntoIterator<Item = Posted>, scope: &Scope<'_>) -> BTreeMap<(AccountId, CurrencyId), Sums> {
    let mut sums: BTreeMap<(AccountId, CurrencyId), Sums> = BTreeMap::new();
    let is_before = |date: Date| scope.from.is_some_and(|from| date < from);
    for Posted { account, currency, date, movement } in posted {
        let is_compared = scope.compared.is_some_and(|compared| date <= compared);
        if date > scope.as_of && !is_compared {
            continue;
        }
        let sums = sums.entry((account, currency)).or_default();
        if is_compared {
            add(&mut sums.compared, movement);
        }
        if date <= scope.as_of {
            add(if is_before(date) { &mut sums.opening } else { &mut sums.period }, movement);
        }
    }
    for Posted { account, currency, date, movement } in scope.adjusting {
        if *date <= scope.as_of && !is_before(*date) {
            add(&mut sums.entry((*account, *currency)).or_default().adjusting, *movement);
        }
    }
    sums
}

fn row(account: &Account, currency: CurrencyId, sums: Sums) -> Row<'_> {
    let net = |movement: Movement| movement.debits - movement.credits;
    let opening = net(sums.opening);
    let closing = opening + net(sums.period);
    let normal = account.normal_side();
    Row {
        account,
        currency,
        opening: columns(opening, normal),
        debits: sums.period.debits,
        credits: sums.period.credits,
        unadjusted: columns(closing - net(sums.adjusting), normal),
        adjustments: sums.adjusting,
        closing: columns(closing, normal),
        compared: columns(net(sums.compared), normal),
    }
}

/// Zero stands in the column of the normal side.
fn columns(debit_balance: i128, normal: Side) -> Columns {
    let in_debit = match normal {
        Side::Debit => debit_balance >= 0,
        Side::Credit => debit_balance > 0,
    };
    if in_debit {
        Columns { debit: Some(debit_balance), credit: None }
    } else {
        Columns { debit: None, credit: Some(-debit_balance) }
    }
}

impl Total {
    fn add(&mut self, row: &Row<'_>) {
        let both = |columns: Columns| (columns.debit.unwrap_or(0), columns.credit.unwrap_or(0));
        for (debit, credit, columns) in [
            (&mut self.opening_debit, &mut self.opening_credit, row.opening),
            (&mut self.unadjusted_debit, &mut self.unadjusted_credit, row.unadjusted),
            (&mut self.debit, &mut self.credit, row.closing),
            (&mut self.compared_debit, &mut self.compared_credit, row.compared),
        ] {
            let (in_debit, in_credit) = both(columns);
            *debit += in_debit;
            *credit += in_credit;
        }
        self.debits += row.debits;
        self.credits += row.credits;
        add(&mut self.adjustments, row.adjustments);
    }

    fn check(&self, currency: CurrencyId) -> Result<(), OutOfBalance> {
        balanced(currency, self.opening_debit, self.opening_credit)?;
        balanced(currency, self.debits, self.credits)?;
        balanced(currency, self.unadjusted_debit, self.unadjusted_credit)?;
        balanced(currency, self.adjustments.debits, self.adjustments.credits)?;
        balanced(currency, self.debit, self.credit)?;
        balanced(currency, self.compared_debit, self.compared_credit)
    }
}
