//! The tables that are small and asked for at every line: books, charts of accounts, registered currencies, calendars,
//! counters, control balances and hash trees. All of them are held in memory, loaded when the state is opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use partita_core::account::{Account, BalanceRules, Book};
use partita_core::currency::Currency;
use partita_core::id::{AccountCode, AccountId, BookCode, BookId, CurrencyCode, CurrencyId, EntryNumber, Role};
use partita_core::period::Calendar;
use partita_core::state::{BookTotals, ControlKey, Movement, PostingAccount, Sums};

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::codec::{Stored, decode_record};
use crate::engine::{Batch, Direction, KeyRange, Row, Steps, Table, TableRead};
use crate::tree::{Frontier, Hash};

/// Rows per read while a table is loaded.
const LOAD_PAGE_ROWS: usize = 4_096;

/// What one book has. The cluster's own scope (number 0) has a tree only.
#[derive(Debug, Default)]
struct BookState {
    book: Option<Arc<Book>>,
    /// `None` where nothing was ever said of it.
    calendar: Option<Calendar>,
    totals: BookTotals,
    tree: Frontier,
    /// Account n stands at n − 1.
    accounts: Vec<Arc<Account>>,
    account_codes: BTreeMap<AccountCode, AccountId>,
    /// In the order of opening, closed ones included.
    roles: HashMap<Role, BTreeSet<AccountId>>,
    currencies: BTreeMap<CurrencyId, Currency>,
    currency_codes: HashMap<CurrencyCode, CurrencyId>,
    controls: BTreeMap<(AccountId, CurrencyId), Control>,
    /// Totals, the tree and some controls change with every entry: each says for itself whether it did since the last
    /// seal.
    totals_changed: bool,
    tree_changed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Control {
    sums: Sums,
    changed: bool,
}

/// The rows that changed since the last seal, of what changes seldom.
#[derive(Debug, Default)]
struct Changed {
    books: BTreeSet<BookId>,
    calendars: BTreeSet<BookId>,
    accounts: BTreeSet<(BookId, AccountId)>,
    currencies: BTreeSet<(BookId, CurrencyId)>,
}

/// All books by number.
#[derive(Debug, Default)]
pub(super) struct Charts {
    books: Vec<BookState>,
    codes: BTreeMap<BookCode, BookId>,
    changed: Changed,
}

fn index(book: BookId) -> usize {
    usize::try_from(book.0).expect("addresses have at least 32 bits")
}

fn place(account: AccountId) -> Option<usize> {
    account.0.checked_sub(1).and_then(|place| usize::try_from(place).ok())
}

impl Charts {
    fn of(&self, book: BookId) -> Option<&BookState> {
        self.books.get(index(book))
    }

    fn of_mut(&mut self, book: BookId) -> &mut BookState {
        let index = index(book);
        if index >= self.books.len() {
            self.books.resize_with(index + 1, BookState::default);
        }
        &mut self.books[index]
    }

    pub(super) fn book(&self, id: BookId) -> Option<Arc<Book>> {
        self.of(id)?.book.clone()
    }

    pub(super) fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>> {
        self.book(*self.codes.get(code)?)
    }

    /// In the order of their codes.
    pub(super) fn books_after(&self, after: Option<&BookCode>) -> impl Iterator<Item = Arc<Book>> + '_ {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |code| Bound::Excluded(code.clone()));
        self.codes.range((from, Bound::Unbounded)).filter_map(|(_, id)| self.book(*id))
    }

    pub(super) fn calendar(&self, book: BookId) -> Calendar {
        self.of(book).and_then(|state| state.calendar).unwrap_or_default()
    }

    pub(super) fn put_calendar(&mut self, book: BookId, calendar: Calendar) {
        self.changed.calendars.insert(book);
        self.of_mut(book).calendar = Some(calendar);
    }

    pub(super) fn totals(&self, book: BookId) -> BookTotals {
        self.of(book).map(|state| state.totals.clone()).unwrap_or_default()
    }

    pub(super) fn last_entry(&self, book: BookId) -> EntryNumber {
        self.of(book).map(|state| state.totals.last_entry).unwrap_or_default()
    }

    pub(super) fn total(&self, book: BookId, currency: CurrencyId) -> Movement {
        self.of(book).map(|state| state.totals.total(currency)).unwrap_or_default()
    }

    pub(super) fn tree_root(&self, book: BookId) -> Hash {
        self.of(book).map_or_else(|| Frontier::default().root(), |state| state.tree.root())
    }

    pub(super) fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency> {
        let id = *self.of(book)?.currency_codes.get(code)?;
        self.currency_by_id(book, id)
    }

    pub(super) fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency> {
        self.of(book)?.currencies.get(&id).cloned()
    }

    pub(super) fn currencies(&self, book: BookId) -> Vec<Currency> {
        self.of(book).map(|state| state.currencies.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>> {
        self.of(book)?.accounts.get(place(id)?).cloned()
    }

    pub(super) fn balance_rules(&self, book: BookId, id: AccountId) -> Option<BalanceRules> {
        self.of(book)?.accounts.get(place(id)?).map(|account| account.balance_rules())
    }

    pub(super) fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>> {
        let id = *self.of(book)?.account_codes.get(code)?;
        self.account(book, id)
    }

    pub(super) fn posting_account(
        &self,
        book: BookId,
        code: &AccountCode,
        currency: CurrencyId,
    ) -> Option<PostingAccount> {
        let state = self.of(book)?;
        let id = *state.account_codes.get(code)?;
        PostingAccount::of(state.accounts.get(place(id)?)?, currency)
    }

    pub(super) fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>> {
        let ids = self.of(book)?.roles.get(role)?;
        ids.iter().filter_map(|id| self.account(book, *id)).find(|account| !account.closed)
    }

    /// In the order of their codes.
    pub(super) fn accounts(&self, book: BookId) -> Vec<Arc<Account>> {
        let Some(state) = self.of(book) else { return vec![] };
        state.account_codes.values().filter_map(|id| self.account(book, *id)).collect()
    }

    pub(super) fn control(&self, key: &ControlKey) -> Sums {
        self.of(key.book)
            .and_then(|state| state.controls.get(&(key.account, key.currency)))
            .map(|control| control.sums)
            .unwrap_or_default()
    }

    pub(super) fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)> {
        let Some(state) = self.of(book) else { return vec![] };
        let range = (account, CurrencyId(0))..=(account, CurrencyId(u16::MAX));
        state.controls.range(range).map(|((_, currency), control)| (*currency, control.sums)).collect()
    }

    pub(super) fn controls(&self, book: BookId) -> Vec<(ControlKey, Sums)> {
        let Some(state) = self.of(book) else { return vec![] };
        let key = |(account, currency)| ControlKey { book, account, currency };
        state.controls.iter().map(|(at, control)| (key(*at), control.sums)).collect()
    }

    pub(super) fn put_book(&mut self, book: Book) {
        self.changed.books.insert(book.id);
        self.keep_book(book);
    }

    fn keep_book(&mut self, book: Book) {
        self.codes.insert(book.code.clone(), book.id);
        let id = book.id;
        self.of_mut(id).book = Some(Arc::new(book));
    }

    pub(super) fn put_totals(&mut self, book: BookId, totals: BookTotals) {
        let state = self.of_mut(book);
        state.totals = totals;
        state.totals_changed = true;
    }

    pub(super) fn change_totals(&mut self, book: BookId, last_entry: EntryNumber, sums: &[(CurrencyId, Movement)]) {
        let state = self.of_mut(book);
        state.totals.change(last_entry, sums);
        state.totals_changed = true;
    }

    /// The trees of these books, as far as anything was ever decided in them.
    pub(super) fn trees(&self, books: impl Iterator<Item = BookId>) -> BTreeMap<BookId, Frontier> {
        let mut trees = BTreeMap::new();
        let mut last = None;
        for book in books.filter(|book| last.replace(*book) != Some(*book)) {
            if let Some(state) = self.of(book) {
                trees.entry(book).or_insert_with(|| state.tree.clone());
            }
        }
        trees
    }

    pub(super) fn put_tree(&mut self, book: BookId, tree: Frontier) {
        let state = self.of_mut(book);
        state.tree_changed |= state.tree != tree;
        state.tree = tree;
    }

    pub(super) fn push_leaf(&mut self, book: BookId, leaf: Hash) {
        let state = self.of_mut(book);
        state.tree.push(leaf);
        state.tree_changed = true;
    }

    pub(super) fn put_currency(&mut self, book: BookId, currency: Currency) {
        self.changed.currencies.insert((book, currency.id));
        self.keep_currency(book, currency);
    }

    fn keep_currency(&mut self, book: BookId, currency: Currency) {
        let state = self.of_mut(book);
        state.currency_codes.insert(currency.code.clone(), currency.id);
        state.currencies.insert(currency.id, currency);
    }

    pub(super) fn put_account(&mut self, book: BookId, account: Account) {
        self.changed.accounts.insert((book, account.id));
        assert!(self.keep_account(book, account), "accounts are numbered 1, 2, … in the order of opening");
    }

    /// False if accounts before it are missing.
    fn keep_account(&mut self, book: BookId, account: Account) -> bool {
        let state = self.of_mut(book);
        state.account_codes.insert(account.code.clone(), account.id);
        if let Some(role) = &account.role {
            state.roles.entry(role.clone()).or_default().insert(account.id);
        }
        match place(account.id) {
            Some(place) if place < state.accounts.len() => state.accounts[place] = Arc::new(account),
            Some(place) if place == state.accounts.len() => state.accounts.push(Arc::new(account)),
            Some(_) | None => return false,
        }
        true
    }

    pub(super) fn put_control(&mut self, key: &ControlKey, sums: Sums) {
        let control = Control { sums, changed: true };
        self.of_mut(key.book).controls.insert((key.account, key.currency), control);
    }

    pub(super) fn add_to_control(&mut self, key: &ControlKey, posted: Movement) {
        let control = self.of_mut(key.book).controls.entry((key.account, key.currency)).or_default();
        control.sums.add(posted);
        control.changed = true;
    }

    /// The stored rows of everything that changed.
    pub(super) fn seal(&mut self) -> SealedCharts {
        let Changed { books, calendars, accounts, currencies } = std::mem::take(&mut self.changed);
        let changed = "a changed row is there";
        let mut rows = Batch::new();
        for id in books {
            rows.put_record(Table::Books, id.bytes(), &*self.book(id).expect(changed));
        }
        for id in calendars {
            rows.put_record(Table::Calendars, id.bytes(), &self.calendar(id));
        }
        for (book, id) in accounts {
            let account = self.account(book, id).expect(changed);
            rows.put_record(Table::Accounts, (book, id).bytes(), &*account);
        }
        for (book, id) in currencies {
            let currency = self.currency_by_id(book, id).expect(changed);
            rows.put_record(Table::Currencies, (book, id).bytes(), &currency);
        }
        for (id, state) in (0..).map(BookId).zip(&mut self.books) {
            if std::mem::take(&mut state.totals_changed) {
                rows.put_record(Table::Totals, id.bytes(), &state.totals);
            }
            if std::mem::take(&mut state.tree_changed) {
                rows.put_record(Table::Trees, id.bytes(), &state.tree);
            }
            for (&(account, currency), control) in &mut state.controls {
                if std::mem::take(&mut control.changed) {
                    let key = ControlKey { book: id, account, currency };
                    rows.put_record(Table::Controls, key.bytes(), &control.sums);
                }
            }
        }
        SealedCharts { rows }
    }

    /// Reads all of it.
    pub(super) fn load(engine: &impl TableRead) -> Result<Self, StorageError> {
        let mut charts = Self::default();
        load(engine, Table::Books, |id: BookId, book: Book| {
            let fits = id == book.id;
            charts.keep_book(book);
            fits
        })?;
        load(engine, Table::Calendars, |id: BookId, calendar: Calendar| {
            charts.of_mut(id).calendar = Some(calendar);
            true
        })?;
        load(engine, Table::Totals, |id: BookId, totals: BookTotals| {
            charts.of_mut(id).totals = totals;
            true
        })?;
        load(engine, Table::Trees, |id: BookId, tree: Frontier| {
            charts.of_mut(id).tree = tree;
            true
        })?;
        load(engine, Table::Accounts, |(book, id): (BookId, AccountId), account: Account| {
            id == account.id && charts.keep_account(book, account)
        })?;
        load(engine, Table::Currencies, |(book, id): (BookId, CurrencyId), currency: Currency| {
            let fits = id == currency.id;
            charts.keep_currency(book, currency);
            fits
        })?;
        load(engine, Table::Controls, |key: ControlKey, sums: Sums| {
            let control = Control { sums, changed: false };
            charts.of_mut(key.book).controls.insert((key.account, key.currency), control);
            true
        })?;
        Ok(charts)
    }
}

/// Reads every row of a table in order; `keep` says whether the row fits its key and those before it.
fn load<K: TableKey, V: Stored>(
    engine: &impl TableRead,
    table: Table,
    mut keep: impl FnMut(K, V) -> bool,
) -> Result<(), StorageError> {
    for_each_row(engine, table, KeyRange::all(), |key, bytes| {
        let corrupt = |source| StorageError::Corrupt { table, key: key.clone(), source };
        let (typed, value) = (K::from_bytes(&key).map_err(corrupt)?, decode_record(&bytes).map_err(corrupt)?);
        if keep(typed, value) {
            Ok(())
        } else {
            Err(StorageError::Inconsistent { table, key: key.clone(), problem: "the record does not fit its key" })
        }
    })
}

/// Calls `visit` for every row of a range, reading page by page.
pub(super) fn for_each_row(
    engine: &impl TableRead,
    table: Table,
    mut range: KeyRange,
    mut visit: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    loop {
        let rows: Vec<Row> = engine.scan(table, &range, Direction::Forward, LOAD_PAGE_ROWS)?;
        let is_last = rows.len() < LOAD_PAGE_ROWS;
        if let Some((last, _)) = rows.last() {
            range.from = [last.as_slice(), &[0]].concat();
        }
        for (key, value) in rows {
            visit(key, value)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Changed rows on their way to the disk.
pub(super) struct SealedCharts {
    rows: Batch,
}

impl SealedCharts {
    pub(super) fn write_to(&self, steps: &mut impl Steps) {
        self.rows.copy_to(steps);
    }
}
