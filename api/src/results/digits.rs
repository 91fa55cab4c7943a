//! Numbers and money as text, as fast as a batch of ten thousand answers needs them.

use partita_core::money::Formatted;

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut tens, mut index) = (b'0', 0);
    while tens <= b'9' {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[index] = [tens, ones];
            index += 1;
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

/// The digits of `number` at the end of `digits`, at least `least` of them; where they begin.
fn digits(digits: &mut [u8; 40], mut number: u64, least: usize) -> usize {
    let mut start = digits.len();
    while number >= 100 {
        start -= 2;
        let pair = usize::try_from(number % 100).unwrap_or_default();
        digits[start..start + 2].copy_from_slice(&PAIRS[pair]);
        number /= 100;
    }
    let pair = PAIRS[usize::try_from(number).unwrap_or_default()];
    if number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair);
    } else {
        start -= 1;
        digits[start] = pair[1];
    }
    while digits.len() - start < least {
        start -= 1;
        digits[start] = b'0';
    }
    start
}

pub(super) fn put_number(text: &mut Vec<u8>, number: u64) {
    let mut buffer = [0; 40];
    let start = digits(&mut buffer, number, 1);
    text.extend_from_slice(&buffer[start..]);
}

/// As [`Formatted`].
pub(super) fn put_money(text: &mut Vec<u8>, minor: i128, decimals: u8) {
    let Ok(magnitude) = u64::try_from(minor.unsigned_abs()) else {
        text.extend_from_slice(Formatted { minor, decimals }.to_string().as_bytes());
        return;
    };
    if minor < 0 {
        text.push(b'-');
    }
    let decimals = usize::from(decimals);
    let mut buffer = [0; 40];
    let start = digits(&mut buffer, magnitude, decimals + 1);
    let point = buffer.len() - decimals;
    text.extend_from_slice(&buffer[start..point]);
    if decimals > 0 {
        text.push(b'.');
        text.extend_from_slice(&buffer[point..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(minor: i128, decimals: u8) -> String {
        let mut text = Vec::new();
        put_money(&mut text, minor, decimals);
        String::from_utf8(text).unwrap()
    }

    fn amounts() -> impl Strategy<Value = i128> {
        let bits = 0..127_u32;
        (any::<i128>(), bits).prop_map(|(number, bits)| number >> bits)
    }

    proptest! {
        #[test]
        fn money_is_written_as_core_formats_it(minor in amounts(), decimals in 0_u8..=18) {
            prop_assert_eq!(money(minor, decimals), Formatted { minor, decimals }.to_string());
        }

        #[test]
        fn numbers_are_written_as_usual(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            let mut text = Vec::new();
            put_number(&mut text, number);
            prop_assert_eq!(String::from_utf8(text).unwrap(), number.to_string());
        }
    }

    #[test]
    fn the_edges_of_money_are_written_as_core_formats_them() {
        let bounds = [0, 1, 9, 10, 99, 100, 101, 999, i128::from(u64::MAX), i128::from(u64::MAX) + 1, i128::MAX];
        for bound in bounds {
            for minor in [bound, -bound, i128::MIN] {
                for decimals in 0..=18 {
                    assert_eq!(money(minor, decimals), Formatted { minor, decimals }.to_string());
                }
            }
        }
    }
}
