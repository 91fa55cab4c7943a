//! The model's books: every posting in a list, every balance in a plain map beside it, documents as plain values.
//!
//! No chains are walked and nothing is cached. [`Shelf::recount`] recomputes each map from the list of entries.

use std::collections::BTreeMap;

use partita_core::account::{Account, Book};
use partita_core::chain::PostingRef;
use partita_core::currency::{Currency, ISO_4217};
use partita_core::document::{Charge, Endpoint, Hold, Payment, Refund};
use partita_core::entry::{After, Entry, Line, Side};
use partita_core::fx::Rate;
use partita_core::id::{
    AccountCode, AccountId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Item, Party, Position,
};
use partita_core::period::{Calendar, Period, PeriodId};
use partita_core::recognition::Recognised;
use partita_core::time::Date;

/// All debits and all credits.
pub(crate) type Money = (i128, i128);
pub(crate) type SubaccountAt = (AccountId, Option<Party>, CurrencyId);
pub(crate) type ItemAt = (AccountId, Option<Party>, Item, CurrencyId);

/// A subaccount right after one of its postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) posting: PostingRef,
    pub(crate) money: Money,
    pub(crate) greatest_date: Date,
    /// The ordinal that the posting's jump pointer leads to; 0 for none.
    pub(crate) jump: usize,
}

/// What a hold or an authorisation keeps back: debited here, credited there, if it were posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) debit: Endpoint,
    pub(crate) credit: Endpoint,
    pub(crate) currency: CurrencyId,
    pub(crate) amount: i128,
}

/// Holds expire before payments at one instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reserver {
    Hold(DocumentId),
    Payment(DocumentId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) entry: Entry,
    pub(crate) position: Position,
    pub(crate) index: u32,
    pub(crate) reversed_by: Option<EntryNumber>,
}

/// One line to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) account: AccountId,
    pub(crate) party: Option<Party>,
    pub(crate) item: Option<Item>,
    pub(crate) side: Side,
    pub(crate) amount: i128,
    pub(crate) currency: CurrencyId,
}

/// One book.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) book: Book,
    pub(crate) currencies: Vec<Currency>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) entries: Vec<Posted>,
    pub(crate) steps: BTreeMap<SubaccountAt, Vec<Step>>,
    pub(crate) items: BTreeMap<ItemAt, Money>,
    pub(crate) controls: BTreeMap<(AccountId, CurrencyId), Money>,
    pub(crate) movements: BTreeMap<(AccountId, CurrencyId, Date), Money>,
    pub(crate) totals: BTreeMap<CurrencyId, Money>,
    pub(crate) reserved: BTreeMap<Reserver, Reserved>,
    pub(crate) calendar: Calendar,
    pub(crate) periods: BTreeMap<PeriodId, Period>,
    /// By base, quote and date.
    pub(crate) rates: BTreeMap<(CurrencyId, CurrencyId, Date), Rate>,
    pub(crate) recognised: BTreeMap<DocumentId, Recognised>,
    pub(crate) holds: BTreeMap<DocumentId, Hold>,
    pub(crate) charges: BTreeMap<DocumentId, Charge>,
    pub(crate) payments: BTreeMap<DocumentId, Payment>,
    pub(crate) refunds: BTreeMap<DocumentId, Refund>,
}

fn add<K: Ord>(map: &mut BTreeMap<K, Money>, key: K, side: Side, amount: i128) {
    let money = map.entry(key).or_default();
    match side {
        Side::Debit => money.0 += amount,
        Side::Credit => money.1 += amount,
    }
}

impl Shelf {
    pub(crate) fn new(book: Book, accounts: Vec<Account>) -> Self {
        Self {
            book,
            accounts,
            currencies: vec![],
            entries: vec![],
            steps: BTreeMap::new(),
            items: BTreeMap::new(),
            controls: BTreeMap::new(),
            movements: BTreeMap::new(),
            totals: BTreeMap::new(),
            reserved: BTreeMap::new(),
            calendar: Calendar::default(),
            periods: BTreeMap::new(),
            rates: BTreeMap::new(),
            recognised: BTreeMap::new(),
            holds: BTreeMap::new(),
            charges: BTreeMap::new(),
            payments: BTreeMap::new(),
            refunds: BTreeMap::new(),
        }
    }

    pub(crate) fn account(&self, id: AccountId) -> &Account {
        self.accounts.iter().find(|account| account.id == id).expect("the model keeps every account")
    }

    pub(crate) fn account_by_code(&self, code: &AccountCode) -> Option<&Account> {
        self.accounts.iter().find(|account| account.code == *code)
    }

    pub(crate) fn account_by_role(&self, role: &str) -> Option<&Account> {
        let plays =
            |account: &&Account| !account.closed && account.role.as_ref().is_some_and(|own| own.as_str() == role);
        self.accounts.iter().find(plays)
    }

    pub(crate) fn currency(&self, code: &CurrencyCode) -> Option<Currency> {
        let iso = ISO_4217.iter().find(|row| row.0 == code.as_str()).map(|row| Currency {
            id: CurrencyId(row.1),
            code: code.clone(),
            decimals: row.2,
            decided: Position(0),
        });
        iso.or_else(|| self.currencies.iter().find(|currency| currency.code == *code).cloned())
    }

    pub(crate) fn decimals(&self, id: CurrencyId) -> u8 {
        let own = self.currencies.iter().find(|currency| currency.id == id).map(|currency| currency.decimals);
        own.or_else(|| ISO_4217.iter().find(|row| row.1 == id.0).map(|row| row.2)).expect("the currency is known")
    }

    pub(crate) fn currency_code(&self, id: CurrencyId) -> CurrencyCode {
        let own = self.currencies.iter().find(|currency| currency.id == id).map(|currency| currency.code.clone());
        own.or_else(|| ISO_4217.iter().find(|row| row.1 == id.0).map(|row| CurrencyCode::new(row.0).unwrap()))
            .expect("the currency is known")
    }

    pub(crate) fn next_entry(&self) -> EntryNumber {
        EntryNumber(u64::try_from(self.entries.len()).unwrap() + 1)
    }

    pub(crate) fn subaccount(&self, at: &SubaccountAt) -> Money {
        self.steps.get(at).and_then(|steps| steps.last()).map_or((0, 0), |step| step.money)
    }

    pub(crate) fn item(&self, at: &ItemAt) -> Money {
        self.items.get(at).copied().unwrap_or_default()
    }

    /// What stands in an item on its account's normal side.
    pub(crate) fn item_balance(
        &self,
        account: AccountId,
        party: &Party,
        item: &DocumentId,
        currency: CurrencyId,
    ) -> i128 {
        let money = self.item(&(account, Some(party.clone()), Item::from(item), currency));
        on(self.account(account).normal_side(), money)
    }

    /// Pending debits and credits of whatever `fits`.
    pub(crate) fn pending(&self, currency: CurrencyId, fits: impl Fn(&Endpoint) -> bool) -> Money {
        let mut sums = (0, 0);
        for reserved in self.reserved.values().filter(|reserved| reserved.currency == currency) {
            if fits(&reserved.debit) {
                sums.0 += reserved.amount;
            }
            if fits(&reserved.credit) {
                sums.1 += reserved.amount;
            }
        }
        sums
    }

    /// Adds one line's amount to every map.
    fn count(&mut self, row: &Row, date: Date, amount: i128) {
        if let Some(item) = &row.item {
            add(&mut self.items, (row.account, row.party.clone(), item.clone(), row.currency), row.side, amount);
        }
        add(&mut self.controls, (row.account, row.currency), row.side, amount);
        add(&mut self.movements, (row.account, row.currency, date), row.side, amount);
        add(&mut self.totals, row.currency, row.side, amount);
    }

    /// Posts one line; `ordinal` n's jump pointer is Myers' (1983): two equal jumps in a row become one.
    pub(crate) fn post_line(&mut self, row: &Row, date: Date, posting: PostingRef) -> Line {
        self.count(row, date, row.amount);
        let steps = self.steps.entry((row.account, row.party.clone(), row.currency)).or_default();
        let jump_of = |steps: &[Step], ordinal: usize| if ordinal == 0 { 0 } else { steps[ordinal - 1].jump };
        let previous = steps.len();
        let (first, second) = (jump_of(steps, previous), jump_of(steps, jump_of(steps, previous)));
        let jump = if previous - first == first - second { second } else { previous };
        let mut money = steps.last().map_or((0, 0), |step| step.money);
        match row.side {
            Side::Debit => money.0 += row.amount,
            Side::Credit => money.1 += row.amount,
        }
        let greatest_date = steps.last().map_or(date, |step| step.greatest_date.max(date));
        let place = |ordinal: usize| (ordinal > 0).then(|| steps[ordinal - 1].posting);
        let after = After {
            debits: money.0,
            credits: money.1,
            ordinal: u64::try_from(previous).unwrap() + 1,
            greatest_date,
            previous: place(previous),
            jump: place(jump),
        };
        steps.push(Step { posting, money, greatest_date, jump });
        Line {
            account: row.account,
            party: row.party.clone(),
            item: row.item.clone(),
            side: row.side,
            amount: partita_core::money::Amount::new(row.amount).expect("the model posts amounts above zero"),
            currency: row.currency,
            after,
        }
    }

    /// Takes the newest entry back, for an atomic batch that is refused in its middle.
    pub(crate) fn unpost_last(&mut self) {
        let posted = self.entries.pop().expect("there is an entry to take back");
        for line in posted.entry.lines.iter().rev() {
            let row = row_of(line);
            self.count(&row, posted.entry.effective_date, -row.amount);
            self.steps.get_mut(&(row.account, row.party, row.currency)).expect("it was posted").pop();
        }
        if let Some(number) = posted.entry.reverses {
            let index = usize::try_from(number.0).unwrap() - 1;
            self.entries[index].reversed_by = None;
        }
    }

    /// Every map again, from the list of entries alone. Panics where the running maps differ.
    pub(crate) fn recount(&self) {
        let mut fresh = Self::new(self.book.clone(), self.accounts.clone());
        for posted in &self.entries {
            for line in &posted.entry.lines {
                fresh.post_line(
                    &row_of(line),
                    posted.entry.effective_date,
                    PostingRef { position: posted.position, line: 0 },
                );
            }
        }
        let nonzero = |map: &BTreeMap<ItemAt, Money>| -> BTreeMap<ItemAt, Money> {
            map.iter().filter(|(_, money)| **money != (0, 0)).map(|(key, money)| (key.clone(), *money)).collect()
        };
        assert_eq!(nonzero(&fresh.items), nonzero(&self.items));
        for (at, steps) in &fresh.steps {
            assert_eq!(steps.last().map(|step| step.money), self.steps[at].last().map(|step| step.money));
        }
        for (currency, money) in &fresh.totals {
            assert_eq!(money.0, money.1, "the model itself is out of balance");
            assert_eq!(self.totals[currency], *money);
        }
        for (at, money) in &fresh.controls {
            assert_eq!(self.controls[at], *money);
            let mut parts = (0, 0);
            for ((account, _, currency), steps) in &fresh.steps {
                if (*account, *currency) == *at {
                    let sums = steps.last().expect("a subaccount exists by its first posting").money;
                    parts = (parts.0 + sums.0, parts.1 + sums.1);
                }
            }
            assert_eq!(parts, *money);
        }
    }
}

fn row_of(line: &Line) -> Row {
    Row {
        account: line.account,
        party: line.party.clone(),
        item: line.item.clone(),
        side: line.side,
        amount: line.amount.minor(),
        currency: line.currency,
    }
}

/// A balance, positive on `normal`.
pub(crate) fn on(normal: Side, money: Money) -> i128 {
    match normal {
        Side::Debit => money.0 - money.1,
        Side::Credit => money.1 - money.0,
    }
}
