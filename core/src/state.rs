//! The tables that the posting rules read and write, as a trait: storage keeps them over RocksDB, tests in maps.
//!
//! Reads return what the last write left. There is no I/O error here: a table that cannot be read stops the node.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::account::{Account, BalanceRules, Book};
use crate::chain::{Chain, PostingRef, Tip};
use crate::currency::Currency;
use crate::document::{Charge, Hold, Payment, Refund};
use crate::entry::{Entry, Side};
use crate::fx::Rate;
use crate::id::{
    AccountCode, AccountId, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Fingerprint, Item,
    Key, Party, Position, Role,
};
use crate::period::{Calendar, JournalHead, Period, PeriodId};
use crate::recognition::{Recognised, RecognisedUpTo};
use crate::time::{Date, Timestamp};

/// Cumulative debits and credits in minor units, posted and pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub debits: i128,
    pub credits: i128,
    pub pending_debits: i128,
    pub pending_credits: i128,
}

impl Sums {
    /// Adds what was posted; the caller has seen that the sums stay within their bounds.
    pub fn add(&mut self, posted: Movement) {
        self.debits += posted.debits;
        self.credits += posted.credits;
    }
}

/// (account, currency): the control balance, the sum of its subaccounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlKey {
    pub book: BookId,
    pub account: AccountId,
    pub currency: CurrencyId,
}

/// (account, party, currency): the finest balance of accounts without items; every posting belongs to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubaccountKey {
    pub book: BookId,
    pub account: AccountId,
    pub party: Option<Party>,
    pub currency: CurrencyId,
}

/// (account, party, item, currency).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    pub book: BookId,
    pub account: AccountId,
    pub party: Option<Party>,
    pub item: Item,
    pub currency: CurrencyId,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subaccount {
    pub sums: Sums,
    pub chain: Chain,
    /// The greatest effective date of its postings; `None` before the first.
    pub greatest_date: Option<Date>,
}

/// What a posting needs to know of the subaccount before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubaccountTip {
    pub sums: Sums,
    pub tip: Tip,
    pub greatest_date: Option<Date>,
    /// Goes back with the change.
    pub found: Found,
}

/// Where a state found a record, so that it need not look for it again when it is changed: one of several tables, and a
/// place in it. A hint: what it says means something to the state that gave it only, and one may say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found(pub Option<(u32, u32)>);

/// What a posting has to know of an account that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostingAccount {
    pub id: AccountId,
    pub rules: BalanceRules,
    /// Whether it is divided by parties, so that every line names one; otherwise none does.
    pub by_party: bool,
}

impl PostingAccount {
    /// `None` where the account is closed or does not take the currency.
    #[must_use]
    pub fn of(account: &Account, currency: CurrencyId) -> Option<Self> {
        let takes = !account.closed && account.currencies.allows(currency);
        let by_party = account.party.is_some();
        takes.then(|| Self { id: account.id, rules: account.balance_rules(), by_party })
    }
}

/// What a decision does to a subaccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubaccountChange {
    /// As they stand after it.
    pub sums: Sums,
    pub greatest_date: Option<Date>,
    /// Its postings to this subaccount, in order.
    pub appended: SmallVec<[PostingRef; 1]>,
    /// Of the tip that it was made from.
    pub found: Found,
}

/// An item whose debits and credits differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenItem {
    pub sums: Sums,
    /// The effective date of the posting that took it off zero, or over it.
    pub since: Date,
}

/// (account, currency, date): what was posted with that effective date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MovementKey {
    pub control: ControlKey,
    pub date: Date,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    pub debits: i128,
    pub credits: i128,
}

impl Movement {
    /// `minor` on one side and nothing on the other.
    #[must_use]
    pub fn on(side: Side, minor: i128) -> Self {
        match side {
            Side::Debit => Self { debits: minor, credits: 0 },
            Side::Credit => Self { debits: 0, credits: minor },
        }
    }

    pub fn add(&mut self, other: Self) {
        self.debits += other.debits;
        self.credits += other.credits;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub position: Position,
    pub fingerprint: Fingerprint,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    pub position: Position,
    /// Which entry of that decision, from 0.
    pub index: u32,
    pub reversed_by: Option<EntryNumber>,
}

/// A book's counters and running totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookTotals {
    pub last_entry: EntryNumber,
    pub last_account: AccountId,
    pub registered_currencies: u16,
    /// Per currency, sorted: all debits and all credits ever posted. They are equal (invariant 2).
    pub sums: Vec<(CurrencyId, Movement)>,
}

impl Subaccount {
    pub fn change(&mut self, change: SubaccountChange) {
        self.sums = change.sums;
        self.greatest_date = change.greatest_date;
        for posting in change.appended {
            self.chain.push(posting);
        }
    }
}

impl BookTotals {
    #[must_use]
    pub fn total(&self, currency: CurrencyId) -> Movement {
        self.sums.binary_search_by_key(&currency, |sum| sum.0).map_or(Movement::default(), |index| self.sums[index].1)
    }

    pub fn change(&mut self, last_entry: EntryNumber, sums: &[(CurrencyId, Movement)]) {
        self.last_entry = last_entry;
        for (currency, total) in sums {
            match self.sums.binary_search_by_key(currency, |sum| sum.0) {
                Ok(index) => self.sums[index].1 = *total,
                Err(index) => self.sums.insert(index, (*currency, *total)),
            }
        }
    }
}

/// Where the state machine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub position: Position,
    /// The last decision's `recorded_at`.
    pub time: Timestamp,
    pub last_book: BookId,
}

/// What expires: ordered by instant, then book, holds before payments, id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    pub at: Timestamp,
    pub book: BookId,
    pub what: Expiring,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expiring {
    Hold(DocumentId),
    Payment(DocumentId),
}

/// The state as rules read it.
pub trait Read {
    fn head(&self) -> Head;
    fn book(&self, id: BookId) -> Option<Arc<Book>>;
    fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>>;
    fn totals(&self, book: BookId) -> BookTotals;
    /// [`BookTotals::last_entry`] alone.
    fn last_entry(&self, book: BookId) -> EntryNumber {
        self.totals(book).last_entry
    }
    /// The total of one currency alone.
    fn total(&self, book: BookId, currency: CurrencyId) -> Movement {
        self.totals(book).total(currency)
    }
    /// Registered in this book; ISO 4217 is not asked here.
    fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency>;
    fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency>;
    fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>>;
    /// Of [`Self::account`].
    fn balance_rules(&self, book: BookId, id: AccountId) -> Option<BalanceRules> {
        self.account(book, id).map(|account| account.balance_rules())
    }
    fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>>;
    /// Of [`Self::account_by_code`]; `None` also where it takes no posting in this currency.
    fn posting_account(&self, book: BookId, code: &AccountCode, currency: CurrencyId) -> Option<PostingAccount> {
        PostingAccount::of(&*self.account_by_code(book, code)?, currency)
    }
    /// The first opened account of the role that is not closed.
    fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>>;
    fn key(&self, scope: BookId, key: &Key) -> Option<KeyRecord>;
    fn control(&self, key: &ControlKey) -> Sums;
    /// Every currency that the account ever had a posting or a reservation in.
    fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)>;
    fn subaccount(&self, key: &SubaccountKey) -> Subaccount;
    /// [`Self::subaccount`] without the older part of its chain.
    fn subaccount_tip(&self, key: &SubaccountKey) -> SubaccountTip {
        let Subaccount { sums, chain, greatest_date } = self.subaccount(key);
        SubaccountTip { sums, tip: chain.tip(), greatest_date, found: Found(None) }
    }
    /// Whether `holds` is true of every subaccount of an account. They are looked at one by one, in the order of their
    /// keys, up to the first of which it is not.
    fn every_subaccount(&self, book: BookId, account: AccountId, holds: &mut dyn FnMut(&Sums) -> bool) -> bool;
    fn item(&self, key: &ItemKey) -> Sums;
    fn movement(&self, key: &MovementKey) -> Movement;
    /// All movements with effective dates up to `date`, inclusive.
    fn posted_until(&self, control: &ControlKey, date: Date) -> Movement;
    /// The least effective date that anything was posted with.
    fn first_posted(&self, control: &ControlKey) -> Option<Date>;
    /// The book's fiscal calendar; the default one if nothing was ever said of it.
    /// The last rate of a pair up to a date.
    fn rate(&self, book: BookId, base: CurrencyId, quote: CurrencyId, until: Date) -> Option<Rate>;
    fn recognised(&self, book: BookId, charge: &DocumentId) -> Option<Recognised>;
    /// Items of an account in the order of their keys, behind all of one item (`None`: from the first), at most `limit`.
    fn items_after(
        &self,
        book: BookId,
        account: AccountId,
        after: Option<&RecognisedUpTo>,
        limit: usize,
    ) -> Vec<(ItemKey, Sums)>;
    fn calendar(&self, book: BookId) -> Calendar;
    /// What was done to a period.
    fn period(&self, book: BookId, id: PeriodId) -> Option<Period>;
    /// The journal before the command that is being decided, and before what expires with it.
    fn journal_head(&self) -> JournalHead;
    fn entry_record(&self, book: BookId, number: EntryNumber) -> Option<EntryRecord>;
    /// From the journal.
    fn entry(&self, book: BookId, number: EntryNumber) -> Option<Entry>;
    fn hold(&self, book: BookId, id: &DocumentId) -> Option<Hold>;
    fn charge(&self, book: BookId, id: &DocumentId) -> Option<Charge>;
    fn payment(&self, book: BookId, id: &DocumentId) -> Option<Payment>;
    fn refund(&self, book: BookId, id: &DocumentId) -> Option<Refund>;
    /// The first thing that is due at `now` or before.
    fn due(&self, now: Timestamp) -> Option<Expiry>;
}

/// The state as [`crate::execute`] writes it. Every put replaces the whole record.
pub trait Write: Read {
    fn put_head(&mut self, head: Head);
    fn put_book(&mut self, book: Book);
    fn put_totals(&mut self, book: BookId, totals: BookTotals);
    /// Replaces the last entry's number and the totals of some currencies.
    fn change_totals(&mut self, book: BookId, last_entry: EntryNumber, sums: &[(CurrencyId, Movement)]) {
        let mut totals = self.totals(book);
        totals.change(last_entry, sums);
        self.put_totals(book, totals);
    }
    fn put_currency(&mut self, book: BookId, currency: Currency);
    fn put_account(&mut self, book: BookId, account: Account);
    fn put_key(&mut self, scope: BookId, key: Key, record: KeyRecord);
    fn put_control(&mut self, key: ControlKey, sums: Sums);
    /// Adds what was posted to a control; the caller has seen that the sums stay within their bounds.
    fn add_to_control(&mut self, key: ControlKey, posted: Movement) {
        let mut sums = self.control(&key);
        sums.add(posted);
        self.put_control(key, sums);
    }
    fn put_subaccount(&mut self, key: SubaccountKey, subaccount: Subaccount);
    fn change_subaccount(&mut self, key: SubaccountKey, change: SubaccountChange) {
        let mut subaccount = self.subaccount(&key);
        subaccount.change(change);
        self.put_subaccount(key, subaccount);
    }
    /// `opened`: the date of the posting that took its balance off zero, or over it, where one of the decision did.
    fn put_item(&mut self, key: ItemKey, sums: Sums, opened: Option<Date>);
    fn put_movement(&mut self, key: MovementKey, movement: Movement);
    /// Adds what was posted on a day.
    fn add_to_movement(&mut self, key: MovementKey, posted: Movement) {
        let mut movement = self.movement(&key);
        movement.add(posted);
        self.put_movement(key, movement);
    }
    fn put_calendar(&mut self, book: BookId, calendar: Calendar);
    fn put_period(&mut self, book: BookId, period: Period);
    fn put_rate(&mut self, book: BookId, rate: Rate);
    fn put_recognised(&mut self, book: BookId, recognised: Recognised);
    fn put_entry_record(&mut self, book: BookId, number: EntryNumber, record: EntryRecord);
    fn put_hold(&mut self, book: BookId, hold: Hold);
    fn put_charge(&mut self, book: BookId, charge: Charge);
    fn put_payment(&mut self, book: BookId, payment: Payment);
    fn put_refund(&mut self, book: BookId, refund: Refund);
    fn put_expiry(&mut self, expiry: Expiry);
    fn remove_expiry(&mut self, expiry: &Expiry);
}
