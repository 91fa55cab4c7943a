//! Reopening a period, one step back: from closed to soft-closed, from soft-closed to open. The reason stays in the
//! journal, and so does the seal of the close that is undone.
//!
//! Refusals, in order: `period_state` if it is open; `period_out_of_order` unless it is the last closed one, or the
//! last soft-closed one.

use crate::operation::MovePeriod;
use crate::period::{Calendar, Period, PeriodId, PeriodState};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Reason, Rejection};
use crate::state::Read;

use super::period_soft_close::refuse;

pub fn plan<S: Read>(context: &Context<'_, S>, moved: &MovePeriod) -> Result<Plan, Rejection> {
    let calendar = context.state.calendar(context.book.id);
    let state = calendar.state(moved.period);
    let last = match state {
        PeriodState::Open => return Err(refuse(Reason::PeriodState { state })),
        PeriodState::SoftClosed => calendar.soft_closed_through,
        PeriodState::Closed => calendar.closed_through,
    };
    if let Some(first) = last.filter(|last| *last != moved.period) {
        return Err(refuse(Reason::PeriodOutOfOrder { first }));
    }
    let (state, calendar) = one_step_back(state, calendar, moved.period);
    let before = context.state.period(context.book.id, moved.period);
    let period = Period {
        id: moved.period,
        state,
        seal: None,
        accepted: vec![],
        reopened: before.map_or(0, |before| before.reopened) + 1,
        reason: moved.reason.clone(),
        decided: context.position,
    };
    Ok(Plan { changes: vec![Change::Period(period), Change::Calendar(calendar)], ..Plan::default() })
}

fn one_step_back(state: PeriodState, calendar: Calendar, period: PeriodId) -> (PeriodState, Calendar) {
    match state {
        PeriodState::Closed => (PeriodState::SoftClosed, Calendar { closed_through: period.previous(), ..calendar }),
        PeriodState::SoftClosed | PeriodState::Open => {
            (PeriodState::Open, Calendar { soft_closed_through: period.previous(), ..calendar })
        }
    }
}
