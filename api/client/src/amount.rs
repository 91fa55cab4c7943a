//! Decimal amounts, as the ledger writes them: digits of a currency, without a float on the way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an `i128` surely holds.
const MAX_DIGITS: usize = 38;

/// An amount: so many units of ten to the power of minus `decimals`. It keeps the decimals that it was written with, so
/// that 1.00 is printed as 1.00; compared are the values as written, so `1.0` is another `Amount` than `1.00`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    /// An `i128` in halves: as one it would make everything that holds it sixteen bytes wide.
    high: u64,
    low: u64,
    decimals: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no amount such as \"108.25\"")]
pub struct AmountError {
    pub text: String,
}

impl Amount {
    /// More than any currency of the ledger has.
    pub const MAX_DECIMALS: u8 = 30;

    /// `Amount::new(10_825, 2)` is 108.25.
    ///
    /// # Panics
    /// With more than 30 decimals, which no currency has.
    #[must_use]
    pub const fn new(units: i128, decimals: u8) -> Self {
        assert!(decimals <= Self::MAX_DECIMALS, "no currency has that many decimals");
        let bytes = units.to_be_bytes();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let low = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
        Self { high, low, decimals }
    }

    /// Without the point: 10,825 of 108.25.
    #[must_use]
    pub fn units(self) -> i128 {
        i128::from_be_bytes(((u128::from(self.high) << 64) | u128::from(self.low)).to_be_bytes())
    }

    /// Digits behind the point.
    #[must_use]
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// Reads `-?digits(.digits)?`.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (is_negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        if digits.is_empty() || digits.len() > MAX_DIGITS || digits[0] == b'.' || digits[digits.len() - 1] == b'.' {
            return None;
        }
        let mut point = None;
        let mut small: u64 = 0;
        let mut large: i128 = 0;
        for (index, &byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' if index < 18 => small = small * 10 + u64::from(byte - b'0'),
                b'0'..=b'9' => {
                    if index == 18 || large == 0 {
                        large = i128::from(small);
                    }
                    large = large * 10 + i128::from(byte - b'0');
                }
                b'.' if point.is_none() => point = Some(index),
                _ => return None,
            }
        }
        let units = if digits.len() > 18 { large } else { i128::from(small) };
        let decimals = point.map_or(0, |point| digits.len() - point - 1);
        let decimals = u8::try_from(decimals).ok().filter(|&decimals| decimals <= Self::MAX_DECIMALS)?;
        Some(Self::new(if is_negative { -units } else { units }, decimals))
    }

    /// Writes it without an allocation.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let units = self.units();
        if units < 0 {
            out.push(b'-');
        }
        let mut digits = [b'0'; 40];
        let mut start = digits.len();
        let magnitude = units.unsigned_abs();
        // Division of 128 bits is slow, and nearly every amount needs only 64.
        if let Ok(mut rest) = u64::try_from(magnitude) {
            while rest > 0 {
                start -= 1;
                digits[start] = digit(rest % 10);
                rest /= 10;
            }
        } else {
            let mut rest = magnitude;
            while rest > 0 {
                start -= 1;
                digits[start] = digit(u64::try_from(rest % 10).expect("below ten"));
                rest /= 10;
            }
        }
        let decimals = usize::from(self.decimals);
        let point = digits.len() - decimals;
        // At least one digit before the point.
        let start = start.min(point - 1);
        out.extend_from_slice(&digits[start..point]);
        if decimals > 0 {
            out.push(b'.');
            out.extend_from_slice(&digits[point..]);
        }
    }
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).expect("below ten")
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(48);
        self.write(&mut text);
        f.pad(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        Self::read(text.as_bytes()).ok_or_else(|| AmountError { text: text.to_owned() })
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_printed_as_they_were_read() {
        for text in ["0", "0.00", "1.00", "-1.00", "0.05", "-0.05", "108.25", "1000000000000000000", "-99999999.123456"]
        {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        assert_eq!("108.25".parse(), Ok(Amount::new(10_825, 2)));
        assert_eq!(Amount::new(-5, 2).to_string(), "-0.05");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1.2.3", "1,00", "+1", " 1", "1e3", "--1"] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError { text: text.to_owned() }));
        }
    }

    proptest! {
        #[test]
        fn every_amount_comes_back(units in -10_i128.pow(37)..10_i128.pow(37), decimals in 0_u8..20) {
            let amount = Amount::new(units, decimals);
            prop_assert_eq!(amount.units(), units);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
