//! When deferred revenue is earned: daily straight-line over each charge line's days, cumulatively rounded.
//!
//! Pure arithmetic over what a charge remembers; who posts it, and when, is not here. `recognised to date =
//! round(total × elapsed days / days)`, and what is due is the difference, so that the parts end at exactly the total.

use crate::document::Deferral;
use crate::tax::{allocate, recognised_to_date};
use crate::time::Date;

/// One deferred line of a charge, in minor units of the functional currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferredLine {
    /// The net that was put off when the line was charged.
    pub total: i128,
    pub deferral: Deferral,
    /// What was recognised of it so far.
    pub recognised: i128,
}

/// What is recognised by the end of one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instalment {
    /// The month's last day.
    pub through: Date,
    pub amount: i128,
}

/// What is due of each line of a charge by the end of `through`; `balance`: what is left on its deferred item.
///
/// What refunds took of the item lowers what is left of the lines, in proportion to it, by largest remainder. What was
/// recognised before stays, and nothing is due until a lowered line has caught up with it.
///
/// # Panics
/// If an amount is below zero, or more was recognised of a line than its total.
#[must_use]
pub fn due(lines: &[DeferredLine], balance: i128, through: Date) -> Vec<i128> {
    let rests: Vec<i128> = lines.iter().map(|line| line.total - line.recognised).collect();
    let rest: i128 = rests.iter().sum();
    // A manual entry can have put more on the item than was charged; no more than that is ever recognised.
    let rests = if rest == 0 { rests } else { allocate(balance.min(rest), &rests) };
    let due_of = |(line, rest): (&DeferredLine, i128)| {
        let Deferral { from, to } = line.deferral;
        (recognised_to_date(line.recognised + rest, from, to, through) - line.recognised).max(0)
    };
    lines.iter().zip(rests).map(due_of).collect()
}

/// What is due of a charge by the end of each month from `first` on, until nothing is left to come; months without
/// anything due are left out. What was due before `first` is part of its first instalment.
#[must_use]
pub fn by_month(lines: &[DeferredLine], balance: i128, first: Date) -> Vec<Instalment> {
    let Some(last) = lines.iter().map(|line| line.deferral.to).max() else { return vec![] };
    let starts = lines.iter().map(|line| line.deferral.from).min().unwrap_or(last).max(first);
    let mut instalments = vec![];
    let (mut before, mut through) = (0, end_of_month(starts));
    loop {
        let so_far: i128 = due(lines, balance, through).iter().sum();
        if so_far > before {
            instalments.push(Instalment { through, amount: so_far - before });
            before = so_far;
        }
        match through.next().filter(|next| *next <= last) {
            Some(next) => through = end_of_month(next),
            None => return instalments,
        }
    }
}

/// The last day of the date's month.
#[must_use]
pub fn end_of_month(date: Date) -> Date {
    Date::from_civil(date.civil().last_of_month()).expect("a month of the years 1 to 9999 ends within them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn line(total: i128, from: &str, to: &str, recognised: i128) -> DeferredLine {
        DeferredLine { total, deferral: Deferral { from: date(from), to: date(to) }, recognised }
    }

    fn amounts(instalments: &[Instalment]) -> Vec<i128> {
        instalments.iter().map(|instalment| instalment.amount).collect()
    }

    #[test]
    fn a_year_in_advance_is_earned_month_by_month_and_ends_exactly() {
        let year = [line(120_000, "2026-01-01", "2026-12-31", 0)];
        let months = by_month(&year, 120_000, date("2026-01-01"));
        assert_eq!(
            amounts(&months),
            [10_192, 9_205, 10_192, 9_863, 10_192, 9_863, 10_192, 10_191, 9_863, 10_192, 9_863, 10_192]
        );
        assert_eq!(months.iter().map(|month| month.amount).sum::<i128>(), 120_000);
        assert_eq!(months[1].through, date("2026-02-28"));
        assert_eq!(months[11].through, date("2026-12-31"));
        assert_eq!(due(&year, 120_000, date("2026-01-31")), [10_192]);
        assert_eq!(due(&year, 120_000, date("2025-12-31")), [0]);
    }

    #[test]
    fn what_is_overdue_comes_with_the_first_month() {
        let year = [line(120_000, "2026-01-01", "2026-12-31", 10_192)];
        let months = by_month(&year, 120_000 - 10_192, date("2026-04-01"));
        assert_eq!(months[0], Instalment { through: date("2026-04-30"), amount: 9_205 + 10_192 + 9_863 });
        assert_eq!(amounts(&months).iter().sum::<i128>(), 120_000 - 10_192);
        // Everything is overdue: one instalment at the end of the month asked for.
        let late = by_month(&year, 120_000 - 10_192, date("2027-03-05"));
        assert_eq!(late, [Instalment { through: date("2027-03-31"), amount: 120_000 - 10_192 }]);
    }

    #[test]
    fn what_refunds_took_lowers_the_rest_and_never_what_was_recognised() {
        // 300.00 were recognised, then 450.00 of 900.00 refunded: the total is 750.00 now.
        let year = [line(120_000, "2026-01-01", "2026-12-31", 30_000)];
        assert_eq!(due(&year, 45_000, date("2026-04-30")), [0]);
        assert_eq!(due(&year, 45_000, date("2026-06-30")), [37_192 - 30_000]);
        assert_eq!(due(&year, 45_000, date("2026-12-31")), [45_000]);
        assert_eq!(due(&year, 0, date("2026-12-31")), [0]);
    }

    #[test]
    fn lines_of_one_charge_have_their_own_days() {
        let lines = [line(100, "2026-01-01", "2026-01-10", 0), line(50, "2026-02-01", "2026-02-28", 0)];
        assert_eq!(due(&lines, 150, date("2026-01-05")), [50, 0]);
        assert_eq!(due(&lines, 150, date("2026-02-14")), [100, 25]);
        let months = by_month(&lines, 150, date("2026-01-01"));
        assert_eq!(amounts(&months), [100, 50]);
        assert_eq!(by_month(&[], 0, date("2026-01-01")), []);
    }

    proptest! {
        #[test]
        fn instalments_end_at_what_is_left(
            totals in prop::collection::vec((0i128..1_000_000, 0i32..700, 0i32..700), 1..5),
            recognised in 0i128..=100, taken in 0i128..=100, first in 0i32..900,
        ) {
            let start = date("2026-01-01").days();
            let day = |days: i32| Date::from_days(start + days).unwrap();
            let lines: Vec<DeferredLine> = totals.iter().map(|(total, from, days)| DeferredLine {
                total: *total,
                deferral: Deferral { from: day(*from), to: day(from + days) },
                recognised: total * recognised / 100,
            }).collect();
            let rest: i128 = lines.iter().map(|line| line.total - line.recognised).sum();
            let balance = rest * taken / 100;
            let months = by_month(&lines, balance, day(first));
            let sum: i128 = months.iter().map(|month| month.amount).sum();
            prop_assert_eq!(sum, balance);
            prop_assert!(months.windows(2).all(|pair| pair[0].through < pair[1].through));
        }
    }
}
