//! Closing an account: no line names it any more. Its history stays.

use crate::account::Account;
use crate::id::AccountCode;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::{Read, Sums};

/// The most subaccounts that a closing looks at: about a second. A control account with more stays open.
const MAX_SUBACCOUNTS: usize = 1_000_000;

/// Refused while the account or one of its subaccounts has a balance or anything pending: a closed account could
/// never get rid of it.
pub fn plan<S: Read>(context: &Context<'_, S>, code: &AccountCode) -> Result<Plan, Rejection> {
    let account = context.account(code, Field::Whole)?;
    let controls = context.state.controls_of(context.book.id, account.id);
    let is_empty = controls.iter().all(|(_, sums)| idle(sums)) && subaccounts_idle(context, &account);
    if !is_empty {
        return Err(Rejection::new(Reason::AccountNotEmpty { account: code.clone() }, Field::Whole));
    }
    let closed = Account { closed: true, ..(*account).clone() };
    Ok(Plan { changes: vec![Change::Account(closed)], ..Plan::default() })
}

fn idle(sums: &Sums) -> bool {
    sums.debits == sums.credits && sums.pending_debits == 0 && sums.pending_credits == 0
}

/// What one party owes can be what another is owed: then the control balance alone says nothing.
fn subaccounts_idle<S: Read>(context: &Context<'_, S>, account: &Account) -> bool {
    let mut looked_at = 0;
    account.party.is_none()
        || context.state.every_subaccount(context.book.id, account.id, &mut |sums| {
            looked_at += 1;
            idle(sums) && looked_at <= MAX_SUBACCOUNTS
        })
}
