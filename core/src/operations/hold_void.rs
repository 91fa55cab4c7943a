//! Voiding a hold: what is still reserved is released.

use crate::document::{Hold, HoldState};
use crate::operation::VoidHold;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, void: &VoidHold) -> Result<Plan, Rejection> {
    let hold = context.hold(&void.id)?;
    if hold.pending == 0 {
        return Err(Rejection::new(Reason::HoldNotOpen, Field::Whole));
    }
    Ok(release(hold, HoldState::Voided))
}

/// Releases all that is pending; `state` is the hold's new state unless part of it was captured.
pub(super) fn release(mut hold: Hold, state: HoldState) -> Plan {
    let reservations = super::hold_place::reservations(&hold, -hold.pending).into();
    hold.pending = 0;
    hold.state = if hold.captured > 0 { HoldState::Captured } else { state };
    Plan { reservations, changes: vec![Change::Hold(hold)], ..Plan::default() }
}
