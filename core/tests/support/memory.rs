//! The whole state in maps, with the journal as a list of decisions: what storage keeps over RocksDB, without storage.
//!
//! It shares nothing with storage's working set on purpose. Clones are snapshots, so that a test can compare
//! the state before and after a refusal.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use partita_core::account::{Account, Book};
use partita_core::currency::Currency;
use partita_core::decision::{Decision, Outcome};
use partita_core::document::{Charge, Hold, Payment, Refund};
use partita_core::entry::Entry;
use partita_core::fx::Rate;
use partita_core::id::{
    AccountCode, AccountId, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Key, Position, Role,
};
use partita_core::period::{Calendar, Digest, JournalHead, Period, PeriodId};
use partita_core::recognition::{Recognised, RecognisedUpTo};
use partita_core::state::{
    BookTotals, ControlKey, EntryRecord, Expiry, Head, ItemKey, KeyRecord, Movement, MovementKey, Read, Subaccount,
    SubaccountKey, Sums, Write,
};
use partita_core::time::{Date, Timestamp};

/// Every table of [`Read`], by its key, and the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) head: Head,
    pub(crate) books: BTreeMap<BookId, Arc<Book>>,
    pub(crate) totals: BTreeMap<BookId, BookTotals>,
    pub(crate) currencies: BTreeMap<(BookId, CurrencyId), Currency>,
    pub(crate) accounts: BTreeMap<(BookId, AccountId), Arc<Account>>,
    pub(crate) keys: BTreeMap<(BookId, Key), KeyRecord>,
    pub(crate) controls: BTreeMap<ControlKey, Sums>,
    pub(crate) subaccounts: BTreeMap<SubaccountKey, Subaccount>,
    pub(crate) items: BTreeMap<ItemKey, Sums>,
    /// Those of them whose debits and credits differ, with the date since when.
    pub(crate) open_items: BTreeMap<ItemKey, Date>,
    pub(crate) movements: BTreeMap<MovementKey, Movement>,
    pub(crate) entry_records: BTreeMap<(BookId, EntryNumber), EntryRecord>,
    pub(crate) calendars: BTreeMap<BookId, Calendar>,
    pub(crate) periods: BTreeMap<(BookId, PeriodId), Period>,
    pub(crate) rates: BTreeMap<(BookId, CurrencyId, CurrencyId, Date), Rate>,
    pub(crate) recognised: BTreeMap<(BookId, DocumentId), Recognised>,
    pub(crate) holds: BTreeMap<(BookId, DocumentId), Hold>,
    pub(crate) charges: BTreeMap<(BookId, DocumentId), Charge>,
    pub(crate) payments: BTreeMap<(BookId, DocumentId), Payment>,
    pub(crate) refunds: BTreeMap<(BookId, DocumentId), Refund>,
    pub(crate) expiries: BTreeSet<Expiry>,
    pub(crate) journal: Vec<Decision>,
    /// BLAKE3 over the one before and the newest decision.
    pub(crate) journal_hash: [u8; 32],
}

impl Memory {
    /// Appends a decision to the journal, which has no gaps.
    pub(crate) fn record(&mut self, decision: Decision) {
        let next = u64::try_from(self.journal.len()).unwrap() + 1;
        assert_eq!(decision.position, Position(next), "positions are gapless");
        let mut hasher = blake3::Hasher::new_keyed(&self.journal_hash);
        hasher.update(format!("{decision:?}").as_bytes());
        self.journal_hash = *hasher.finalize().as_bytes();
        self.journal.push(decision);
    }

    pub(crate) fn decision(&self, position: Position) -> Option<&Decision> {
        self.journal.get(usize::try_from(position.0.checked_sub(1)?).unwrap())
    }
}

impl Read for Memory {
    fn head(&self) -> Head {
        self.head
    }

    fn book(&self, id: BookId) -> Option<Arc<Book>> {
        self.books.get(&id).cloned()
    }

    fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>> {
        self.books.values().find(|book| book.code == *code).cloned()
    }

    fn totals(&self, book: BookId) -> BookTotals {
        self.totals.get(&book).cloned().unwrap_or_default()
    }

    fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency> {
        self.currencies
            .iter()
            .find(|((of, _), currency)| *of == book && currency.code == *code)
            .map(|row| row.1.clone())
    }

    fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency> {
        self.currencies.get(&(book, id)).cloned()
    }

    fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>> {
        self.accounts.get(&(book, id)).cloned()
    }

    fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>> {
        self.accounts.iter().find(|((of, _), account)| *of == book && account.code == *code).map(|row| row.1.clone())
    }

    fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>> {
        let open = |account: &Account| !account.closed && account.role.as_ref() == Some(role);
        self.accounts.iter().find(|((of, _), account)| *of == book && open(account)).map(|row| row.1.clone())
    }

    fn key(&self, scope: BookId, key: &Key) -> Option<KeyRecord> {
        self.keys.get(&(scope, key.clone())).copied()
    }

    fn control(&self, key: &ControlKey) -> Sums {
        self.controls.get(key).copied().unwrap_or_default()
    }

    fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)> {
        let of_account = |key: &ControlKey| key.book == book && key.account == account;
        self.controls.iter().filter(|(key, _)| of_account(key)).map(|(key, sums)| (key.currency, *sums)).collect()
    }

    fn subaccount(&self, key: &SubaccountKey) -> Subaccount {
        self.subaccounts.get(key).cloned().unwrap_or_default()
    }

    fn every_subaccount(&self, book: BookId, account: AccountId, holds: &mut dyn FnMut(&Sums) -> bool) -> bool {
        let of_account = |key: &SubaccountKey| key.book == book && key.account == account;
        self.subaccounts.iter().filter(|(key, _)| of_account(key)).all(|(_, subaccount)| holds(&subaccount.sums))
    }

    fn item(&self, key: &ItemKey) -> Sums {
        self.items.get(key).copied().unwrap_or_default()
    }

    fn movement(&self, key: &MovementKey) -> Movement {
        self.movements.get(key).copied().unwrap_or_default()
    }

    fn posted_until(&self, control: &ControlKey, date: Date) -> Movement {
        let posted = self.movements.iter().filter(|(key, _)| key.control == *control && key.date <= date);
        posted.fold(Movement::default(), |sum, (_, movement)| Movement {
            debits: sum.debits + movement.debits,
            credits: sum.credits + movement.credits,
        })
    }

    fn first_posted(&self, control: &ControlKey) -> Option<Date> {
        self.movements.keys().filter(|key| key.control == *control).map(|key| key.date).min()
    }

    fn rate(&self, book: BookId, base: CurrencyId, quote: CurrencyId, until: Date) -> Option<Rate> {
        let pair = (book, base, quote);
        let rates =
            self.rates.iter().filter(|((book, base, quote, date), _)| (*book, *base, *quote) == pair && *date <= until);
        rates.max_by_key(|((_, _, _, date), _)| *date).map(|row| row.1.clone())
    }

    fn recognised(&self, book: BookId, charge: &DocumentId) -> Option<Recognised> {
        self.recognised.get(&(book, charge.clone())).cloned()
    }

    fn items_after(
        &self,
        book: BookId,
        account: AccountId,
        after: Option<&RecognisedUpTo>,
        limit: usize,
    ) -> Vec<(ItemKey, Sums)> {
        let of_account = |key: &ItemKey| key.book == book && key.account == account;
        let is_behind =
            |key: &ItemKey| after.is_none_or(|after| (&key.party, &key.item) > (&after.customer, &after.item));
        let rows = self.items.iter().filter(|(key, _)| of_account(key) && is_behind(key));
        rows.take(limit).map(|(key, sums)| (key.clone(), *sums)).collect()
    }

    fn calendar(&self, book: BookId) -> Calendar {
        self.calendars.get(&book).copied().unwrap_or_default()
    }

    fn period(&self, book: BookId, id: PeriodId) -> Option<Period> {
        self.periods.get(&(book, id)).cloned()
    }

    fn journal_head(&self) -> JournalHead {
        let position = Position(u64::try_from(self.journal.len()).unwrap());
        JournalHead { position, hash: Digest(self.journal_hash) }
    }

    fn entry_record(&self, book: BookId, number: EntryNumber) -> Option<EntryRecord> {
        self.entry_records.get(&(book, number)).copied()
    }

    fn entry(&self, book: BookId, number: EntryNumber) -> Option<Entry> {
        let record = self.entry_record(book, number)?;
        let decision = self.decision(record.position).expect("an entry's decision is in the journal");
        match &decision.outcome {
            Outcome::Accepted(effects) => Some(effects.entries[usize::try_from(record.index).unwrap()].clone()),
            Outcome::Refused(_) => panic!("a refusal posts no entry"),
        }
    }

    fn hold(&self, book: BookId, id: &DocumentId) -> Option<Hold> {
        self.holds.get(&(book, id.clone())).cloned()
    }

    fn charge(&self, book: BookId, id: &DocumentId) -> Option<Charge> {
        self.charges.get(&(book, id.clone())).cloned()
    }

    fn payment(&self, book: BookId, id: &DocumentId) -> Option<Payment> {
        self.payments.get(&(book, id.clone())).cloned()
    }

    fn refund(&self, book: BookId, id: &DocumentId) -> Option<Refund> {
        self.refunds.get(&(book, id.clone())).cloned()
    }

    fn due(&self, now: Timestamp) -> Option<Expiry> {
        self.expiries.first().filter(|expiry| expiry.at <= now).cloned()
    }
}

impl Write for Memory {
    fn put_head(&mut self, head: Head) {
        self.head = head;
    }

    fn put_book(&mut self, book: Book) {
        self.books.insert(book.id, Arc::new(book));
    }

    fn put_totals(&mut self, book: BookId, totals: BookTotals) {
        self.totals.insert(book, totals);
    }

    fn put_currency(&mut self, book: BookId, currency: Currency) {
        self.currencies.insert((book, currency.id), currency);
    }

    fn put_account(&mut self, book: BookId, account: Account) {
        self.accounts.insert((book, account.id), Arc::new(account));
    }

    fn put_key(&mut self, scope: BookId, key: Key, record: KeyRecord) {
        self.keys.insert((scope, key), record);
    }

    fn put_control(&mut self, key: ControlKey, sums: Sums) {
        self.controls.insert(key, sums);
    }

    fn put_subaccount(&mut self, key: SubaccountKey, subaccount: Subaccount) {
        self.subaccounts.insert(key, subaccount);
    }

    fn put_item(&mut self, key: ItemKey, sums: Sums, opened: Option<Date>) {
        if sums.debits == sums.credits {
            self.open_items.remove(&key);
        } else if let Some(date) = opened {
            self.open_items.insert(key.clone(), date);
        }
        assert_eq!(self.open_items.contains_key(&key), sums.debits != sums.credits, "{key:?} was opened");
        self.items.insert(key, sums);
    }

    fn put_movement(&mut self, key: MovementKey, movement: Movement) {
        self.movements.insert(key, movement);
    }

    fn put_calendar(&mut self, book: BookId, calendar: Calendar) {
        self.calendars.insert(book, calendar);
    }

    fn put_period(&mut self, book: BookId, period: Period) {
        self.periods.insert((book, period.id), period);
    }

    fn put_rate(&mut self, book: BookId, rate: Rate) {
        self.rates.insert((book, rate.base, rate.quote, rate.date), rate);
    }

    fn put_recognised(&mut self, book: BookId, recognised: Recognised) {
        self.recognised.insert((book, recognised.charge.clone()), recognised);
    }

    fn put_entry_record(&mut self, book: BookId, number: EntryNumber, record: EntryRecord) {
        self.entry_records.insert((book, number), record);
    }

    fn put_hold(&mut self, book: BookId, hold: Hold) {
        self.holds.insert((book, hold.id.clone()), hold);
    }

    fn put_charge(&mut self, book: BookId, charge: Charge) {
        self.charges.insert((book, charge.id.clone()), charge);
    }

    fn put_payment(&mut self, book: BookId, payment: Payment) {
        self.payments.insert((book, payment.id.clone()), payment);
    }

    fn put_refund(&mut self, book: BookId, refund: Refund) {
        self.refunds.insert((book, refund.id.clone()), refund);
    }

    fn put_expiry(&mut self, expiry: Expiry) {
        self.expiries.insert(expiry);
    }

    fn remove_expiry(&mut self, expiry: &Expiry) {
        assert!(self.expiries.remove(expiry), "an expiry that is removed was there: {expiry:?}");
    }
}
