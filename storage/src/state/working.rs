//! The working set: every table in memory as far as it changed, reading through to the engine, and core's traits
//! over it. The applier writes it, readers share it; who holds which lock is [`super::applier`]'s business.

use std::sync::Arc;

use partita_core::account::{Account, BalanceRules, Book};
use partita_core::currency::Currency;
use partita_core::decision::{Decision, Outcome};
use partita_core::document::{Charge, Hold, Payment, Refund};
use partita_core::entry::{Entry, Metadata};
use partita_core::fx::Rate;
use partita_core::id::{
    AccountCode, AccountId, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Key, Party, Position,
    Role,
};
use partita_core::period::{Calendar, Digest, JournalHead, Period, PeriodId, SealedBalance};
use partita_core::recognition::{Recognised, RecognisedUpTo};
use partita_core::state::{
    BookTotals, ControlKey, EntryRecord, Expiry, Head, ItemKey, KeyRecord, Movement, MovementKey, OpenItem,
    PostingAccount, Read, Subaccount, SubaccountChange, SubaccountKey, SubaccountTip, Sums, Write,
};
use partita_core::time::{Date, Timestamp};

use super::charts::Charts;
use super::entries::EntryTable;
use super::error::StorageError;
use super::head::Applied;
use super::horizon::Horizons;
use super::journal::JournalLayers;
use super::ordered::OrderedTable;
use super::past;
use super::point::PointTable;
use super::prefetch::NewKeys;
use crate::codec::encode_decision;
use crate::codec::keys::{CustomerKey, DocumentKind, RateKey, TableKey, after_prefix, prefix};
use crate::engine::{KeyRange, Table, TableEngine};
use crate::tree::{Frontier, leaf};

/// Rows read at one time where a table is looked through.
const SCAN_ROWS: usize = 1_024;

/// With the chain's roots that have no room in it: few have any.
const SUBACCOUNT_BYTES: usize = size_of::<Subaccount>() + 16;

/// How often the engine was asked for what commands name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) keys: u64,
    pub(super) others: u64,
}

/// All state of one node above its engine.
#[derive(Debug)]
pub(super) struct WorkingSet<E> {
    pub(super) engine: Arc<E>,
    pub(super) head: Head,
    pub(super) applied: Applied,
    pub(super) tree: Frontier,
    pub(super) charts: Charts,
    pub(super) keys: PointTable<(BookId, Key), KeyRecord>,
    pub(super) subaccounts: PointTable<SubaccountKey, Subaccount>,
    pub(super) items: OrderedTable<ItemKey, Sums>,
    /// Those of them whose debits and credits differ.
    pub(super) open_items: OrderedTable<ItemKey, OpenItem>,
    pub(super) movements: OrderedTable<MovementKey, Movement>,
    pub(super) periods: OrderedTable<(BookId, PeriodId), Period>,
    pub(super) rates: OrderedTable<RateKey, Rate>,
    pub(super) recognitions: OrderedTable<(BookId, DocumentId), Recognised>,
    pub(super) entries: EntryTable,
    pub(super) holds: OrderedTable<(BookId, DocumentId), Hold>,
    pub(super) charges: OrderedTable<(BookId, DocumentId), Charge>,
    pub(super) payments: OrderedTable<(BookId, DocumentId), Payment>,
    pub(super) refunds: OrderedTable<(BookId, DocumentId), Refund>,
    pub(super) customers: OrderedTable<CustomerKey, ()>,
    pub(super) expiries: OrderedTable<Expiry, ()>,
    /// The first of all expiries; asked for before every command.
    next_expiry: Option<Expiry>,
    /// Of the keys that are on the disk or being written.
    pub(super) written_keys: Horizons,
    /// Of these and the keys since the last seal.
    pub(super) all_keys: Horizons,
    /// Of the raft entry that is being executed; empty between entries.
    pub(super) new_keys: NewKeys,
    pub(super) journal: JournalLayers,
    /// The decisions of the raft entry that is being executed, not yet in a block.
    pub(super) unblocked: Vec<Arc<Decision>>,
    /// What the current generation holds in memory.
    pub(super) generation_bytes: usize,
    /// Set while a raft entry is executed; stays set if that panics, so that nobody reads half of one.
    pub(super) is_executing: bool,
}

/// What a storage error means inside the state machine, which knows no I/O: the node stops and says where.
pub(super) fn or_stop<T>(result: Result<T, StorageError>) -> T {
    result.unwrap_or_else(|error| panic!("the ledger's state cannot be read: {error}"))
}

impl<E: TableEngine> WorkingSet<E> {
    /// An empty working set over `engine`, with caches of `part_bytes`, all tables together, and as much as a generation's
    /// blocks and a part of the caches leave for balances of older generations.
    pub(super) fn new(engine: Arc<E>, part_bytes: usize) -> Self {
        // Most for balances, which are asked for again and again; a key is asked for once, unless its request is repeated.
        let (balances, keys, small) = (part_bytes / 24 * 7, part_bytes / 12, part_bytes / 3 / 8);
        let kept = part_bytes / 4 * 3;
        Self {
            engine,
            head: Head::default(),
            applied: Applied::default(),
            tree: Frontier::default(),
            charts: Charts::default(),
            keys: PointTable::new(Table::Keys, keys, 0),
            subaccounts: PointTable::new(Table::Subaccounts, balances, kept),
            items: OrderedTable::new(Table::Items, small),
            open_items: OrderedTable::new(Table::OpenItems, small),
            movements: OrderedTable::new(Table::Movements, small),
            periods: OrderedTable::new(Table::Periods, 0),
            rates: OrderedTable::new(Table::Rates, 0),
            recognitions: OrderedTable::new(Table::Recognitions, small),
            entries: EntryTable::default(),
            holds: OrderedTable::new(Table::Holds, small),
            charges: OrderedTable::new(Table::Charges, small),
            payments: OrderedTable::new(Table::Payments, small),
            refunds: OrderedTable::new(Table::Refunds, small),
            customers: OrderedTable::new(Table::Customers, small),
            expiries: OrderedTable::new(Table::Expiries, small),
            next_expiry: None,
            written_keys: Horizons::default(),
            all_keys: Horizons::default(),
            new_keys: NewKeys::default(),
            journal: JournalLayers::default(),
            unblocked: Vec::new(),
            generation_bytes: 0,
            is_executing: false,
        }
    }

    /// Whether a generation is with the checkpointer.
    pub(super) fn is_sealed(&self) -> bool {
        self.keys.is_sealed()
    }

    pub(super) fn asked(&self) -> Asked {
        let Self { keys, subaccounts, items, charges, payments, refunds, holds, .. } = self;
        let documents = charges.asked() + payments.asked() + refunds.asked() + holds.asked();
        Asked { keys: keys.asked(), others: subaccounts.asked() + items.asked() + documents }
    }

    /// Finds the first expiry that is left from `from` on.
    pub(super) fn find_next_expiry(&mut self, from: Vec<u8>) -> Result<(), StorageError> {
        let first = self.expiries.scan(&*self.engine, &KeyRange { from, to: None }, 1)?;
        self.next_expiry = first.into_iter().next().map(|row| row.0);
        Ok(())
    }

    /// The decision at `position`; `None` beyond the head.
    pub(super) fn decision(&self, position: Position) -> Result<Option<Arc<Decision>>, StorageError> {
        if position == Position(0) || position > self.head.position {
            return Ok(None);
        }
        let open = self.unblocked.first().and_then(|first| position.0.checked_sub(first.position.0));
        if let Some(index) = open {
            let index = usize::try_from(index).expect("a raft entry's decisions are in memory");
            return Ok(self.unblocked.get(index).cloned());
        }
        Ok(past::decision(self, position)?.map(Arc::new))
    }

    pub(super) fn find_entry(&self, book: BookId, number: EntryNumber) -> Result<Option<Entry>, StorageError> {
        let Some(record) = self.entries.get(&*self.engine, &(book, number))? else { return Ok(None) };
        let decision = self.decision(record.position)?.ok_or(StorageError::Gap { position: record.position })?;
        let index = usize::try_from(record.index).expect("an index within memory");
        let found = match &decision.outcome {
            Outcome::Accepted(effects) => effects.entries.get(index).filter(|entry| entry.number == number).cloned(),
            Outcome::Refused(_) => None,
        };
        match found {
            Some(entry) => Ok(Some(entry)),
            None => Err(StorageError::Inconsistent {
                table: Table::Entries,
                key: (book, number).to_bytes(),
                problem: "the decision it names does not have the entry",
            }),
        }
    }

    /// What was posted to a control up to a date: all of it but for the later days, which are the fewer.
    fn moved_until(&self, control: &ControlKey, date: Date) -> Result<Movement, StorageError> {
        let sums = self.charts.control(control);
        let mut until = Movement { debits: sums.debits, credits: sums.credits };
        let mut later = KeyRange::prefix(prefix::movements(control));
        later.from = [MovementKey { control: control.clone(), date }.to_bytes(), vec![0]].concat();
        for (_, movement) in self.movements.scan(&*self.engine, &later, usize::MAX)? {
            until.debits -= movement.debits;
            until.credits -= movement.credits;
        }
        Ok(until)
    }

    fn is_new<V: crate::codec::Stored + Clone>(
        &self,
        table: &OrderedTable<(BookId, DocumentId), V>,
        key: &(BookId, DocumentId),
    ) -> bool {
        or_stop(table.get(&*self.engine, key)).is_none()
    }

    fn list_for_customer(&mut self, book: BookId, customer: &Party, kind: DocumentKind, id: &DocumentId) {
        let key = CustomerKey { book, customer: customer.clone(), kind, id: id.clone() };
        self.generation_bytes += self.customers.put(&key, Some(()), 0);
    }
}

impl<E: TableEngine> Read for WorkingSet<E> {
    fn head(&self) -> Head {
        self.head
    }

    fn book(&self, id: BookId) -> Option<Arc<Book>> {
        self.charts.book(id)
    }

    fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>> {
        self.charts.book_by_code(code)
    }

    fn totals(&self, book: BookId) -> BookTotals {
        self.charts.totals(book)
    }

    fn last_entry(&self, book: BookId) -> EntryNumber {
        self.charts.last_entry(book)
    }

    fn total(&self, book: BookId, currency: CurrencyId) -> Movement {
        self.charts.total(book, currency)
    }

    fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency> {
        self.charts.currency(book, code)
    }

    fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency> {
        self.charts.currency_by_id(book, id)
    }

    fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>> {
        self.charts.account(book, id)
    }

    fn balance_rules(&self, book: BookId, id: AccountId) -> Option<BalanceRules> {
        self.charts.balance_rules(book, id)
    }

    fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>> {
        self.charts.account_by_code(book, code)
    }

    fn posting_account(&self, book: BookId, code: &AccountCode, currency: CurrencyId) -> Option<PostingAccount> {
        self.charts.posting_account(book, code, currency)
    }

    fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>> {
        self.charts.account_by_role(book, role)
    }

    fn key(&self, scope: BookId, key: &Key) -> Option<KeyRecord> {
        let bytes = key.as_str().as_bytes();
        // Mostly it is greater than all keys there are, in memory and on the disk.
        if self.all_keys.surely_absent(scope, bytes) {
            return None;
        }
        let absent = || self.written_keys.surely_absent(scope, bytes) || self.new_keys.has(scope, key);
        or_stop(self.keys.get_unless(&*self.engine, &(scope, key.clone()), absent))
    }

    fn control(&self, key: &ControlKey) -> Sums {
        self.charts.control(key)
    }

    fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)> {
        self.charts.controls_of(book, account)
    }

    fn subaccount(&self, key: &SubaccountKey) -> Subaccount {
        or_stop(self.subaccounts.get(&*self.engine, key)).unwrap_or_default()
    }

    fn subaccount_tip(&self, key: &SubaccountKey) -> SubaccountTip {
        or_stop(self.subaccounts.look(&*self.engine, key, |subaccount, found| {
            subaccount.map_or(SubaccountTip::default(), |Subaccount { sums, chain, greatest_date }| SubaccountTip {
                sums: *sums,
                tip: chain.tip(),
                greatest_date: *greatest_date,
                found,
            })
        }))
    }

    fn every_subaccount(&self, book: BookId, account: AccountId, holds: &mut dyn FnMut(&Sums) -> bool) -> bool {
        let mut range = KeyRange::prefix(prefix::account(book, account));
        let subaccounts = self.subaccounts.part(&range);
        loop {
            let rows = or_stop(subaccounts.scan(&*self.engine, &range, SCAN_ROWS));
            if !rows.iter().all(|(_, subaccount)| holds(&subaccount.sums)) {
                return false;
            }
            match rows.last() {
                Some((last, _)) if rows.len() == SCAN_ROWS => range.from = [last.to_bytes().as_slice(), &[0]].concat(),
                Some(_) | None => return true,
            }
        }
    }

    fn item(&self, key: &ItemKey) -> Sums {
        or_stop(self.items.get(&*self.engine, key)).unwrap_or_default()
    }

    fn movement(&self, key: &MovementKey) -> Movement {
        or_stop(self.movements.get(&*self.engine, key)).unwrap_or_default()
    }

    fn posted_until(&self, control: &ControlKey, date: Date) -> Movement {
        or_stop(self.moved_until(control, date))
    }

    fn first_posted(&self, control: &ControlKey) -> Option<Date> {
        let days = KeyRange::prefix(prefix::movements(control));
        or_stop(self.movements.scan(&*self.engine, &days, 1)).first().map(|row| row.0.date)
    }

    fn rate(&self, book: BookId, base: CurrencyId, quote: CurrencyId, until: Date) -> Option<Rate> {
        let mut rates = KeyRange::prefix(prefix::rates(book, base, quote));
        rates.from = RateKey { book, base, quote, date: until }.to_bytes();
        or_stop(self.rates.scan(&*self.engine, &rates, 1)).pop().map(|row| row.1)
    }

    fn recognised(&self, book: BookId, charge: &DocumentId) -> Option<Recognised> {
        or_stop(self.recognitions.get(&*self.engine, &(book, charge.clone())))
    }

    fn items_after(
        &self,
        book: BookId,
        account: AccountId,
        after: Option<&RecognisedUpTo>,
        limit: usize,
    ) -> Vec<(ItemKey, Sums)> {
        let mut items = KeyRange::prefix(prefix::account(book, account));
        if let Some(after) = after {
            let item = prefix::item(book, account, after.customer.as_ref(), &after.item);
            items.from = after_prefix(&item).expect("a text ends with a zero byte");
        }
        or_stop(self.items.scan(&*self.engine, &items, limit))
    }

    fn calendar(&self, book: BookId) -> Calendar {
        self.charts.calendar(book)
    }

    fn period(&self, book: BookId, id: PeriodId) -> Option<Period> {
        or_stop(self.periods.get(&*self.engine, &(book, id)))
    }

    fn journal_head(&self) -> JournalHead {
        let mut tree = self.tree.clone();
        for decision in &self.unblocked {
            tree.push(leaf(&encode_decision(decision)));
        }
        JournalHead { position: Position(tree.size()), hash: Digest(tree.root()) }
    }

    fn entry_record(&self, book: BookId, number: EntryNumber) -> Option<EntryRecord> {
        or_stop(self.entries.get(&*self.engine, &(book, number)))
    }

    fn entry(&self, book: BookId, number: EntryNumber) -> Option<Entry> {
        or_stop(self.find_entry(book, number))
    }

    fn hold(&self, book: BookId, id: &DocumentId) -> Option<Hold> {
        or_stop(self.holds.get(&*self.engine, &(book, id.clone())))
    }

    fn charge(&self, book: BookId, id: &DocumentId) -> Option<Charge> {
        or_stop(self.charges.get(&*self.engine, &(book, id.clone())))
    }

    fn payment(&self, book: BookId, id: &DocumentId) -> Option<Payment> {
        or_stop(self.payments.get(&*self.engine, &(book, id.clone())))
    }

    fn refund(&self, book: BookId, id: &DocumentId) -> Option<Refund> {
        or_stop(self.refunds.get(&*self.engine, &(book, id.clone())))
    }

    fn due(&self, now: Timestamp) -> Option<Expiry> {
        self.next_expiry.as_ref().filter(|expiry| expiry.at <= now).cloned()
    }
}

/// About what texts and lists of a document take in memory.
fn texts_bytes(description: &str, metadata: &Metadata) -> usize {
    description.len() + metadata.iter().map(|(name, value)| name.len() + value.len() + 64).sum::<usize>()
}

impl<E: TableEngine> Write for WorkingSet<E> {
    fn put_head(&mut self, head: Head) {
        self.head = head;
    }

    fn put_book(&mut self, book: Book) {
        self.charts.put_book(book);
    }

    fn put_totals(&mut self, book: BookId, totals: BookTotals) {
        self.charts.put_totals(book, totals);
    }

    fn change_totals(&mut self, book: BookId, last_entry: EntryNumber, sums: &[(CurrencyId, Movement)]) {
        self.charts.change_totals(book, last_entry, sums);
    }

    fn put_currency(&mut self, book: BookId, currency: Currency) {
        self.charts.put_currency(book, currency);
    }

    fn put_account(&mut self, book: BookId, account: Account) {
        self.charts.put_account(book, account);
    }

    fn put_key(&mut self, scope: BookId, key: Key, record: KeyRecord) {
        self.all_keys.cover(scope, key.as_str().as_bytes(), self.head.time);
        self.generation_bytes += self.keys.put(&(scope, key), Some(record), size_of::<KeyRecord>());
    }

    fn put_control(&mut self, key: ControlKey, sums: Sums) {
        self.charts.put_control(&key, sums);
    }

    fn add_to_control(&mut self, key: ControlKey, posted: Movement) {
        self.charts.add_to_control(&key, posted);
    }

    fn put_subaccount(&mut self, key: SubaccountKey, subaccount: Subaccount) {
        self.generation_bytes += self.subaccounts.put(&key, Some(subaccount), SUBACCOUNT_BYTES);
    }

    fn change_subaccount(&mut self, key: SubaccountKey, change: SubaccountChange) {
        let Self { subaccounts, engine, .. } = self;
        let found = change.found;
        let change = |subaccount: &mut Subaccount| subaccount.change(change);
        let grown = subaccounts.change(&**engine, &key, found, SUBACCOUNT_BYTES, change);
        self.generation_bytes += or_stop(grown);
    }

    fn put_item(&mut self, key: ItemKey, sums: Sums, opened: Option<Date>) {
        let before = or_stop(self.open_items.get(&*self.engine, &key));
        if sums.debits != sums.credits {
            let since = opened.or(before.map(|open| open.since)).expect("an item is opened before it is open");
            let open = OpenItem { sums, since };
            self.generation_bytes += self.open_items.put(&key, Some(open), size_of::<OpenItem>());
        } else if before.is_some() {
            self.generation_bytes += self.open_items.put(&key, None, 0);
        }
        self.generation_bytes += self.items.put(&key, Some(sums), size_of::<Sums>());
    }

    fn put_movement(&mut self, key: MovementKey, movement: Movement) {
        self.generation_bytes += self.movements.put(&key, Some(movement), size_of::<Movement>());
    }

    fn add_to_movement(&mut self, key: MovementKey, posted: Movement) {
        let Self { movements, engine, .. } = self;
        let add = |movement: &mut Movement| movement.add(posted);
        let grown = movements.change(&**engine, &key, size_of::<Movement>(), add);
        self.generation_bytes += or_stop(grown);
    }

    fn put_calendar(&mut self, book: BookId, calendar: Calendar) {
        self.charts.put_calendar(book, calendar);
    }

    fn put_period(&mut self, book: BookId, period: Period) {
        let rows = period.seal.as_ref().map_or(0, |seal| seal.balances.len());
        let weight = size_of::<Period>() + period.reason.len() + rows * size_of::<SealedBalance>();
        self.generation_bytes += self.periods.put(&(book, period.id), Some(period), weight);
    }

    fn put_rate(&mut self, book: BookId, rate: Rate) {
        let weight = size_of::<Rate>() + rate.source.len();
        let key = RateKey { book, base: rate.base, quote: rate.quote, date: rate.date };
        self.generation_bytes += self.rates.put(&key, Some(rate), weight);
    }

    fn put_recognised(&mut self, book: BookId, recognised: Recognised) {
        let weight = size_of::<Recognised>() + 16 * recognised.lines.len();
        let key = (book, recognised.charge.clone());
        self.generation_bytes += self.recognitions.put(&key, Some(recognised), weight);
    }

    fn put_entry_record(&mut self, book: BookId, number: EntryNumber, record: EntryRecord) {
        self.generation_bytes += self.entries.put((book, number), record);
    }

    fn put_hold(&mut self, book: BookId, hold: Hold) {
        let weight = size_of::<Hold>() + texts_bytes(&hold.description, &hold.metadata);
        self.generation_bytes += self.holds.put(&(book, hold.id.clone()), Some(hold), weight);
    }

    fn put_charge(&mut self, book: BookId, charge: Charge) {
        let key = (book, charge.id.clone());
        if self.is_new(&self.charges, &key) {
            self.list_for_customer(book, &charge.customer, DocumentKind::Charge, &charge.id);
        }
        let weight =
            size_of::<Charge>() + 256 * charge.lines.len() + texts_bytes(&charge.description, &charge.metadata);
        self.generation_bytes += self.charges.put(&key, Some(charge), weight);
    }

    fn put_payment(&mut self, book: BookId, payment: Payment) {
        let key = (book, payment.id.clone());
        if self.is_new(&self.payments, &key) {
            self.list_for_customer(book, &payment.customer, DocumentKind::Payment, &payment.id);
        }
        let weight = size_of::<Payment>() + 256 + texts_bytes(&payment.description, &payment.metadata);
        self.generation_bytes += self.payments.put(&key, Some(payment), weight);
    }

    fn put_refund(&mut self, book: BookId, refund: Refund) {
        let key = (book, refund.id.clone());
        if self.is_new(&self.refunds, &key) {
            self.list_for_customer(book, &refund.customer, DocumentKind::Refund, &refund.id);
        }
        let weight = size_of::<Refund>() + 256 + texts_bytes(&refund.description, &refund.metadata);
        self.generation_bytes += self.refunds.put(&key, Some(refund), weight);
    }

    fn put_expiry(&mut self, expiry: Expiry) {
        self.generation_bytes += self.expiries.put(&expiry, Some(()), 0);
        if self.next_expiry.as_ref().is_none_or(|next| expiry < *next) {
            self.next_expiry = Some(expiry);
        }
    }

    fn remove_expiry(&mut self, expiry: &Expiry) {
        self.generation_bytes += self.expiries.put(expiry, None, 0);
        if self.next_expiry.as_ref() == Some(expiry) {
            or_stop(self.find_next_expiry(expiry.to_bytes()));
        }
    }
}
