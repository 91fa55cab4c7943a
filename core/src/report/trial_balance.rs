//! The trial balance (docs/rules.md, reports): a row per account and currency, with opening, movement and closing.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::entry::Side;
use crate::id::{AccountId, CurrencyId};
use crate::state::Movement;
use crate::time::Date;

/// What was posted to one account and currency with one effective date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    pub account: AccountId,
    pub currency: CurrencyId,
    pub date: Date,
    pub movement: Movement,
}

/// A balance in its column, minor units; one of the two is set and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub debit: Option<i128>,
    pub credit: Option<i128>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub account: &'a Account,
    pub currency: CurrencyId,
    /// Before `from`; zero when the report runs since inception.
    pub opening: Columns,
    pub debits: i128,
    pub credits: i128,
    pub closing: Columns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub opening_debit: i128,
    pub opening_credit: i128,
    pub debits: i128,
    pub credits: i128,
    pub debit: i128,
    pub credit: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalance<'a> {
    /// By account code, then currency. An account with movement stays though it closes at zero.
    pub rows: Vec<Row<'a>>,
    pub totals: BTreeMap<CurrencyId, Total>,
}

/// A trial balance whose columns differ is no report: the ledger is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the trial balance does not balance in currency {currency}: {total:?}")]
pub struct OutOfBalance {
    pub currency: CurrencyId,
    pub total: Total,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    opening: Movement,
    period: Movement,
}

/// The trial balance as of `as_of` (inclusive), with movement since `from` (inclusive; `None`: since inception).
///
/// `posted` holds the book's movements in any order; those after `as_of` are left out.
pub fn trial_balance<'a>(
    accounts: impl IntoIterator<Item = &'a Account>,
    posted: impl IntoIterator<Item = Posted>,
    from: Option<Date>,
    as_of: Date,
) -> Result<TrialBalance<'a>, OutOfBalance> {
    let mut sums: BTreeMap<(AccountId, CurrencyId), Sums> = BTreeMap::new();
    for Posted { account, currency, date, movement } in posted {
        if date > as_of {
            continue;
        }
        let sums = sums.entry((account, currency)).or_default();
        let part = if from.is_some_and(|from| date < from) { &mut sums.opening } else { &mut sums.period };
        part.debits += movement.debits;
        part.credits += movement.credits;
    }
    let mut rows = vec![];
    let mut totals: BTreeMap<CurrencyId, Total> = BTreeMap::new();
    for account in accounts {
        for ((_, currency), sums) in sums.range((account.id, CurrencyId(0))..=(account.id, CurrencyId(u16::MAX))) {
            let row = row(account, *currency, *sums);
            let total = totals.entry(*currency).or_default();
            total.opening_debit += row.opening.debit.unwrap_or(0);
            total.opening_credit += row.opening.credit.unwrap_or(0);
            total.debits += row.debits;
            total.credits += row.credits;
            total.debit += row.closing.debit.unwrap_or(0);
            total.credit += row.closing.credit.unwrap_or(0);
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| (&a.account.code, a.currency).cmp(&(&b.account.code, b.currency)));
    for (currency, total) in &totals {
        let Total { opening_debit, opening_credit, debits, credits, debit, credit } = *total;
        if opening_debit != opening_credit || debits != credits || debit != credit {
            return Err(OutOfBalance { currency: *currency, total: *total });
        }
    }
    Ok(TrialBalance { rows, totals })
}

fn row(account: &Account, currency: CurrencyId, sums: Sums) -> Row<'_> {
    let opening = sums.opening.debits - sums.opening.credits;
    let closing = opening + sums.period.debits - sums.period.credits;
    Row {
        account,
        currency,
        opening: columns(opening, account.normal_side()),
        debits: sums.period.debits,
        credits: sums.period.credits,
        closing: columns(closing, account.normal_side()),
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
