//! From beancount's postings to lines that balance in every currency.
//!
//! Beancount lets a posting in one commodity be paid for in another, at a cost or a price, and lets one amount be left
//! out. The ledger knows neither: the amount left out is computed as beancount computes it, and what a transaction
//! exchanges goes through an account of its own, so that each currency balances.

use std::collections::BTreeMap;

use beancount_parser::{Amount, Posting, PostingPrice, Transaction};
use rust_decimal::{Decimal, RoundingStrategy};

use super::decimal::Exact;
use super::source::Source;

/// One line, positive for a debit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Of the posting that it comes from; `None`: of the account for exchanges.
    pub posting: Option<usize>,
    pub currency: String,
    pub amount: Decimal,
}

/// Why a transaction is not posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbookable {
    #[error("two of its postings have no amount")]
    TwoWithoutAmount,
    #[error("it does not say at which cost: lots are not matched")]
    LotToMatch,
    #[error("a number in it has more digits than can be computed with")]
    TooManyDigits,
    #[error("it is out of balance by {amount} {currency}")]
    Unbalanced { amount: Decimal, currency: String },
    #[error("it balances only within beancount's tolerance, by {amount} {currency}")]
    WithinTolerance { amount: Decimal, currency: String },
    #[error("it moves nothing")]
    Nothing,
}

impl Unbookable {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unbalanced { .. } | Self::WithinTolerance { .. } => "unbalanced",
            Self::TwoWithoutAmount | Self::LotToMatch | Self::TooManyDigits | Self::Nothing => "not_representable",
        }
    }
}

type Sums = BTreeMap<String, Decimal>;

fn add(sums: &mut Sums, currency: &str, amount: Decimal) -> Result<(), Unbookable> {
    let sum = sums.entry(currency.to_owned()).or_default();
    *sum = sum.checked_add(amount).ok_or(Unbookable::TooManyDigits)?;
    Ok(())
}

/// What the ledger takes at all: so sums of such amounts are far from a decimal's own end.
pub fn exact(value: Exact) -> Result<Decimal, Unbookable> {
    let largest = Decimal::from(10u64.pow(18));
    value.0.filter(|value| value.abs() < largest).ok_or(Unbookable::TooManyDigits)
}

/// What a posting weighs in its transaction: at cost, else at its price, else itself.
fn weight(units: &Amount<Exact>, posting: &Posting<Exact>) -> Result<(String, Decimal), Unbookable> {
    let count = exact(units.value)?;
    let times = |amount: &Amount<Exact>| {
        let weight = count.checked_mul(exact(amount.value)?).ok_or(Unbookable::TooManyDigits)?;
        Ok((amount.currency.to_string(), weight))
    };
    if let Some(cost) = &posting.cost {
        return times(cost.amount.as_ref().ok_or(Unbookable::LotToMatch)?);
    }
    match &posting.price {
        None => Ok((units.currency.to_string(), count)),
        Some(PostingPrice::Unit(price)) => times(price),
        Some(PostingPrice::Total(total)) => {
            let amount = exact(total.value)?.abs();
            Ok((total.currency.to_string(), if count.is_sign_negative() { -amount } else { amount }))
        }
    }
}

/// What the file says of tolerances.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// Of the last digit.
    pub multiplier: Decimal,
    /// Where nothing can be inferred, by currency; `*` is any.
    pub defaults: BTreeMap<String, Decimal>,
}

impl Tolerance {
    pub fn of(source: &Source) -> Self {
        let multiplier = source.option("inferred_tolerance_multiplier").and_then(|text| text.parse().ok());
        let pair =
            |text: &str| text.split_once(':').and_then(|(code, value)| Some((code.to_owned(), value.parse().ok()?)));
        Self {
            multiplier: multiplier.unwrap_or(Decimal::new(5, 1)),
            defaults: source.options("inferred_tolerance_default").filter_map(pair).collect(),
        }
    }
}

/// The tolerance of each currency, as beancount infers it: `multiplier` of the last digit of the coarsest amount.
fn tolerances(transaction: &Transaction<Exact>, Tolerance { multiplier, defaults }: &Tolerance) -> Sums {
    let mut tolerances = defaults.clone();
    for units in transaction.postings.iter().filter_map(|posting| posting.amount.as_ref()) {
        if let Some(value) = units.value.0.filter(|value| value.scale() > 0) {
            let Some(tolerance) = Decimal::new(1, value.scale()).checked_mul(*multiplier) else { continue };
            let widest = tolerances.entry(units.currency.to_string()).or_default();
            *widest = tolerance.max(*widest);
        }
    }
    tolerances
}

/// The lines of a transaction: those of its postings, then those of its exchanges.
pub fn book(transaction: &Transaction<Exact>, tolerance: &Tolerance) -> Result<Vec<Leg>, Unbookable> {
    let tolerances = tolerances(transaction, tolerance);
    let tolerated =
        |currency: &str| tolerances.get(currency).or_else(|| tolerances.get("*")).copied().unwrap_or_default();
    let (mut legs, mut residual, mut without) = (vec![], Sums::new(), None);
    for (index, posting) in transaction.postings.iter().enumerate() {
        match &posting.amount {
            None if without.replace(index).is_some() => return Err(Unbookable::TwoWithoutAmount),
            None => {}
            Some(units) => {
                let (currency, weight) = weight(units, posting)?;
                add(&mut residual, &currency, weight)?;
                let amount = exact(units.value)?;
                legs.push(Leg { posting: Some(index), currency: units.currency.to_string(), amount });
            }
        }
    }
    match without {
        Some(index) => {
            for (currency, amount) in residual {
                let amount = rounded(-amount, tolerated(&currency));
                legs.push(Leg { posting: Some(index), currency, amount });
            }
        }
        None => {
            let beyond = residual.into_iter().find(|(currency, amount)| amount.abs() > tolerated(currency));
            if let Some((currency, amount)) = beyond {
                return Err(Unbookable::Unbalanced { amount, currency });
            }
        }
    }
    legs.retain(|leg| !leg.amount.is_zero());
    let exchanges = transaction.postings.iter().any(|posting| posting.cost.is_some() || posting.price.is_some());
    balanced(legs, exchanges)
}

/// To the last digit that beancount gives an amount that it fills in.
fn rounded(amount: Decimal, tolerance: Decimal) -> Decimal {
    if tolerance.is_zero() {
        return amount;
    }
    let quantum = (tolerance + tolerance).normalize();
    amount.round_dp_with_strategy(quantum.scale(), RoundingStrategy::MidpointNearestEven)
}

/// With the lines that make each currency balance, if the transaction exchanges currencies.
fn balanced(mut legs: Vec<Leg>, exchanges: bool) -> Result<Vec<Leg>, Unbookable> {
    let mut sums = Sums::new();
    for leg in &legs {
        add(&mut sums, &leg.currency, leg.amount)?;
    }
    for (currency, amount) in sums.into_iter().filter(|(_, amount)| !amount.is_zero()) {
        if !exchanges {
            return Err(Unbookable::WithinTolerance { amount, currency });
        }
        legs.push(Leg { posting: None, currency, amount: -amount });
    }
    if legs.is_empty() { Err(Unbookable::Nothing) } else { Ok(legs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booked(postings: &str) -> Result<Vec<String>, String> {
        let text = format!("2026-01-01 * \"x\"\n{postings}");
        let directive: beancount_parser::Directive<Exact> = text.parse().expect("it is well formed");
        let transaction = directive.content.as_transaction().expect("a transaction").clone();
        let legs = book(&transaction, &Tolerance::of(&Source::default())).map_err(|why| why.to_string())?;
        let shown = |leg: &Leg| {
            let name = leg.posting.map_or("exchange", |index| transaction.postings[index].account.as_str());
            format!("{name} {} {}", leg.amount, leg.currency)
        };
        Ok(legs.iter().map(shown).collect())
    }

    #[track_caller]
    fn check(postings: &str, expected: &[&str]) {
        assert_eq!(booked(postings), Ok(expected.iter().map(|&leg| leg.to_owned()).collect()), "{postings}");
    }

    #[test]
    fn an_amount_left_out_is_what_the_others_leave() {
        check(" A:A  10.00 USD\n B:B  -3.50 USD\n C:C", &["A:A 10.00 USD", "B:B -3.50 USD", "C:C -6.50 USD"]);
        check(" A:A  1 USD\n A:B  2 EUR\n C:C", &["A:A 1 USD", "A:B 2 EUR", "C:C -2 EUR", "C:C -1 USD"]);
        // Rounded to the digits of the others, half to even: 3 × 0.335 is 1.005.
        check(
            " A:A  3 X {0.335 USD}\n A:B  1.00 USD\n C:C",
            &["A:A 3 X", "A:B 1.00 USD", "C:C -2.00 USD", "exchange 1.00 USD", "exchange -3 X"],
        );
        check(" A:A  (12 / 8) USD\n C:C", &["A:A 1.5 USD", "C:C -1.5 USD"]);
    }

    #[test]
    fn exchanges_balance_in_every_currency() {
        check(
            " A:A  10 VHT {132.32 USD, 2014-02-11}\n A:B  -1323.20 USD",
            &["A:A 10 VHT", "A:B -1323.20 USD", "exchange 1323.20 USD", "exchange -10 VHT"],
        );
        check(
            " A:A  -5 VEA {193.45 USD} @ 193.58 USD\n A:B  967.90 USD\n I:I  -0.65 USD",
            &["A:A -5 VEA", "A:B 967.90 USD", "I:I -0.65 USD", "exchange -967.25 USD", "exchange 5 VEA"],
        );
        check(
            " A:A  120.00 EUR @@ 130.10 USD\n A:B  -130.10 USD",
            &["A:A 120.00 EUR", "A:B -130.10 USD", "exchange -120.00 EUR", "exchange 130.10 USD"],
        );
        // Within the tolerance of what the cost comes to: 2.345 × 100.01 is 234.52345.
        check(
            " A:A  2.345 X {100.01 USD}\n A:B  -234.52 USD",
            &["A:A 2.345 X", "A:B -234.52 USD", "exchange 234.52 USD", "exchange -2.345 X"],
        );
    }

    #[test]
    fn what_cannot_be_posted_says_why() {
        for (postings, why) in [
            (" A:A  1 USD\n B:B\n C:C", "two of its postings have no amount"),
            (" A:A  -1 X {}\n B:B  5 USD", "it does not say at which cost: lots are not matched"),
            (" A:A  1.00 USD\n B:B  -1.01 USD", "it is out of balance by -0.01 USD"),
            (" A:A  1 USD\n B:B  -1 EUR", "it is out of balance by -1 EUR"),
            (" A:A  1.00 USD\n B:B  -1.004 USD", "it balances only within beancount's tolerance, by -0.004 USD"),
            (" A:A  0.00 USD\n B:B", "it moves nothing"),
            (" A:A  (1 / 0) USD\n B:B", "a number in it has more digits than can be computed with"),
            (
                " A:A  0.12345678901234567890123456789 USD\n B:B",
                "a number in it has more digits than can be computed with",
            ),
        ] {
            assert_eq!(booked(postings), Err(why.to_owned()), "{postings}");
        }
    }
}
