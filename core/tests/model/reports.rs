//! The trial balance and the financial statements, from the entries alone.

use std::collections::BTreeMap;

use partita_core::account::Class;
use partita_core::entry::Side;
use partita_core::id::{AccountId, CurrencyId};
use partita_core::report::Posted;
use partita_core::report::financial_statements::{LineOf, Part, Span, balance_sheet, income_statement};
use partita_core::report::trial_balance::{Columns, Scope, trial_balance};
use partita_core::state::Movement;
use partita_core::time::Date;

use super::compare::Compared;
use super::ledger::Shelf;

/// A balance (debits less credits) in its column; zero stands on the normal side.
fn columns(balance: i128, normal: Side) -> Columns {
    match (balance.signum(), normal) {
        (1, _) | (0, Side::Debit) => Columns { debit: Some(balance), credit: None },
        (_, _) => Columns { debit: None, credit: Some(-balance) },
    }
}

/// As of a few of the book's own dates, with and without a beginning.
pub(crate) fn trial_balances(shelf: &Shelf) -> Compared {
    let mut dates: Vec<Date> = shelf.entries.iter().map(|posted| posted.entry.effective_date).collect();
    dates.sort();
    dates.dedup();
    let Some(last) = dates.last() else { return Ok(0) };
    let middle = dates[dates.len() / 2];
    let mut count = 0;
    for (from, as_of) in
        [(None, *last), (None, middle), (Some(middle), *last), (Some(dates[0]), middle), (Some(middle), middle)]
    {
        count += one(shelf, from, as_of)?;
    }
    Ok(count + statements(shelf, middle, *last)?)
}

fn posted(shelf: &Shelf) -> Vec<Posted> {
    let sums = |((account, currency, date), money): (&(AccountId, CurrencyId, Date), &(i128, i128))| {
        let movement = Movement { debits: money.0, credits: money.1 };
        Posted { account: *account, currency: *currency, date: *date, movement }
    };
    shelf.movements.iter().map(sums).collect()
}

/// Debits less credits of accounts of these classes, from the entries.
fn balance(shelf: &Shelf, classes: &[Class], currency: CurrencyId, from: Option<Date>, to: Date) -> i128 {
    let mut sum = 0;
    for entry in shelf.entries.iter().map(|posted| &posted.entry) {
        if entry.effective_date > to || from.is_some_and(|from| entry.effective_date < from) {
            continue;
        }
        for line in entry.lines.iter().filter(|line| line.currency == currency) {
            if classes.contains(&shelf.account(line.account).class) {
                match line.side {
                    Side::Debit => sum += line.amount.minor(),
                    Side::Credit => sum -= line.amount.minor(),
                }
            }
        }
    }
    sum
}

/// Two dates beside each other; a fiscal year begins on the earlier one, so that there are earlier earnings too.
fn statements(shelf: &Shelf, middle: Date, last: Date) -> Compared {
    use Class::{Asset, Equity, Expense, Liability, Memo, Revenue};
    let posted = posted(shelf);
    let year_start = |date: Date| if date < middle { Date::MIN } else { middle };
    let dates = [last, middle];
    let sheet =
        balance_sheet(&shelf.accounts, &posted, &dates, Some(&year_start)).map_err(|error| error.to_string())?;
    let spans = [Span { from: Some(middle), to: last }, Span { from: None, to: middle }];
    let income = income_statement(&shelf.accounts, &posted, &spans);
    let figure = |part: &Part<'_>, currency, column: usize| part.totals.get(&currency).map_or(0, |sums| sums[column]);
    let line = |of: LineOf<'_>, currency, column: usize| {
        let found = sheet.equity.lines.iter().find(|line| line.of == of && line.currency == currency);
        found.map_or(0, |line| line.amounts[column])
    };
    let currencies: std::collections::BTreeSet<CurrencyId> = shelf.movements.keys().map(|key| key.1).collect();
    let mut count = 0;
    for currency in currencies {
        let of = |classes: &[Class], from, to| balance(shelf, classes, currency, from, to);
        for (column, date) in dates.into_iter().enumerate() {
            let earned = of(&[Revenue, Expense], None, date);
            let current = of(&[Revenue, Expense], Some(year_start(date)), date);
            let wanted = [
                of(&[Asset], None, date),
                -of(&[Liability], None, date),
                -(of(&[Equity, Memo], None, date) + earned),
                -current,
                -(earned - current),
                -of(&[Memo], None, date),
            ];
            let found = [
                figure(&sheet.assets, currency, column),
                figure(&sheet.liabilities, currency, column),
                figure(&sheet.equity, currency, column),
                line(LineOf::CurrentEarnings, currency, column),
                line(LineOf::EarlierEarnings, currency, column),
                line(LineOf::AgainstMemo, currency, column),
            ];
            if found != wanted {
                return Err(format!("balance sheet of {date}, {currency}: {found:?} for {wanted:?}"));
            }
            count += wanted.len();
        }
        for (column, span) in spans.iter().enumerate() {
            let wanted = [-of(&[Revenue], span.from, span.to), of(&[Expense], span.from, span.to)];
            let found = [figure(&income.revenue, currency, column), figure(&income.expenses, currency, column)];
            let net = income.net_income.get(&currency).map_or(0, |sums| sums[column]);
            if found != wanted || net != wanted[0] - wanted[1] {
                return Err(format!("income statement {span:?}, {currency}: {found:?}, {net} for {wanted:?}"));
            }
            count += 3;
        }
        if line(LineOf::CurrentEarnings, currency, 0) != income.net_income.get(&currency).map_or(0, |sums| sums[0]) {
            return Err(format!("two net incomes in {currency}"));
        }
    }
    Ok(count)
}

fn one(shelf: &Shelf, from: Option<Date>, as_of: Date) -> Compared {
    let posted =
        shelf.movements.iter().filter(|(_, money)| **money != (0, 0)).map(|((account, currency, date), money)| {
            let movement = Movement { debits: money.0, credits: money.1 };
            Posted { account: *account, currency: *currency, date: *date, movement }
        });
    let report = trial_balance(&shelf.accounts, posted, &Scope::new(from, as_of)).map_err(|error| error.to_string())?;
    // Per account code and currency: opening (debits less credits), debits, credits.
    let mut expected: BTreeMap<_, (i128, i128, i128)> = BTreeMap::new();
    for entry in shelf.entries.iter().map(|posted| &posted.entry).filter(|entry| entry.effective_date <= as_of) {
        for line in &entry.lines {
            let sums = expected.entry((shelf.account(line.account).code.clone(), line.currency)).or_default();
            let amount = line.amount.minor();
            match (from.is_some_and(|from| entry.effective_date < from), line.side) {
                (true, Side::Debit) => sums.0 += amount,
                (true, Side::Credit) => sums.0 -= amount,
                (false, Side::Debit) => sums.1 += amount,
                (false, Side::Credit) => sums.2 += amount,
            }
        }
    }
    if report.rows.len() != expected.len() {
        return Err(format!("trial balance {from:?} to {as_of}: {} rows for {}", report.rows.len(), expected.len()));
    }
    for (row, ((code, currency), (opening, debits, credits))) in report.rows.iter().zip(expected) {
        let normal = shelf.account_by_code(&code).expect("it was posted to").normal_side();
        let wanted = (columns(opening, normal), debits, credits, columns(opening + debits - credits, normal));
        let found = (row.opening, row.debits, row.credits, row.closing);
        if (&row.account.code, row.currency) != (&code, currency) || found != wanted {
            return Err(format!("trial balance {from:?} to {as_of}, {code}: {found:?} for {wanted:?}"));
        }
    }
    for (currency, total) in &report.totals {
        let balanced =
            total.debit == total.credit && total.debits == total.credits && total.opening_debit == total.opening_credit;
        if !balanced {
            return Err(format!("trial balance {from:?} to {as_of}: totals of {currency} differ"));
        }
    }
    Ok(report.rows.len())
}
