//! The one place where state changes: a command in, decisions out.
//!
//! Pure: the outcome depends on the state and the command alone, and is the same on every replica.

use std::sync::Arc;

use crate::commit::commit;
use crate::decision::{Answer, Command, Decision, Effects, Origin, Outcome};
use crate::id::{BookId, EntryNumber, Position};
use crate::operation::{OpenBook, Operation, OperationKind};
use crate::operations;
use crate::pair;
use crate::period::Month;
use crate::plan::{Context, Plan};
use crate::planted::{Bug, key_unchecked, planted};
use crate::rejection::Rejection;
use crate::state::{Expiring, Expiry, Head, KeyRecord, Read, Write};
use crate::time::{Date, Timestamp};

/// What one command led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Expiries that were decided before the command, in order. They come first in the journal.
    pub expired: Vec<Arc<Decision>>,
    pub answer: Answer,
}

/// Decides `command`: its key first (docs/rules.md, rule 5), then what has expired by now, then the operation.
///
/// # Panics
/// If `command.book` does not exist: the edge resolves books before it stamps a command. An invariant that does
/// not hold also panics; the node stops.
pub fn execute(state: &mut impl Write, command: &Command) -> Executed {
    if let Some(record) = state.key(command.book, &command.key).filter(|_| !key_unchecked()) {
        let newest = planted(Bug::ReplayAnswersTheNewest);
        let position = if newest { state.head().position } else { record.position };
        let answer = if record.fingerprint == command.fingerprint {
            Answer::Replayed { position }
        } else {
            Answer::KeyReused { position }
        };
        return Executed { expired: vec![], answer };
    }
    let mut expired = vec![];
    let now = loop {
        let now = command.stamp.following(state.head().time);
        match state.due(now) {
            Some(expiry) => expired.push(expire(state, &expiry, now)),
            None => break now,
        }
    };
    let Command { key, fingerprint, actor, .. } = command;
    let origin = Origin::Request { key: key.clone(), fingerprint: *fingerprint, actor: actor.clone() };
    let decision = decide(state, command, now, origin);
    if !(planted(Bug::RefusalForgotten) && matches!(decision.outcome, Outcome::Refused(_))) {
        state.put_key(command.book, key.clone(), KeyRecord { position: decision.position, fingerprint: *fingerprint });
    }
    Executed { expired, answer: Answer::Decided(decision) }
}

fn decide(state: &mut impl Write, command: &Command, now: Timestamp, origin: Origin) -> Arc<Decision> {
    let head = state.head();
    let position = head.position.next();
    let operation = command.operation.kind();
    if let Some((open, first_month)) = opening(&command.operation) {
        let id = BookId(head.last_book.0 + 1);
        let outcome = operations::open_book::plan(&*state, open, first_month, id, position)
            .and_then(|plan| commit(state, id, position, EntryNumber(1), plan));
        let last_book = if outcome.is_ok() { id } else { head.last_book };
        return finish(state, Head { position, time: now, last_book }, BookId::CLUSTER, origin, operation, outcome);
    }
    let straight = if let Operation::Transfer(transfer) = &command.operation {
        pair::post(state, command.book, position, command.today, transfer)
    } else {
        None
    };
    let outcome = straight.map_or_else(
        || {
            plan_and_commit(state, command.book, position, now, command.today, |context| {
                plan_operation(context, &command.operation)
            })
        },
        Ok,
    );
    finish(state, Head { position, time: now, ..head }, command.book, origin, operation, outcome)
}

/// The book that an operation opens, and the first month of its fiscal years.
fn opening(operation: &Operation) -> Option<(&OpenBook, Month)> {
    if let Operation::OpenBook(open) = operation {
        Some((open, Month::JANUARY))
    } else if let Operation::OpenFiscalBook(open) = operation {
        Some((&open.book, open.first_month))
    } else {
        None
    }
}

/// The state machine's own decision: what was reserved until `expiry.at` is released.
fn expire(state: &mut impl Write, expiry: &Expiry, now: Timestamp) -> Arc<Decision> {
    let head = state.head();
    let position = head.position.next();
    // An expiry posts nothing, so its date is never used.
    let (operation, outcome) = match &expiry.what {
        Expiring::Hold(id) => (
            OperationKind::ExpireHold,
            plan_and_commit(state, expiry.book, position, now, Date::MIN, |context| {
                operations::hold_expire::plan(context, id)
            }),
        ),
        Expiring::Payment(id) => (
            OperationKind::ExpirePayment,
            plan_and_commit(state, expiry.book, position, now, Date::MIN, |context| {
                operations::payment_expire::plan(context, id)
            }),
        ),
    };
    assert!(outcome.is_ok(), "an expiry is never refused: {outcome:?}");
    finish(state, Head { position, time: now, ..head }, expiry.book, Origin::Internal, operation, outcome)
}

fn plan_and_commit<S: Write>(
    state: &mut S,
    book: BookId,
    position: Position,
    now: Timestamp,
    today: Date,
    plan: impl FnOnce(&Context<'_, S>) -> Result<Plan, Rejection>,
) -> Result<Effects, Rejection> {
    let first_entry = state.last_entry(book).next();
    let opened = state.book(book).unwrap_or_else(|| panic!("book {book} of a stamped command does not exist"));
    let plan = plan(&Context { state: &*state, book: opened, position, now, today, first_entry })?;
    commit(state, book, position, first_entry, plan)
}

fn finish(
    state: &mut impl Write,
    head: Head,
    book: BookId,
    origin: Origin,
    operation: OperationKind,
    outcome: Result<Effects, Rejection>,
) -> Arc<Decision> {
    state.put_head(head);
    let outcome = match outcome {
        Ok(effects) => Outcome::Accepted(effects),
        Err(rejection) => Outcome::Refused(rejection),
    };
    Arc::new(Decision { position: head.position, recorded_at: head.time, book, origin, operation, outcome })
}

fn plan_operation<S: Read>(context: &Context<'_, S>, operation: &Operation) -> Result<Plan, Rejection> {
    use operations as op;
    match operation {
        Operation::OpenBook(_) | Operation::OpenFiscalBook(_) => unreachable!("decided before: it has no book yet"),
        Operation::RegisterCurrency(operation) => op::currency::plan(context, operation),
        Operation::OpenAccount(operation) => op::account_open::plan(context, operation),
        Operation::CloseAccount(code) => op::account_close::plan(context, code),
        Operation::PostEntry(operation) => op::entry::plan(context, std::slice::from_ref(operation), false),
        Operation::PostEntries(operations) => op::entry::plan(context, operations, true),
        Operation::Transfer(operation) => op::transfer::plan(context, std::slice::from_ref(operation), false),
        Operation::Transfers(operations) => op::transfer::plan(context, operations, true),
        Operation::ReverseEntry(operation) => op::reverse::plan(context, operation),
        Operation::PlaceHold(operation) => op::hold_place::plan(context, operation),
        Operation::CaptureHold(operation) => op::hold_capture::plan(context, operation),
        Operation::VoidHold(operation) => op::hold_void::plan(context, operation),
        Operation::CreateCharge(operation) => op::charge::plan(context, operation),
        Operation::VoidCharge(operation) => op::charge_void::plan(context, operation),
        Operation::CreatePayment(operation) => op::payment::plan(context, operation),
        Operation::CapturePayment(operation) => op::payment_capture::plan(context, operation),
        Operation::VoidPayment(operation) => op::payment_void::plan(context, operation),
        Operation::ApplyPayment(operation) => op::payment_apply::plan(context, operation),
        Operation::UnapplyPayment(operation) => op::payment_unapply::plan(context, operation),
        Operation::PostPaymentFee(operation) => op::payment_fee::plan(context, operation),
        Operation::CreateRefund(operation) => op::refund::plan(context, operation),
        Operation::SettleRefund(operation) => op::refund_settle::plan(context, operation),
        Operation::FailRefund(operation) => op::refund_fail::plan(context, operation),
        Operation::SoftClosePeriod(operation) => op::period_soft_close::plan(context, operation),
        Operation::ClosePeriod(operation) => op::period_close::plan(context, operation),
        Operation::ReopenPeriod(operation) => op::period_reopen::plan(context, operation),
        Operation::Recognise(operation) => op::recognise::plan(context, operation),
        Operation::RecordRate(operation) => op::rate_record::plan(context, operation),
        Operation::Convert(operation) => op::convert::plan(context, operation),
        Operation::Revalue(operation) => op::revalue::plan(context, operation),
        Operation::CloseYear(operation) => op::year_close::plan(context, operation),
    }
}
