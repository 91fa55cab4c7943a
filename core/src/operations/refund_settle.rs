//! P.

use crate::operation::MoveRefund;
use crate::plan::{Context, Plan};
use crate::rejection::Rejection;
use crate::state::Read;

pub fn plan<S: Read>(_context: &Context<'_, S>, _operation: &MoveRefund) -> Result<Plan, Rejection> {
    todo!("being written")
}
