//! Journal entries: drafts, which are balanced by construction, and entries as they were posted.

use std::collections::BTreeMap;

use crate::chain::PostingRef;
use crate::id::{AccountId, CurrencyId, DocumentId, EntryNumber, Item, Party};
use crate::money::Amount;
use crate::time::Date;

/// The most lines that one entry may have.
pub const MAX_LINES: usize = 1_000;
/// The most metadata pairs of an entry, and the most characters of a pair's name and value.
pub const MAX_METADATA: (usize, usize, usize) = (50, 40, 500);
/// The most characters of a description.
pub const MAX_DESCRIPTION: usize = 500;

/// Metadata pairs, in the order of their names.
pub type Metadata = BTreeMap<String, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Debit,
    Credit,
}

impl Side {
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }
}

/// The posting rule that made an entry. One file each in `operations/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    Standard,
    Opening,
    Adjusting,
    Transfer,
    Reversal,
    HoldCapture,
    Charge,
    ChargeVoid,
    PaymentCapture,
    PaymentApply,
    PaymentUnapply,
    PaymentFee,
    PaymentFeeReturn,
    Refund,
    RefundSettle,
    RefundFail,
    Recognition,
    Conversion,
    Revaluation,
    Closing,
}

impl Rule {
    /// Whether `reverse` may undo such an entry; what an operation made is undone by an operation
    /// (docs/rules.md, rule 6).
    #[must_use]
    pub fn reversible(self) -> bool {
        match self {
            Self::Standard
            | Self::Opening
            | Self::Adjusting
            | Self::Transfer
            | Self::Reversal
            | Self::Conversion
            | Self::Revaluation
            | Self::Closing => true,
            Self::HoldCapture
            | Self::Charge
            | Self::ChargeVoid
            | Self::PaymentCapture
            | Self::PaymentApply
            | Self::PaymentUnapply
            | Self::PaymentFee
            | Self::PaymentFeeReturn
            | Self::Refund
            | Self::RefundSettle
            | Self::RefundFail
            | Self::Recognition => false,
        }
    }

    /// Whether a soft-closed period still takes such an entry: what finance posts to finish a month, and not what the
    /// business does from day to day.
    #[must_use]
    pub fn adjusts(self) -> bool {
        match self {
            Self::Adjusting | Self::Reversal | Self::Recognition | Self::Revaluation | Self::Closing => true,
            Self::Standard
            | Self::Opening
            | Self::Transfer
            | Self::HoldCapture
            | Self::Charge
            | Self::ChargeVoid
            | Self::PaymentCapture
            | Self::PaymentApply
            | Self::PaymentUnapply
            | Self::PaymentFee
            | Self::PaymentFeeReturn
            | Self::Refund
            | Self::RefundSettle
            | Self::RefundFail
            | Self::Conversion => false,
        }
    }
}

/// One line before posting: everything resolved to the chart, amounts in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftLine {
    pub account: AccountId,
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub side: Side,
    pub amount: Amount,
    pub currency: CurrencyId,
}

/// A draft that exists has two lines or more, and its debits equal its credits in every currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftEntry {
    lines: Vec<DraftLine>,
}

/// The sums of an entry's one currency that do not balance, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbalanced {
    pub currency: CurrencyId,
    pub debits: i128,
    pub credits: i128,
}

impl DraftEntry {
    /// Checks docs/rules.md, rule 1.
    ///
    /// # Panics
    /// With fewer than two lines, or sums beyond 2^127: callers refuse those before.
    pub fn new(lines: Vec<DraftLine>) -> Result<Self, Unbalanced> {
        assert!(lines.len() >= 2, "an entry has at least two lines");
        let mut sums: Vec<Unbalanced> = Vec::with_capacity(1);
        for line in &lines {
            let index = sums.iter().position(|sum| sum.currency == line.currency).unwrap_or_else(|| {
                sums.push(Unbalanced { currency: line.currency, debits: 0, credits: 0 });
                sums.len() - 1
            });
            match line.side {
                Side::Debit => sums[index].debits += line.amount.minor(),
                Side::Credit => sums[index].credits += line.amount.minor(),
            }
        }
        match sums.into_iter().find(|sum| sum.debits != sum.credits) {
            Some(sum) => Err(sum),
            None => Ok(Self { lines }),
        }
    }

    #[must_use]
    pub fn lines(&self) -> &[DraftLine] {
        &self.lines
    }

    #[must_use]
    pub fn into_lines(self) -> Vec<DraftLine> {
        self.lines
    }
}

/// The chain of a posting's subaccount (account, party, currency) right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// All debits of the subaccount so far, in minor units.
    pub debits: i128,
    pub credits: i128,
    /// 1 for the subaccount's first posting.
    pub ordinal: u64,
    /// The greatest effective date among the subaccount's postings so far.
    pub greatest_date: Date,
    pub previous: Option<PostingRef>,
    pub jump: Option<PostingRef>,
}

/// A posting: a line as it stands in its subaccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub account: AccountId,
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub side: Side,
    pub amount: Amount,
    pub currency: CurrencyId,
    pub after: After,
}

impl Line {
    /// The subaccount's balance after this posting, positive on `normal`.
    #[must_use]
    pub fn balance_after(&self, normal: Side) -> i128 {
        match normal {
            Side::Debit => self.after.debits - self.after.credits,
            Side::Credit => self.after.credits - self.after.debits,
        }
    }
}

/// Which document an entry belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentRef {
    Hold(DocumentId),
    Charge(DocumentId),
    Payment(DocumentId),
    Refund(DocumentId),
}

/// A posted, immutable journal entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: EntryNumber,
    pub rule: Rule,
    pub effective_date: Date,
    pub description: String,
    pub metadata: Metadata,
    /// The entry that this one is the mirror image of.
    pub reverses: Option<EntryNumber>,
    /// The charge, payment, refund or hold whose operation posted it.
    pub document: Option<DocumentRef>,
    pub lines: Vec<Line>,
}
