//! What a call can end with instead of an answer, told apart by what is known of its outcome.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Cheap to clone: one answer may be the end of many calls.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The ledger said no. With a [`position`](Refusal::position) that is its decision for this key and final.
    #[error("{0}")]
    Refused(Arc<Refusal>),
    /// The deadline passed, and an attempt may have been decided. Call again with this key, or ask for it
    /// ([`Book::key`](crate::Book::key)): it is posted once at most, whatever happens.
    #[error("it is not known whether {key} was decided")]
    OutcomeUnknown {
        key: String,
        #[source]
        last: Arc<Failure>,
    },
    /// The deadline passed, and nothing was decided: no attempt came as far.
    #[error("nothing was decided before the deadline")]
    Unavailable {
        #[source]
        last: Arc<Failure>,
    },
    /// What was answered is no answer of this ledger's.
    #[error("{what}: {answer}")]
    BadAnswer { what: &'static str, answer: String },
}

/// How an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no connection to {node}")]
    Connect {
        node: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the exchange with {node} broke off")]
    Exchange {
        node: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{node} did not answer in time")]
    Late { node: String },
    #[error("{node} answered {status}: {said}")]
    Answered { node: String, status: u16, said: String },
    #[error("it was never sent: the requests before it took until then")]
    NotSent,
    #[error("the runtime that it was sent from ended")]
    Ended,
}

/// A refusal: RFC 9457's problem details, or a batch item's code and fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// For people; empty where the refusal came from a batch.
    pub detail: String,
    /// The decision. Absent where it was refused before the ledger decided anything: the same key may be used again.
    pub position: Option<u64>,
    /// Whether it was refused before, and this is the first answer to the key again.
    pub is_replayed: bool,
    /// Everything else that was said, such as `available` or `account`.
    pub fields: Map<String, Value>,
}

impl Refusal {
    /// A field of the refusal that is a text, such as `available`.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    pub(crate) fn of(mut fields: Map<String, Value>, is_replayed: bool) -> Option<Self> {
        let code = match fields.remove("code") {
            Some(Value::String(code)) => Code::of(&code),
            _ => return None,
        };
        let detail = match fields.remove("detail") {
            Some(Value::String(detail)) => detail,
            _ => String::new(),
        };
        let position = fields.remove("position").as_ref().and_then(Value::as_u64);
        Some(Self { code, detail, position, is_replayed, fields })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.code)?;
        if !self.detail.is_empty() {
            return write!(f, " ({})", self.detail);
        }
        self.fields.iter().try_for_each(|(name, value)| write!(f, ", {name} {value}"))
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal,)*) => {
        /// Why something was refused (docs/api.md, errors).
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Code {
            $($name,)*
            /// One that this version of the client does not know.
            Other(String),
        }

        impl Code {
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            fn of(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

codes! {
    // Before anything is decided.
    Malformed = "malformed",
    UnknownField = "unknown_field",
    Unbalanced = "unbalanced",
    AmountNotPositive = "amount_not_positive",
    AmountTooLarge = "amount_too_large",
    IdempotencyKeyMissing = "idempotency_key_missing",
    IdempotencyKeyReused = "idempotency_key_reused",
    TaxExceedsAmount = "tax_exceeds_amount",
    NotFound = "not_found",
    TooLarge = "too_large",
    Unauthenticated = "unauthenticated",
    Forbidden = "forbidden",
    // The state machine's.
    AlreadyExists = "already_exists",
    AlreadyReversed = "already_reversed",
    NotReversible = "not_reversible",
    UnknownDocument = "unknown_document",
    ChargeNotOpen = "charge_not_open",
    PaymentNotOpen = "payment_not_open",
    HoldNotOpen = "hold_not_open",
    UnknownAccount = "unknown_account",
    AccountClosed = "account_closed",
    AccountNotEmpty = "account_not_empty",
    RoleMissing = "role_missing",
    UnknownCurrency = "unknown_currency",
    CurrencyNotAllowed = "currency_not_allowed",
    TooManyDecimals = "too_many_decimals",
    PartyRequired = "party_required",
    PartyNotAllowed = "party_not_allowed",
    ItemRequired = "item_required",
    ItemNotAllowed = "item_not_allowed",
    CustomerMismatch = "customer_mismatch",
    CurrencyMismatch = "currency_mismatch",
    RateRequired = "rate_required",
    OverCapture = "over_capture",
    OverApplication = "over_application",
    OverRefund = "over_refund",
    Overdraft = "overdraft",
    BalanceTooLarge = "balance_too_large",
    DocumentFull = "document_full",
    TooManyCurrencies = "too_many_currencies",
    PeriodClosed = "period_closed",
    PeriodOutOfOrder = "period_out_of_order",
    PeriodState = "period_state",
    PeriodNotReady = "period_not_ready",
    RateMissing = "rate_missing",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Of an answer that may be anything.
pub(crate) fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}
