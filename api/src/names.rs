//! What answers call things: account codes, currency codes and decimals, by core's numbers.
//!
//! All of it is immutable (an account's code, a currency's decimals), so it is kept once read and never goes stale;
//! whether an account is closed is not asked here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use partita_core::account::{Account, Book};
use partita_core::currency::{self, Currency};
use partita_core::entry::Side;
use partita_core::id::{AccountId, BookCode, BookId, CurrencyId};
use partita_core::money::Formatted;
use partita_core::state::Read as _;
use partita_storage::state::Reader;

use crate::app::look;

/// The names of every book that was asked for.
pub struct Directory {
    reader: Reader,
    books: RwLock<HashMap<BookId, Arc<Names>>>,
    by_code: RwLock<HashMap<BookCode, Arc<Names>>>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

/// One book's names.
pub struct Names {
    reader: Reader,
    pub book: Arc<Book>,
    zone: jiff::tz::TimeZone,
    accounts: RwLock<HashMap<AccountId, Arc<Account>>>,
    currencies: RwLock<HashMap<CurrencyId, Currency>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("book", &self.book).finish_non_exhaustive()
    }
}

impl Directory {
    #[must_use]
    pub fn new(reader: Reader) -> Self {
        Self { reader, books: RwLock::default(), by_code: RwLock::default() }
    }

    /// `None`: this node knows no such book yet.
    #[must_use]
    pub fn find(&self, code: &BookCode) -> Option<Arc<Names>> {
        if let Some(names) = self.by_code.read().get(code) {
            return Some(Arc::clone(names));
        }
        let book = look(&self.reader, |view| view.book_by_code(code))?;
        Some(self.keep(book))
    }

    /// The names of a book that a decision belongs to; `None` for the cluster's own scope.
    #[must_use]
    pub fn book(&self, id: BookId) -> Option<Arc<Names>> {
        if let Some(names) = self.books.read().get(&id) {
            return Some(Arc::clone(names));
        }
        let book = look(&self.reader, |view| view.book(id))?;
        Some(self.keep(book))
    }

    fn keep(&self, book: Arc<Book>) -> Arc<Names> {
        let zone = jiff::tz::TimeZone::get(&book.time_zone).unwrap_or_else(|error| {
            // Checked when the book was opened, against the table that is part of the binary.
            panic!("the time zone {} of book {} is not known: {error}", book.time_zone, book.code)
        });
        let names = Arc::new(Names {
            reader: self.reader.clone(),
            zone,
            accounts: RwLock::default(),
            currencies: RwLock::default(),
            book,
        });
        self.by_code.write().insert(names.book.code.clone(), Arc::clone(&names));
        self.books.write().insert(names.book.id, Arc::clone(&names));
        names
    }
}

impl Names {
    /// # Panics
    /// If there is no such account: ids come from decisions and tables only.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(&id) {
            return Arc::clone(account);
        }
        let account = look(&self.reader, |view| view.account(self.book.id, id))
            .unwrap_or_else(|| panic!("account {id} of book {} is missing", self.book.code));
        self.accounts.write().insert(id, Arc::clone(&account));
        account
    }

    /// # Panics
    /// If there is no such currency: ids come from decisions and tables only.
    #[must_use]
    pub fn currency(&self, id: CurrencyId) -> Currency {
        if let Some(currency) = self.currencies.read().get(&id) {
            return currency.clone();
        }
        let currency = currency::iso_by_id(id)
            .or_else(|| look(&self.reader, |view| view.currency_by_id(self.book.id, id)))
            .unwrap_or_else(|| panic!("currency {id} of book {} is missing", self.book.code));
        self.currencies.write().insert(id, currency.clone());
        currency
    }

    #[must_use]
    pub fn account_code(&self, id: AccountId) -> String {
        self.account(id).code.to_string()
    }

    #[must_use]
    pub fn normal_side(&self, id: AccountId) -> Side {
        self.account(id).normal_side()
    }

    #[must_use]
    pub fn currency_code(&self, id: CurrencyId) -> String {
        self.currency(id).code.to_string()
    }

    /// Minor units as answers write them.
    #[must_use]
    pub fn money(&self, minor: i128, currency: CurrencyId) -> String {
        Formatted { minor, decimals: self.currency(currency).decimals }.to_string()
    }

    /// The date of `at` in the book's time zone.
    #[must_use]
    pub fn zone(&self) -> &jiff::tz::TimeZone {
        &self.zone
    }
}
