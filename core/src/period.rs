//! Fiscal periods: the months of a book's calendar, their states, and the seal that a close leaves.
//!
//! Periods go from open through soft-closed to closed strictly in order, so the state of every date follows from two
//! periods, the last soft-closed and the last closed one ([`Calendar`]). What was done to one period, and its seal,
//! is kept beside it ([`Period`]). Deciding such acts is the operations' business.

use std::fmt;

use jiff::civil;

use crate::entry::Rule;
use crate::id::{AccountCode, AccountId, CurrencyCode, CurrencyId, EntryNumber, Position};
use crate::time::Date;

/// A month of the year, 1 to 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u8);

impl Month {
    pub const JANUARY: Self = Self(1);

    /// `None` unless it is 1 to 12.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=12).contains(&number).then_some(Self(number))
    }

    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A period: one calendar month of the years 1 to 9999, written `2026-01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeriodId(u32);

impl PeriodId {
    const MONTHS: u32 = 9_999 * 12;

    /// For the codec: months since January of year 1; `None` after year 9999.
    #[must_use]
    pub fn from_months(months: u32) -> Option<Self> {
        (months < Self::MONTHS).then_some(Self(months))
    }

    /// Months since January of year 1.
    #[must_use]
    pub fn months(self) -> u32 {
        self.0
    }

    /// The month that a date lies in.
    #[must_use]
    pub fn of(date: Date) -> Self {
        let civil = date.civil();
        let years = u32::try_from(civil.year() - 1).expect("years count from 1");
        let months = u32::try_from(civil.month() - 1).expect("months count from 1");
        Self(years * 12 + months)
    }

    /// Reads `2026-01`, exactly so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Date::parse(&format!("{text}-01")).map(Self::of)
    }

    fn year_and_month(self) -> (i16, i8) {
        let year = i16::try_from(self.0 / 12 + 1).expect("years 1 to 9999");
        (year, i8::try_from(self.0 % 12 + 1).expect("months 1 to 12"))
    }

    #[must_use]
    pub fn first_day(self) -> Date {
        let (year, month) = self.year_and_month();
        Date::from_civil(civil::date(year, month, 1)).expect("years 1 to 9999 are dates")
    }

    #[must_use]
    pub fn last_day(self) -> Date {
        let (year, month) = self.year_and_month();
        Date::from_civil(civil::date(year, month, 1).last_of_month()).expect("years 1 to 9999 are dates")
    }

    /// `None` after December 9999.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::from_months(self.0 + 1)
    }

    /// `None` before January of year 1.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for PeriodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = self.year_and_month();
        write!(f, "{year:04}-{month:02}")
    }
}

impl fmt::Debug for PeriodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A fiscal year, named by the calendar year that it ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiscalYear(u16);

impl FiscalYear {
    /// `None` unless it is 2 to 9999: a year that ends in year 1 may begin before there are dates.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (2..=9_999).contains(&number).then_some(Self(number))
    }

    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// Its first and last period, where years begin with `first_month`.
    #[must_use]
    pub fn periods(self, first_month: Month) -> (PeriodId, PeriodId) {
        let months_before = (13 - u32::from(first_month.number())) % 12;
        let first = PeriodId((u32::from(self.0) - 1) * 12 - months_before);
        (first, PeriodId(first.0 + 11))
    }

    /// The fiscal year that a period lies in; `None` where it has no number.
    #[must_use]
    pub fn of(period: PeriodId, first_month: Month) -> Option<Self> {
        let months_before = (13 - u32::from(first_month.number())) % 12;
        Self::new(u16::try_from((period.0 + months_before) / 12 + 1).ok()?)
    }
}

impl fmt::Display for FiscalYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeriodState {
    Open,
    /// Only finance's entries are accepted ([`Rule::adjusts`]).
    SoftClosed,
    Closed,
}

impl PeriodState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::SoftClosed => "soft_closed",
            Self::Closed => "closed",
        }
    }

    /// Whether a period in this state takes an entry that this rule made.
    #[must_use]
    pub fn accepts(self, rule: Rule) -> bool {
        match self {
            Self::Open => true,
            Self::SoftClosed => rule.adjusts(),
            Self::Closed => false,
        }
    }
}

impl fmt::Display for PeriodState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A book's fiscal calendar and how far it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Fiscal years begin with it.
    pub first_month: Month,
    /// Never before `closed_through`.
    pub soft_closed_through: Option<PeriodId>,
    pub closed_through: Option<PeriodId>,
    /// The decision that left it so.
    pub decided: Position,
}

/// A calendar that nothing was ever said of: fiscal years are calendar years, every period is open.
impl Default for Calendar {
    fn default() -> Self {
        Self {
            first_month: Month::JANUARY,
            soft_closed_through: None,
            closed_through: None,
            decided: Position::default(),
        }
    }
}

impl Calendar {
    #[must_use]
    pub fn state(&self, period: PeriodId) -> PeriodState {
        if self.closed_through.is_some_and(|last| period <= last) {
            PeriodState::Closed
        } else if self.soft_closed_through.is_some_and(|last| period <= last) {
            PeriodState::SoftClosed
        } else {
            PeriodState::Open
        }
    }

    /// The state of the period that a date lies in.
    #[must_use]
    pub fn state_on(&self, date: Date) -> PeriodState {
        // Most entries are dated after the last soft-closed period: no calendar arithmetic for them.
        if self.soft_closed_through.is_none() { PeriodState::Open } else { self.state(PeriodId::of(date)) }
    }
}

/// What a period's close may find that finance decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockerKind {
    MustZero,
    UnappliedCash,
    FxPosition,
}

impl BlockerKind {
    pub const ALL: [Self; 3] = [Self::MustZero, Self::UnappliedCash, Self::FxPosition];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MustZero => "must_zero",
            Self::UnappliedCash => "unapplied_cash",
            Self::FxPosition => "fx_position",
        }
    }
}

/// One thing that stands in the way of closing a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// An account that must come to zero has a balance, positive on its normal side.
    MustZero { account: AccountCode, currency: CurrencyCode, balance: i128, decimals: u8 },
    /// Money of customers that settles nothing.
    UnappliedCash { account: AccountCode, currency: CurrencyCode, balance: i128, decimals: u8 },
    /// The FX position is not zero at the rates of the period's last day: it is to be revalued. `balance` is what is left
    /// of it in the functional currency.
    FxPosition { account: AccountCode, currency: CurrencyCode, balance: i128, decimals: u8 },
    /// The FX position cannot be valued: there is no rate of this currency up to the period's last day.
    RateMissing { account: AccountCode, currency: CurrencyCode },
}

impl Blocker {
    #[must_use]
    pub fn kind(&self) -> BlockerKind {
        match self {
            Self::MustZero { .. } => BlockerKind::MustZero,
            Self::UnappliedCash { .. } => BlockerKind::UnappliedCash,
            Self::FxPosition { .. } | Self::RateMissing { .. } => BlockerKind::FxPosition,
        }
    }
}

/// All debits and credits of one account in one currency up to a seal's date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedBalance {
    pub account: AccountId,
    pub currency: CurrencyId,
    pub debits: i128,
    pub credits: i128,
}

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The head of the journal's hash tree after the decision at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    pub position: Position,
    pub hash: Digest,
}

/// What a close leaves, so that a later reader can prove that nothing before it moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The period's last day.
    pub as_of: Date,
    /// The journal as it was before the close was decided.
    pub journal: JournalHead,
    /// The book's last entry at that time.
    pub last_entry: EntryNumber,
    /// The trial balance as of `as_of`, since inception: in the order of account and currency codes, without rows
    /// that nothing was ever posted to.
    pub balances: Vec<SealedBalance>,
    /// BLAKE3 of the trial balance as text ([`crate::seal`]).
    pub hash: Digest,
}

/// A fiscal year whose earnings were posted to retained earnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YearClose {
    pub year: FiscalYear,
    /// The year's last day.
    pub as_of: Date,
    /// Revenue less expenses that were closed, by currency; empty if there was nothing to close.
    pub earnings: Vec<(CurrencyId, i128)>,
}

/// What was done to one period. One that nothing was done to has no record; its state follows from the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub id: PeriodId,
    pub state: PeriodState,
    /// Of the last close; `None` unless it is closed.
    pub seal: Option<Seal>,
    /// What its close accepted consciously.
    pub accepted: Vec<BlockerKind>,
    /// How often it was reopened.
    pub reopened: u32,
    /// Why the last act was done, in finance's words.
    pub reason: String,
    /// The decision that left it so.
    pub decided: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> PeriodId {
        PeriodId::parse(text).unwrap()
    }

    #[test]
    fn periods_are_months() {
        let february = period("2024-02");
        assert_eq!(february.to_string(), "2024-02");
        assert_eq!([february.first_day().to_string(), february.last_day().to_string()], ["2024-02-01", "2024-02-29"]);
        assert_eq!(PeriodId::of(Date::parse("2024-02-29").unwrap()), february);
        assert_eq!(february.next().unwrap().to_string(), "2024-03");
        assert_eq!(period("2025-12").next().unwrap().to_string(), "2026-01");
        assert_eq!(period("0001-01").previous(), None);
        assert_eq!(period("9999-12").next(), None);
        assert_eq!(PeriodId::from_months(february.months()), Some(february));
        for bad in ["2026-13", "2026-1", "2026", "0000-01", "2026-01-01"] {
            assert_eq!(PeriodId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fiscal_year_is_named_by_the_year_that_it_ends_in() {
        let year = |number, month| FiscalYear::new(number).unwrap().periods(Month::new(month).unwrap());
        assert_eq!(year(2026, 1), (period("2026-01"), period("2026-12")));
        assert_eq!(year(2026, 4), (period("2025-04"), period("2026-03")));
        assert_eq!(year(2026, 12), (period("2025-12"), period("2026-11")));
        for month in 1..=12 {
            let month = Month::new(month).unwrap();
            let (first, last) = FiscalYear::new(2026).unwrap().periods(month);
            for inside in [first, last] {
                assert_eq!(FiscalYear::of(inside, month).map(FiscalYear::number), Some(2026), "{inside}");
            }
            assert_eq!(FiscalYear::of(first.previous().unwrap(), month).map(FiscalYear::number), Some(2025));
        }
    }

    #[test]
    fn two_periods_say_the_state_of_every_date() {
        let calendar = Calendar {
            closed_through: Some(period("2026-01")),
            soft_closed_through: Some(period("2026-02")),
            ..Calendar::default()
        };
        let on = |text| calendar.state_on(Date::parse(text).unwrap());
        assert_eq!(on("1999-05-05"), PeriodState::Closed);
        assert_eq!(on("2026-01-31"), PeriodState::Closed);
        assert_eq!(on("2026-02-01"), PeriodState::SoftClosed);
        assert_eq!(on("2026-03-01"), PeriodState::Open);
        assert_eq!(Calendar::default().state_on(Date::MIN), PeriodState::Open);
    }
}
