//! Sums of amounts as they were written, exact whatever their decimals.

use std::fmt;

use partita_core::money::WrittenAmount;

/// 20 decimals: as many as a written amount can have.
const UNIT: u128 = 10u128.pow(20);

/// A sum of up to some millions of written amounts: each is below 10^18 and has at most 20 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WideSum {
    whole: u128,
    /// Of 10^20, below 1.
    fraction: u128,
}

impl WideSum {
    pub fn add(&mut self, amount: WrittenAmount) {
        let (mantissa, scale) = amount.parts();
        let power = 10u128.pow(u32::from(scale));
        self.whole += mantissa / power;
        self.fraction += (mantissa % power) * (UNIT / power);
        if self.fraction >= UNIT {
            self.fraction -= UNIT;
            self.whole += 1;
        }
    }
}

impl From<WrittenAmount> for WideSum {
    fn from(amount: WrittenAmount) -> Self {
        let mut sum = Self::default();
        sum.add(amount);
        sum
    }
}

impl FromIterator<WrittenAmount> for WideSum {
    fn from_iter<I: IntoIterator<Item = WrittenAmount>>(amounts: I) -> Self {
        let mut sum = Self::default();
        for amount in amounts {
            sum.add(amount);
        }
        sum
    }
}

impl fmt::Display for WideSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:020}", self.fraction);
        // Two decimals at least: what most currencies have.
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.whole, &fraction[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_at_any_scale() {
        let sum = |texts: &[&str]| -> String {
            texts.iter().map(|text| WrittenAmount::parse(text).unwrap()).collect::<WideSum>().to_string()
        };
        assert_eq!(sum(&["0.1", "0.2"]), "0.30");
        assert_eq!(sum(&["0.99", "0.01", "5"]), "6.00");
        assert_eq!(sum(&["0.00000000000000000001", "999999999999999999"]), "999999999999999999.00000000000000000001");
        assert_eq!(sum(&vec!["999999999999999999.99"; 1000]), "999999999999999999990.00");
    }
}
