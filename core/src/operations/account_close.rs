//! Closing an account: no line names it any more. Its history stays.

use crate::account::Account;
use crate::id::AccountCode;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::{Read, Sums};

/// Refused while the account has a balance or anything pending: a closed account could never get rid of it.
pub fn plan<S: Read>(context: &Context<'_, S>, code: &AccountCode) -> Result<Plan, Rejection> {
    let account = context.account(code, Field::Whole)?;
    let idle = |sums: &Sums| sums.debits == sums.credits && sums.pending_debits == 0 && sums.pending_credits == 0;
    if !context.state.controls_of(context.book.id, account.id).iter().all(|(_, sums)| idle(sums)) {
        return Err(Rejection::new(Reason::AccountNotEmpty { account: code.clone() }, Field::Whole));
    }
    let closed = Account { closed: true, ..(*account).clone() };
    Ok(Plan { changes: vec![Change::Account(closed)], ..Plan::default() })
}
