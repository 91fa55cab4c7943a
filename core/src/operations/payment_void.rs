//! P.

use crate::operation::VoidPayment;
use crate::plan::{Context, Plan};
use crate::rejection::Rejection;
use crate::state::Read;

pub fn plan<S: Read>(_context: &Context<'_, S>, _operation: &VoidPayment) -> Result<Plan, Rejection> {
    todo!("being written")
}
