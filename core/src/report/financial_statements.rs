//! The balance sheet and the income statement, with any number of columns to compare.
//!
//! Amounts are positive on the normal side of a line's class, so a contra account stands below zero under it. What
//! was earned and not closed yet is an equity line of its own, the same figure that the income statement ends with.

use std::collections::BTreeMap;

use super::{OutOfBalance, Posted, balanced, on_side};
use crate::account::{Account, Class};
use crate::entry::Side;
use crate::id::CurrencyId;
use crate::time::Date;

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOf<'a> {
    Account(&'a Account),
    /// Revenue less expense of the fiscal year that the column's date lies in, as far as it is not closed.
    CurrentEarnings,
    /// The same of all years before, where no close was posted.
    EarlierEarnings,
    /// The same since inception: where years are not told apart.
    UnclosedEarnings,
    /// What was posted against memo accounts, which stay out of the statements.
    AgainstMemo,
}

/// A line, in one currency: an amount per column, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine<'a> {
    pub of: LineOf<'a>,
    pub currency: CurrencyId,
    pub amounts: Vec<i128>,
}

/// The lines of one class, by number, then code; lines that are zero in every column are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part<'a> {
    pub lines: Vec<StatementLine<'a>>,
    pub totals: BTreeMap<CurrencyId, Vec<i128>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSheet<'a> {
    pub assets: Part<'a>,
    pub liabilities: Part<'a>,
    pub equity: Part<'a>,
    /// Liabilities and equity together, equal to the assets.
    pub totals: BTreeMap<CurrencyId, Vec<i128>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomeStatement<'a> {
    pub revenue: Part<'a>,
    pub expenses: Part<'a>,
    pub net_income: BTreeMap<CurrencyId, Vec<i128>>,
}

/// One column of an income statement: both days are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// `None`: since inception.
    pub from: Option<Date>,
    pub to: Date,
}

impl Span {
    fn holds(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && date <= self.to
    }
}

/// Debits less credits per currency, a figure per column.
type Balances = BTreeMap<CurrencyId, Vec<i128>>;

fn add(balances: &mut Balances, currency: CurrencyId, columns: usize, column: usize, amount: i128) {
    balances.entry(currency).or_insert_with(|| vec![0; columns])[column] += amount;
}

impl<'a> Part<'a> {
    fn push(&mut self, of: LineOf<'a>, balances: &Balances, side: Side) {
        for (currency, balances) in balances {
            if balances.iter().all(|balance| *balance == 0) {
                continue;
            }
            let amounts: Vec<i128> = balances.iter().map(|balance| on_side(*balance, side)).collect();
            let total = self.totals.entry(*currency).or_insert_with(|| vec![0; amounts.len()]);
            for (total, amount) in total.iter_mut().zip(&amounts) {
                *total += amount;
            }
            self.lines.push(StatementLine { of, currency: *currency, amounts });
        }
    }

    fn total(&self, currency: CurrencyId, column: usize) -> i128 {
        self.totals.get(&currency).map_or(0, |totals| totals[column])
    }
}

/// Accounts in the order of a chart: by number where they have one, then by code.
fn in_order<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> Vec<&'a Account> {
    let mut accounts: Vec<_> = accounts.into_iter().collect();
    accounts.sort_by(|a, b| (a.number.is_none(), &a.number, &a.code).cmp(&(b.number.is_none(), &b.number, &b.code)));
    accounts
}

/// An account's balances over spans of dates.
fn balances_of(account: &Account, posted: &[Posted], spans: &[Span]) -> Balances {
    let mut balances = Balances::new();
    for sums in posted.iter().filter(|sums| sums.account == account.id) {
        for (column, _) in spans.iter().enumerate().filter(|(_, span)| span.holds(sums.date)) {
            add(&mut balances, sums.currency, spans.len(), column, sums.debit_balance());
        }
    }
    balances
}

fn merge(into: &mut Balances, more: Balances) {
    for (currency, amounts) in more {
        match into.get_mut(&currency) {
            None => {
                into.insert(currency, amounts);
            }
            Some(sums) => sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount),
        }
    }
}

/// The balance sheet as of each of `dates` (a column each; at least one).
///
/// `year_start` gives the first day of the fiscal year that a date lies in, where earnings of earlier years are told
/// from those of the current one; `None`: they are not.
pub fn balance_sheet<'a>(
    accounts: impl IntoIterator<Item = &'a Account>,
    posted: &[Posted],
    dates: &[Date],
    year_start: Option<&dyn Fn(Date) -> Date>,
) -> Result<BalanceSheet<'a>, OutOfBalance> {
    let until: Vec<Span> = dates.iter().map(|to| Span { from: None, to: *to }).collect();
    let (mut assets, mut liabilities, mut equity) = (Part::default(), Part::default(), Part::default());
    let (mut current, mut earlier, mut memo) = (Balances::new(), Balances::new(), Balances::new());
    for account in in_order(accounts) {
        let balances = balances_of(account, posted, &until);
        match account.class {
            Class::Asset => assets.push(LineOf::Account(account), &balances, Side::Debit),
            Class::Liability => liabilities.push(LineOf::Account(account), &balances, Side::Credit),
            Class::Equity => equity.push(LineOf::Account(account), &balances, Side::Credit),
            Class::Memo => merge(&mut memo, balances),
            Class::Revenue | Class::Expense => {
                let Some(year_start) = year_start else {
                    merge(&mut current, balances);
                    continue;
                };
                let this_year: Vec<Span> =
                    dates.iter().map(|to| Span { from: Some(year_start(*to)), to: *to }).collect();
                let in_year = balances_of(account, posted, &this_year);
                let negated =
                    in_year.iter().map(|(currency, sums)| (*currency, sums.iter().map(|sum| -sum).collect())).collect();
                merge(&mut earlier, balances);
                merge(&mut earlier, negated);
                merge(&mut current, in_year);
            }
        }
    }
    equity.push(LineOf::EarlierEarnings, &earlier, Side::Credit);
    let current_line = if year_start.is_some() { LineOf::CurrentEarnings } else { LineOf::UnclosedEarnings };
    equity.push(current_line, &current, Side::Credit);
    equity.push(LineOf::AgainstMemo, &memo, Side::Credit);
    let totals = sides(&assets, &liabilities, &equity, dates.len())?;
    Ok(BalanceSheet { assets, liabilities, equity, totals })
}

/// Liabilities and equity together, once they were found equal to the assets.
fn sides(
    assets: &Part<'_>,
    liabilities: &Part<'_>,
    equity: &Part<'_>,
    columns: usize,
) -> Result<BTreeMap<CurrencyId, Vec<i128>>, OutOfBalance> {
    let mut totals = BTreeMap::new();
    for currency in [assets, liabilities, equity].into_iter().flat_map(|part| part.totals.keys()) {
        let mut sums = vec![];
        for column in 0..columns {
            let sum = liabilities.total(*currency, column) + equity.total(*currency, column);
            balanced(*currency, assets.total(*currency, column), sum)?;
            sums.push(sum);
        }
        totals.insert(*currency, sums);
    }
    Ok(totals)
}

/// The income statement over each of `spans` (a column each; at least one). `posted` is without closing entries.
pub fn income_statement<'a>(
    accounts: impl IntoIterator<Item = &'a Account>,
    posted: &[Posted],
    spans: &[Span],
) -> IncomeStatement<'a> {
    let (mut revenue, mut expenses) = (Part::default(), Part::default());
    for account in in_order(accounts) {
        let balances = balances_of(account, posted, spans);
        match account.class {
            Class::Revenue => revenue.push(LineOf::Account(account), &balances, Side::Credit),
            Class::Expense => expenses.push(LineOf::Account(account), &balances, Side::Debit),
            Class::Asset | Class::Liability | Class::Equity | Class::Memo => {}
        }
    }
    let mut net_income = BTreeMap::new();
    for currency in revenue.totals.keys().chain(expenses.totals.keys()) {
        let net = |column| revenue.total(*currency, column) - expenses.total(*currency, column);
        net_income.insert(*currency, (0..spans.len()).map(net).collect());
    }
    IncomeStatement { revenue, expenses, net_income }
}
