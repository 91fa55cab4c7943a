//! What the state machine refuses, in one order of precedence.
//!
//! A command is refused for the first of these that applies (checked in this order by every rule):
//!
//! 1. its key: a replay or a reused key is no decision at all;
//! 2. what it names: `already_exists`, `unknown_document`, `already_reversed`, `not_reversible`;
//! 3. that thing's state: `charge_not_open`, `payment_not_open`, `hold_not_open`;
//! 4. accounts and roles, line by line: `unknown_account` or `role_missing`, `account_closed`,
//!    then `unknown_currency`, `currency_not_allowed`, `too_many_decimals`, then `party_required`,
//!    `party_not_allowed`, `item_required`, `item_not_allowed`;
//! 5. what it refers to besides: `unknown_document`, `customer_mismatch`, `currency_mismatch`, `rate_required`,
//!    `rate_missing`;
//! 6. the caps: `over_capture`, `over_application`, `over_refund`, `document_full`;
//! 7. the periods of the entries' effective dates: `period_closed`, in posting order;
//! 8. the balances, entry by entry: `balance_too_large` of a sum, then `overdraft`, each in posting order.
//!
//! In an atomic batch all elements pass 1 to 6 before any passes 7, and all pass 7 before any passes 8; at each of the
//! three the first refused element decides. Acts on periods are refused for their own reasons, in this order:
//! `period_state`, `period_out_of_order`, `period_not_ready`.

use crate::currency::MAX_REGISTERED;
use crate::id::{AccountCode, BookCode, CurrencyCode, DocumentId, EntryNumber, Position, Role};
use crate::period::{Blocker, PeriodId, PeriodState};
use crate::time::Date;

/// Where in the request the reason stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The request as a whole, or the thing its path names.
    Whole,
    Id,
    Currency,
    FunctionalCurrency,
    /// Of an account that is opened: one of its currencies.
    Currencies,
    Amount,
    Fee,
    Rate,
    Debit,
    Credit,
    /// A payment's `account` or `processor`.
    Source,
    Payment,
    Role,
    Line(u16),
    /// A tax line of a charge's line.
    Tax(u16, u16),
    Apply(u16),
    From(u16),
    EffectiveDate,
    /// A rate's currencies.
    Base,
    Quote,
    /// What a conversion receives.
    Received,
    ReceivedCurrency,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `decided_at`: the decision that left it as it is; the answer shows it from there.
    #[error("it exists already")]
    AlreadyExists { what: Existing, decided_at: Position },
    #[error("entry is reversed already, by entry {by}")]
    AlreadyReversed { by: EntryNumber },
    #[error("an operation made this entry; undo the operation instead")]
    NotReversible,
    #[error("there is no such document in this book")]
    UnknownDocument,
    #[error("the charge is not open for this")]
    ChargeNotOpen,
    #[error("the payment, or its refund, is not in a state that allows this")]
    PaymentNotOpen,
    #[error("the hold is not pending")]
    HoldNotOpen,
    #[error("there is no account {account} in this book")]
    UnknownAccount { account: AccountCode },
    #[error("account {account} is closed")]
    AccountClosed { account: AccountCode },
    #[error("account {account} still has a balance or pending amounts and cannot be closed")]
    AccountNotEmpty { account: AccountCode },
    #[error("no open account of this book has the role {role}")]
    RoleMissing { role: Role },
    #[error("currency {currency} is neither in ISO 4217 nor registered in this book")]
    UnknownCurrency { currency: CurrencyCode },
    #[error("account {account} does not take {currency}")]
    CurrencyNotAllowed { account: AccountCode, currency: CurrencyCode },
    #[error("{currency} has {decimals} decimals")]
    TooManyDecimals { currency: CurrencyCode, decimals: u8 },
    #[error("account {account} is a control account: its lines name a party")]
    PartyRequired { account: AccountCode },
    #[error("account {account} is no control account: its lines name no party")]
    PartyNotAllowed { account: AccountCode },
    #[error("lines of account {account} name the item they settle")]
    ItemRequired { account: AccountCode },
    #[error("lines of account {account} name no item")]
    ItemNotAllowed { account: AccountCode },
    #[error("it belongs to another customer")]
    CustomerMismatch,
    #[error("it is in another currency")]
    CurrencyMismatch,
    #[error("a charge in another currency than the book's functional one needs its rate")]
    RateRequired,
    #[error("more than what is still authorised")]
    OverCapture { available: i128, decimals: u8 },
    #[error("more than what is open or unapplied")]
    OverApplication { available: i128, decimals: u8 },
    #[error("more than what can still be refunded")]
    OverRefund { available: i128, decimals: u8 },
    #[error("account {account} would pass to its abnormal side")]
    Overdraft { account: AccountCode, available: i128, decimals: u8 },
    #[error("the sums of account {account} would pass the greatest amount that the ledger can hold")]
    BalanceTooLarge { account: AccountCode },
    #[error(
        "a document gathers at most 1,000 entries of at most 1,000 lines, and a payment settles at most 1,000 charges"
    )]
    DocumentFull,
    #[error("a book registers at most {MAX_REGISTERED} currencies")]
    TooManyCurrencies,
    #[error("period {period} is {state} and takes no such entry dated {date}")]
    PeriodClosed { period: PeriodId, state: PeriodState, date: Date },
    /// `first`: the period whose turn it is.
    #[error("periods are soft-closed, closed and, backwards, reopened in order: {first} comes first")]
    PeriodOutOfOrder { first: PeriodId },
    #[error(
        "the period is {state}: only an open one is soft-closed, only a soft-closed one closed, and an open one not reopened"
    )]
    PeriodState { state: PeriodState },
    /// The first [`MAX_BLOCKERS`] of them.
    #[error("the period is not ready to be closed; put it right, or name what is accepted in accept")]
    PeriodNotReady { blockers: Vec<Blocker> },
    #[error("there is no rate of {base} in {quote} up to {date}")]
    RateMissing { base: CurrencyCode, quote: CurrencyCode, date: Date },
}

/// The most blockers that a refused close lists.
pub const MAX_BLOCKERS: usize = 100;

/// A refusal: decided, replicated, final for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    pub field: Field,
    /// In an atomic batch: the element, from 0.
    pub index: Option<u32>,
}

/// What an `already_exists` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    Book(BookCode),
    Currency(CurrencyCode),
    Account(AccountCode),
    Hold(DocumentId),
    Charge(DocumentId),
    Payment(DocumentId),
    Refund(DocumentId),
}

impl Rejection {
    #[must_use]
    pub fn new(reason: Reason, field: Field) -> Self {
        Self { reason, field, index: None }
    }
}

impl Reason {
    /// The code of docs/api.md.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists { .. } => "already_exists",
            Self::AlreadyReversed { .. } => "already_reversed",
            Self::NotReversible => "not_reversible",
            Self::UnknownDocument => "unknown_document",
            Self::ChargeNotOpen => "charge_not_open",
            Self::PaymentNotOpen => "payment_not_open",
            Self::HoldNotOpen => "hold_not_open",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::AccountClosed { .. } => "account_closed",
            Self::AccountNotEmpty { .. } => "account_not_empty",
            Self::RoleMissing { .. } => "role_missing",
            Self::UnknownCurrency { .. } => "unknown_currency",
            Self::CurrencyNotAllowed { .. } => "currency_not_allowed",
            Self::TooManyDecimals { .. } => "too_many_decimals",
            Self::PartyRequired { .. } => "party_required",
            Self::PartyNotAllowed { .. } => "party_not_allowed",
            Self::ItemRequired { .. } => "item_required",
            Self::ItemNotAllowed { .. } => "item_not_allowed",
            Self::CustomerMismatch => "customer_mismatch",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::RateRequired => "rate_required",
            Self::OverCapture { .. } => "over_capture",
            Self::OverApplication { .. } => "over_application",
            Self::OverRefund { .. } => "over_refund",
            Self::Overdraft { .. } => "overdraft",
            Self::BalanceTooLarge { .. } => "balance_too_large",
            Self::DocumentFull => "document_full",
            Self::TooManyCurrencies => "too_many_currencies",
            Self::PeriodClosed { .. } => "period_closed",
            Self::PeriodOutOfOrder { .. } => "period_out_of_order",
            Self::PeriodState { .. } => "period_state",
            Self::PeriodNotReady { .. } => "period_not_ready",
            Self::RateMissing { .. } => "rate_missing",
        }
    }
}
