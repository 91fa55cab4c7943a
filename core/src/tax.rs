//! Roundings that must add up: tax on refunds (docs/rules.md, rule 11), allocation (rule 12), recognition (rule 13).
//!
//! All three are cumulative or by remainder, so that the parts always end at exactly the whole. Nothing here
//! knows accounts or documents.

use crate::money::{mul_div, mul_div_half_up};
use crate::time::Date;

/// What of `total` belongs to the first `part` of `whole`, rounded half up: `total × part / whole`.
///
/// It is `total` itself at the end, so that differences of successive values end there exactly.
///
/// # Panics
/// Unless `0 ≤ part ≤ whole`, `whole` is above zero and `total` is not negative.
#[must_use]
pub fn cumulative(total: i128, part: i128, whole: i128) -> i128 {
    assert!(part <= whole, "a part is at most the whole");
    mul_div_half_up(total, part, whole).expect("a share of a total is at most the total")
}

/// What of `total`, a tax or a functional value inside a charge, is in a refund that brings what was given back of
/// the charge to `cumulative_gross` of its `gross` (docs/rules.md, rule 11). `refunded` of `total` was given back before.
///
/// After a refund failed, more can have been given back than the share so far: then nothing is, until the share has
/// caught up. It is never below zero, so that what was given back stays within `total` whichever refund fails next.
#[must_use]
pub fn refund_share(total: i128, refunded: i128, cumulative_gross: i128, gross: i128) -> i128 {
    (cumulative(total, cumulative_gross, gross) - refunded).max(0)
}

/// Divides `total` in proportion to `weights` by largest remainder, ties to the lowest index (docs/rules.md, rule 12).
///
/// # Panics
/// If `total` or a weight is negative, or all weights are zero.
#[must_use]
pub fn allocate(total: i128, weights: &[i128]) -> Vec<i128> {
    let whole: i128 = weights.iter().sum();
    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let (share, remainder) = mul_div(total, *weight, whole).expect("a share of a total is at most the total");
        shares.push(share);
        remainders.push((remainder, index));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let left = usize::try_from(total - shares.iter().sum::<i128>()).expect("less is left than there are weights");
    for (_, index) in &remainders[..left] {
        shares[*index] += 1;
    }
    shares
}

/// What of `total` is earned by the end of `today`, for revenue over `from` to `to`, both inclusive
/// (docs/rules.md, rule 13).
///
/// # Panics
/// If `to` is before `from` or `total` is negative.
#[must_use]
pub fn recognised_to_date(total: i128, from: Date, to: Date, today: Date) -> i128 {
    let days = i128::from(to.days()) - i128::from(from.days()) + 1;
    assert!(days > 0, "a deferral has at least one day");
    let elapsed = i128::from(today.days()) - i128::from(from.days()) + 1;
    cumulative(total, elapsed.clamp(0, days), days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn two_halves_of_a_refund_end_at_the_original_tax() {
        let first = refund_share(825, 0, 5_413, 10_825);
        let second = refund_share(825, first, 10_825, 10_825);
        assert_eq!([first, second], [413, 412]);
    }

    #[test]
    fn a_failed_refund_is_made_up_for() {
        // 49 then 1 of 100, tax 1: the second takes the cent; after the first failed, the next ones take none.
        assert_eq!(refund_share(1, 0, 49, 100), 0);
        assert_eq!(refund_share(1, 0, 50, 100), 1);
        assert_eq!(refund_share(1, 1, 2, 100), 0);
        assert_eq!(refund_share(1, 1, 100, 100), 0);
    }

    #[test]
    fn allocation_is_by_largest_remainder_and_ties_go_to_the_lowest_index() {
        assert_eq!(allocate(10_000, &[1, 1, 1]), [3_334, 3_333, 3_333]);
        assert_eq!(allocate(10_001, &[1, 1, 1]), [3_334, 3_334, 3_333]);
        assert_eq!(allocate(5, &[0, 3, 7]), [0, 2, 3]);
        assert_eq!(allocate(100, &[0, 2, 1]), [0, 67, 33]);
        assert_eq!(allocate(0, &[1, 2]), [0, 0]);
        assert_eq!(allocate(10i128.pow(36), &[10i128.pow(36), 10i128.pow(36)]), [10i128.pow(36) / 2; 2]);
    }

    #[test]
    fn a_year_is_recognised_day_by_day_and_ends_exactly() {
        let (from, to) = (date("2026-01-01"), date("2026-12-31"));
        let ends = [
            "2026-01-31",
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-30",
            "2026-12-31",
        ];
        let mut before = 0;
        let months: Vec<i128> = ends
            .iter()
            .map(|end| {
                let to_date = recognised_to_date(120_000, from, to, date(end));
                to_date - std::mem::replace(&mut before, to_date)
            })
            .collect();
        assert_eq!(months[..4], [10_192, 9_205, 10_192, 9_863]);
        assert_eq!(months.iter().sum::<i128>(), 120_000);
        assert_eq!(recognised_to_date(120_000, from, to, date("2025-12-31")), 0);
        assert_eq!(recognised_to_date(120_000, from, to, date("2027-05-05")), 120_000);
    }

    proptest! {
        #[test]
        fn an_allocation_adds_up_and_is_fair(total in 0i128..10i128.pow(24), weights in proptest::collection::vec(0i128..10i128.pow(20), 1..20)) {
            let whole: i128 = weights.iter().sum();
            prop_assume!(whole > 0);
            let shares = allocate(total, &weights);
            prop_assert_eq!(shares.iter().sum::<i128>(), total);
            for (share, weight) in shares.iter().zip(&weights) {
                let (floor, remainder) = mul_div(total, *weight, whole).unwrap();
                prop_assert!(*share == floor || (*share == floor + 1 && remainder > 0));
            }
        }

        #[test]
        fn refunds_of_any_sizes_end_at_the_original_tax(tax in 0i128..10_000, net in 0i128..10_000, cuts in proptest::collection::vec(1i128..500, 0..40)) {
            let gross = tax + net;
            prop_assume!(gross > 0);
            let (mut credited, mut refunded) = (0, 0);
            for cut in cuts.into_iter().chain([gross]) {
                let part = cut.min(gross - credited);
                credited += part;
                let step = refund_share(tax, refunded, credited, gross);
                prop_assert!((0..=tax).contains(&step));
                refunded += step;
            }
            prop_assert_eq!(refunded, tax);
        }

        #[test]
        fn whichever_refunds_fail_the_tax_given_back_stays_within_the_tax(tax in 0i128..50, net in 0i128..500, steps in proptest::collection::vec((1i128..60, proptest::option::of(0usize..8)), 0..60)) {
            let gross = tax + net;
            prop_assume!(gross > 0);
            let mut standing: Vec<(i128, i128)> = vec![];
            for (cut, failed) in steps.into_iter().chain([(gross, None)]) {
                if let Some(index) = failed.filter(|index| *index < standing.len()) {
                    standing.remove(index);
                }
                let (credited, refunded) = standing.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
                let part = cut.min(gross - credited);
                if part > 0 {
                    standing.push((part, refund_share(tax, refunded, credited + part, gross)));
                }
                let refunded: i128 = standing.iter().map(|part| part.1).sum();
                prop_assert!((0..=tax).contains(&refunded), "{} of {}", refunded, tax);
            }
            prop_assert_eq!(standing.iter().map(|part| part.1).sum::<i128>(), tax);
        }
    }
}
