//! Turning a plan into state: the balances' checks first, then, where nothing can fail any more, every write.
//!
//! This and [`crate::execute`] are the only places that write tables.

use std::collections::BTreeMap;

use crate::account::{Account, ItemRule, Overdraft};
use crate::chain::PostingRef;
use crate::decision::Effects;
use crate::document::{Charge, Hold, Payment, Snapshot};
use crate::entry::{After, DraftLine, Entry, Line, Side};
use crate::id::{BookId, CurrencyId, DocumentId, EntryNumber, Item, Position};
use crate::period::PeriodId;
use crate::plan::{Change, Plan, PlannedEntry, Reservation};
use crate::planted::{Bug, planted};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::known_currency;
use crate::state::{
    BookTotals, ControlKey, EntryRecord, Expiring, Expiry, ItemKey, Movement, MovementKey, Read, Subaccount,
    SubaccountKey, Sums, Write,
};
use crate::time::{Date, Timestamp};

/// No sum of debits or credits of a book passes this, so that differences of sums never overflow.
const MAX_SUM: i128 = i128::MAX / 4;

/// The balances that a plan touches, as they will stand; nothing is written until all checks have passed.
struct Touched<'a, S> {
    state: &'a S,
    book: BookId,
    position: Position,
    next_line: u32,
    controls: BTreeMap<ControlKey, Sums>,
    subaccounts: BTreeMap<SubaccountKey, Subaccount>,
    items: BTreeMap<ItemKey, Sums>,
    /// Of the items that were at zero, or on the other side of it: since when they are not.
    opened: BTreeMap<ItemKey, Date>,
    movements: BTreeMap<MovementKey, Movement>,
    totals: BookTotals,
}

/// Checks and writes `plan`; `first_entry` is the number of its first entry.
pub(crate) fn commit<S: Write>(
    state: &mut S,
    book: BookId,
    position: Position,
    first_entry: EntryNumber,
    plan: Plan,
) -> Result<Effects, Rejection> {
    let (touched, entries) = check(&*state, book, position, first_entry, &plan)?;
    let Touched { controls, subaccounts, items, opened, movements, totals, .. } = touched;

    // After this point it must succeed.
    for (key, sums) in controls {
        state.put_control(key, sums);
    }
    for (key, subaccount) in subaccounts {
        state.put_subaccount(key, subaccount);
    }
    for (key, sums) in items {
        let opened = opened.get(&key).copied();
        state.put_item(key, sums, opened);
    }
    for (key, movement) in movements {
        state.put_movement(key, movement);
    }
    if !entries.is_empty() {
        write_entry_records(state, book, position, &entries);
        state.put_totals(book, totals);
    }
    let changed: Vec<Change> =
        plan.changes.into_iter().map(|change| write_change(state, book, position, change)).collect();
    // Snapshots last: a document's open or unapplied amount is its item's balance, which is written by now.
    let snapshots = changed.into_iter().map(|change| snapshot(state, book, change)).collect();
    Ok(Effects { entries, snapshots })
}

fn check<'a, S: Read>(
    state: &'a S,
    book: BookId,
    position: Position,
    first_entry: EntryNumber,
    plan: &Plan,
) -> Result<(Touched<'a, S>, Vec<Entry>), Rejection> {
    let mut touched = Touched {
        state,
        book,
        position,
        next_line: 0,
        controls: BTreeMap::new(),
        subaccounts: BTreeMap::new(),
        items: BTreeMap::new(),
        opened: BTreeMap::new(),
        movements: BTreeMap::new(),
        totals: state.totals(book),
    };
    check_periods(state, book, &plan.entries)?;
    for release in plan.reservations.iter().filter(|reservation| reservation.delta < 0) {
        touched.reserve(release)?;
    }
    let mut entries = Vec::with_capacity(plan.entries.len());
    let mut number = first_entry;
    for planned in &plan.entries {
        let at_index = |rejection: Rejection| Rejection { index: planned.index, ..rejection };
        assert_eq!(number, touched.totals.last_entry.next(), "entry numbers are gapless");
        entries.push(touched.post(number, planned).map_err(at_index)?);
        touched.totals.last_entry = number;
        number = number.next();
    }
    for (currency, sum) in &touched.totals.sums {
        assert_eq!(sum.debits, sum.credits, "book {book}: total debits and credits of currency {currency} differ");
    }
    for reservation in plan.reservations.iter().filter(|reservation| reservation.delta > 0) {
        touched.reserve(reservation)?;
    }
    Ok((touched, entries))
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

impl<S: Read> Touched<'_, S> {
    fn account(&self, line: &DraftLine) -> std::sync::Arc<Account> {
        self.state.account(self.book, line.account).expect("planned lines name accounts of the chart")
    }

    fn control_key(&self, line: &DraftLine) -> ControlKey {
        ControlKey { book: self.book, account: line.account, currency: line.currency }
    }

    fn subaccount_key(&self, line: &DraftLine) -> SubaccountKey {
        SubaccountKey { book: self.book, account: line.account, party: line.party.clone(), currency: line.currency }
    }

    fn item_key(&self, line: &DraftLine, item: &Item) -> ItemKey {
        ItemKey {
            book: self.book,
            account: line.account,
            party: line.party.clone(),
            item: item.clone(),
            currency: line.currency,
        }
    }

    fn subaccount(&mut self, key: SubaccountKey) -> &mut Subaccount {
        let state = self.state;
        self.subaccounts.entry(key).or_insert_with_key(|key| state.subaccount(key))
    }

    fn item(&mut self, key: ItemKey) -> &mut Sums {
        let state = self.state;
        self.items.entry(key).or_insert_with_key(|key| state.item(key))
    }

    fn control(&mut self, key: ControlKey) -> &mut Sums {
        let state = self.state;
        self.controls.entry(key).or_insert_with_key(|key| state.control(key))
    }

    /// What the guarded balance of this line can still give: the item where items are required, else the subaccount.
    fn available(&mut self, account: &Account, line: &DraftLine) -> i128 {
        let normal = account.normal_side();
        let sums = match (&line.item, account.items) {
            (Some(item), ItemRule::Required) => *self.item(self.item_key(line, item)),
            _ => self.subaccount(self.subaccount_key(line)).sums,
        };
        available(&sums, normal)
    }

    /// Posts one entry into the touched balances. Overdraft is decided on its net effect (docs/rules.md, chart).
    fn post(&mut self, number: EntryNumber, planned: &PlannedEntry) -> Result<Entry, Rejection> {
        let drafts = planned.draft.lines();
        let mut before = Vec::with_capacity(drafts.len());
        for line in drafts {
            let account = self.account(line);
            before.push(guarded(&account).then(|| self.available(&account, line)));
        }
        let mut lines = Vec::with_capacity(drafts.len());
        for (draft, field) in drafts.iter().zip(&planned.fields) {
            lines.push(self.post_line(draft, planned, *field)?);
        }
        for ((draft, field), before) in drafts.iter().zip(&planned.fields).zip(before) {
            let Some(before) = before else { continue };
            let account = self.account(draft);
            let after = self.available(&account, draft);
            if after < before && after < 0 {
                return Err(self.overdraft(&account, draft.currency, before, *field));
            }
        }
        Ok(Entry {
            number,
            rule: planned.rule,
            effective_date: planned.effective_date,
            description: planned.description.clone(),
            metadata: planned.metadata.clone(),
            reverses: planned.reverses,
            document: planned.document.clone(),
            lines,
        })
    }

    fn post_line(&mut self, draft: &DraftLine, planned: &PlannedEntry, field: Field) -> Result<Line, Rejection> {
        let at = PostingRef { position: self.position, line: self.next_line };
        self.next_line += 1;
        let (side, minor) = (draft.side, draft.amount.minor());
        let control_key = self.control_key(draft);
        let subaccount_key = self.subaccount_key(draft);
        let item_key = draft.item.as_ref().map(|item| self.item_key(draft, item));

        if self.add_to_totals(draft.currency, side, minor).is_none() {
            let account = self.account(draft);
            return Err(Rejection::new(Reason::BalanceTooLarge { account: account.code.clone() }, field));
        }
        // The book's totals bound every other sum, and they have just passed.
        let missed = planted(Bug::ControlMissesALine) && at.line % 2 == 1;
        add(self.control(control_key.clone()), side, if missed { 0 } else { minor })
            .expect("a control's sums are within the book's totals");
        if let Some(key) = item_key {
            let sums = self.item(key.clone());
            let before = sums.debits - sums.credits;
            add(sums, side, minor).expect("an item's sums are within its control's");
            let after = sums.debits - sums.credits;
            if after != 0 && after.signum() != before.signum() {
                self.opened.insert(key, planned.effective_date);
            }
        }
        let movement_key = MovementKey { control: control_key, date: planned.effective_date };
        let state = self.state;
        let movement = self.movements.entry(movement_key).or_insert_with_key(|key| state.movement(key));
        match side {
            Side::Debit => movement.debits += minor,
            Side::Credit => movement.credits += minor,
        }

        let subaccount = self.subaccount(subaccount_key);
        let before = subaccount.sums;
        add(&mut subaccount.sums, side, minor).expect("a subaccount's sums are within its control's");
        let shown = if planted(Bug::BalanceAfterOffByOne) { before } else { subaccount.sums };
        let greatest_date =
            subaccount.greatest_date.map_or(planned.effective_date, |date| date.max(planned.effective_date));
        subaccount.greatest_date = Some(greatest_date);
        let link = subaccount.chain.append(at);
        let after = After {
            debits: shown.debits,
            credits: shown.credits,
            ordinal: link.ordinal,
            greatest_date,
            previous: link.previous,
            jump: link.jump,
        };
        Ok(Line {
            account: draft.account,
            party: draft.party.clone(),
            item: draft.item.clone(),
            side,
            amount: draft.amount,
            currency: draft.currency,
            after,
        })
    }

    fn add_to_totals(&mut self, currency: CurrencyId, side: Side, minor: i128) -> Option<()> {
        let sums = &mut self.totals.sums;
        let index = match sums.binary_search_by_key(&currency, |sum| sum.0) {
            Ok(index) => index,
            Err(index) => {
                sums.insert(index, (currency, Movement::default()));
                index
            }
        };
        let sum = match side {
            Side::Debit => &mut sums[index].1.debits,
            Side::Credit => &mut sums[index].1.credits,
        };
        *sum = sum.checked_add(minor).filter(|sum| *sum <= MAX_SUM)?;
        Some(())
    }

    fn reserve(&mut self, reservation: &Reservation) -> Result<(), Rejection> {
        let line = DraftLine {
            account: reservation.account,
            party: reservation.party.clone(),
            item: reservation.item.clone(),
            side: reservation.side,
            amount: crate::money::Amount::new(reservation.delta.abs()).expect("a reservation's delta is not zero"),
            currency: reservation.currency,
        };
        let account = self.account(&line);
        let before = self.available(&account, &line);
        let control = self.control_key(&line);
        if add_pending(self.control(control), line.side, reservation.delta).is_none() {
            return Err(Rejection::new(Reason::BalanceTooLarge { account: account.code.clone() }, reservation.field));
        }
        let subaccount = self.subaccount_key(&line);
        add_pending(&mut self.subaccount(subaccount).sums, line.side, reservation.delta)
            .expect("a subaccount's pending sums are within its control's");
        if let Some(item) = &line.item {
            let item = self.item_key(&line, item);
            add_pending(self.item(item), line.side, reservation.delta)
                .expect("an item's pending sums are within its control's");
        }
        if reservation.delta > 0 && guarded(&account) {
            let after = self.available(&account, &line);
            if after < before && after < 0 {
                return Err(self.overdraft(&account, line.currency, before, reservation.field));
            }
        }
        Ok(())
    }

    fn overdraft(&self, account: &Account, currency: CurrencyId, available: i128, field: Field) -> Rejection {
        let decimals = known_currency(self.state, self.book, currency).decimals;
        Rejection::new(Reason::Overdraft { account: account.code.clone(), available, decimals }, field)
    }
}

/// Whether a balance of this account may not pass to its abnormal side.
fn guarded(account: &Account) -> bool {
    account.items == ItemRule::Required || account.overdraft == Overdraft::Forbid
}

/// `available = balance − held`, positive on the normal side; held is what is pending on the other side.
#[must_use]
pub fn available(sums: &Sums, normal: Side) -> i128 {
    match normal {
        Side::Debit => sums.debits - sums.credits - sums.pending_credits,
        Side::Credit => sums.credits - sums.debits - sums.pending_debits,
    }
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
