//! Exact arithmetic for the model: numbers without a bound, one rounding rule, amounts as their sender wrote them.
//!
//! Deliberately schoolbook, so that it shares no trick with the ledger's own.

use partita_core::money::WrittenAmount;
use rust_decimal::Decimal;

/// A natural number, base 10^9, least significant part first, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Natural(Vec<u64>);

const BASE: u64 = 1_000_000_000;

impl Natural {
    fn of(mut value: u128) -> Self {
        let mut parts = vec![];
        while value > 0 {
            parts.push(u64::try_from(value % u128::from(BASE)).unwrap());
            value /= u128::from(BASE);
        }
        Self(parts)
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn times(&self, other: &Self) -> Self {
        let mut parts = vec![0u64; self.0.len() + other.0.len() + 1];
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.0.iter().enumerate() {
                let sum = parts[i + j] + a * b + carry;
                parts[i + j] = sum % BASE;
                carry = sum / BASE;
            }
            parts[i + other.0.len()] += carry;
        }
        Self(parts).trimmed()
    }

    fn plus(&self, other: &Self) -> Self {
        let mut parts = vec![];
        let mut carry = 0;
        for i in 0..=self.0.len().max(other.0.len()) {
            let sum = self.0.get(i).unwrap_or(&0) + other.0.get(i).unwrap_or(&0) + carry;
            parts.push(sum % BASE);
            carry = sum / BASE;
        }
        Self(parts).trimmed()
    }

    fn at_most(&self, other: &Self) -> bool {
        if self.0.len() != other.0.len() {
            return self.0.len() < other.0.len();
        }
        self.0.iter().rev().le(other.0.iter().rev())
    }

    /// The greatest `i128` q with `q * divisor <= self`, found by halving; `None` if it does not fit.
    fn divided_by(&self, divisor: &Self) -> Option<i128> {
        let (mut low, mut high) = (0u128, 1u128 << 127);
        if Self::of(high).times(divisor).at_most(self) {
            return None;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if Self::of(middle).times(divisor).at_most(self) { low = middle } else { high = middle }
        }
        i128::try_from(low).ok()
    }
}

/// `Π numerator / Π denominator`, rounded half up. All factors are non-negative, the denominator's positive.
pub(crate) fn rounded(numerator: &[i128], denominator: &[i128]) -> Option<i128> {
    let product = |factors: &[i128]| {
        factors
            .iter()
            .fold(Natural::of(1), |product, factor| product.times(&Natural::of(u128::try_from(*factor).unwrap())))
    };
    let small = |factors: &[i128]| factors.iter().try_fold(1i128, |product, factor| product.checked_mul(*factor));
    if let (Some(top), Some(bottom)) = (small(numerator), small(denominator))
        && let (Some(top), Some(bottom)) = (top.checked_mul(2), bottom.checked_mul(2))
        && let Some(top) = top.checked_add(bottom / 2)
    {
        return Some(top / bottom);
    }
    let two = Natural::of(2);
    let (top, bottom) = (product(numerator), product(denominator));
    top.times(&two).plus(&bottom).divided_by(&bottom.times(&two))
}

/// `a × b / c` rounded down, with its remainder.
pub(crate) fn floored(a: i128, b: i128, c: i128) -> (i128, i128) {
    let natural = |value: i128| Natural::of(u128::try_from(value).unwrap());
    let quotient = natural(a).times(&natural(b)).divided_by(&natural(c)).expect("a share is at most the whole");
    // The true remainder is below c, so that what wraps around does not show.
    (quotient, a.wrapping_mul(b).wrapping_sub(quotient.wrapping_mul(c)))
}

/// Minor units of one currency at `rate`, in another's minor units.
pub(crate) fn converted(minor: i128, rate: Decimal, from_decimals: u8, to_decimals: u8) -> Option<i128> {
    let ten = |exponent: u32| std::iter::repeat_n(10i128, usize::try_from(exponent).unwrap());
    let top: Vec<i128> = [minor, rate.mantissa()].into_iter().chain(ten(u32::from(to_decimals))).collect();
    let bottom: Vec<i128> = std::iter::once(1).chain(ten(u32::from(from_decimals) + rate.scale())).collect();
    rounded(&top, &bottom)
}

/// The written amount in minor units; `None` if it has more decimals than the currency.
pub(crate) fn minor_units(written: WrittenAmount, decimals: u8) -> Option<i128> {
    let (mantissa, scale) = written.parts();
    (scale <= decimals).then(|| i128::try_from(mantissa).unwrap() * 10i128.pow(u32::from(decimals - scale)))
}

#[test]
fn rounds_half_up_exactly() {
    assert_eq!(rounded(&[825, 5412], &[10825]), Some(412));
    assert_eq!(rounded(&[825, 5413], &[10825]), Some(413));
    assert_eq!(rounded(&[1], &[2]), Some(1));
    assert_eq!(rounded(&[0, 7], &[3]), Some(0));
    let large = 10i128.pow(36) - 1;
    assert_eq!(rounded(&[large, large], &[large]), Some(large));
    assert_eq!(rounded(&[i128::MAX, i128::MAX], &[1]), None);
    assert_eq!(converted(10_000, Decimal::new(11, 1), 2, 2), Some(11_000));
    assert_eq!(converted(5, Decimal::new(1, 1), 0, 0), Some(1));
}
