//! Amounts of money: integers of minor units inside, exact decimals at the edge.
//!
//! Nothing here rounds silently. The only roundings are [`mul_div_half_up`] and what is built on it,
//! and each caller names why it may round (tax by cumulative rounding, a foreign line's functional value).

use std::fmt;

use rust_decimal::Decimal;

/// Digits allowed before the decimal point of an amount; keeps every amount below 10^36 minor units.
pub const MAX_INTEGER_DIGITS: usize = 18;
/// Digits allowed after the decimal point of a written amount; no currency has more than 18.
pub const MAX_FRACTION_DIGITS: usize = 20;
/// The most decimals that a currency can have (ETH has 18).
pub const MAX_DECIMALS: u8 = 18;

/// A positive amount in a currency's minor units (cents for USD).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    /// `None` unless `minor` is above zero.
    #[must_use]
    pub fn new(minor: i128) -> Option<Self> {
        (minor > 0).then_some(Self(minor))
    }

    /// The amount in minor units, above zero.
    #[must_use]
    pub fn minor(self) -> i128 {
        self.0
    }
}

/// An amount as its sender wrote it, before the currency's decimals are known: `mantissa / 10^scale`, above zero.
///
/// Trailing zeros of the fraction are dropped, so that `"1.0"` equals `"1.00"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WrittenAmount {
    mantissa: u128,
    scale: u8,
}

/// Why a string is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("must be a decimal string of digits such as \"108.25\"")]
    Malformed,
    #[error("must be greater than zero")]
    NotPositive,
    #[error("must have at most {MAX_INTEGER_DIGITS} digits before the decimal point")]
    TooLarge,
    #[error("must have at most {MAX_FRACTION_DIGITS} digits after the decimal point")]
    TooFine,
}

impl WrittenAmount {
    /// Reads `108.25`; no sign, no exponent, no leading zeros but a single `0` before the point.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        Self::parse_short(text.as_bytes()).map_or_else(|| Self::parse_any(text), Ok)
    }

    /// An amount of few digits, which nearly all are; `None` for any other text, and for what is no amount.
    fn parse_short(text: &[u8]) -> Option<Self> {
        let point = text.iter().position(|&byte| byte == b'.');
        let (integer, fraction) = match point {
            Some(point) => (&text[..point], &text[point + 1..]),
            None => (text, [].as_slice()),
        };
        let has_shape = (1..=9).contains(&integer.len())
            && (integer[0] != b'0' || integer.len() == 1)
            && fraction.is_empty() == point.is_none()
            && fraction.len() <= 9;
        if !has_shape {
            return None;
        }
        let mut mantissa = 0_u64;
        let mut scale = 0_u8;
        for &byte in integer {
            mantissa = mantissa * 10 + digit(byte)?;
        }
        let mut zeros = 0_u8;
        for &byte in fraction {
            let digit = digit(byte)?;
            if digit == 0 {
                zeros += 1;
                continue;
            }
            // Zeros that were not the last digits.
            for _ in 0..zeros {
                mantissa *= 10;
            }
            mantissa = mantissa * 10 + digit;
            scale += zeros + 1;
            zeros = 0;
        }
        (mantissa > 0).then_some(Self { mantissa: u128::from(mantissa), scale })
    }

    fn parse_any(text: &str) -> Result<Self, AmountError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (integer, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some((integer, fraction)) => (integer, fraction),
            None => (digits, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if integer.is_empty() || !all_digits(integer) || !all_digits(fraction) {
            return Err(AmountError::Malformed);
        }
        if integer.len() > 1 && integer.starts_with('0') {
            return Err(AmountError::Malformed);
        }
        let fraction = fraction.trim_end_matches('0');
        if negative || (integer == "0" && fraction.is_empty()) {
            return Err(AmountError::NotPositive);
        }
        if integer.len() > MAX_INTEGER_DIGITS {
            return Err(AmountError::TooLarge);
        }
        if fraction.len() > MAX_FRACTION_DIGITS {
            return Err(AmountError::TooFine);
        }
        let mantissa =
            integer.bytes().chain(fraction.bytes()).fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
        let scale = u8::try_from(fraction.len()).expect("at most 20 fraction digits");
        Ok(Self { mantissa, scale })
    }

    /// `mantissa / 10^scale`, where it is said so and not as text; within the bounds of [`Self::parse`].
    pub fn new(mantissa: u128, scale: u8) -> Result<Self, AmountError> {
        if mantissa == 0 {
            return Err(AmountError::NotPositive);
        }
        if usize::from(scale) > MAX_FRACTION_DIGITS {
            return Err(AmountError::TooFine);
        }
        // Few amounts need more than 64 bits, and dividing more is slow.
        let most = 10u128.pow(18);
        if mantissa >= most && mantissa / 10u128.pow(u32::from(scale)) >= most {
            return Err(AmountError::TooLarge);
        }
        let (mantissa, scale) = match u64::try_from(mantissa) {
            Ok(mut short) => {
                let mut scale = scale;
                while scale > 0 && short.is_multiple_of(10) {
                    short /= 10;
                    scale -= 1;
                }
                (u128::from(short), scale)
            }
            Err(_long) => without_zeros(mantissa, scale),
        };
        Ok(Self { mantissa, scale })
    }

    /// For the codec: the value of [`Self::parts`] again, `None` if it is not one.
    #[must_use]
    pub fn from_parts(mantissa: u128, scale: u8) -> Option<Self> {
        let normal = scale == 0 || !mantissa.is_multiple_of(10);
        let bound = 10u128.pow(38);
        (mantissa > 0 && mantissa < bound && usize::from(scale) <= MAX_FRACTION_DIGITS && normal)
            .then_some(Self { mantissa, scale })
    }

    /// Mantissa and scale, normalised.
    #[must_use]
    pub fn parts(self) -> (u128, u8) {
        (self.mantissa, self.scale)
    }

    /// The amount in minor units of a currency with `decimals`; `None` if that would lose digits.
    #[must_use]
    pub fn to_amount(self, decimals: u8) -> Option<Amount> {
        let shift = decimals.checked_sub(self.scale)?;
        let minor = self.mantissa.checked_mul(10u128.checked_pow(u32::from(shift))?)?;
        Amount::new(i128::try_from(minor).ok()?)
    }

    /// The written form of minor units, for callers that hold an [`Amount`] already.
    #[must_use]
    pub fn from_amount(amount: Amount, decimals: u8) -> Self {
        let (mantissa, scale) = without_zeros(amount.0.unsigned_abs(), decimals);
        Self { mantissa, scale }
    }
}

/// Without the zeros at the end of the fraction.
fn without_zeros(mut mantissa: u128, mut scale: u8) -> (u128, u8) {
    while scale > 0 && mantissa.is_multiple_of(10) {
        mantissa /= 10;
        scale -= 1;
    }
    (mantissa, scale)
}

fn digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

/// Writes minor units with a currency's decimals: `-9325` with 2 is `-93.25`.
#[derive(Clone, Copy, Debug)]
pub struct Formatted {
    pub minor: i128,
    pub decimals: u8,
}

impl fmt::Display for Formatted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.minor.unsigned_abs();
        if self.decimals == 0 {
            return write!(f, "{sign}{digits}");
        }
        let unit = 10u128.pow(u32::from(self.decimals));
        let width = usize::from(self.decimals);
        write!(f, "{sign}{}.{:0width$}", digits / unit, digits % unit)
    }
}

/// `a * b / c`, rounded half up (away from zero is the same: all three are non-negative); `None` on overflow of the result.
///
/// The product has 256 bits, so that no intermediate overflows.
#[must_use]
pub fn mul_div_half_up(a: i128, b: i128, c: i128) -> Option<i128> {
    let (quotient, remainder) = mul_div(a, b, c)?;
    // remainder * 2 >= c without overflow
    if remainder >= c - remainder { quotient.checked_add(1) } else { Some(quotient) }
}

/// `a * b / c` rounded down, with its remainder; `None` on overflow of the result.
///
/// # Panics
/// Unless `a` and `b` are zero or above and `c` is above zero.
#[must_use]
pub fn mul_div(a: i128, b: i128, c: i128) -> Option<(i128, i128)> {
    assert!(a >= 0 && b >= 0 && c > 0, "mul_div takes non-negative amounts and a positive divisor");
    let (a, b, c) = (a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs());
    let (quotient, remainder) = match a.checked_mul(b) {
        Some(product) => (product / c, product % c),
        None => div_wide(mul_wide(a, b), c)?,
    };
    Some((i128::try_from(quotient).ok()?, i128::try_from(remainder).expect("a remainder is below its divisor")))
}

/// The functional value of a foreign amount: `minor * rate`, moved from one currency's decimals to the other's, half up.
#[must_use]
pub fn convert_half_up(minor: i128, rate: Decimal, from_decimals: u8, to_decimals: u8) -> Option<i128> {
    let numerator = 10i128.checked_pow(u32::from(to_decimals))?.checked_mul(rate.mantissa())?;
    let denominator = 10i128.checked_pow(u32::from(from_decimals))?.checked_mul(10i128.checked_pow(rate.scale())?)?;
    let divisor = greatest_common_divisor(numerator, denominator);
    mul_div_half_up(minor, numerator / divisor, denominator / divisor)
}

fn greatest_common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// 128 × 128 → 256 bits as (high, low).
fn mul_wide(a: u128, b: u128) -> (u128, u128) {
    const MASK: u128 = (1 << 64) - 1;
    let (a_high, a_low) = (a >> 64, a & MASK);
    let (b_high, b_low) = (b >> 64, b & MASK);
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 64);
    let middle_low = (middle & MASK) + a_low * b_high;
    let high = a_high * b_high + (middle >> 64) + (middle_low >> 64);
    (high, (middle_low << 64) | (low & MASK))
}

/// 256 / 128 bits by long division; `None` if the quotient has more than 128 bits.
fn div_wide((high, low): (u128, u128), divisor: u128) -> Option<(u128, u128)> {
    if high >= divisor {
        return None;
    }
    let (mut remainder, mut quotient) = (high, 0u128);
    for bit in (0..128).rev() {
        let carry = remainder >> 127;
        remainder = (remainder << 1) | ((low >> bit) & 1);
        quotient <<= 1;
        if carry == 1 || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    Some((quotient, remainder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn written_amounts_are_compared_as_values() {
        assert_eq!(WrittenAmount::parse("1.0"), WrittenAmount::parse("1.00"));
        assert_eq!(WrittenAmount::parse("108.25").unwrap().to_amount(2), Amount::new(10_825));
        assert_eq!(WrittenAmount::parse("108.255").unwrap().to_amount(2), None);
        assert_eq!(WrittenAmount::parse("1").unwrap().to_amount(18), Amount::new(10i128.pow(18)));
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (text, error) in [
            ("", AmountError::Malformed),
            (".5", AmountError::Malformed),
            ("5.", AmountError::Malformed),
            ("1e3", AmountError::Malformed),
            ("+1", AmountError::Malformed),
            ("01", AmountError::Malformed),
            ("1,000", AmountError::Malformed),
            ("٣", AmountError::Malformed),
            ("0", AmountError::NotPositive),
            ("0.00", AmountError::NotPositive),
            ("-1.00", AmountError::NotPositive),
            ("1000000000000000000", AmountError::TooLarge),
            ("1234567890123456789012345678901234567890", AmountError::TooLarge),
            ("0.000000000000000000001", AmountError::TooFine),
        ] {
            assert_eq!(WrittenAmount::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn formats_with_the_currency_decimals() {
        let text = |minor, decimals| Formatted { minor, decimals }.to_string();
        assert_eq!(text(-9_325, 2), "-93.25");
        assert_eq!(text(5, 2), "0.05");
        assert_eq!(text(5, 0), "5");
        assert_eq!(text(1, 18), "0.000000000000000001");
    }

    proptest! {
        #[test]
        fn amounts_of_few_digits_are_read_as_any_are(
            text in "[0-9]{0,11}[.]?[0-9]{0,11}|-?[0-9]{1,4}[.][0-9]0{0,3}[0-9]0{0,3}|[0-9.+e-]{0,6}"
        ) {
            if let Some(short) = WrittenAmount::parse_short(text.as_bytes()) {
                prop_assert_eq!(WrittenAmount::parse_any(&text), Ok(short));
            }
        }

        #[test]
        fn an_amount_in_parts_is_what_its_text_is(whole in any::<u64>(), shift in 0..64_u32, scale in 0_u8..=22) {
            let mantissa = u128::from(whole >> shift) * u128::from(whole);
            let digits = format!("{mantissa:0width$}", width = usize::from(scale) + 1);
            let (integer, fraction) = digits.split_at(digits.len() - usize::from(scale));
            let text = if scale == 0 { integer.to_owned() } else { format!("{integer}.{fraction}") };
            let expected = if mantissa > 0 && scale > 20 { Err(AmountError::TooFine) } else { WrittenAmount::parse(&text) };
            prop_assert_eq!(WrittenAmount::new(mantissa, scale), expected, "{}", text);
        }

        #[test]
        fn the_way_for_few_digits_takes_them(integer in 1..999_999_999_u64, fraction in "[.][0-9]{1,9}|") {
            let text = format!("{integer}{fraction}");
            prop_assert_eq!(WrittenAmount::parse_short(text.as_bytes()), WrittenAmount::parse_any(&text).ok());
        }

        #[test]
        fn wide_multiplication_and_division_agree_with_narrow(a in 0i128..1 << 60, b in 0i128..1 << 60, c in 1i128..1 << 60) {
            let wide = div_wide(mul_wide(a.unsigned_abs(), b.unsigned_abs()), c.unsigned_abs());
            let product = a.unsigned_abs() * b.unsigned_abs();
            prop_assert_eq!(wide, Some((product / c.unsigned_abs(), product % c.unsigned_abs())));
        }

        #[test]
        fn a_wide_product_divides_back(a in 1i128..10i128.pow(36), b in 1i128..10i128.pow(36)) {
            prop_assert_eq!(mul_div_half_up(a, b, b), Some(a));
        }

        #[test]
        fn a_written_amount_survives_its_parts(mantissa in 1u128..10u128.pow(30), decimals in 0u8..=18) {
            let amount = Amount::new(i128::try_from(mantissa).unwrap()).unwrap();
            let written = WrittenAmount::from_amount(amount, decimals);
            prop_assert_eq!(written.to_amount(decimals), Some(amount));
            let (m, s) = written.parts();
            prop_assert_eq!(WrittenAmount::from_parts(m, s), Some(written));
        }
    }
}
