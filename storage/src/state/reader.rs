//! Reading the state of a node between two raft entries.
//!
//! A closure given to [`Reader::read`] sees one state: the applier waits while it runs, so every call on the view
//! is bounded by a limit or by the size of a chart, and nothing slow belongs inside. What takes longer, the past and
//! reports over all movements, is asked of the [`Reader`] itself and keeps nobody waiting.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use partita_core::account::{Account, Book};
use partita_core::chain::{Chain, PostingRef};
use partita_core::currency::Currency;
use partita_core::decision::Decision;
use partita_core::document::{Charge, Hold, Payment, Refund};
use partita_core::entry::Entry;
use partita_core::fx::Rate;
use partita_core::id::{
    AccountCode, AccountId, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Key, Party, Position,
    Role,
};
use partita_core::period::{Calendar, JournalHead, Period, PeriodId};
use partita_core::recognition::{Recognised, RecognisedUpTo};
use partita_core::state::{
    BookTotals, ControlKey, EntryRecord, Expiry, Head, ItemKey, KeyRecord, Movement, MovementKey, Read, Subaccount,
    SubaccountKey, Sums,
};
use partita_core::time::{Date, Timestamp};

use super::applier::Shared;
use super::error::StorageError;
use super::ordered::OrderedTable;
use super::parts::{Parts, behind};
use super::past::{self, UpTo};
use super::walk::{Order, Posting, Walk};
use super::working::WorkingSet;
use crate::codec::Stored;
use crate::codec::keys::{DocumentKind, RateKey, TableKey, prefix};
use crate::engine::{KeyRange, RocksEngine, TableEngine};
use crate::tree::Hash;

/// Whose sums are asked for.
#[derive(Clone, Copy, Debug)]
pub enum MovementsOf<'a> {
    Book(BookId),
    /// One account in one currency.
    Control(&'a ControlKey),
}

/// A handle for readers; cheap to clone. When another state is installed, all clones are led to it; who is reading
/// ends on the state that it began with.
pub struct Reader<E = RocksEngine> {
    current: Arc<RwLock<Arc<Shared<E>>>>,
}

impl<E> Clone for Reader<E> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current) }
    }
}

impl<E> fmt::Debug for Reader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<E: TableEngine> Reader<E> {
    pub(super) fn new(shared: Arc<Shared<E>>) -> Self {
        Self { current: Arc::new(RwLock::new(shared)) }
    }

    /// The state as it is now, for one read.
    pub(super) fn shared(&self) -> Arc<Shared<E>> {
        Arc::clone(&self.current.read())
    }

    /// The state as it is now, for reads that go on for long: another one that is installed meanwhile is not seen.
    #[must_use]
    pub fn hold(&self) -> Held<E> {
        Held(self.shared())
    }

    /// Leads this reader and its clones to another state, which is ahead of the one they read.
    ///
    /// # Panics
    /// If it is behind: readers never go back.
    pub fn lead_to(&self, installed: &Self) {
        let next = installed.shared();
        let mut current = self.current.write();
        assert!(next.position() >= current.position(), "an installed state is not behind the one it replaces");
        *current = next;
    }

    /// The last position decided.
    #[must_use]
    pub fn position(&self) -> Position {
        self.current.read().position()
    }

    /// Runs `read` against the state after some raft entry.
    ///
    /// # Panics
    /// If the applier stopped in the middle of one: the process is about to end.
    pub fn read<T>(&self, read: impl FnOnce(&View<'_, E>) -> T) -> T {
        self.shared().read(|working| read(&View { working }))
    }

    /// `read`, and with it the movements as of the same moment, by account, currency and date. The applier waits
    /// for `read` and not for the movements that are on the disk.
    pub fn read_with_movements<T>(
        &self,
        of: MovementsOf<'_>,
        read: impl FnOnce(&View<'_, E>) -> Result<T, StorageError>,
    ) -> Result<(T, Vec<(MovementKey, Movement)>), StorageError> {
        let range = KeyRange::prefix(match of {
            MovementsOf::Book(book) => prefix::book(book),
            MovementsOf::Control(key) => prefix::movements(key),
        });
        let shared = self.shared();
        let (read, changed, snapshot) =
            shared.read(|working| (read(&View { working }), working.movements.part(&range), shared.engine.snapshot()));
        Ok((read?, changed.scan(&snapshot, &range, usize::MAX)?))
    }

    /// The journal up to the last decision.
    pub(super) fn past(&self) -> UpTo<E> {
        let shared = self.shared();
        UpTo { head: shared.read(|working| working.head), shared }
    }

    /// The decision at `position`; `None` beyond the head.
    pub fn decision(&self, position: Position) -> Result<Option<Decision>, StorageError> {
        past::decision(&self.past(), position)
    }

    /// Decisions in order: at most `limit`, and no more once their stored bytes reach `max_bytes`.
    pub fn decisions(&self, from: Position, limit: usize, max_bytes: usize) -> Result<Vec<Decision>, StorageError> {
        past::decisions(&self.past(), from, limit, max_bytes)
    }

    /// The last decision recorded at `instant` or before; 0 if there is none.
    pub fn position_at(&self, instant: Timestamp) -> Result<Position, StorageError> {
        past::position_at(&self.past(), instant)
    }

    /// The number of a book's last entry at `position` or before; 0 if there is none.
    pub fn last_entry_at(&self, book: BookId, position: Position) -> Result<EntryNumber, StorageError> {
        let last = self.read(|view| view.totals(book).last_entry);
        // Numbers have no gap and rise with positions. An entry's place never changes, so each look is a read of its own.
        let (mut before, mut beyond) = (0, last.0 + 1);
        while beyond - before > 1 {
            let middle = before + (beyond - before) / 2;
            let key = (book, EntryNumber(middle));
            let record = self.read(|view| view.working.entries.get(&*view.working.engine, &key))?;
            let record = record.ok_or_else(|| StorageError::Inconsistent {
                table: crate::engine::Table::Entries,
                key: key.to_bytes(),
                problem: "an entry's number is missing",
            })?;
            if record.position <= position { before = middle } else { beyond = middle }
        }
        Ok(EntryNumber(before))
    }

    /// A posting by its place; `None` if there is none.
    pub fn posting(&self, at: PostingRef) -> Result<Option<Posting>, StorageError> {
        Walk::new(&self.past()).posting(at)
    }

    /// A subaccount's chain, and the journal up to then.
    fn chain(&self, key: &SubaccountKey) -> Result<(Chain, UpTo<E>), StorageError> {
        let shared = self.shared();
        let (subaccount, head) = shared.read(|working| (working.subaccounts.get(&*working.engine, key), working.head));
        Ok((subaccount?.unwrap_or_default().chain, UpTo { shared, head }))
    }

    /// Postings of a subaccount behind the one with ordinal `after`, at most `limit`.
    pub fn postings(
        &self,
        key: &SubaccountKey,
        order: Order,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Posting>, StorageError> {
        let (chain, past) = self.chain(key)?;
        Walk::new(&past).postings(key, &chain, order, after, limit)
    }

    /// At most `limit` postings of a subaccount, from the newest at `position` or before, going back. Reads O(log n)
    /// blocks to get there.
    pub fn postings_until(
        &self,
        key: &SubaccountKey,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Posting>, StorageError> {
        let (chain, past) = self.chain(key)?;
        Walk::new(&past).postings_until(key, &chain, position, limit)
    }

    /// The ordinal of a subaccount's newest posting that, with all before it, is dated before `date`; 0 if there is
    /// none. Reads O(log n) blocks.
    pub fn ordinal_before(&self, key: &SubaccountKey, date: Date) -> Result<u64, StorageError> {
        let (chain, past) = self.chain(key)?;
        Walk::new(&past).ordinal_before(key, &chain, date)
    }

    /// The decisions of the block that holds `until`, newest first; none at position 0. The journal is read back by
    /// asking again for what is before the last of them.
    pub fn decisions_back(&self, until: Position) -> Result<Vec<Decision>, StorageError> {
        past::decisions_back(&self.past(), until)
    }

    /// All debits and credits of a subaccount with effective dates up to `as_of`, as known at position `at`.
    pub fn balance_at(
        &self,
        key: &SubaccountKey,
        as_of: Option<Date>,
        at: Option<Position>,
    ) -> Result<Movement, StorageError> {
        let is_whole_account =
            self.read(|view| view.account(key.book, key.account)).is_some_and(|account| account.party.is_none());
        if let (Some(as_of), None, true) = (as_of, at, is_whole_account) {
            return self.account_balance_at(key, as_of);
        }
        let (chain, past) = self.chain(key)?;
        Walk::new(&past).balance_at(key, &chain, as_of, at)
    }

    /// Where the subaccount is the whole account, days are fewer than postings.
    fn account_balance_at(&self, key: &SubaccountKey, as_of: Date) -> Result<Movement, StorageError> {
        let control = ControlKey { book: key.book, account: key.account, currency: key.currency };
        let posted = self.posted(MovementsOf::Control(&control), &[as_of], None, || true)?;
        let posted = posted.expect("nobody said no");
        Ok(posted.first().map(|sums| sums.movement).unwrap_or_default())
    }

    /// The store underneath.
    #[must_use]
    pub fn engine(&self) -> Arc<E> {
        Arc::clone(&self.shared().engine)
    }
}

/// A state that stays open while this is held, whatever is installed in its place.
pub struct Held<E = RocksEngine>(Arc<Shared<E>>);

impl<E> fmt::Debug for Held<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl<E: TableEngine> Held<E> {
    /// `read`, and with it an account's open items and subaccounts as of the same moment, to be read page by page. The
    /// applier waits for `read` and for what of them is in memory.
    pub fn read_with_parts<T>(
        &self,
        book: BookId,
        account: AccountId,
        read: impl FnOnce(&View<'_, E>) -> Result<T, StorageError>,
    ) -> Result<(T, Parts<'_, E>), StorageError> {
        let range = KeyRange::prefix(prefix::account(book, account));
        let engine = &*self.0.engine;
        let (read, open_items, subaccounts, snapshot) = self.0.read(|working| {
            let open_items = working.open_items.part(&range);
            let subaccounts = working.subaccounts.part(&range);
            (read(&View { working }), open_items, subaccounts, engine.snapshot())
        });
        Ok((read?, Parts { range, open_items, subaccounts, snapshot }))
    }
}

/// The state as one closure sees it.
pub struct View<'a, E = RocksEngine> {
    pub(super) working: &'a WorkingSet<E>,
}

impl<E> fmt::Debug for View<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("position", &self.working.head.position).finish_non_exhaustive()
    }
}

/// Keys with this beginning, behind `after`.
fn range_after(prefix: Vec<u8>, after: Option<Vec<u8>>) -> KeyRange {
    behind(&KeyRange::prefix(prefix), after)
}

impl<E: TableEngine> View<'_, E> {
    #[must_use]
    pub fn position(&self) -> Position {
        self.working.head.position
    }

    /// Ledger time: when the last decision was recorded.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.working.head.time
    }

    /// The head of the hash tree over all decisions.
    #[must_use]
    pub fn head_hash(&self) -> Hash {
        self.working.tree.root()
    }

    #[must_use]
    pub fn book_head_hash(&self, book: BookId) -> Hash {
        self.working.charts.tree_root(book)
    }

    /// `None` beyond the head.
    pub fn decision(&self, position: Position) -> Result<Option<Decision>, StorageError> {
        past::decision(self.working, position)
    }

    /// As [`Reader::decisions`], of this moment.
    pub fn decisions(&self, from: Position, limit: usize, max_bytes: usize) -> Result<Vec<Decision>, StorageError> {
        past::decisions(self.working, from, limit, max_bytes)
    }

    /// As [`Reader::position_at`], of this moment.
    pub fn position_at(&self, instant: Timestamp) -> Result<Position, StorageError> {
        past::position_at(self.working, instant)
    }

    /// As [`Reader::posting`], of this moment.
    pub fn posting(&self, at: PostingRef) -> Result<Option<Posting>, StorageError> {
        Walk::new(self.working).posting(at)
    }

    /// As [`Reader::postings`], of this moment.
    pub fn postings(
        &self,
        key: &SubaccountKey,
        order: Order,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Posting>, StorageError> {
        let chain = self.working.subaccount(key).chain;
        Walk::new(self.working).postings(key, &chain, order, after, limit)
    }

    /// As [`Reader::balance_at`], of this moment.
    pub fn balance_at(
        &self,
        key: &SubaccountKey,
        as_of: Option<Date>,
        at: Option<Position>,
    ) -> Result<Movement, StorageError> {
        let chain = self.working.subaccount(key).chain;
        Walk::new(self.working).balance_at(key, &chain, as_of, at)
    }

    /// All movements of a book, by account, currency and date.
    pub fn movements(&self, book: BookId) -> Result<Vec<(MovementKey, Movement)>, StorageError> {
        self.working.movements.scan(&*self.working.engine, &KeyRange::prefix(prefix::book(book)), usize::MAX)
    }

    /// One account's movements in one currency, by date.
    pub fn movements_of(&self, key: &ControlKey) -> Result<Vec<(MovementKey, Movement)>, StorageError> {
        self.working.movements.scan(&*self.working.engine, &KeyRange::prefix(prefix::movements(key)), usize::MAX)
    }

    /// Books in the order of their codes.
    pub fn books(&self, after: Option<&BookCode>, limit: usize) -> Result<Vec<Arc<Book>>, StorageError> {
        Ok(self.working.charts.books_after(after).take(limit).collect())
    }

    /// The chart, in the order of codes.
    pub fn accounts(&self, book: BookId) -> Result<Vec<Arc<Account>>, StorageError> {
        Ok(self.working.charts.accounts(book))
    }

    /// Those that the book registered.
    pub fn currencies(&self, book: BookId) -> Result<Vec<Currency>, StorageError> {
        Ok(self.working.charts.currencies(book))
    }

    /// By account and currency.
    pub fn controls(&self, book: BookId) -> Result<Vec<(ControlKey, Sums)>, StorageError> {
        Ok(self.working.charts.controls(book))
    }

    /// Items of one party in an account or, without a party, of the whole account; by party, item and currency.
    pub fn items(
        &self,
        book: BookId,
        account: AccountId,
        party: Option<&Party>,
        after: Option<&ItemKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Sums)>, StorageError> {
        let prefix = match party {
            Some(party) => prefix::party(book, account, Some(party)),
            None => prefix::account(book, account),
        };
        self.working.items.scan(&*self.working.engine, &range_after(prefix, after.map(TableKey::to_bytes)), limit)
    }

    /// A party's subaccounts in an account (`None`: the account's own), in every currency it ever had.
    pub fn subaccounts_of(
        &self,
        book: BookId,
        account: AccountId,
        party: Option<&Party>,
    ) -> Result<Vec<(SubaccountKey, Subaccount)>, StorageError> {
        let mut found = vec![];
        for (currency, _) in self.working.charts.controls_of(book, account) {
            let key = SubaccountKey { book, account, party: party.cloned(), currency };
            if let Some(subaccount) = self.working.subaccounts.get(&*self.working.engine, &key)? {
                found.push((key, subaccount));
            }
        }
        Ok(found)
    }

    pub fn holds(&self, book: BookId, after: Option<&DocumentId>, limit: usize) -> Result<Vec<Hold>, StorageError> {
        self.documents(&self.working.holds, book, after, limit)
    }

    /// Charges by id: all of the book, or one customer's.
    pub fn charges(
        &self,
        book: BookId,
        customer: Option<&Party>,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<Charge>, StorageError> {
        match customer {
            None => self.documents(&self.working.charges, book, after, limit),
            Some(customer) => {
                self.documents_of(&self.working.charges, DocumentKind::Charge, book, customer, after, limit)
            }
        }
    }

    /// Payments by id: all of the book, or one customer's.
    pub fn payments(
        &self,
        book: BookId,
        customer: Option<&Party>,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StorageError> {
        match customer {
            None => self.documents(&self.working.payments, book, after, limit),
            Some(customer) => {
                self.documents_of(&self.working.payments, DocumentKind::Payment, book, customer, after, limit)
            }
        }
    }

    /// Refunds by id: all of the book, or one customer's.
    pub fn refunds(
        &self,
        book: BookId,
        customer: Option<&Party>,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<Refund>, StorageError> {
        match customer {
            None => self.documents(&self.working.refunds, book, after, limit),
            Some(customer) => {
                self.documents_of(&self.working.refunds, DocumentKind::Refund, book, customer, after, limit)
            }
        }
    }

    fn documents<V: Stored + Clone>(
        &self,
        table: &OrderedTable<(BookId, DocumentId), V>,
        book: BookId,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<V>, StorageError> {
        let after = after.map(|id| (book, id.clone()).to_bytes());
        let rows = table.scan(&*self.working.engine, &range_after(prefix::book(book), after), limit)?;
        Ok(rows.into_iter().map(|row| row.1).collect())
    }

    fn documents_of<V: Stored + Clone>(
        &self,
        table: &OrderedTable<(BookId, DocumentId), V>,
        kind: DocumentKind,
        book: BookId,
        customer: &Party,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<V>, StorageError> {
        let prefix = prefix::customer_kind(book, customer, kind);
        let after = after.map(|id| [prefix.as_slice(), id.as_str().as_bytes()].concat());
        let listed = self.working.customers.scan(&*self.working.engine, &range_after(prefix, after), limit)?;
        let mut documents = Vec::with_capacity(listed.len());
        for (key, ()) in listed {
            let id = (key.book, key.id.clone());
            let document = table.get(&*self.working.engine, &id)?.ok_or_else(|| StorageError::Inconsistent {
                table: crate::engine::Table::Customers,
                key: key.to_bytes(),
                problem: "the document that is listed does not exist",
            })?;
            documents.push(document);
        }
        Ok(documents)
    }

    /// Rates by pair, each pair's newest date first.
    pub fn rates(&self, book: BookId, after: Option<&RateKey>, limit: usize) -> Result<Vec<Rate>, StorageError> {
        let range = range_after(prefix::book(book), after.map(TableKey::to_bytes));
        let rows = self.working.rates.scan(&*self.working.engine, &range, limit)?;
        Ok(rows.into_iter().map(|row| row.1).collect())
    }

    /// The periods that something was done to, in order.
    pub fn periods(&self, book: BookId) -> Result<Vec<Period>, StorageError> {
        let rows =
            self.working.periods.scan(&*self.working.engine, &KeyRange::prefix(prefix::book(book)), usize::MAX)?;
        Ok(rows.into_iter().map(|row| row.1).collect())
    }

    /// Where entries stand, by number.
    pub fn entry_records(
        &self,
        book: BookId,
        after: EntryNumber,
        limit: usize,
    ) -> Result<Vec<(EntryNumber, EntryRecord)>, StorageError> {
        // Numbers have no gaps.
        let last = self.working.charts.last_entry(book);
        let numbers = (after.0 + 1..=last.0).map(EntryNumber).take(limit);
        self.working.entries.list(&*self.working.engine, book, numbers)
    }
}

/// As the state machine reads.
///
/// # Panics
/// All of it, where the state cannot be read: the node stops.
impl<E: TableEngine> Read for View<'_, E> {
    fn head(&self) -> Head {
        self.working.head()
    }

    fn book(&self, id: BookId) -> Option<Arc<Book>> {
        self.working.book(id)
    }

    fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>> {
        self.working.book_by_code(code)
    }

    fn totals(&self, book: BookId) -> BookTotals {
        self.working.totals(book)
    }

    fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency> {
        self.working.currency(book, code)
    }

    fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency> {
        self.working.currency_by_id(book, id)
    }

    fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>> {
        self.working.account(book, id)
    }

    fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>> {
        self.working.account_by_code(book, code)
    }

    fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>> {
        self.working.account_by_role(book, role)
    }

    fn key(&self, scope: BookId, key: &Key) -> Option<KeyRecord> {
        self.working.key(scope, key)
    }

    fn control(&self, key: &ControlKey) -> Sums {
        self.working.control(key)
    }

    fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)> {
        self.working.controls_of(book, account)
    }

    fn subaccount(&self, key: &SubaccountKey) -> Subaccount {
        self.working.subaccount(key)
    }

    fn every_subaccount(&self, book: BookId, account: AccountId, holds: &mut dyn FnMut(&Sums) -> bool) -> bool {
        self.working.every_subaccount(book, account, holds)
    }

    fn item(&self, key: &ItemKey) -> Sums {
        self.working.item(key)
    }

    fn movement(&self, key: &MovementKey) -> Movement {
        self.working.movement(key)
    }

    fn posted_until(&self, control: &ControlKey, date: Date) -> Movement {
        self.working.posted_until(control, date)
    }

    fn first_posted(&self, control: &ControlKey) -> Option<Date> {
        self.working.first_posted(control)
    }

    fn rate(&self, book: BookId, base: CurrencyId, quote: CurrencyId, until: Date) -> Option<Rate> {
        self.working.rate(book, base, quote, until)
    }

    fn recognised(&self, book: BookId, charge: &DocumentId) -> Option<Recognised> {
        self.working.recognised(book, charge)
    }

    fn items_after(
        &self,
        book: BookId,
        account: AccountId,
        after: Option<&RecognisedUpTo>,
        limit: usize,
    ) -> Vec<(ItemKey, Sums)> {
        self.working.items_after(book, account, after, limit)
    }

    fn calendar(&self, book: BookId) -> Calendar {
        self.working.calendar(book)
    }

    fn period(&self, book: BookId, id: PeriodId) -> Option<Period> {
        self.working.period(book, id)
    }

    fn journal_head(&self) -> JournalHead {
        self.working.journal_head()
    }

    fn entry_record(&self, book: BookId, number: EntryNumber) -> Option<EntryRecord> {
        self.working.entry_record(book, number)
    }

    fn entry(&self, book: BookId, number: EntryNumber) -> Option<Entry> {
        self.working.entry(book, number)
    }

    fn hold(&self, book: BookId, id: &DocumentId) -> Option<Hold> {
        self.working.hold(book, id)
    }

    fn charge(&self, book: BookId, id: &DocumentId) -> Option<Charge> {
        self.working.charge(book, id)
    }

    fn payment(&self, book: BookId, id: &DocumentId) -> Option<Payment> {
        self.working.payment(book, id)
    }

    fn refund(&self, book: BookId, id: &DocumentId) -> Option<Refund> {
        self.working.refund(book, id)
    }

    fn due(&self, now: Timestamp) -> Option<Expiry> {
        self.working.due(now)
    }
}
