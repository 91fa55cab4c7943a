//! Ageing: what is open, by how long it has been due (docs/rules.md, reports).
//!
//! Which items are open, at which moment, and when they were due is found by the caller; here they are put into
//! buckets and held against the control account.

use std::collections::BTreeMap;

use crate::id::{CurrencyId, Item, Party};
use crate::time::Date;

/// How long something has been due: days after its due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Not due yet, or due on the day itself.
    Current,
    Days1To30,
    Days31To60,
    Days61To90,
    Days91To120,
    Over120,
}

impl Bucket {
    pub const ALL: [Self; 6] =
        [Self::Current, Self::Days1To30, Self::Days31To60, Self::Days61To90, Self::Days91To120, Self::Over120];

    /// Of what was due on `due`, seen at the end of `as_of`.
    #[must_use]
    pub fn of(due: Date, as_of: Date) -> Self {
        match as_of.days() - due.days() {
            ..=0 => Self::Current,
            1..=30 => Self::Days1To30,
            31..=60 => Self::Days31To60,
            61..=90 => Self::Days61To90,
            91..=120 => Self::Days91To120,
            121.. => Self::Over120,
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|bucket| *bucket == self).expect("ALL has every bucket")
    }
}

/// Amounts by bucket, in minor units on the account's normal side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged([i128; 6]);

impl Aged {
    #[must_use]
    pub fn of(self, bucket: Bucket) -> i128 {
        self.0[bucket.index()]
    }

    #[must_use]
    pub fn total(self) -> i128 {
        self.0.iter().sum()
    }

    fn add(&mut self, other: Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// What is open of one item, or of what names no item, positive on the account's normal side; or a part of that which
/// was due on a day of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenItem {
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub currency: CurrencyId,
    pub balance: i128,
    pub due: Date,
}

/// What the rows stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Party,
    Item,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub party: Option<Party>,
    /// By item only.
    pub item: Option<Item>,
    /// By item only; the earliest, where parts of it were due at different times.
    pub due: Option<Date>,
    pub currency: CurrencyId,
    pub aged: Aged,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ageing {
    /// In the order of the items; by party, a row per party and currency.
    pub rows: Vec<Row>,
    /// The balance of the control account in each currency.
    pub totals: BTreeMap<CurrencyId, Aged>,
}

/// What is open does not come to the control account's balance: the ledger is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("open items of currency {currency} come to {items}, the control account to {control}")]
pub struct Untied {
    pub currency: CurrencyId,
    pub items: i128,
    pub control: i128,
}

/// The ageing of `items`, which come party by party, as of `as_of`. `control`: the account's balance in every currency
/// that it has one in, positive on its normal side.
pub fn ageing(
    items: impl IntoIterator<Item = OpenItem>,
    as_of: Date,
    by: By,
    control: &BTreeMap<CurrencyId, i128>,
) -> Result<Ageing, Untied> {
    let mut ageing = Ageing { rows: vec![], totals: BTreeMap::new() };
    let mut of_party: BTreeMap<CurrencyId, Aged> = BTreeMap::new();
    let mut party: Option<Option<Party>> = None;
    for open in items {
        let OpenItem { party: own, item, currency, balance, due } = open;
        let mut aged = Aged::default();
        aged.0[Bucket::of(due, as_of).index()] = balance;
        ageing.totals.entry(currency).or_default().add(aged);
        match by {
            By::Item => match ageing.rows.last_mut() {
                Some(row) if (&row.party, &row.item, row.currency) == (&own, &item, currency) => {
                    row.aged.add(aged);
                    row.due = row.due.min(Some(due));
                }
                Some(_) | None => ageing.rows.push(Row { party: own, item, due: Some(due), currency, aged }),
            },
            By::Party => {
                if party.as_ref() != Some(&own) {
                    flush(&mut ageing.rows, party.replace(own), &mut of_party);
                }
                of_party.entry(currency).or_default().add(aged);
            }
        }
    }
    flush(&mut ageing.rows, party, &mut of_party);
    let currencies = ageing.totals.keys().chain(control.keys());
    for currency in currencies {
        let items = ageing.totals.get(currency).copied().unwrap_or_default().total();
        let control = control.get(currency).copied().unwrap_or(0);
        if items != control {
            return Err(Untied { currency: *currency, items, control });
        }
    }
    Ok(ageing)
}

fn flush(rows: &mut Vec<Row>, party: Option<Option<Party>>, sums: &mut BTreeMap<CurrencyId, Aged>) {
    let Some(party) = party else { return };
    for (currency, aged) in std::mem::take(sums) {
        rows.push(Row { party: party.clone(), item: None, due: None, currency, aged });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USD: CurrencyId = CurrencyId(840);

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn open(party: &str, item: &str, balance: i128, due: &str) -> OpenItem {
        let (party, item) = (Party::new(party).unwrap(), Item::new(item).unwrap());
        OpenItem { party: Some(party), item: Some(item), currency: USD, balance, due: date(due) }
    }

    #[test]
    fn buckets_begin_on_the_day_after() {
        let as_of = date("2026-06-30");
        for (due, bucket) in [
            ("2026-12-31", Bucket::Current),
            ("2026-06-30", Bucket::Current),
            ("2026-06-29", Bucket::Days1To30),
            ("2026-05-31", Bucket::Days1To30),
            ("2026-05-30", Bucket::Days31To60),
            ("2026-05-01", Bucket::Days31To60),
            ("2026-04-30", Bucket::Days61To90),
            ("2026-04-01", Bucket::Days61To90),
            ("2026-03-31", Bucket::Days91To120),
            ("2026-03-02", Bucket::Days91To120),
            ("2026-03-01", Bucket::Over120),
            ("2020-01-01", Bucket::Over120),
        ] {
            assert_eq!(Bucket::of(date(due), as_of), bucket, "{due}");
        }
    }

    #[test]
    fn rows_are_by_party_or_by_item_and_totals_tie_to_the_control_account() {
        let items = || {
            [
                open("cus_1", "in_1", 10_000, "2026-06-30"),
                open("cus_1", "in_2", 250, "2026-03-31"),
                open("cus_2", "in_3", 7, "2026-06-01"),
            ]
        };
        let control = BTreeMap::from([(USD, 10_257), (CurrencyId(978), 0)]);
        let by_party = ageing(items(), date("2026-07-01"), By::Party, &control).unwrap();
        let aged: Vec<_> = by_party.rows.iter().map(|row| row.aged.0).collect();
        assert_eq!(aged, [[0, 10_000, 0, 0, 250, 0], [0, 7, 0, 0, 0, 0]]);
        assert_eq!(by_party.totals[&USD].0, [0, 10_007, 0, 0, 250, 0]);
        assert_eq!(by_party.totals[&USD].of(Bucket::Days91To120), 250);
        let by_item = ageing(items(), date("2026-07-01"), By::Item, &control).unwrap();
        assert_eq!(by_item.rows.len(), 3);
        let parts = [open("cus_1", "in_1", 60, "2026-06-30"), open("cus_1", "in_1", 40, "2026-03-31")];
        let in_parts = ageing(parts, date("2026-07-01"), By::Item, &BTreeMap::from([(USD, 100)])).unwrap();
        let found: Vec<_> = in_parts.rows.iter().map(|row| (row.due, row.aged.0)).collect();
        assert_eq!(found, [(Some(date("2026-03-31")), [0, 60, 0, 0, 40, 0])]);
        assert_eq!(by_item.totals, by_party.totals);

        let short = BTreeMap::from([(USD, 10_256)]);
        assert_eq!(
            ageing(items(), date("2026-07-01"), By::Party, &short),
            Err(Untied { currency: USD, items: 10_257, control: 10_256 })
        );
        assert!(ageing([], date("2026-07-01"), By::Party, &short).is_err());
    }
}
