//! The virtual year close: revenue and expense of fiscal years that are over, as if they had been closed to retained
//! earnings on the year's last day. Nothing is posted; a year whose close was posted has nothing left to close.

use std::collections::BTreeMap;

use super::Posted;
use crate::account::{Account, Class};
use crate::entry::{Entry, Side};
use crate::id::{AccountId, CurrencyId};
use crate::state::Movement;
use crate::time::Date;

/// Whether an account begins every fiscal year at zero.
#[must_use]
pub fn is_temporary(class: Class) -> bool {
    match class {
        Class::Revenue | Class::Expense => true,
        Class::Asset | Class::Liability | Class::Equity | Class::Memo => false,
    }
}

/// What was posted, and behind it the closing of every fiscal year that is over at `as_of`, dated its last day.
///
/// `fiscal_year` gives the first and the last day of the fiscal year that a date lies in. No stretch of `posted` may
/// pass the end of one that `as_of` or a date asked about lies in or after.
pub fn virtually_closed<'a>(
    accounts: impl IntoIterator<Item = &'a Account>,
    posted: Vec<Posted>,
    retained: AccountId,
    as_of: Date,
    fiscal_year: impl Fn(Date) -> (Date, Date),
) -> Vec<Posted> {
    let temporary: Vec<AccountId> =
        accounts.into_iter().filter(|account| is_temporary(account.class)).map(|account| account.id).collect();
    let (current, _) = fiscal_year(as_of);
    // Debits less credits by the year's last day, account and currency.
    let mut balances: BTreeMap<(Date, AccountId, CurrencyId), i128> = BTreeMap::new();
    for sums in posted.iter().filter(|sums| sums.date < current && temporary.contains(&sums.account)) {
        let (_, last) = fiscal_year(sums.date);
        *balances.entry((last, sums.account, sums.currency)).or_default() += sums.debit_balance();
    }
    let mut closed = posted;
    for ((date, account, currency), balance) in balances {
        if balance != 0 {
            closed.push(Posted { account, currency, date, movement: movement(-balance) });
            closed.push(Posted { account: retained, currency, date, movement: movement(balance) });
        }
    }
    closed
}

/// What takes entries out of what was posted again: their lines with the other sign.
pub fn without<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<Posted> {
    let mut taken = vec![];
    for entry in entries {
        for line in &entry.lines {
            let minor = -line.amount.minor();
            let movement = match line.side {
                Side::Debit => Movement { debits: minor, credits: 0 },
                Side::Credit => Movement { debits: 0, credits: minor },
            };
            let (account, currency, date) = (line.account, line.currency, entry.effective_date);
            taken.push(Posted { account, currency, date, movement });
        }
    }
    taken
}

fn movement(debit_balance: i128) -> Movement {
    Movement { debits: debit_balance.max(0), credits: (-debit_balance).max(0) }
}
