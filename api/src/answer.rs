//! From a decision to its answer: a pure function of the decision and of names that never change, so that a replay
//! gives the same bytes as the first time.

use axum::http::StatusCode;
use partita_core::decision::{Decision, Effects, Outcome};
use partita_core::document::Snapshot;
use partita_core::entry::Entry;
use partita_core::id::Position;
use partita_core::money::Formatted;
use partita_core::operation::OperationKind;
use partita_core::period::Month;
use partita_core::rejection::{Existing, Field, Reason, Rejection};
use serde::Serialize;
use serde_json::Value;

use crate::app::{App, source};
use crate::batch::{BatchJson, ResultJson};
use crate::body::field_name;
use crate::names::Names;
use crate::problem::Problem;
use crate::routes::Decided;
use crate::routes::accounts::AccountJson;
use crate::routes::books::BookJson;
use crate::routes::charges::ChargeJson;
use crate::routes::currencies::CurrencyJson;
use crate::routes::entries::EntryJson;
use crate::routes::fx::{RateJson, ValuationJson};
use crate::routes::holds::HoldJson;
use crate::routes::payments::PaymentJson;
use crate::routes::periods::{BlockerJson, CalendarJson, PeriodJson};
use crate::routes::recognitions::{RecognisedJson, RecognitionRunJson};
use crate::routes::refunds::RefundJson;
use crate::routes::years::YearCloseJson;
use crate::values::format_instant;

/// A status and a JSON body.
#[derive(Debug)]
pub struct Rendered {
    pub status: StatusCode,
    pub body: Body,
}

/// The shapes that a decision's answer can have.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Body {
    Entry(EntryJson),
    Batch(BatchJson),
    Document(DocumentJson),
    Problem(serde_json::Map<String, Value>),
}

/// One thing of a book as a decision left it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum DocumentJson {
    Book(BookJson),
    Currency(CurrencyJson),
    Account(AccountJson),
    Hold(HoldJson),
    Charge(Box<ChargeJson>),
    Payment(Box<PaymentJson>),
    Refund(Box<RefundJson>),
    Calendar(CalendarJson),
    Period(Box<PeriodJson>),
    Rate(RateJson),
    Recognised(Box<RecognisedJson>),
    RecognitionRun(RecognitionRunJson),
    Valuation(Box<ValuationJson>),
    YearClose(YearCloseJson),
}

/// The status of what was accepted: 201 where the answer shows something that did not exist before.
fn accepted_status(operation: OperationKind) -> StatusCode {
    match operation {
        OperationKind::OpenBook
        | OperationKind::RegisterCurrency
        | OperationKind::OpenAccount
        | OperationKind::PostEntry
        | OperationKind::Transfer
        | OperationKind::ReverseEntry
        | OperationKind::PlaceHold
        | OperationKind::CreateCharge
        | OperationKind::CreatePayment
        | OperationKind::CreateRefund
        | OperationKind::RecordRate
        | OperationKind::Convert => StatusCode::CREATED,
        OperationKind::CloseAccount
        | OperationKind::PostEntries
        | OperationKind::Transfers
        | OperationKind::CaptureHold
        | OperationKind::VoidHold
        | OperationKind::VoidCharge
        | OperationKind::CapturePayment
        | OperationKind::VoidPayment
        | OperationKind::ApplyPayment
        | OperationKind::UnapplyPayment
        | OperationKind::PostPaymentFee
        | OperationKind::SettleRefund
        | OperationKind::FailRefund
        | OperationKind::SoftClosePeriod
        | OperationKind::ClosePeriod
        | OperationKind::ReopenPeriod
        | OperationKind::Recognise
        | OperationKind::Revalue
        | OperationKind::CloseYear
        | OperationKind::ExpireHold
        | OperationKind::ExpirePayment => StatusCode::OK,
    }
}

/// The operation's name as `keys` and the feed show it.
#[must_use]
pub fn operation_name(operation: OperationKind) -> &'static str {
    match operation {
        OperationKind::OpenBook => "open_book",
        OperationKind::RegisterCurrency => "register_currency",
        OperationKind::OpenAccount => "open_account",
        OperationKind::CloseAccount => "close_account",
        OperationKind::PostEntry => "post_entry",
        OperationKind::PostEntries => "post_entries",
        OperationKind::Transfer => "transfer",
        OperationKind::Transfers => "transfers",
        OperationKind::ReverseEntry => "reverse_entry",
        OperationKind::PlaceHold => "place_hold",
        OperationKind::CaptureHold => "capture_hold",
        OperationKind::VoidHold => "void_hold",
        OperationKind::CreateCharge => "create_charge",
        OperationKind::VoidCharge => "void_charge",
        OperationKind::CreatePayment => "create_payment",
        OperationKind::CapturePayment => "capture_payment",
        OperationKind::VoidPayment => "void_payment",
        OperationKind::ApplyPayment => "apply_payment",
        OperationKind::UnapplyPayment => "unapply_payment",
        OperationKind::PostPaymentFee => "post_payment_fee",
        OperationKind::CreateRefund => "create_refund",
        OperationKind::SettleRefund => "settle_refund",
        OperationKind::FailRefund => "fail_refund",
        OperationKind::ExpireHold => "expire_hold",
        OperationKind::ExpirePayment => "expire_payment",
        OperationKind::SoftClosePeriod => "soft_close_period",
        OperationKind::ClosePeriod => "close_period",
        OperationKind::ReopenPeriod => "reopen_period",
        OperationKind::Recognise => "recognise",
        OperationKind::RecordRate => "record_rate",
        OperationKind::Convert => "convert",
        OperationKind::Revalue => "revalue",
        OperationKind::CloseYear => "close_year",
    }
}

/// The answer to the request that `decision` decided.
pub fn render(app: &App, decision: &Decision) -> Rendered {
    match &decision.outcome {
        Outcome::Accepted(effects) => {
            Rendered { status: accepted_status(decision.operation), body: accepted(app, decision, effects) }
        }
        Outcome::Refused(rejection) => {
            let problem = refused(app, decision, rejection);
            Rendered { status: problem.status(), body: Body::Problem(problem.body()) }
        }
    }
}

fn accepted(app: &App, decision: &Decision, effects: &Effects) -> Body {
    match decision.operation {
        OperationKind::PostEntry | OperationKind::Transfer | OperationKind::ReverseEntry | OperationKind::Convert => {
            let names = app.names(decision.book);
            let entry = effects.entries.first().expect("the operation posted one entry");
            Body::Entry(EntryJson::of(entry, &names, source(decision), None))
        }
        OperationKind::PostEntries | OperationKind::Transfers => {
            let names = app.names(decision.book);
            let posted = |entry| posted(entry, &names, decision.position);
            Body::Batch(BatchJson {
                position: Some(decision.position.0),
                recorded_at: Some(format_instant(decision.recorded_at)),
                results: effects.entries.iter().map(posted).collect(),
            })
        }
        OperationKind::OpenBook
        | OperationKind::RegisterCurrency
        | OperationKind::OpenAccount
        | OperationKind::CloseAccount
        | OperationKind::PlaceHold
        | OperationKind::CaptureHold
        | OperationKind::VoidHold
        | OperationKind::CreateCharge
        | OperationKind::VoidCharge
        | OperationKind::CreatePayment
        | OperationKind::CapturePayment
        | OperationKind::VoidPayment
        | OperationKind::ApplyPayment
        | OperationKind::UnapplyPayment
        | OperationKind::PostPaymentFee
        | OperationKind::CreateRefund
        | OperationKind::SettleRefund
        | OperationKind::FailRefund
        | OperationKind::SoftClosePeriod
        | OperationKind::ClosePeriod
        | OperationKind::ReopenPeriod
        | OperationKind::Recognise
        | OperationKind::RecordRate
        | OperationKind::Revalue
        | OperationKind::CloseYear
        | OperationKind::ExpireHold
        | OperationKind::ExpirePayment => {
            let snapshot = effects.snapshots.first().expect("the operation is about a document");
            Body::Document(document(app, decision, snapshot))
        }
    }
}

/// A snapshot as its decision left it.
pub(crate) fn document(app: &App, decision: &Decision, snapshot: &Snapshot) -> DocumentJson {
    let decided = Decided { position: decision.position, recorded_at: decision.recorded_at };
    let book = match snapshot {
        Snapshot::Book(book) => book.id,
        Snapshot::Hold(_)
        | Snapshot::Charge { .. }
        | Snapshot::Payment { .. }
        | Snapshot::Refund(_)
        | Snapshot::Currency(_)
        | Snapshot::Account(_)
        | Snapshot::Calendar(_)
        | Snapshot::Period(_)
        | Snapshot::Rate(_)
        | Snapshot::Recognised(_)
        | Snapshot::RecognitionRun(_)
        | Snapshot::Valuation(_)
        | Snapshot::YearClose(_) => decision.book,
    };
    // A book's own chart belongs to the decision that opened it, which is the cluster's.
    let names = app.directory().book(book);
    let names = names.unwrap_or_else(|| app.names(opened_book(decision)));
    match snapshot {
        Snapshot::Book(book) => DocumentJson::Book(BookJson::of(book, first_month(decision), &names, decided)),
        Snapshot::Calendar(calendar) => DocumentJson::Calendar(CalendarJson::of(calendar)),
        Snapshot::Rate(rate) => DocumentJson::Rate(RateJson::of(rate, &names, decided)),
        Snapshot::Recognised(recognised) => {
            DocumentJson::Recognised(Box::new(RecognisedJson::of(recognised, None, &names)))
        }
        Snapshot::RecognitionRun(run) => DocumentJson::RecognitionRun(RecognitionRunJson::of(run, &names, decided)),
        Snapshot::Valuation(valuation) => {
            DocumentJson::Valuation(Box::new(ValuationJson::of(valuation, &names, decision)))
        }
        Snapshot::YearClose(closed) => DocumentJson::YearClose(YearCloseJson::of(closed, &names, decision)),
        Snapshot::Period(period) => {
            DocumentJson::Period(Box::new(PeriodJson::of(period, first_month(decision), &names, decided)))
        }
        Snapshot::Currency(currency) => DocumentJson::Currency(CurrencyJson::of(currency)),
        Snapshot::Account(account) => DocumentJson::Account(AccountJson::of(account, &names, decided)),
        Snapshot::Hold(hold) => DocumentJson::Hold(HoldJson::of(hold, &names, decided)),
        Snapshot::Charge { charge, open } => {
            DocumentJson::Charge(Box::new(ChargeJson::of(charge, *open, &names, decided)))
        }
        Snapshot::Payment { payment, unapplied } => {
            DocumentJson::Payment(Box::new(PaymentJson::of(payment, *unapplied, &names, decided)))
        }
        Snapshot::Refund(refund) => DocumentJson::Refund(Box::new(RefundJson::of(refund, &names, decided))),
    }
}

/// The first month of fiscal years, as the calendar in the same decision says; without one they are calendar years.
fn first_month(decision: &Decision) -> Month {
    let Outcome::Accepted(effects) = &decision.outcome else { return Month::JANUARY };
    let first_month = |snapshot: &Snapshot| {
        if let Snapshot::Calendar(calendar) = snapshot { Some(calendar.first_month) } else { None }
    };
    effects.snapshots.iter().find_map(first_month).unwrap_or(Month::JANUARY)
}

/// The book that a decision of the cluster's scope opened.
fn opened_book(decision: &Decision) -> partita_core::id::BookId {
    let Outcome::Accepted(effects) = &decision.outcome else { return decision.book };
    let opened = effects.snapshots.iter().find_map(|snapshot| match snapshot {
        Snapshot::Book(book) => Some(book.id),
        Snapshot::Hold(_)
        | Snapshot::Charge { .. }
        | Snapshot::Payment { .. }
        | Snapshot::Refund(_)
        | Snapshot::Currency(_)
        | Snapshot::Account(_)
        | Snapshot::Calendar(_)
        | Snapshot::Period(_)
        | Snapshot::Rate(_)
        | Snapshot::Recognised(_)
        | Snapshot::RecognitionRun(_)
        | Snapshot::Valuation(_)
        | Snapshot::YearClose(_) => None,
    });
    opened.unwrap_or(decision.book)
}

/// As serde writes it; batches are written by [`crate::results`], whose tests hold it to this.
pub(crate) fn posted(entry: &Entry, names: &Names, position: Position) -> ResultJson {
    let balance = |line: &partita_core::entry::Line| {
        names.money(line.balance_after(names.normal_side(line.account)), line.currency)
    };
    ResultJson {
        status: "posted",
        number: Some(entry.number.0),
        position: Some(position.0),
        balances: Some(entry.lines.iter().map(balance).collect()),
        ..ResultJson::default()
    }
}

/// The entry of a batch's item that was posted.
pub(crate) fn posted_entry(decision: &Decision) -> Option<&Entry> {
    match &decision.outcome {
        Outcome::Accepted(effects) => Some(effects.entries.first().expect("the operation posted one entry")),
        Outcome::Refused(_) => None,
    }
}

/// What became of a batch's item.
pub(crate) fn result(app: &App, decision: &Decision, replayed: bool) -> ResultJson {
    match &decision.outcome {
        Outcome::Accepted(effects) => {
            let names = app.names(decision.book);
            let entry = effects.entries.first().expect("the operation posted one entry");
            if replayed {
                let (number, position) = (Some(entry.number.0), Some(decision.position.0));
                return ResultJson { status: "replayed", number, position, ..ResultJson::default() };
            }
            posted(entry, &names, decision.position)
        }
        Outcome::Refused(rejection) => {
            let problem = refused(app, decision, rejection);
            let mut fields = problem.fields().clone();
            fields.remove("position");
            fields.remove("recorded_at");
            ResultJson {
                status: if replayed { "replayed" } else { "rejected" },
                position: Some(decision.position.0),
                code: Some(problem.code()),
                fields,
                ..ResultJson::default()
            }
        }
    }
}

/// docs/rules.md, rule 6: undoing an operation is an operation.
const UNDOING: &str = "void a charge, unapply or refund a payment, record a fee's return, fail a refund";

/// The problem that a refusal is to its caller.
pub(crate) fn refused(app: &App, decision: &Decision, rejection: &Rejection) -> Problem {
    let Rejection { reason, field, index } = rejection;
    let pointer = pointer(decision.operation, *field, *index, reason);
    let what = if *reason == Reason::NotReversible { format!("{reason}: {UNDOING}") } else { reason.to_string() };
    let detail = match &pointer {
        Some(pointer) => format!("{}: {what}", field_name(pointer)),
        None => what,
    };
    let status = match reason {
        Reason::AlreadyExists { .. } | Reason::AlreadyReversed { .. } => StatusCode::CONFLICT,
        Reason::NotReversible
        | Reason::UnknownDocument
        | Reason::ChargeNotOpen
        | Reason::PaymentNotOpen
        | Reason::HoldNotOpen
        | Reason::UnknownAccount { .. }
        | Reason::AccountClosed { .. }
        | Reason::AccountNotEmpty { .. }
        | Reason::RoleMissing { .. }
        | Reason::UnknownCurrency { .. }
        | Reason::CurrencyNotAllowed { .. }
        | Reason::TooManyDecimals { .. }
        | Reason::PartyRequired { .. }
        | Reason::PartyNotAllowed { .. }
        | Reason::ItemRequired { .. }
        | Reason::ItemNotAllowed { .. }
        | Reason::CustomerMismatch
        | Reason::CurrencyMismatch
        | Reason::RateRequired
        | Reason::OverCapture { .. }
        | Reason::OverApplication { .. }
        | Reason::OverRefund { .. }
        | Reason::Overdraft { .. }
        | Reason::BalanceTooLarge { .. }
        | Reason::DocumentFull
        | Reason::TooManyCurrencies
        | Reason::PeriodClosed { .. }
        | Reason::PeriodOutOfOrder { .. }
        | Reason::PeriodState { .. }
        | Reason::PeriodNotReady { .. }
        | Reason::RateMissing { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut problem = Problem::refused(status, reason.code(), title(reason).to_owned(), detail);
    if let Some(pointer) = pointer {
        problem = problem.at(pointer);
    }
    if let Some(index) = index {
        problem = problem.with("index", *index);
    }
    with_fields(app, decision, reason, problem)
        .with("position", decision.position.0)
        .with("recorded_at", format_instant(decision.recorded_at))
}

fn with_fields(app: &App, decision: &Decision, reason: &Reason, problem: Problem) -> Problem {
    let money = |minor: i128, decimals: u8| Formatted { minor, decimals }.to_string();
    match reason {
        Reason::AlreadyExists { what, decided_at } => {
            let existing = existing(app, decision, what, *decided_at);
            problem.with("existing", serde_json::to_value(existing).expect("a document's form is JSON"))
        }
        Reason::AlreadyReversed { by } => problem.with("by", by.0),
        Reason::UnknownAccount { account }
        | Reason::AccountClosed { account }
        | Reason::AccountNotEmpty { account }
        | Reason::PartyRequired { account }
        | Reason::PartyNotAllowed { account }
        | Reason::ItemRequired { account }
        | Reason::ItemNotAllowed { account }
        | Reason::BalanceTooLarge { account } => problem.with("account", account.as_str()),
        Reason::RoleMissing { role } => problem.with("role", role.as_str()),
        Reason::UnknownCurrency { currency } => problem.with("currency", currency.as_str()),
        Reason::CurrencyNotAllowed { account, currency } => {
            problem.with("account", account.as_str()).with("currency", currency.as_str())
        }
        Reason::TooManyDecimals { currency, decimals } => {
            problem.with("currency", currency.as_str()).with("decimals", *decimals)
        }
        Reason::OverCapture { available, decimals }
        | Reason::OverApplication { available, decimals }
        | Reason::OverRefund { available, decimals } => problem.with("available", money(*available, *decimals)),
        Reason::Overdraft { account, available, decimals } => {
            problem.with("account", account.as_str()).with("available", money(*available, *decimals))
        }
        Reason::PeriodClosed { period, state, date } => {
            problem.with("period", period.to_string()).with("state", state.name()).with("date", date.to_string())
        }
        Reason::RateMissing { base, quote, date } => {
            problem.with("base", base.as_str()).with("quote", quote.as_str()).with("date", date.to_string())
        }
        Reason::PeriodOutOfOrder { first } => problem.with("period", first.to_string()),
        Reason::PeriodState { state } => problem.with("state", state.name()),
        Reason::PeriodNotReady { blockers } => {
            let blockers: Vec<BlockerJson> = blockers.iter().map(BlockerJson::of).collect();
            problem.with("blockers", serde_json::to_value(blockers).expect("texts are JSON"))
        }
        Reason::NotReversible
        | Reason::UnknownDocument
        | Reason::ChargeNotOpen
        | Reason::PaymentNotOpen
        | Reason::HoldNotOpen
        | Reason::CustomerMismatch
        | Reason::CurrencyMismatch
        | Reason::RateRequired
        | Reason::DocumentFull
        | Reason::TooManyCurrencies => problem,
    }
}

/// What was there already, as the decision at `decided_at` left it.
fn existing(app: &App, refused: &Decision, what: &Existing, decided_at: partita_core::id::Position) -> DocumentJson {
    if let (Existing::Currency(code), 0) = (what, decided_at.0) {
        let currency = partita_core::currency::iso_by_code(code);
        return DocumentJson::Currency(CurrencyJson::of(&currency.expect("position 0 registered ISO 4217's")));
    }
    let decision = app.decision(decided_at);
    let Outcome::Accepted(effects) = &decision.outcome else {
        panic!("decision {decided_at} refused, yet {what:?} is said to be from there")
    };
    let is_it = |snapshot: &&Snapshot| match (what, snapshot) {
        (Existing::Book(code), Snapshot::Book(book)) => book.code == *code,
        (Existing::Currency(code), Snapshot::Currency(currency)) => currency.code == *code,
        (Existing::Account(code), Snapshot::Account(account)) => account.code == *code,
        (Existing::Hold(id), Snapshot::Hold(hold)) => hold.id == *id,
        (Existing::Charge(id), Snapshot::Charge { charge, open: _ }) => charge.id == *id,
        (Existing::Payment(id), Snapshot::Payment { payment, unapplied: _ }) => payment.id == *id,
        (Existing::Refund(id), Snapshot::Refund(refund)) => refund.id == *id,
        (
            Existing::Book(_)
            | Existing::Currency(_)
            | Existing::Account(_)
            | Existing::Hold(_)
            | Existing::Charge(_)
            | Existing::Payment(_)
            | Existing::Refund(_),
            _,
        ) => false,
    };
    let snapshot = effects.snapshots.iter().find(is_it).unwrap_or_else(|| {
        panic!("decision {decided_at} does not show {what:?}, which decision {} refers to", refused.position)
    });
    document(app, &decision, snapshot)
}

/// Where in the request the reason stands.
fn pointer(operation: OperationKind, field: Field, index: Option<u32>, reason: &Reason) -> Option<String> {
    let list = if operation == OperationKind::Transfers { "transfers" } else { "entries" };
    let element = index.map_or_else(String::new, |index| format!("/{list}/{index}"));
    let place = match field {
        Field::Whole | Field::Role | Field::Source => return (!element.is_empty()).then_some(element),
        // A currency and an account are called by their code.
        Field::Id if matches!(operation, OperationKind::RegisterCurrency | OperationKind::OpenAccount) => {
            "/code".to_owned()
        }
        Field::Id => "/id".to_owned(),
        Field::Currency if operation == OperationKind::RegisterCurrency => "/code".to_owned(),
        Field::Currency => "/currency".to_owned(),
        Field::FunctionalCurrency => "/functional_currency".to_owned(),
        Field::Currencies => "/currencies".to_owned(),
        Field::Amount => "/amount".to_owned(),
        Field::Fee => "/fee".to_owned(),
        Field::Rate => "/rate".to_owned(),
        Field::Debit if operation == OperationKind::Convert => "/to".to_owned(),
        Field::Credit if operation == OperationKind::Convert => "/from".to_owned(),
        Field::Debit => "/debit".to_owned(),
        Field::Credit => "/credit".to_owned(),
        Field::Payment => "/payment".to_owned(),
        Field::Line(line) => format!("/lines/{line}{}", line_part(operation, reason)),
        Field::Tax(line, tax) => format!("/lines/{line}/tax/{tax}"),
        Field::Apply(part) => format!("/apply/{part}"),
        Field::From(part) => format!("/from/{part}"),
        // The year's last day is nobody's field.
        Field::EffectiveDate if operation == OperationKind::CloseYear => return None,
        Field::EffectiveDate if operation == OperationKind::Recognise => "/through".to_owned(),
        Field::EffectiveDate if operation == OperationKind::Revalue => "/date".to_owned(),
        Field::EffectiveDate => "/effective_date".to_owned(),
        Field::Base => "/base".to_owned(),
        Field::Quote => "/quote".to_owned(),
        Field::Received => "/received".to_owned(),
        Field::ReceivedCurrency => "/received_currency".to_owned(),
    };
    Some(format!("{element}{place}"))
}

/// Which member of a line.
fn line_part(operation: OperationKind, reason: &Reason) -> &'static str {
    if matches!(reason, Reason::TooManyDecimals { .. }) {
        return "/amount";
    }
    let is_account = matches!(reason, Reason::UnknownAccount { .. } | Reason::AccountClosed { .. });
    if operation == OperationKind::CreateCharge {
        return if is_account { "/revenue" } else { "" };
    }
    if is_account {
        "/account"
    } else if matches!(reason, Reason::UnknownCurrency { .. }) {
        "/currency"
    } else if matches!(reason, Reason::PartyNotAllowed { .. }) {
        "/party"
    } else if matches!(reason, Reason::ItemNotAllowed { .. }) {
        "/item"
    } else {
        ""
    }
}

fn title(reason: &Reason) -> &'static str {
    match reason {
        Reason::AlreadyExists { .. } => "It exists already",
        Reason::AlreadyReversed { .. } => "The entry is reversed already",
        Reason::NotReversible => "The entry cannot be reversed",
        Reason::UnknownDocument => "There is no such document",
        Reason::ChargeNotOpen => "The charge is not open",
        Reason::PaymentNotOpen => "The payment is not open",
        Reason::HoldNotOpen => "The hold is not open",
        Reason::UnknownAccount { .. } => "There is no such account",
        Reason::AccountClosed { .. } => "The account is closed",
        Reason::AccountNotEmpty { .. } => "The account is not empty",
        Reason::RoleMissing { .. } => "No account has the role",
        Reason::UnknownCurrency { .. } => "There is no such currency",
        Reason::CurrencyNotAllowed { .. } => "The account does not take the currency",
        Reason::TooManyDecimals { .. } => "The amount has too many decimals",
        Reason::PartyRequired { .. } => "The account needs a party",
        Reason::PartyNotAllowed { .. } => "The account has no parties",
        Reason::ItemRequired { .. } => "The account needs an item",
        Reason::ItemNotAllowed { .. } => "The account has no items",
        Reason::CustomerMismatch => "It belongs to another customer",
        Reason::CurrencyMismatch => "It is in another currency",
        Reason::RateRequired => "A rate is required",
        Reason::OverCapture { .. } => "More than what is authorised",
        Reason::OverApplication { .. } => "More than what is open or unapplied",
        Reason::OverRefund { .. } => "More than what can be refunded",
        Reason::Overdraft { .. } => "The account would be overdrawn",
        Reason::BalanceTooLarge { .. } => "The balance would be too large",
        Reason::DocumentFull => "The document has too many entries",
        Reason::TooManyCurrencies => "The book has too many currencies of its own",
        Reason::PeriodClosed { .. } => "The period does not take the entry",
        Reason::PeriodOutOfOrder { .. } => "It is another period's turn",
        Reason::PeriodState { .. } => "The period is not in a state that allows this",
        Reason::PeriodNotReady { .. } => "The period is not ready to be closed",
        Reason::RateMissing { .. } => "A rate is missing",
    }
}
