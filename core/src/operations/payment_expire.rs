//! Expiry of a payment's authorisation: decided by the state machine before the first command at or after its instant.

use crate::document::PaymentState;
use crate::id::DocumentId;
use crate::plan::{Context, Plan};
use crate::rejection::{Field, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, id: &DocumentId) -> Result<Plan, Rejection> {
    let payment = context.payment(id, Field::Whole)?;
    assert!(payment.pending > 0, "only what is pending is due to expire");
    super::payment_void::release(context, payment, PaymentState::Expired)
}
