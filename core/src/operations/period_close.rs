//! Closing a soft-closed period: it takes no entry any more, and its trial balance is sealed.
//!
//! Refusals, in order: `period_state` unless it is soft-closed; `period_out_of_order` unless the period before it is
//! closed; `period_not_ready`, with what stands in the way and was not accepted.
//!
//! That a control account equals its subaccounts is not asked here: every posting adds to both, `verify` recounts it,
//! and so does a dry run.

use crate::account::{Account, Book};
use crate::fx::{self, CannotValue};
use crate::id::{BookId, Role};
use crate::operation::ClosePeriod;
use crate::period::{Blocker, Calendar, Period, PeriodId, PeriodState, Seal, SealedBalance};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{MAX_BLOCKERS, Reason, Rejection};
use crate::resolve::{known_currency, role};
use crate::seal;
use crate::state::Read;

use super::period_soft_close::refuse;

pub fn plan<S: Read>(context: &Context<'_, S>, close: &ClosePeriod) -> Result<Plan, Rejection> {
    let (state, book) = (context.state, &context.book);
    let calendar = state.calendar(book.id);
    check_turn(&calendar, close.period)?;
    let balances = seal::trial_balance(state, book.id, close.period.last_day());
    let mut blockers = blockers(state, book, close.period, &balances);
    blockers.retain(|blocker| !close.accept.contains(&blocker.kind()));
    if !blockers.is_empty() {
        blockers.truncate(MAX_BLOCKERS);
        return Err(refuse(Reason::PeriodNotReady { blockers }));
    }
    let before = state.period(book.id, close.period);
    let period = Period {
        id: close.period,
        state: PeriodState::Closed,
        seal: Some(sealed(context, close.period, balances)),
        accepted: close.accept.clone(),
        reopened: before.map_or(0, |before| before.reopened),
        reason: close.reason.clone(),
        decided: context.position,
    };
    let calendar = Calendar { closed_through: Some(close.period), ..calendar };
    Ok(Plan { changes: vec![Change::Period(period), Change::Calendar(calendar)], ..Plan::default() })
}

/// Whether it is this period that is to be closed next: `period_state`, `period_out_of_order`.
pub fn check_turn(calendar: &Calendar, period: PeriodId) -> Result<(), Rejection> {
    let state = calendar.state(period);
    if state != PeriodState::SoftClosed {
        return Err(refuse(Reason::PeriodState { state }));
    }
    let first = calendar.closed_through.and_then(PeriodId::next);
    match first.filter(|first| *first < period) {
        Some(first) => Err(refuse(Reason::PeriodOutOfOrder { first })),
        None => Ok(()),
    }
}

fn sealed<S: Read>(context: &Context<'_, S>, period: PeriodId, balances: Vec<SealedBalance>) -> Seal {
    let as_of = period.last_day();
    let text = seal::text(context.state, &context.book, as_of, &balances);
    Seal {
        as_of,
        journal: context.state.journal_head(),
        last_entry: context.state.totals(context.book.id).last_entry,
        balances,
        hash: seal::hash(&text),
    }
}

/// What stands in the way of closing a period over these balances, account by account, then the FX position.
pub fn blockers(state: &impl Read, book: &Book, period: PeriodId, balances: &[SealedBalance]) -> Vec<Blocker> {
    let mut found = balance_blockers(state, book.id, balances);
    found.extend(fx_blocker(state, book, period));
    found
}

/// The position must be zero at the rates of the period's last day.
fn fx_blocker(state: &impl Read, book: &Book, period: PeriodId) -> Option<Blocker> {
    let role = Role::new(role::FX_POSITION).expect("the rules' roles are roles");
    let position = state.account_by_role(book.id, &role)?;
    let account = position.code.clone();
    match fx::value(state, book.id, book.functional_currency, &position, period.last_day()) {
        Ok(valuation) if valuation.difference == 0 => None,
        Ok(valuation) => {
            let functional = known_currency(state, book.id, book.functional_currency);
            let (balance, decimals) = (valuation.difference, functional.decimals);
            Some(Blocker::FxPosition { account, currency: functional.code, balance, decimals })
        }
        Err(CannotValue::RateMissing(currency)) => {
            Some(Blocker::RateMissing { account, currency: known_currency(state, book.id, currency).code })
        }
        // Beyond every number it is certainly not zero.
        Err(CannotValue::TooLarge) => {
            let functional = known_currency(state, book.id, book.functional_currency);
            Some(Blocker::FxPosition { account, currency: functional.code, balance: i128::MAX, decimals: 0 })
        }
    }
}

fn balance_blockers(state: &impl Read, book: BookId, balances: &[SealedBalance]) -> Vec<Blocker> {
    let mut found = vec![];
    for row in balances.iter().filter(|row| row.debits != row.credits) {
        let account = state.account(book, row.account).expect("a balance is of an account of the chart");
        let currency = known_currency(state, book, row.currency);
        let balance = on_normal_side(&account, row);
        let (code, decimals) = (account.code.clone(), currency.decimals);
        if account.must_zero {
            found.push(Blocker::MustZero { account: code, currency: currency.code, balance, decimals });
        } else if plays(&account, role::UNAPPLIED_CASH) {
            found.push(Blocker::UnappliedCash { account: code, currency: currency.code, balance, decimals });
        }
    }
    found
}

fn plays(account: &Account, role: &str) -> bool {
    account.role.as_ref().is_some_and(|own: &Role| own.as_str() == role)
}

fn on_normal_side(account: &Account, row: &SealedBalance) -> i128 {
    match account.normal_side() {
        crate::entry::Side::Debit => row.debits - row.credits,
        crate::entry::Side::Credit => row.credits - row.debits,
    }
}
