//! P.

use crate::id::DocumentId;
use crate::plan::{Context, Plan};
use crate::rejection::Rejection;
use crate::state::Read;

pub fn plan<S: Read>(_context: &Context<'_, S>, _operation: &DocumentId) -> Result<Plan, Rejection> {
    todo!("being written")
}
