//! What callers can ask for: typed operations, parsed but not yet looked at against any state.
//!
//! The fingerprint of a request is taken of these values, so they hold what the caller wrote and nothing
//! that was filled in later: a date left out stays `None`.

use rust_decimal::Decimal;

use crate::account::{Class, ItemRule, Overdraft};
use crate::document::{CaptureMode, Deferral, SettleMode};
use crate::entry::{Metadata, Side};
use crate::id::{AccountCode, BookCode, CurrencyCode, DocumentId, EntryNumber, Item, Party, PartyKind, Role};
use crate::money::WrittenAmount;
use crate::period::{BlockerKind, FiscalYear, Month, PeriodId};
use crate::recognition::RecognisedUpTo;
use crate::time::{Date, Timestamp};

/// The most transfers or entries in one batch.
pub const MAX_BATCH: usize = 10_000;
/// The most lines of a charge, and applications or parts named in one request.
pub const MAX_PARTS: usize = 100;
/// The most tax lines of a charge's line.
pub const MAX_TAX_LINES: usize = 10;
/// The most tax lines of a whole charge: every decision on a charge keeps all of them.
pub const MAX_CHARGE_TAX_LINES: usize = 200;
/// The most characters of a name, and of a number, a time zone or a reason.
pub const MAX_NAME: usize = 200;
pub const MAX_WORD: usize = 64;

/// What every posting operation takes beside its own values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// `None`: the stamped date.
    pub effective_date: Option<Date>,
    pub description: String,
    pub metadata: Metadata,
}

/// `code`, `code/party` or `code/party/item`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRef {
    pub code: AccountCode,
    pub party: Option<Party>,
    pub item: Option<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    Saas,
    Empty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBook {
    pub code: BookCode,
    pub name: String,
    pub functional_currency: CurrencyCode,
    pub time_zone: String,
    pub chart: Chart,
}

/// As [`OpenBook`], of a book whose fiscal years begin with another month than January.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFiscalBook {
    pub book: OpenBook,
    pub first_month: Month,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterCurrency {
    pub code: CurrencyCode,
    /// 0 to 18.
    pub decimals: u8,
}

/// Which currencies an account is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Currencies {
    Any,
    /// Never empty. Sorted, without duplicates.
    Only(Vec<CurrencyCode>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccount {
    pub code: AccountCode,
    pub number: Option<String>,
    pub name: String,
    pub class: Class,
    pub contra: bool,
    pub party: Option<PartyKind>,
    pub items: ItemRule,
    pub currencies: Currencies,
    pub overdraft: Overdraft,
    pub must_zero: bool,
    pub role: Option<Role>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualKind {
    Standard,
    Opening,
    Adjusting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenLine {
    pub account: AccountRef,
    pub side: Side,
    pub amount: WrittenAmount,
    pub currency: CurrencyCode,
}

/// A manual entry. Its lines are two or more and balance in every currency as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostEntry {
    pub kind: ManualKind,
    pub details: Details,
    pub lines: Vec<WrittenLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub debit: AccountRef,
    pub credit: AccountRef,
    pub amount: WrittenAmount,
    pub currency: CurrencyCode,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseEntry {
    pub number: EntryNumber,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHold {
    pub id: DocumentId,
    pub debit: AccountRef,
    pub credit: AccountRef,
    pub amount: WrittenAmount,
    pub currency: CurrencyCode,
    pub expires_at: Option<Timestamp>,
    pub description: String,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureHold {
    pub id: DocumentId,
    /// `None`: all that is still reserved.
    pub amount: Option<WrittenAmount>,
    /// Whether the rest is released.
    pub is_final: bool,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidHold {
    pub id: DocumentId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenTax {
    pub jurisdiction: Party,
    pub amount: WrittenAmount,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenChargeLine {
    pub revenue: AccountCode,
    /// Gross.
    pub amount: WrittenAmount,
    /// Their sum is at most `amount`.
    pub tax: Vec<WrittenTax>,
    pub defer: Option<Deferral>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCharge {
    pub id: DocumentId,
    pub customer: Party,
    pub currency: CurrencyCode,
    pub due_date: Option<Date>,
    /// Above zero, normalised.
    pub rate: Option<Decimal>,
    /// At least one.
    pub lines: Vec<WrittenChargeLine>,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidCharge {
    pub id: DocumentId,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenSource {
    Processor(Party),
    Account(AccountCode),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenApplication {
    pub charge: DocumentId,
    pub amount: WrittenAmount,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePayment {
    pub id: DocumentId,
    pub customer: Party,
    pub source: WrittenSource,
    pub amount: WrittenAmount,
    pub currency: CurrencyCode,
    pub capture: CaptureMode,
    pub apply: Vec<WrittenApplication>,
    /// With automatic capture only.
    pub fee: Option<WrittenAmount>,
    /// With manual capture only.
    pub expires_at: Option<Timestamp>,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturePayment {
    pub id: DocumentId,
    /// `None`: all that is still reserved.
    pub amount: Option<WrittenAmount>,
    pub is_final: bool,
    /// `None`: what the payment's creation asked for.
    pub apply: Option<Vec<WrittenApplication>>,
    pub fee: Option<WrittenAmount>,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidPayment {
    pub id: DocumentId,
}

/// `apply` and `unapply`; at least one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyPayment {
    pub id: DocumentId,
    pub apply: Vec<WrittenApplication>,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostPaymentFee {
    pub id: DocumentId,
    pub amount: WrittenAmount,
    pub returned: bool,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenRefundPart {
    Unapplied { amount: WrittenAmount },
    Charge { charge: DocumentId, amount: WrittenAmount },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRefund {
    pub id: DocumentId,
    pub payment: DocumentId,
    pub amount: WrittenAmount,
    pub settle: SettleMode,
    /// A word of the caller's, at most 64 characters.
    pub reason: String,
    /// `None`: unapplied first, then the newest application. Otherwise at least one; each source once; their sum is `amount`.
    pub from: Option<Vec<WrittenRefundPart>>,
    pub details: Details,
}

/// `settle` and `fail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRefund {
    pub id: DocumentId,
    pub details: Details,
}

/// Soft-closing or reopening a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovePeriod {
    pub period: PeriodId,
    /// At most 500 characters; never empty where a period is reopened.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosePeriod {
    pub period: PeriodId,
    /// What is closed over consciously. Sorted, each once.
    pub accept: Vec<BlockerKind>,
    /// At most 500 characters.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognise {
    /// The entries' date too.
    pub through: Date,
    /// `None`: from the first deferred item.
    pub after: Option<RecognisedUpTo>,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRate {
    pub base: CurrencyCode,
    /// Another one than `base`.
    pub quote: CurrencyCode,
    pub date: Date,
    /// Above zero, normalised.
    pub rate: Decimal,
    /// At most 64 characters.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convert {
    pub from: AccountRef,
    pub amount: WrittenAmount,
    pub currency: CurrencyCode,
    pub to: AccountRef,
    /// Net of the fee.
    pub received: WrittenAmount,
    /// Another one than `currency`.
    pub received_currency: CurrencyCode,
    /// In the currency received.
    pub fee: Option<WrittenAmount>,
    pub details: Details,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revalue {
    /// The date of the rates and of the entry.
    pub date: Date,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseYear {
    pub year: FiscalYear,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    OpenBook(OpenBook),
    RegisterCurrency(RegisterCurrency),
    OpenAccount(OpenAccount),
    CloseAccount(AccountCode),
    PostEntry(PostEntry),
    /// All or none, in order, as one decision.
    PostEntries(Vec<PostEntry>),
    Transfer(Transfer),
    /// All or none, in order, as one decision.
    Transfers(Vec<Transfer>),
    ReverseEntry(ReverseEntry),
    PlaceHold(PlaceHold),
    CaptureHold(CaptureHold),
    VoidHold(VoidHold),
    CreateCharge(CreateCharge),
    VoidCharge(VoidCharge),
    CreatePayment(CreatePayment),
    CapturePayment(CapturePayment),
    VoidPayment(VoidPayment),
    ApplyPayment(ApplyPayment),
    UnapplyPayment(ApplyPayment),
    PostPaymentFee(PostPaymentFee),
    CreateRefund(CreateRefund),
    SettleRefund(MoveRefund),
    FailRefund(MoveRefund),
    /// An [`Operation::OpenBook`] with a fiscal calendar of its own.
    OpenFiscalBook(OpenFiscalBook),
    SoftClosePeriod(MovePeriod),
    ClosePeriod(ClosePeriod),
    /// One step back: from closed to soft-closed, from soft-closed to open.
    ReopenPeriod(MovePeriod),
    Recognise(Recognise),
    RecordRate(RecordRate),
    Convert(Convert),
    Revalue(Revalue),
    CloseYear(CloseYear),
}

/// An operation's name: what a decision remembers of the request beside its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    OpenBook,
    RegisterCurrency,
    OpenAccount,
    CloseAccount,
    PostEntry,
    PostEntries,
    Transfer,
    Transfers,
    ReverseEntry,
    PlaceHold,
    CaptureHold,
    VoidHold,
    CreateCharge,
    VoidCharge,
    CreatePayment,
    CapturePayment,
    VoidPayment,
    ApplyPayment,
    UnapplyPayment,
    PostPaymentFee,
    CreateRefund,
    SettleRefund,
    FailRefund,
    /// Internal: the expiry of a hold.
    ExpireHold,
    /// Internal: the expiry of a payment's authorisation.
    ExpirePayment,
    SoftClosePeriod,
    ClosePeriod,
    ReopenPeriod,
    Recognise,
    RecordRate,
    Convert,
    Revalue,
    CloseYear,
}

impl Operation {
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::OpenBook(_) | Self::OpenFiscalBook(_) => OperationKind::OpenBook,
            Self::RegisterCurrency(_) => OperationKind::RegisterCurrency,
            Self::OpenAccount(_) => OperationKind::OpenAccount,
            Self::CloseAccount(_) => OperationKind::CloseAccount,
            Self::PostEntry(_) => OperationKind::PostEntry,
            Self::PostEntries(_) => OperationKind::PostEntries,
            Self::Transfer(_) => OperationKind::Transfer,
            Self::Transfers(_) => OperationKind::Transfers,
            Self::ReverseEntry(_) => OperationKind::ReverseEntry,
            Self::PlaceHold(_) => OperationKind::PlaceHold,
            Self::CaptureHold(_) => OperationKind::CaptureHold,
            Self::VoidHold(_) => OperationKind::VoidHold,
            Self::CreateCharge(_) => OperationKind::CreateCharge,
            Self::VoidCharge(_) => OperationKind::VoidCharge,
            Self::CreatePayment(_) => OperationKind::CreatePayment,
            Self::CapturePayment(_) => OperationKind::CapturePayment,
            Self::VoidPayment(_) => OperationKind::VoidPayment,
            Self::ApplyPayment(_) => OperationKind::ApplyPayment,
            Self::UnapplyPayment(_) => OperationKind::UnapplyPayment,
            Self::PostPaymentFee(_) => OperationKind::PostPaymentFee,
            Self::CreateRefund(_) => OperationKind::CreateRefund,
            Self::SettleRefund(_) => OperationKind::SettleRefund,
            Self::FailRefund(_) => OperationKind::FailRefund,
            Self::SoftClosePeriod(_) => OperationKind::SoftClosePeriod,
            Self::ClosePeriod(_) => OperationKind::ClosePeriod,
            Self::ReopenPeriod(_) => OperationKind::ReopenPeriod,
            Self::Recognise(_) => OperationKind::Recognise,
            Self::RecordRate(_) => OperationKind::RecordRate,
            Self::Convert(_) => OperationKind::Convert,
            Self::Revalue(_) => OperationKind::Revalue,
            Self::CloseYear(_) => OperationKind::CloseYear,
        }
    }
}
