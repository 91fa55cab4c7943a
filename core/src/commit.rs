//! Turning a plan into state: the balances' checks first, then, where nothing can fail any more, every write.
//!
//! This, `pair` and [`crate::execute`] are the only places that write tables.

use smallvec::SmallVec;

use crate::account::{BalanceRules, ItemRule};
use crate::chain::{Chain, Link, PostingRef, Tip};
use crate::decision::Effects;
use crate::document::{Charge, Hold, Payment, Snapshot};
use crate::entry::{After, DraftLine, Entry, Line, Side};
use crate::few::Few;
use crate::id::{AccountCode, AccountId, BookId, CurrencyId, DocumentId, EntryNumber, Item, Position};
use crate::period::PeriodId;
use crate::plan::{Change, Plan, PlannedEntry, Reservation};
use crate::planted::{Bug, planted};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::known_currency;
use crate::state::{
    ControlKey, EntryRecord, Expiring, Expiry, ItemKey, Movement, MovementKey, Read, SubaccountChange, SubaccountKey,
    SubaccountTip, Sums, Write,
};
use crate::time::{Date, Timestamp};

/// No sum of debits or credits of a book passes this, so that differences of sums never overflow.
pub(crate) const MAX_SUM: i128 = i128::MAX / 4;

/// The balances that a plan touches, as they will stand; nothing is written until all checks have passed.
struct Touched {
    book: BookId,
    position: Position,
    next_line: u32,
    controls: Few<ControlKey, Sums>,
    subaccounts: Few<SubaccountKey, TouchedSubaccount>,
    items: Few<ItemKey, TouchedItem>,
    movements: Few<MovementKey, Movement>,
    last_entry: EntryNumber,
    totals: SmallVec<[(CurrencyId, Movement); 2]>,
}

struct TouchedSubaccount {
    /// Of the chain before the decision.
    tip: Tip,
    after: SubaccountChange,
    /// With what is appended; needed from the second posting on.
    chain: Option<Chain>,
}

struct TouchedItem {
    sums: Sums,
    /// Since when it is not zero, where it was at zero before, or on the other side of it.
    opened: Option<Date>,
}

/// Where a line's balances stand among the touched ones.
struct Places {
    control: usize,
    subaccount: usize,
    item: Option<usize>,
    rules: BalanceRules,
}

/// Checks and writes `plan`; `first_entry` is the number of its first entry.
pub(crate) fn commit<S: Write>(
    state: &mut S,
    book: BookId,
    position: Position,
    first_entry: EntryNumber,
    plan: Plan,
) -> Result<Effects, Rejection> {
    let Plan { entries, reservations, changes } = plan;
    let mut touched = Touched {
        book,
        position,
        next_line: 0,
        controls: Few::new(),
        subaccounts: Few::new(),
        items: Few::new(),
        movements: Few::new(),
        last_entry: state.last_entry(book),
        totals: SmallVec::new(),
    };
    let entries = touched.check(&*state, first_entry, entries, &reservations)?;

    // After this point it must succeed.
    for (key, sums) in touched.controls {
        state.put_control(key, sums);
    }
    for (key, subaccount) in touched.subaccounts {
        state.change_subaccount(key, subaccount.after);
    }
    for (key, TouchedItem { sums, opened }) in touched.items {
        state.put_item(key, sums, opened);
    }
    for (key, movement) in touched.movements {
        state.put_movement(key, movement);
    }
    if !entries.is_empty() {
        write_entry_records(state, book, position, &entries);
        state.change_totals(book, touched.last_entry, &touched.totals);
    }
    let changed: Vec<Change> = changes.into_iter().map(|change| write_change(state, book, position, change)).collect();
    // Snapshots last: a document's open or unapplied amount is its item's balance, which is written by now.
    let snapshots = changed.into_iter().map(|change| snapshot(state, book, change)).collect();
    Ok(Effects { entries, snapshots })
}

/// No entry is posted into a period that does not take it, and none is moved to another date instead.
fn check_periods(state: &impl Read, book: BookId, entries: &[PlannedEntry]) -> Result<(), Rejection> {
    if entries.is_empty() {
        return Ok(());
    }
    let calendar = state.calendar(book);
    for planned in entries {
        let date = planned.effective_date;
        let found = calendar.state_on(date);
        if !found.accepts(planned.rule) {
            let reason = Reason::PeriodClosed { period: PeriodId::of(date), state: found, date };
            return Err(Rejection { index: planned.index, ..Rejection::new(reason, Field::EffectiveDate) });
        }
    }
    Ok(())
}

impl Touched {
    fn check<S: Read>(
        &mut self,
        state: &S,
        first_entry: EntryNumber,
        planned: Vec<PlannedEntry>,
        reservations: &[Reservation],
    ) -> Result<Vec<Entry>, Rejection> {
        let book = self.book;
        check_periods(state, book, &planned)?;
        for release in reservations.iter().filter(|reservation| reservation.delta < 0) {
            self.reserve(state, release)?;
        }
        let mut entries = Vec::with_capacity(planned.len());
        let mut number = first_entry;
        for planned in planned {
            let index = planned.index;
            assert_eq!(number, self.last_entry.next(), "entry numbers are gapless");
            entries.push(self.post(state, number, planned).map_err(|rejection| Rejection { index, ..rejection })?);
            self.last_entry = number;
            number = number.next();
        }
        for (currency, sum) in &self.totals {
            assert_eq!(sum.debits, sum.credits, "book {book}: total debits and credits of currency {currency} differ");
        }
        for reservation in reservations.iter().filter(|reservation| reservation.delta > 0) {
            self.reserve(state, reservation)?;
        }
        Ok(entries)
    }

    fn places<S: Read>(&mut self, state: &S, line: &DraftLine) -> Places {
        let (book, account, currency) = (self.book, line.account, line.currency);
        let rules = state.balance_rules(book, account).expect("planned lines name accounts of the chart");
        let control = self.controls.place_of(ControlKey { book, account, currency }, |key| state.control(key));
        let key = SubaccountKey { book, account, party: line.party.clone(), currency };
        let subaccount = self.subaccounts.place_of(key, |key| {
            let SubaccountTip { sums, tip, greatest_date, found } = state.subaccount_tip(key);
            let after = SubaccountChange { sums, greatest_date, appended: SmallVec::new(), found };
            TouchedSubaccount { tip, after, chain: None }
        });
        let item = line.item.as_ref().map(|item| {
            let key = ItemKey { book, account, party: line.party.clone(), item: item.clone(), currency };
            self.items.place_of(key, |key| TouchedItem { sums: state.item(key), opened: None })
        });
        Places { control, subaccount, item, rules }
    }

    /// Appends a posting to the chain of a subaccount.
    fn append<S: Read>(&mut self, state: &S, place: usize, posting: PostingRef) -> Link {
        let is_first = self.subaccounts.at(place).after.appended.is_empty();
        let before = if is_first || self.subaccounts.at(place).chain.is_some() {
            None
        } else {
            Some(state.subaccount(&self.subaccounts.row(place).0).chain)
        };
        let TouchedSubaccount { tip, after, chain } = self.subaccounts.at(place);
        if let Some(mut before) = before {
            before.append(after.appended[0]);
            *chain = Some(before);
        }
        let link = match chain {
            Some(chain) => chain.append(posting),
            None => tip.link(),
        };
        after.appended.push(posting);
        link
    }

    /// What the guarded balance of a line can still give: the item where items are required, else the subaccount.
    fn available(&mut self, places: &Places) -> i128 {
        let sums = match (places.item, places.rules.items) {
            (Some(item), ItemRule::Required) => &self.items.at(item).sums,
            _ => &self.subaccounts.at(places.subaccount).after.sums,
        };
        available(sums, places.rules.normal)
    }

    /// Posts one entry into the touched balances. Overdraft is decided on its net effect (docs/rules.md, chart).
    fn post<S: Read>(&mut self, state: &S, number: EntryNumber, planned: PlannedEntry) -> Result<Entry, Rejection> {
        let PlannedEntry { rule, effective_date, description, metadata, reverses, document, draft, fields, index: _ } =
            planned;
        let drafts = draft.into_lines();
        let mut guarded: SmallVec<[(Places, Option<i128>); 2]> = SmallVec::with_capacity(drafts.len());
        for line in &drafts {
            let places = self.places(state, line);
            let before = places.rules.guarded.then(|| self.available(&places));
            guarded.push((places, before));
        }
        let mut lines = Vec::with_capacity(drafts.len());
        for ((draft, field), (places, _)) in drafts.into_iter().zip(&fields).zip(&guarded) {
            lines.push(self.post_line(state, draft, places, effective_date, *field)?);
        }
        for ((line, field), (places, before)) in lines.iter().zip(&fields).zip(&guarded) {
            let Some(before) = *before else { continue };
            let after = self.available(places);
            if overdraws(before, after) {
                return Err(self.overdraft(state, line.account, line.currency, before, *field));
            }
        }
        Ok(Entry { number, rule, effective_date, description, metadata, reverses, document, lines })
    }

    fn post_line<S: Read>(
        &mut self,
        state: &S,
        draft: DraftLine,
        places: &Places,
        date: Date,
        field: Field,
    ) -> Result<Line, Rejection> {
        let at = PostingRef { position: self.position, line: self.next_line };
        self.next_line += 1;
        let DraftLine { account, party, item, side, amount, currency } = draft;
        let minor = amount.minor();
        if self.add_to_totals(state, currency, side, minor).is_none() {
            return Err(self.too_large(state, account, field));
        }
        // The book's totals bound every other sum, and they have just passed.
        let missed = planted(Bug::ControlMissesALine) && at.line % 2 == 1;
        add(self.controls.at(places.control), side, if missed { 0 } else { minor })
            .expect("a control's sums are within the book's totals");
        if let Some(item) = places.item {
            let TouchedItem { sums, opened } = self.items.at(item);
            let before = sums.debits - sums.credits;
            add(sums, side, minor).expect("an item's sums are within its control's");
            let after = sums.debits - sums.credits;
            if after != 0 && after.signum() != before.signum() {
                *opened = Some(date);
            }
        }
        let key = MovementKey { control: ControlKey { book: self.book, account, currency }, date };
        let movement = self.movements.place_of(key, |key| state.movement(key));
        self.movements.at(movement).add(Movement::on(side, minor));

        let SubaccountChange { sums, greatest_date, .. } = &mut self.subaccounts.at(places.subaccount).after;
        let before = *sums;
        add(sums, side, minor).expect("a subaccount's sums are within its control's");
        let shown = if planted(Bug::BalanceAfterOffByOne) { before } else { *sums };
        let greatest = greatest_date.map_or(date, |greatest| greatest.max(date));
        *greatest_date = Some(greatest);
        let (debits, credits) = (shown.debits, shown.credits);
        let Link { ordinal, previous, jump } = self.append(state, places.subaccount, at);
        let after = After { debits, credits, ordinal, greatest_date: greatest, previous, jump };
        Ok(Line { account, party, item, side, amount, currency, after })
    }

    fn add_to_totals<S: Read>(&mut self, state: &S, currency: CurrencyId, side: Side, minor: i128) -> Option<()> {
        let index = self.totals.iter().position(|total| total.0 == currency).unwrap_or_else(|| {
            self.totals.push((currency, state.total(self.book, currency)));
            self.totals.len() - 1
        });
        let total = &mut self.totals[index].1;
        let sum = match side {
            Side::Debit => &mut total.debits,
            Side::Credit => &mut total.credits,
        };
        *sum = sum.checked_add(minor).filter(|sum| *sum <= MAX_SUM)?;
        Some(())
    }

    fn reserve<S: Read>(&mut self, state: &S, reservation: &Reservation) -> Result<(), Rejection> {
        let line = DraftLine {
            account: reservation.account,
            party: reservation.party.clone(),
            item: reservation.item.clone(),
            side: reservation.side,
            amount: crate::money::Amount::new(reservation.delta.abs()).expect("a reservation's delta is not zero"),
            currency: reservation.currency,
        };
        let places = self.places(state, &line);
        let before = self.available(&places);
        if add_pending(self.controls.at(places.control), line.side, reservation.delta).is_none() {
            return Err(self.too_large(state, line.account, reservation.field));
        }
        add_pending(&mut self.subaccounts.at(places.subaccount).after.sums, line.side, reservation.delta)
            .expect("a subaccount's pending sums are within its control's");
        if let Some(item) = places.item {
            add_pending(&mut self.items.at(item).sums, line.side, reservation.delta)
                .expect("an item's pending sums are within its control's");
        }
        if reservation.delta > 0 && places.rules.guarded {
            let after = self.available(&places);
            if overdraws(before, after) {
                return Err(self.overdraft(state, line.account, line.currency, before, reservation.field));
            }
        }
        Ok(())
    }

    fn code<S: Read>(&self, state: &S, account: AccountId) -> AccountCode {
        state.account(self.book, account).expect("planned lines name accounts of the chart").code.clone()
    }

    fn too_large<S: Read>(&self, state: &S, account: AccountId, field: Field) -> Rejection {
        Rejection::new(Reason::BalanceTooLarge { account: self.code(state, account) }, field)
    }

    fn overdraft<S: Read>(
        &self,
        state: &S,
        account: AccountId,
        currency: CurrencyId,
        available: i128,
        field: Field,
    ) -> Rejection {
        let decimals = known_currency(state, self.book, currency).decimals;
        Rejection::new(Reason::Overdraft { account: self.code(state, account), available, decimals }, field)
    }
}

/// `available = balance − held`, positive on the normal side; held is what is pending on the other side.
#[must_use]
pub fn available(sums: &Sums, normal: Side) -> i128 {
    match normal {
        Side::Debit => sums.debits - sums.credits - sums.pending_credits,
        Side::Credit => sums.credits - sums.debits - sums.pending_debits,
    }
}

/// Whether what is available of a guarded balance falls below zero, or further below (docs/rules.md, chart).
pub(crate) fn overdraws(before: i128, after: i128) -> bool {
    after < before && after < 0
}

fn add(sums: &mut Sums, side: Side, minor: i128) -> Option<()> {
    let sum = match side {
        Side::Debit => &mut sums.debits,
        Side::Credit => &mut sums.credits,
    };
    *sum = sum.checked_add(minor).filter(|sum| *sum <= MAX_SUM)?;
    Some(())
}

fn add_pending(sums: &mut Sums, side: Side, delta: i128) -> Option<()> {
    let sum = match side {
        Side::Debit => &mut sums.pending_debits,
        Side::Credit => &mut sums.pending_credits,
    };
    *sum = sum.checked_add(delta).filter(|sum| *sum <= MAX_SUM)?;
    assert!(*sum >= 0, "more is released than was ever reserved");
    Some(())
}

fn write_entry_records(state: &mut impl Write, book: BookId, position: Position, entries: &[Entry]) {
    for (index, entry) in (0u32..).zip(entries) {
        state.put_entry_record(book, entry.number, EntryRecord { position, index, reversed_by: None });
        if let Some(reversed) = entry.reverses {
            let record = state.entry_record(book, reversed).expect("a reversal names an entry that exists");
            assert_eq!(record.reversed_by, None, "an entry is reversed at most once");
            state.put_entry_record(book, reversed, EntryRecord { reversed_by: Some(entry.number), ..record });
        }
    }
}

/// Writes one record with its `decided` and returns it as written.
fn write_change(state: &mut impl Write, book: BookId, position: Position, change: Change) -> Change {
    match change {
        Change::Book(mut opened) => {
            opened.decided = position;
            state.put_book(opened.clone());
            Change::Book(opened)
        }
        Change::Currency(mut currency) => {
            currency.decided = position;
            let mut totals = state.totals(book);
            totals.registered_currencies += 1;
            state.put_totals(book, totals);
            state.put_currency(book, currency.clone());
            Change::Currency(currency)
        }
        Change::Account(mut account) => {
            account.decided = position;
            let mut totals = state.totals(book);
            totals.last_account = totals.last_account.max(account.id);
            state.put_totals(book, totals);
            state.put_account(book, account.clone());
            Change::Account(account)
        }
        Change::Calendar(mut calendar) => {
            calendar.decided = position;
            state.put_calendar(book, calendar);
            Change::Calendar(calendar)
        }
        Change::Period(mut period) => {
            period.decided = position;
            state.put_period(book, period.clone());
            Change::Period(period)
        }
        Change::Rate(mut rate) => {
            rate.decided = position;
            state.put_rate(book, rate.clone());
            Change::Rate(rate)
        }
        Change::Recognised(mut recognised) => {
            recognised.decided = position;
            state.put_recognised(book, recognised.clone());
            Change::Recognised(recognised)
        }
        Change::RecognitionRun(_) | Change::Valuation(_) | Change::YearClose(_) => change,
        Change::Hold(mut hold) => {
            hold.decided = position;
            let expiring = || Expiring::Hold(hold.id.clone());
            let before = state.hold(book, &hold.id).and_then(|hold: Hold| due_at(hold.pending, hold.expires_at));
            move_expiry(state, book, before, due_at(hold.pending, hold.expires_at), expiring);
            state.put_hold(book, hold.clone());
            Change::Hold(hold)
        }
        Change::Charge(mut charge) => {
            charge.decided = position;
            state.put_charge(book, charge.clone());
            Change::Charge(charge)
        }
        Change::Payment(mut payment) => {
            payment.decided = position;
            let expiring = || Expiring::Payment(payment.id.clone());
            let before = state
                .payment(book, &payment.id)
                .and_then(|payment: Payment| due_at(payment.pending, payment.expires_at));
            move_expiry(state, book, before, due_at(payment.pending, payment.expires_at), expiring);
            state.put_payment(book, payment.clone());
            Change::Payment(payment)
        }
        Change::Refund(mut refund) => {
            refund.decided = position;
            state.put_refund(book, refund.clone());
            Change::Refund(refund)
        }
    }
}

/// When something with this much pending is due to expire.
fn due_at(pending: i128, expires_at: Option<Timestamp>) -> Option<Timestamp> {
    expires_at.filter(|_| pending > 0)
}

fn move_expiry(
    state: &mut impl Write,
    book: BookId,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    what: impl Fn() -> Expiring,
) {
    if before == after {
        return;
    }
    if let Some(at) = before {
        state.remove_expiry(&Expiry { at, book, what: what() });
    }
    if let Some(at) = after {
        state.put_expiry(Expiry { at, book, what: what() });
    }
}

fn snapshot(state: &impl Read, book: BookId, change: Change) -> Snapshot {
    match change {
        Change::Book(opened) => Snapshot::Book(opened),
        Change::Currency(currency) => Snapshot::Currency(currency),
        Change::Account(account) => Snapshot::Account(account),
        Change::Calendar(calendar) => Snapshot::Calendar(calendar),
        Change::Period(period) => Snapshot::Period(period),
        Change::Rate(rate) => Snapshot::Rate(rate),
        Change::Recognised(recognised) => Snapshot::Recognised(recognised),
        Change::RecognitionRun(run) => Snapshot::RecognitionRun(run),
        Change::Valuation(valuation) => Snapshot::Valuation(valuation),
        Change::YearClose(closed) => Snapshot::YearClose(closed),
        Change::Hold(hold) => Snapshot::Hold(hold),
        Change::Charge(charge) => {
            let open = open_amount(state, book, &charge);
            Snapshot::Charge { charge, open }
        }
        Change::Payment(payment) => {
            let unapplied = unapplied_amount(state, book, &payment);
            Snapshot::Payment { payment, unapplied }
        }
        Change::Refund(refund) => Snapshot::Refund(refund),
    }
}

fn item_key(
    book: BookId,
    account: crate::id::AccountId,
    party: &crate::id::Party,
    id: &DocumentId,
    currency: CurrencyId,
) -> ItemKey {
    ItemKey { book, account, party: Some(party.clone()), item: Item::from(id), currency }
}

/// A charge's open amount: its receivable item's balance.
#[must_use]
pub fn open_amount(state: &impl Read, book: BookId, charge: &Charge) -> i128 {
    let sums = state.item(&item_key(book, charge.receivable, &charge.customer, &charge.id, charge.currency));
    sums.debits - sums.credits
}

/// What can be applied to a charge: what is open of it and not reserved by a hold.
#[must_use]
pub fn applicable_amount(state: &impl Read, book: BookId, charge: &Charge) -> i128 {
    let sums = state.item(&item_key(book, charge.receivable, &charge.customer, &charge.id, charge.currency));
    available(&sums, Side::Debit)
}

/// A payment's unapplied amount: its unapplied-cash item's balance.
#[must_use]
pub fn unapplied_amount(state: &impl Read, book: BookId, payment: &Payment) -> i128 {
    let sums = state.item(&item_key(book, payment.unapplied, &payment.customer, &payment.id, payment.currency));
    sums.credits - sums.debits
}

/// What a payment can give back of its unapplied amount: what is not reserved by a hold.
#[must_use]
pub fn refundable_unapplied_amount(state: &impl Read, book: BookId, payment: &Payment) -> i128 {
    let sums = state.item(&item_key(book, payment.unapplied, &payment.customer, &payment.id, payment.currency));
    available(&sums, Side::Credit)
}

/// What is left of a charge's deferred item, in the functional currency; 0 where nothing was deferred.
#[must_use]
pub fn deferred_amount(state: &impl Read, book: BookId, charge: &Charge, functional: CurrencyId) -> i128 {
    let Some(account) = charge.deferred else { return 0 };
    let sums = state.item(&item_key(book, account, &charge.customer, &charge.id, functional));
    sums.credits - sums.debits
}

/// What of a charge's deferred item can be taken back: what is left and not reserved by a hold.
#[must_use]
pub fn refundable_deferred_amount(state: &impl Read, book: BookId, charge: &Charge, functional: CurrencyId) -> i128 {
    let Some(account) = charge.deferred else { return 0 };
    available(&state.item(&item_key(book, account, &charge.customer, &charge.id, functional)), Side::Credit)
}
