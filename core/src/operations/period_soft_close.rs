//! Soft-closing a period: from now on it takes finance's entries only.
//!
//! Refusals, in order: `period_state` if it is soft-closed or closed already; `period_out_of_order` unless it follows
//! the last soft-closed period or, where there is none yet, nothing was posted before it.
//!
//! Where no period was soft-closed yet, everything before this one is closed with it: nothing was posted there.

use crate::operation::MovePeriod;
use crate::period::{Calendar, Period, PeriodId, PeriodState};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::{ControlKey, Read};

pub fn plan<S: Read>(context: &Context<'_, S>, moved: &MovePeriod) -> Result<Plan, Rejection> {
    let calendar = context.state.calendar(context.book.id);
    let state = calendar.state(moved.period);
    if state != PeriodState::Open {
        return Err(refuse(Reason::PeriodState { state }));
    }
    if let Some(first) = first_open(context.state, context.book.id, &calendar).filter(|first| *first < moved.period) {
        return Err(refuse(Reason::PeriodOutOfOrder { first }));
    }
    let before = context.state.period(context.book.id, moved.period);
    let period = Period {
        id: moved.period,
        state: PeriodState::SoftClosed,
        seal: None,
        accepted: vec![],
        reopened: before.map_or(0, |before| before.reopened),
        reason: moved.reason.clone(),
        decided: context.position,
    };
    let closed_through = match calendar.soft_closed_through {
        Some(_) => calendar.closed_through,
        None => moved.period.previous(),
    };
    let calendar = Calendar { soft_closed_through: Some(moved.period), closed_through, ..calendar };
    Ok(Plan { changes: vec![Change::Period(period), Change::Calendar(calendar)], ..Plan::default() })
}

pub(super) fn refuse(reason: Reason) -> Rejection {
    Rejection::new(reason, Field::Whole)
}

/// The first open period: the one after the last soft-closed one or, where there is none, the first with a posting.
pub fn first_open(state: &impl Read, book: crate::id::BookId, calendar: &Calendar) -> Option<PeriodId> {
    if let Some(last) = calendar.soft_closed_through {
        return last.next();
    }
    let accounts = (1..=state.totals(book).last_account.0).map(crate::id::AccountId);
    let dates = accounts.flat_map(|account| {
        let controls = state.controls_of(book, account);
        controls
            .into_iter()
            .filter_map(move |(currency, _)| state.first_posted(&ControlKey { book, account, currency }))
    });
    dates.min().map(PeriodId::of)
}
