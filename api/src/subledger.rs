//! What an account is divided into at a moment: its open items, and since when each is open.
//!
//! For the present the items' balances are read as they stand. For the past what came since is taken back: the
//! journal is read from its end to the position that counts and, where lines are dated after the report's day, until
//! all of them were met, which the account's daily movements tell. Memory grows with what is open and with the items
//! that were touched since, never with the journal.

use std::collections::BTreeMap;

use partita_core::account::{Account, ItemRule};
use partita_core::decision::Outcome;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{AccountId, BookId, CurrencyId, DocumentId, EntryNumber, Item, Party, Position};
use partita_core::report::ageing::Bucket;
use partita_core::state::{ControlKey, Movement, Read as _, SubaccountKey};
use partita_core::time::Date;
use partita_storage::state::{Parts, Reader, StorageError, View};

use crate::app::App;
use crate::history::Patience;
use crate::problem::{Code, Problem};
use crate::report::Basis;

/// Rows read at one time.
const ROWS: usize = 1_000;
/// Documents looked up at one time, while the applier waits.
const LOOKED_UP: usize = 200;
/// Decisions that are searched for what opened an item before its documents are asked one by one.
const SEARCHED: usize = 200_000;

/// A part of an account: an item of a party in a currency, or what names no item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub currency: CurrencyId,
}

impl Place {
    fn of(line: &Line) -> Self {
        Self { party: line.party.clone(), item: line.item.clone(), currency: line.currency }
    }
}

/// An account as of a date and a position; balances are positive on its normal side.
#[derive(Debug)]
pub(crate) struct AccountAt {
    /// Whatever is not zero, by party and item.
    pub open: Vec<(Place, i128)>,
    /// Since when, of items that nothing touched since the report's moment.
    pub since: BTreeMap<Place, Date>,
    /// The account's balance, from its daily movements.
    pub control: BTreeMap<CurrencyId, i128>,
}

/// Debits less credits.
fn net(line: &Line) -> i128 {
    match line.side {
        Side::Debit => line.amount.minor(),
        Side::Credit => -line.amount.minor(),
    }
}

fn on_side(side: Side, net_debit: i128) -> i128 {
    match side {
        Side::Debit => net_debit,
        Side::Credit => -net_debit,
    }
}

/// An account's daily movements in every currency, read with `view`'s moment.
pub(crate) fn daily(
    view: &View<'_>,
    book: BookId,
    account: AccountId,
) -> Result<Vec<(CurrencyId, Date, Movement)>, StorageError> {
    let mut days = vec![];
    for (currency, _) in view.controls_of(book, account) {
        let of_currency = view.movements_of(&ControlKey { book, account, currency })?;
        days.extend(of_currency.into_iter().map(|(key, movement)| (currency, key.date, movement)));
    }
    Ok(days)
}

/// The sums of the days that count, by currency.
pub(crate) fn sum_days(
    days: &[(CurrencyId, Date, Movement)],
    counts: impl Fn(Date) -> bool,
) -> BTreeMap<CurrencyId, Movement> {
    let mut sums: BTreeMap<CurrencyId, Movement> = BTreeMap::new();
    for (currency, _, movement) in days.iter().filter(|(_, date, _)| counts(*date)) {
        let sum = sums.entry(*currency).or_default();
        sum.debits += movement.debits;
        sum.credits += movement.credits;
    }
    sums
}

/// Entries to be found going back: those that touched one account.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    pub book: BookId,
    pub account: AccountId,
    /// The first decision that is looked at.
    pub until: Position,
    /// All decisions behind this one are looked at.
    pub after: Position,
    /// What the account's lines of the wanted dates come to: when all of it was met, nothing is left to be found.
    pub wanted: BTreeMap<CurrencyId, Movement>,
}

/// Calls `each` for entries that touched the account, newest first, back to `after` and until all lines of the wanted
/// dates were met. It meets others on the way.
pub(crate) fn each_entry_back(
    app: &App,
    back: Back,
    is_wanted: impl Fn(Date) -> bool,
    mut each: impl FnMut(Position, &Entry),
) -> Result<(), Problem> {
    let Back { book, account, mut until, after, mut wanted } = back;
    let patience = Patience::new();
    wanted.retain(|_, movement| *movement != Movement::default());
    while until > after || !wanted.is_empty() {
        patience.check()?;
        let decisions = app.past(|reader| reader.decisions_back(until));
        let Some(oldest) = decisions.last() else {
            let detail = format!("account {account} of book {book} has daily movements that no entry made");
            return Err(Problem::new(Code::OutOfBalance, detail));
        };
        until = Position(oldest.position.0 - 1);
        for decision in decisions.iter().filter(|decision| decision.book == book) {
            let Outcome::Accepted(effects) = &decision.outcome else { continue };
            for entry in effects.entries.iter().rev() {
                let mut is_touched = false;
                for line in entry.lines.iter().filter(|line| line.account == account) {
                    is_touched = true;
                    if is_wanted(entry.effective_date)
                        && let Some(left) = wanted.get_mut(&line.currency)
                    {
                        match line.side {
                            Side::Debit => left.debits -= line.amount.minor(),
                            Side::Credit => left.credits -= line.amount.minor(),
                        }
                    }
                }
                if is_touched {
                    each(decision.position, entry);
                }
            }
        }
        wanted.retain(|_, movement| *movement != Movement::default());
    }
    Ok(())
}

/// What came since, debits less credits.
#[derive(Debug, Default)]
struct TakenBack {
    places: BTreeMap<Place, i128>,
    /// Of lines that are dated in time and were recorded too late.
    control: BTreeMap<CurrencyId, i128>,
}

/// What is open of an account as of the report's date and position.
pub(crate) fn account_at(app: &App, basis: &Basis, account: &Account) -> Result<AccountAt, Problem> {
    app.past(|reader| read_account(app, reader, basis, account))
}

fn read_account(
    app: &App,
    reader: &Reader,
    basis: &Basis,
    account: &Account,
) -> Result<Result<AccountAt, Problem>, StorageError> {
    let book = basis.names.book.id;
    let held = reader.hold();
    let ((until, days), parts) =
        held.read_with_parts(book, account.id, |view| Ok((view.position(), daily(view, book, account.id)?)))?;
    let back = Back {
        book,
        account: account.id,
        until,
        after: basis.position,
        wanted: sum_days(&days, |date| date > basis.as_of),
    };
    let mut taken = TakenBack::default();
    let walked = each_entry_back(
        app,
        back,
        |date| date > basis.as_of,
        |position, entry| {
            let is_late = position > basis.position;
            let is_dated_in_time = entry.effective_date <= basis.as_of;
            for line in entry.lines.iter().filter(|line| line.account == account.id) {
                if is_late || !is_dated_in_time {
                    *taken.places.entry(Place::of(line)).or_default() += net(line);
                }
                if is_late && is_dated_in_time {
                    *taken.control.entry(line.currency).or_default() += net(line);
                }
            }
        },
    );
    if let Err(problem) = walked {
        return Ok(Err(problem));
    }
    let side = account.normal_side();
    let (open, since) = open_places(&parts, account, &taken.places)?;
    let in_time = sum_days(&days, |date| date <= basis.as_of);
    let control = in_time.into_iter().map(|(currency, movement)| {
        let late = taken.control.get(&currency).copied().unwrap_or(0);
        (currency, on_side(side, movement.debits - movement.credits - late))
    });
    Ok(Ok(AccountAt {
        open: open.into_iter().map(|(place, net)| (place, on_side(side, net))).collect(),
        since,
        control: control.collect(),
    }))
}

/// Debits less credits of places that are not zero, and since when those are that nothing touched since.
type OpenPlaces = (Vec<(Place, i128)>, BTreeMap<Place, Date>);

/// What is open now or was touched since, as it stood at the report's moment.
fn open_places(
    parts: &Parts<'_>,
    account: &Account,
    taken: &BTreeMap<Place, i128>,
) -> Result<OpenPlaces, StorageError> {
    let mut since = BTreeMap::new();
    let mut open: BTreeMap<Place, i128> = taken.iter().map(|(place, since)| (place.clone(), -since)).collect();
    let mut of_items: BTreeMap<(Option<Party>, CurrencyId), i128> = BTreeMap::new();
    let mut after = None;
    loop {
        let rows = parts.open_items(after.as_ref(), ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        for (key, item) in rows {
            let now = item.sums.debits - item.sums.credits;
            if account.items == ItemRule::Optional {
                *of_items.entry((key.party.clone(), key.currency)).or_default() += now;
            }
            let place = Place { party: key.party, item: Some(key.item), currency: key.currency };
            if !taken.contains_key(&place) {
                since.insert(place.clone(), item.since);
            }
            *open.entry(place).or_default() += now;
        }
    }
    let mut after: Option<SubaccountKey> = None;
    loop {
        // Where items are required, every line names one.
        if account.items == ItemRule::Required {
            break;
        }
        let rows = parts.subaccounts(after.as_ref(), ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        for (key, subaccount) in rows {
            let items = of_items.get(&(key.party.clone(), key.currency)).copied().unwrap_or(0);
            let now = subaccount.sums.debits - subaccount.sums.credits - items;
            *open.entry(Place { party: key.party, item: None, currency: key.currency }).or_default() += now;
        }
    }
    open.retain(|_, net| *net != 0);
    Ok((open.into_iter().collect(), since))
}

/// Since when what is open is open: the whole of an item since one date; of what names no item, parts since several.
pub(crate) type Since = BTreeMap<Place, Vec<(Date, i128)>>;

/// What was searched for the postings that opened things.
struct Search<'a> {
    app: &'a App,
    basis: &'a Basis,
    account: &'a Account,
    /// The balances that are asked about.
    open: BTreeMap<Place, i128>,
    /// Those that are not explained yet, as they were before the decisions that were looked at.
    left: BTreeMap<Place, i128>,
    found: Since,
    until: Position,
    patience: Patience,
}

/// Since when each of `open`, of what `at` has, is open: the date of the posting that took it off zero, or over it. What
/// names no item is taken to be settled first in, first out: what is left is the newest of it; how old what is over 120
/// days old is exactly is not searched for.
pub(crate) fn opened<'a>(
    app: &App,
    basis: &Basis,
    account: &Account,
    at: &AccountAt,
    open: impl IntoIterator<Item = &'a (Place, i128)>,
) -> Result<Since, Problem> {
    let is_unknown = |open: &&(Place, i128)| !at.since.contains_key(&open.0);
    let open: BTreeMap<Place, i128> = open.into_iter().filter(is_unknown).cloned().collect();
    let (left, until, patience) = (open.clone(), basis.position, Patience::new());
    let mut search = Search { app, basis, account, open, left, found: Since::new(), until, patience };
    search.back(SEARCHED)?;
    search.ask_documents();
    search.back(usize::MAX)?;
    if let Some((place, balance)) = search.left.first_key_value() {
        let detail = format!("account {}: {balance} of {place:?} has no posting that opened it", account.code);
        return Err(Problem::new(Code::OutOfBalance, detail));
    }
    for (place, balance) in &at.open {
        if let Some(since) = at.since.get(place) {
            search.found.insert(place.clone(), vec![(*since, *balance)]);
        }
    }
    Ok(search.found)
}

impl Search<'_> {
    /// Whether a line counts for the report; its amount on the account's normal side.
    fn amount(&self, entry: &Entry, line: &Line) -> Option<i128> {
        let counts = line.account == self.account.id && entry.effective_date <= self.basis.as_of;
        counts.then(|| on_side(self.account.normal_side(), net(line)))
    }

    /// Reads the journal back until all is found, or about this many decisions.
    fn back(&mut self, decisions: usize) -> Result<(), Problem> {
        let mut searched = 0;
        while !self.left.is_empty() && searched < decisions {
            self.patience.check()?;
            let page = self.app.past(|reader| reader.decisions_back(self.until));
            let Some(oldest) = page.last() else { return Ok(()) };
            self.until = Position(oldest.position.0 - 1);
            searched += page.len();
            for decision in page.iter().filter(|decision| decision.book == self.basis.names.book.id) {
                let Outcome::Accepted(effects) = &decision.outcome else { continue };
                effects.entries.iter().rev().for_each(|entry| self.meet(entry));
            }
        }
        Ok(())
    }

    fn meet(&mut self, entry: &Entry) {
        for line in entry.lines.iter().rev() {
            let Some(amount) = self.amount(entry, line) else { continue };
            let place = Place::of(line);
            let Some(balance) = self.left.get_mut(&place) else { continue };
            let before = *balance - amount;
            // Everything of the subaccount up to here is dated so at the latest.
            let latest = line.after.greatest_date;
            if place.item.is_none() && Bucket::of(latest, self.basis.as_of) == Bucket::Over120 {
                self.found.entry(place.clone()).or_default().push((latest, *balance));
                self.left.remove(&place);
            } else if place.item.is_none() {
                // First in, first out: what came last on the balance's side is what is left of it.
                if amount.signum() == balance.signum() {
                    let part = if before.signum() == balance.signum() { amount } else { *balance };
                    self.found.entry(place.clone()).or_default().push((entry.effective_date, part));
                    *balance -= part;
                    if *balance == 0 {
                        self.left.remove(&place);
                    }
                }
            } else if before.signum() == balance.signum() {
                *balance = before;
            } else {
                self.left.remove(&place);
                let all = self.open.get(&place).copied().unwrap_or_default();
                self.found.insert(place, vec![(entry.effective_date, all)]);
            }
        }
    }

    /// A payment, refund or charge lists its own entries; where these explain all of an item, nothing else touched it.
    fn ask_documents(&mut self) {
        let places: Vec<Place> = self.left.keys().filter(|place| place.item.is_some()).cloned().collect();
        for place in places {
            if let Some(date) = self.ask_document(&place) {
                self.left.remove(&place);
                let all = self.open.get(&place).copied().unwrap_or_default();
                self.found.insert(place, vec![(date, all)]);
            }
        }
    }

    fn ask_document(&self, place: &Place) -> Option<Date> {
        let book = self.basis.names.book.id;
        let id = DocumentId::new(place.item.as_ref()?.as_str()).ok()?;
        let entries = self.app.look(|view| {
            let mut numbers: Vec<EntryNumber> = vec![];
            numbers.extend(view.payment(book, &id).into_iter().flat_map(|payment| payment.entries));
            numbers.extend(view.refund(book, &id).into_iter().flat_map(|refund| refund.entries));
            numbers.extend(view.charge(book, &id).into_iter().flat_map(|charge| charge.entries));
            numbers.sort_unstable();
            numbers.dedup();
            let known = |number: &EntryNumber| {
                view.entry_record(book, *number).is_some_and(|record| record.position <= self.basis.position)
            };
            numbers.into_iter().filter(known).filter_map(|number| view.entry(book, number)).collect::<Vec<_>>()
        });
        let (mut balance, mut since) = (0, None);
        for entry in &entries {
            for line in entry.lines.iter().filter(|line| Place::of(line) == *place) {
                let Some(amount) = self.amount(entry, line) else { continue };
                let after: i128 = balance + amount;
                if after.signum() != balance.signum() {
                    since = Some(entry.effective_date);
                }
                balance = after;
            }
        }
        since.filter(|_| Some(&balance) == self.open.get(place))
    }
}

/// When the charges that items of a receivable account stand for are due; without a due date, when they were made.
pub(crate) fn due_dates(app: &App, book: BookId, account: &Account, open: &[(Place, i128)]) -> Vec<Option<Date>> {
    let due = |view: &View<'_>, place: &Place| {
        let id = DocumentId::new(place.item.as_ref()?.as_str()).ok()?;
        let charge = view.charge(book, &id)?;
        let is_its = charge.receivable == account.id
            && Some(&charge.customer) == place.party.as_ref()
            && charge.currency == place.currency;
        is_its.then(|| charge.due_date.unwrap_or(charge.effective_date))
    };
    let chunks = open.chunks(LOOKED_UP);
    chunks
        .flat_map(|chunk| app.look(|view| chunk.iter().map(|(place, _)| due(view, place)).collect::<Vec<_>>()))
        .collect()
}
