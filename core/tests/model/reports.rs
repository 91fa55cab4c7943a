//! The trial balance, from the entries alone.

use std::collections::BTreeMap;

use partita_core::entry::Side;
use partita_core::report::trial_balance::{Columns, Posted, trial_balance};
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
    Ok(count)
}

fn one(shelf: &Shelf, from: Option<Date>, as_of: Date) -> Compared {
    let posted =
        shelf.movements.iter().filter(|(_, money)| **money != (0, 0)).map(|((account, currency, date), money)| {
            let movement = Movement { debits: money.0, credits: money.1 };
            Posted { account: *account, currency: *currency, date: *date, movement }
        });
    let report = trial_balance(&shelf.accounts, posted, from, as_of).map_err(|error| error.to_string())?;
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
