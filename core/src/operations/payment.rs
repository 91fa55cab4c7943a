//! A payment: money received at once, or an authorisation to capture later.
//!
//! Money received is a fact: what cannot be applied becomes the customer's unapplied cash, and nothing is refused
//! for being too much. An authorisation posts nothing: it is a pending debit of the source and a pending credit of
//! unapplied cash.
//!
//! Refusals, in order: `already_exists`; the source account, the currency, the amount; the unapplied-cash account;
//! the fee's account and amount; the amounts to apply; `unknown_document`, `customer_mismatch`, `currency_mismatch`
//! of each charge; the balances.

use crate::account::{Account, ItemRule};
use crate::currency::Currency;
use crate::document::{CaptureMode, Payment, PaymentState, Source};
use crate::entry::Side;
use crate::id::{DocumentId, Item, Party};
use crate::money::Amount;
use crate::operation::{CreatePayment, WrittenSource};
use crate::place::Place;
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::resolve::{currency_allowed, role};
use crate::state::Read;

use super::application::{Asked, Targets, asked};
use super::payment_capture::{Capture, capture};
use super::payment_fee::fee;

pub fn plan<S: Read>(context: &Context<'_, S>, create: &CreatePayment) -> Result<Plan, Rejection> {
    if let Some(payment) = context.state.payment(context.book.id, &create.id) {
        let reason = Reason::AlreadyExists { what: Existing::Payment(payment.id), decided_at: payment.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    let received = received(context, create)?;
    let account = context.role(role::UNAPPLIED_CASH)?;
    let item = Item::from(&create.id);
    let fields = (Field::Role, Field::Currency);
    let unapplied = Place::new(&account, Some(&create.customer), Some(&item), &received.currency, fields)?;
    let fee = create.fee.map(|written| fee(context, written, &received.currency, Field::Fee)).transpose()?;
    let asked = asked(context, &create.apply, &received.currency)?;
    let mut payment = payment(context, create, &received, &unapplied, &asked);
    let targets = Targets::find(context, &payment, &asked)?;
    match create.capture {
        CaptureMode::Automatic => {
            payment.state = PaymentState::Captured;
            let what = Capture {
                amount: received.amount,
                source: &received.place,
                unapplied: &unapplied,
                asked,
                targets,
                fee,
            };
            capture(context, payment, what, &create.details)
        }
        CaptureMode::Manual => {
            payment.state = PaymentState::Authorised;
            payment.pending = received.amount.minor();
            let reservations = reservations(&received.place, &unapplied, payment.pending).into();
            Ok(Plan { reservations, changes: vec![Change::Payment(payment)], ..Plan::default() })
        }
    }
}

/// Where the money arrives, and how much.
struct Received {
    source: Source,
    place: Place,
    currency: Currency,
    amount: Amount,
}

fn received<S: Read>(context: &Context<'_, S>, create: &CreatePayment) -> Result<Received, Rejection> {
    let (account, source) = match &create.source {
        WrittenSource::Processor(processor) => {
            let account = context.role(role::PROCESSOR_CLEARING)?;
            let source = Source::Processor { account: account.id, processor: processor.clone() };
            (account, source)
        }
        WrittenSource::Account(code) => {
            let account = context.account(code, Field::Source)?;
            let source = Source::Account(account.id);
            (account, source)
        }
    };
    let currency = context.currency(&create.currency, Field::Currency)?;
    currency_allowed(&account, &currency, Field::Currency)?;
    let amount = context.amount(create.amount, &currency, Field::Amount)?;
    let place = at_source(&account, &source, &create.id, &currency, Field::Source)?;
    Ok(Received { source, place, currency, amount })
}

/// A payment's place in its source account, which must be open still.
pub(super) fn source_place<S: Read>(
    context: &Context<'_, S>,
    payment: &Payment,
    field: Field,
) -> Result<Place, Rejection> {
    let (Source::Processor { account, .. } | Source::Account(account)) = &payment.source;
    let account = context.account_by_id(*account, field)?;
    at_source(&account, &payment.source, &payment.id, &context.currency_of(payment.currency), field)
}

/// A payment's item is named wherever its source account keeps items, as clearing must come to zero item by item.
fn at_source(
    account: &Account,
    source: &Source,
    id: &DocumentId,
    currency: &Currency,
    field: Field,
) -> Result<Place, Rejection> {
    let party: Option<&Party> = match source {
        Source::Processor { processor, .. } => Some(processor),
        Source::Account(_) => None,
    };
    let item = match account.items {
        ItemRule::None => None,
        ItemRule::Optional | ItemRule::Required => Some(Item::from(id)),
    };
    Place::new(account, party, item.as_ref(), currency, (field, field))
}

/// A payment's unapplied-cash item, whose account must be open still.
pub(super) fn unapplied_place<S: Read>(context: &Context<'_, S>, payment: &Payment) -> Result<Place, Rejection> {
    let account = context.account_by_id(payment.unapplied, Field::Whole)?;
    let item = Item::from(&payment.id);
    let currency = context.currency_of(payment.currency);
    Place::new(&account, Some(&payment.customer), Some(&item), &currency, (Field::Whole, Field::Whole))
}

/// Both sides of an authorisation's pending amount, rising or falling by `delta`.
pub(super) fn reservations(source: &Place, unapplied: &Place, delta: i128) -> [crate::plan::Reservation; 2] {
    [source.reserve(Side::Debit, delta), unapplied.reserve(Side::Credit, delta)]
}

fn payment<S: Read>(
    context: &Context<'_, S>,
    create: &CreatePayment,
    received: &Received,
    unapplied: &Place,
    asked: &[Asked],
) -> Payment {
    let requested = match create.capture {
        CaptureMode::Automatic => vec![],
        CaptureMode::Manual => asked
            .iter()
            .map(|asked| (asked.charge.clone(), Amount::new(asked.amount).expect("asked amounts are above zero")))
            .collect(),
    };
    Payment {
        id: create.id.clone(),
        customer: create.customer.clone(),
        source: received.source.clone(),
        unapplied: unapplied.account(),
        currency: received.currency.id,
        amount: received.amount,
        capture: create.capture,
        state: PaymentState::Authorised,
        captured: 0,
        pending: 0,
        expires_at: create.expires_at,
        requested,
        applications: vec![],
        refunded: 0,
        refunded_unapplied: 0,
        fees: 0,
        description: create.details.description.clone(),
        metadata: create.details.metadata.clone(),
        effective_date: context.effective_date(&create.details),
        refunds: vec![],
        entries: vec![],
        decided: context.position,
    }
}
