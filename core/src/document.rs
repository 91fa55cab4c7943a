//! Holds, charges, payments and refunds: what the posting rules remember beside the journal's lines.
//!
//! A charge's open amount and a payment's unapplied amount are *not* here: they are the balances of the
//! receivable item and of the unapplied-cash item (docs/rules.md, chart), so that no manual entry can make a document
//! and the books tell different stories. What a decision answered is kept in [`Snapshot`]s beside it.

use rust_decimal::Decimal;

use crate::account::{Account, Book};
use crate::currency::Currency;
use crate::entry::Metadata;
use crate::fx::{Rate, Valuation};
use crate::id::{AccountId, CurrencyId, DocumentId, EntryNumber, Item, Party, Position};
use crate::money::Amount;
use crate::period::{Calendar, Period, YearClose};
use crate::recognition::{Recognised, RecognitionRun};
use crate::time::{Date, Timestamp};

/// The most entries that one document may gather, and the most charges that a payment is ever applied to; each
/// decision on it lists them all.
pub const MAX_DOCUMENT_ENTRIES: usize = 1_000;

/// One side of a hold or transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub account: AccountId,
    pub party: Option<Party>,
    pub item: Option<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldState {
    Pending,
    PartiallyCaptured,
    Captured,
    Voided,
    Expired,
}

/// A pending entry of two lines: reserved, not posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: DocumentId,
    pub debit: Endpoint,
    pub credit: Endpoint,
    pub currency: CurrencyId,
    /// What was reserved at first, minor units.
    pub amount: Amount,
    /// What was posted of it so far.
    pub captured: i128,
    /// What is still reserved.
    pub pending: i128,
    pub state: HoldState,
    pub expires_at: Option<Timestamp>,
    pub description: String,
    pub metadata: Metadata,
    pub entries: Vec<EntryNumber>,
    /// The decision that left it so.
    pub decided: Position,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxLine {
    pub jurisdiction: Party,
    pub amount: Amount,
    /// What refunds gave back of it so far.
    pub refunded: i128,
}

/// Revenue to be recognised over a range of days, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub from: Date,
    pub to: Date,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    pub revenue: AccountId,
    /// Gross, tax included, in the charge's currency.
    pub amount: Amount,
    pub tax: Vec<TaxLine>,
    pub defer: Option<Deferral>,
    /// The net in the functional currency, as posted to revenue or deferred revenue; zero if all of it is tax.
    pub functional_net: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub id: DocumentId,
    pub customer: Party,
    /// The receivable account that its item stands on.
    pub receivable: AccountId,
    /// The deferred-revenue account, where a line is deferred.
    pub deferred: Option<AccountId>,
    pub currency: CurrencyId,
    pub due_date: Option<Date>,
    /// Functional units per unit of the charge's currency; `None` in the functional currency.
    pub rate: Option<Decimal>,
    pub lines: Vec<ChargeLine>,
    /// Gross of all lines.
    pub amount: Amount,
    pub voided: bool,
    /// Gross that refunds gave back of it (and credit notes, later).
    pub credited: i128,
    /// The functional value of the net part of `credited`: what credits and refunds and deferred revenue bore.
    pub credited_functional_net: i128,
    pub description: String,
    pub metadata: Metadata,
    pub effective_date: Date,
    /// Payments that were ever applied to it, in order of first application.
    pub payments: Vec<DocumentId>,
    pub refunds: Vec<DocumentId>,
    pub entries: Vec<EntryNumber>,
    /// The decision that left it so.
    pub decided: Position,
}

impl Charge {
    #[must_use]
    pub fn tax(&self) -> i128 {
        self.lines.iter().flat_map(|line| &line.tax).map(|tax| tax.amount.minor()).sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaptureMode {
    Automatic,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    Authorised,
    PartiallyCaptured,
    Captured,
    Voided,
    Expired,
}

/// Where a payment's money arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A processor's part of the clearing account.
    Processor { account: AccountId, processor: Party },
    /// An account without parties, such as the bank.
    Account(AccountId),
}

/// What of a payment settles one charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub charge: DocumentId,
    /// What is applied now, minor units; unapplying lowers it. Zero is kept: the order of first application counts.
    pub amount: i128,
    /// What refunds took of it.
    pub refunded: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub id: DocumentId,
    pub customer: Party,
    pub source: Source,
    /// The unapplied-cash account that its item stands on.
    pub unapplied: AccountId,
    pub currency: CurrencyId,
    /// What was authorised, or received at once.
    pub amount: Amount,
    pub capture: CaptureMode,
    pub state: PaymentState,
    pub captured: i128,
    /// What is still reserved.
    pub pending: i128,
    pub expires_at: Option<Timestamp>,
    /// What `apply` asked for at creation with manual capture; used by captures that name nothing themselves.
    pub requested: Vec<(DocumentId, Amount)>,
    /// In the order of application, newest last.
    pub applications: Vec<Application>,
    /// All refunds that did not fail.
    pub refunded: i128,
    /// What refunds took of unapplied cash.
    pub refunded_unapplied: i128,
    /// Processing fees net of returned ones.
    pub fees: i128,
    pub description: String,
    pub metadata: Metadata,
    pub effective_date: Date,
    pub refunds: Vec<DocumentId>,
    pub entries: Vec<EntryNumber>,
    /// The decision that left it so.
    pub decided: Position,
}

impl Payment {
    #[must_use]
    pub fn applied(&self) -> i128 {
        self.applications.iter().map(|application| application.amount).sum()
    }

    /// Guard of docs/rules.md, rule 6: Σ refunds ≤ captured.
    #[must_use]
    pub fn refundable(&self) -> i128 {
        self.captured - self.refunded
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleMode {
    Automatic,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundState {
    Pending,
    Succeeded,
    Failed,
}

/// What a refund took of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundPart {
    pub charge: DocumentId,
    /// Gross, in the payment's currency.
    pub amount: Amount,
    /// Per charge line and tax line, in the charge's order: what of `amount` was tax.
    pub tax: Vec<Vec<i128>>,
    /// What credits and refunds and deferred revenue bore, in the functional currency.
    pub functional_net: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub id: DocumentId,
    pub payment: DocumentId,
    pub customer: Party,
    pub currency: CurrencyId,
    pub amount: Amount,
    /// The refunds-payable account that its item stands on.
    pub payable: AccountId,
    pub settle: SettleMode,
    pub state: RefundState,
    pub reason: String,
    /// What it took of the payment's unapplied cash.
    pub unapplied: i128,
    pub parts: Vec<RefundPart>,
    pub description: String,
    pub metadata: Metadata,
    pub effective_date: Date,
    pub entries: Vec<EntryNumber>,
    /// The decision that left it so.
    pub decided: Position,
}

/// One document as a decision left it, with the item balance that belongs to it at that moment.
///
/// A decision keeps these: they are its answer, and `verify` rebuilds the tables from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    Hold(Hold),
    /// `open`: the receivable item's balance.
    Charge {
        charge: Charge,
        open: i128,
    },
    /// `unapplied`: the unapplied-cash item's balance.
    Payment {
        payment: Payment,
        unapplied: i128,
    },
    Refund(Refund),
    Book(Book),
    Currency(Currency),
    Account(Account),
    Calendar(Calendar),
    Period(Period),
    Rate(Rate),
    Recognised(Recognised),
    RecognitionRun(RecognitionRun),
    Valuation(Valuation),
    YearClose(YearClose),
}
