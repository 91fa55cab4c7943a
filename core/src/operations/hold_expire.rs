//! Expiry of a hold: decided by the state machine before the first command at or after its instant.

use crate::document::HoldState;
use crate::id::DocumentId;
use crate::plan::{Context, Plan};
use crate::rejection::Rejection;
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, id: &DocumentId) -> Result<Plan, Rejection> {
    let hold = context.hold(id)?;
    assert!(hold.pending > 0, "only what is pending is due to expire");
    Ok(super::hold_void::release(hold, HoldState::Expired))
}
