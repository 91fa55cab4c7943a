//! Closing a fiscal year: every revenue and expense account is brought to zero as of the year's last day, against
//! retained earnings, currency by currency. Reports do the same virtually; this posts it.
//!
//! All of the year's periods are soft-closed or closed, and the last one is soft-closed: the entries are dated on its
//! last day. What the accounts came to after an earlier closing is closed by the next one; nothing to post is no
//! refusal.
//!
//! Refusals, in order: `period_out_of_order`, naming the first period that is open; `role_missing`; account by account
//! `account_closed`, `party_required` or `item_required` of one that is divided (its closing is a manual entry), and
//! `currency_not_allowed` of retained earnings; `period_closed`; the balances.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::{Account, Class};
use crate::entry::{MAX_LINES, Rule};
use crate::id::{AccountId, CurrencyId};
use crate::operation::{CloseYear, Details};
use crate::period::{PeriodId, PeriodState, YearClose};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::role;
use crate::state::{ControlKey, Read};
use crate::time::Date;

pub fn plan<S: Read>(context: &Context<'_, S>, close: &CloseYear) -> Result<Plan, Rejection> {
    let calendar = context.state.calendar(context.book.id);
    let (_, last) = close.year.periods(calendar.first_month);
    // States only ever fall from one period to the next, so the last one speaks for all.
    if calendar.state(last) == PeriodState::Open {
        let first = calendar.soft_closed_through.and_then(PeriodId::next).unwrap_or(last);
        return Err(Rejection::new(Reason::PeriodOutOfOrder { first }, Field::Whole));
    }
    let retained = context.role(role::RETAINED_EARNINGS)?;
    let as_of = last.last_day();
    let mut entries = vec![];
    let mut earnings = vec![];
    for (currency, accounts) in to_close(context, as_of) {
        let currency = context.currency_of(currency);
        let at = (Field::Role, Field::Role);
        let retained = Place::new(&retained, None, None, &currency, at)?;
        earnings.push((currency.id, accounts.iter().map(|(_, balance)| -balance).sum()));
        for part in accounts.chunks(MAX_LINES - 1) {
            let mut lines = Lines::default();
            for (account, balance) in part {
                let account = context.account_by_id(account.id, Field::Role)?;
                lines.credit(&Place::new(&account, None, None, &currency, at)?, *balance);
            }
            lines.debit(&retained, part.iter().map(|(_, balance)| balance).sum());
            let details = Details {
                effective_date: Some(as_of),
                description: format!("Closing of fiscal year {}", close.year),
                metadata: close.metadata.clone(),
            };
            let entry = PlannedEntry::new(Rule::Closing, as_of, &details, lines.into_lines());
            entries.push(entry.expect("retained earnings take what the accounts leave"));
        }
    }
    let closed = YearClose { year: close.year, as_of, earnings };
    Ok(Plan { entries, changes: vec![Change::YearClose(closed)], ..Plan::default() })
}

/// Revenue and expense accounts with a balance (debits less credits), by currency and in the order of opening.
fn to_close<S: Read>(context: &Context<'_, S>, as_of: Date) -> BTreeMap<CurrencyId, Vec<(Arc<Account>, i128)>> {
    let (state, book) = (context.state, context.book.id);
    let mut found: BTreeMap<CurrencyId, Vec<(Arc<Account>, i128)>> = BTreeMap::new();
    for number in 1..=state.totals(book).last_account.0 {
        let account = state.account(book, AccountId(number)).expect("accounts are numbered without gaps");
        match account.class {
            Class::Revenue | Class::Expense => {}
            Class::Asset | Class::Liability | Class::Equity | Class::Memo => continue,
        }
        for (currency, _) in state.controls_of(book, account.id) {
            let posted = state.posted_until(&ControlKey { book, account: account.id, currency }, as_of);
            let balance = posted.debits - posted.credits;
            if balance != 0 {
                found.entry(currency).or_default().push((Arc::clone(&account), balance));
            }
        }
    }
    found
}
