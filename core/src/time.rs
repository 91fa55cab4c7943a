//! Ledger time and accounting dates. Values only: nothing here reads a clock or knows a time zone.

use std::fmt;

use jiff::civil;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Ledger time after `last` when a command stamped `self` is decided: strictly increasing (ARCHITECTURE.md).
    #[must_use]
    pub fn following(self, last: Self) -> Self {
        Self(self.0.max(last.0.checked_add(1).expect("ledger time ends in 2262")))
    }
}

/// An accounting date, as days since 1970-01-01; years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Date {
    pub const MIN: Self = Self(-719_162);
    pub const MAX: Self = Self(2_932_896);

    /// `None` unless the year is 1 to 9999.
    #[must_use]
    pub fn from_days(days: i32) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&days).then_some(Self(days))
    }

    /// Days since 1970-01-01, negative before.
    #[must_use]
    pub fn days(self) -> i32 {
        self.0
    }

    /// Reads `2026-01-31`, exactly so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10
            && bytes.iter().enumerate().all(|(index, byte)| match index {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return None;
        }
        let date =
            civil::Date::new(text[0..4].parse().ok()?, text[5..7].parse().ok()?, text[8..10].parse().ok()?).ok()?;
        Self::from_civil(date)
    }

    /// `None` unless the year is 1 to 9999.
    #[must_use]
    pub fn from_civil(date: civil::Date) -> Option<Self> {
        let days = date.since((jiff::Unit::Day, EPOCH)).expect("every civil date has a day count").get_days();
        Self::from_days(days)
    }

    #[must_use]
    pub fn civil(self) -> civil::Date {
        EPOCH.checked_add(jiff::Span::new().days(self.0)).expect("years 1 to 9999 are civil dates")
    }

    /// The day before, `None` before year 1.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        Self::from_days(self.0 - 1)
    }

    /// The day after, `None` after year 9999.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::from_days(self.0 + 1)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.civil();
        write!(f, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_iso_and_bounded() {
        assert_eq!(Date::parse("1970-01-01").map(Date::days), Some(0));
        assert_eq!(Date::parse("2026-01-31").unwrap().to_string(), "2026-01-31");
        assert_eq!(Date::parse("2024-02-29").unwrap().previous().unwrap().to_string(), "2024-02-28");
        assert_eq!(Date::parse("0001-01-01"), Some(Date::MIN));
        assert_eq!(Date::parse("9999-12-31"), Some(Date::MAX));
        for bad in ["2026-02-30", "2026-1-31", "0000-01-01", "20260131", "2026-01-31T00:00", "２026-01-3"] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ledger_time_never_stands_still() {
        assert_eq!(Timestamp(5).following(Timestamp(9)), Timestamp(10));
        assert_eq!(Timestamp(50).following(Timestamp(9)), Timestamp(50));
    }
}
