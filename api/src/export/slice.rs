//! What is exported: a stretch of one book's entries, what had been posted before it, and the balances it ends with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use partita_core::account::Account;
use partita_core::currency::Currency;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{AccountId, CurrencyId, EntryNumber, Position};
use partita_core::state::{Movement, Read as _};
use partita_core::time::Date;
use partita_storage::state::MovementsOf;

use crate::app::App;
use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::query::parameter;

/// Which entries: those after a number, with effective dates in a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub after_entry: EntryNumber,
    /// Included.
    pub from: Option<Date>,
    /// Included; what is dated later counts nowhere.
    pub to: Option<Date>,
}

/// One account in one currency: all debits and credits.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    pub account: Arc<Account>,
    pub currency: Currency,
    pub sums: Movement,
}

/// By (account, currency).
pub(crate) type Sums = BTreeMap<(AccountId, CurrencyId), Movement>;

/// A stretch of a book as it was at one position.
#[derive(Debug)]
pub(crate) struct Export {
    pub names: Arc<Names>,
    pub slice: Slice,
    /// What was decided later is not seen.
    pub position: Position,
    /// Of the hash tree over all decisions.
    pub head: [u8; 32],
    pub last_entry: EntryNumber,
    /// The decision to read from.
    pub first: Position,
    /// By code.
    pub accounts: Vec<Arc<Account>>,
    /// The functional one and all that were posted in, by code.
    pub currencies: Vec<Currency>,
    /// What was posted outside the stretch, up to `to`. With `after_entry` it is known once the entries were read.
    pub opening: Vec<Balance>,
    /// All that was posted up to `to`.
    pub closing: Vec<Balance>,
    /// The first and last effective date of what was posted up to `to`.
    pub dates: Option<(Date, Date)>,
    pub opening_date: Option<Date>,
    closing_sums: Sums,
}

/// Why a notation cannot hold a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsuitable {
    #[error("{program} knows no dates before {earliest}, and the book has entries of {date}")]
    TooEarly { program: &'static str, earliest: Date, date: Date },
    #[error("beancount asserts a balance at the start of a day, and there is no day after {date}")]
    NoDayAfter { date: Date },
    #[error("{code} is no currency in beancount but a word of its own")]
    ReservedCurrency { code: String },
    #[error("the movements in {currency} have more than {digits} digits, beyond which beancount rounds")]
    TooManyDigits { currency: String, digits: u32 },
}

impl From<Unsuitable> for Problem {
    fn from(why: Unsuitable) -> Self {
        Self::new(Code::NotRepresentable, why.to_string())
    }
}

impl Balance {
    /// In minor units, positive where debits exceed credits.
    pub(crate) fn net(&self) -> i128 {
        self.sums.debits - self.sums.credits
    }
}

impl Slice {
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        entry.number > self.after_entry
            && self.from.is_none_or(|from| entry.effective_date >= from)
            && self.to.is_none_or(|to| entry.effective_date <= to)
    }
}

pub(crate) fn add(sums: &mut Sums, line: &Line) {
    let sum = sums.entry((line.account, line.currency)).or_default();
    match line.side {
        Side::Debit => sum.debits += line.amount.minor(),
        Side::Credit => sum.credits += line.amount.minor(),
    }
}

impl Export {
    pub(crate) fn take(app: &App, names: &Arc<Names>, slice: Slice) -> Result<Self, Problem> {
        if let (Some(from), Some(to)) = (slice.from, slice.to)
            && from > to
        {
            return Err(parameter("from", "must not be after to"));
        }
        let book = names.book.id;
        let ((position, head, totals, accounts, after), movements) = app.past(|reader| {
            reader.read_with_movements(MovementsOf::Book(book), |view| {
                let after = view.entry_record(book, slice.after_entry);
                Ok((view.position(), view.head_hash(), view.totals(book), view.accounts(book)?, after))
            })
        });
        if slice.after_entry > totals.last_entry {
            return Err(parameter("after_entry", &format!("must not be beyond the last entry, {}", totals.last_entry)));
        }
        let (mut closing, mut before, mut dates) = (Sums::new(), Sums::new(), None);
        for (key, movement) in movements.into_iter().filter(|(key, _)| slice.to.is_none_or(|to| key.date <= to)) {
            let at = (key.control.account, key.control.currency);
            let mut sums = vec![closing.entry(at).or_default()];
            if slice.from.is_some_and(|from| key.date < from) {
                sums.push(before.entry(at).or_default());
            }
            for sum in sums {
                sum.debits += movement.debits;
                sum.credits += movement.credits;
            }
            let (first, last) = dates.get_or_insert((key.date, key.date));
            (*first, *last) = ((*first).min(key.date), (*last).max(key.date));
        }
        let used: BTreeSet<_> = closing.keys().map(|key| key.1).chain([names.book.functional_currency]).collect();
        let mut currencies: Vec<_> = used.into_iter().map(|id| names.currency(id)).collect();
        currencies.sort_by(|a, b| a.code.cmp(&b.code));
        let mut export = Self {
            names: Arc::clone(names),
            slice,
            position,
            head,
            last_entry: totals.last_entry,
            first: after.map_or(names.book.decided, |record| record.position),
            accounts,
            currencies,
            opening: vec![],
            closing: vec![],
            dates,
            opening_date: slice.from.and_then(Date::previous),
            closing_sums: Sums::new(),
        };
        export.closing = export.balances(&closing);
        export.opening = export.balances(&before);
        export.closing_sums = closing;
        Ok(export)
    }

    /// Whether the opening balances take a first reading of the entries.
    pub(crate) fn opening_is_unknown(&self) -> bool {
        self.slice.after_entry > EntryNumber(0)
    }

    /// `exported`: the sums of the stretch; `first`: the earliest date in it.
    pub(crate) fn open_with(&mut self, exported: &Sums, first: Option<Date>) {
        self.opening = self.balances(&self.without(exported));
        self.opening_date = self.opening_date.or(first).or(self.dates.map(|dates| dates.1));
    }

    fn without(&self, exported: &Sums) -> Sums {
        let mut rest = self.closing_sums.clone();
        for (key, movement) in exported {
            let sum = rest.get_mut(key).expect("what is exported was posted");
            sum.debits -= movement.debits;
            sum.credits -= movement.credits;
        }
        rest.retain(|_, sum| *sum != Movement::default());
        rest
    }

    /// Whether opening and exported lines together are the closing balances.
    pub(crate) fn adds_up(&self, exported: &Sums) -> bool {
        let rest = self.without(exported);
        rest.len() == self.opening.len()
            && self.opening.iter().all(|opening| {
                rest.get(&(opening.account.id, opening.currency.id)).is_some_and(|sums| *sums == opening.sums)
            })
    }

    fn balances(&self, sums: &Sums) -> Vec<Balance> {
        let of = |account: &Arc<Account>| {
            let account = Arc::clone(account);
            let range = (account.id, CurrencyId(0))..=(account.id, CurrencyId(u16::MAX));
            sums.range(range).map(move |((_, currency), sums)| (Arc::clone(&account), *currency, *sums))
        };
        let balance = |(account, currency, sums)| Balance { account, currency: self.names.currency(currency), sums };
        self.accounts.iter().flat_map(of).map(balance).collect()
    }

    /// The earliest date that is written.
    pub(crate) fn earliest(&self) -> Option<Date> {
        self.dates.map(|(first, _)| self.opening_date.map_or(first, |opening| first.max(opening)))
    }

    /// The date of the closing balances.
    pub(crate) fn latest(&self) -> Option<Date> {
        self.dates.map(|(_, last)| self.opening_date.map_or(last, |opening| last.max(opening)))
    }

    /// # Panics
    /// If the chart has no such account: codes come from entries.
    pub(crate) fn account(&self, code: &str) -> &Account {
        let found = self.accounts.binary_search_by(|account| account.code.as_str().cmp(code));
        &self.accounts[found.unwrap_or_else(|_place| panic!("account {code} is missing in the chart"))]
    }

    /// Minor units as they are written.
    pub(crate) fn money(&self, minor: i128, currency: &Currency) -> String {
        self.names.money(minor, currency.id)
    }

    /// What the export says about itself, a line each.
    pub(crate) fn says(&self) -> Vec<String> {
        let Slice { after_entry, from, to } = self.slice;
        let mut range = String::new();
        if let Some(from) = from {
            range.push_str(&format!(", effective from {from}"));
        }
        if let Some(to) = to {
            range.push_str(&format!(", effective to {to}"));
        }
        vec![
            format!("Book {}, exported by Partita", self.names.book.code),
            format!("Entries {} to {}{range}", after_entry.0 + 1, self.last_entry),
            format!("Position {}, head {}", self.position, self.head_text()),
        ]
    }

    pub(crate) fn head_text(&self) -> String {
        let hex: String = self.head.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("blake3:{hex}")
    }
}
