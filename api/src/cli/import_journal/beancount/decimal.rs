//! Numbers as beancount's parser computes them: exact decimals that say so when they are not exact any more.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::str::FromStr;

use rust_decimal::Decimal;

/// `None`: it has more digits than can be held, or was divided by zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Exact(pub Option<Decimal>);

impl FromStr for Exact {
    type Err = rust_decimal::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Decimal::from_str_exact(text).ok()))
    }
}

impl Exact {
    fn combine(self, other: Self, compute: fn(Decimal, Decimal) -> Option<Decimal>) -> Self {
        Self(self.0.zip(other.0).and_then(|(a, b)| compute(a, b)))
    }
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combine(other, Decimal::checked_add)
    }
}

impl Sub for Exact {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combine(other, Decimal::checked_sub)
    }
}

impl Mul for Exact {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.combine(other, Decimal::checked_mul)
    }
}

impl Div for Exact {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        // As many digits as the quotient has, which is what a tolerance is inferred from.
        Self(self.combine(other, Decimal::checked_div).0.map(|quotient| quotient.normalize()))
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.map(|value| -value))
    }
}
