//! The model's frame: keys, ledger time, expiries, positions; and what posting an entry may be refused for.

use std::collections::BTreeMap;

use partita_core::account::{Account, ItemRule, Overdraft};
use partita_core::chain::PostingRef;
use partita_core::currency::Currency;
use partita_core::decision::{Command, Decision, Effects, Origin, Outcome};
use partita_core::document::{Charge, Hold, HoldState, MAX_DOCUMENT_ENTRIES, Payment, PaymentState, Refund, Snapshot};
use partita_core::entry::{DocumentRef, Entry, Metadata, Rule, Side};
use partita_core::fx::{Rate, Valuation};
use partita_core::id::{BookId, CurrencyId, EntryNumber, Key, Position};
use partita_core::operation::{Details, Operation, OperationKind};
use partita_core::period::{Calendar, Period, YearClose};
use partita_core::recognition::{Recognised, RecognitionRun};
use partita_core::rejection::{Field, Reason, Rejection};
use partita_core::time::{Date, Timestamp};

use super::ledger::{Posted, Reserved, Reserver, Row, Shelf, on};
use super::{charges, finance, holds, manual, payments, periods, refunds};

/// The greatest sum of debits, or of credits, that the ledger can hold.
const GREATEST_SUM: i128 = i128::MAX / 4;

/// What the ledger should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prediction {
    pub(crate) expired: Vec<Decision>,
    pub(crate) answer: Predicted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Predicted {
    Decided(Decision),
    Replayed(Position),
    KeyReused(Position),
}

/// An entry that an operation wishes to post.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) rule: Rule,
    pub(crate) date: Date,
    pub(crate) description: String,
    pub(crate) metadata: Metadata,
    pub(crate) reverses: Option<EntryNumber>,
    pub(crate) document: Option<DocumentRef>,
    pub(crate) rows: Vec<(Row, Field)>,
}

/// What an operation left behind beside its entries.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    Currency(Currency),
    Account(Account),
    Calendar(Calendar),
    Period(Period),
    Rate(Rate),
    Recognised(Recognised),
    RecognitionRun(RecognitionRun),
    Valuation(Valuation),
    YearClose(YearClose),
    Hold(Hold),
    Charge(Charge),
    Payment(Payment),
    Refund(Refund),
}

/// All that an operation wishes to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) drafts: Vec<Draft>,
    /// What the reserver keeps back from now on (nothing: it is released), and the fields of its two sides.
    pub(crate) reserve: Option<(Reserver, Option<Reserved>, [Field; 2])>,
    pub(crate) things: Vec<Thing>,
}

/// What a rule knows beside its book and its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) position: Position,
    pub(crate) today: Date,
    /// Before the command and what expired with it.
    pub(crate) journal: Position,
}

impl Moment {
    pub(crate) fn date(&self, details: &Details) -> Date {
        details.effective_date.unwrap_or(self.today)
    }
}

/// The whole ledger, naively.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) shelves: Vec<Shelf>,
    pub(crate) keys: BTreeMap<(BookId, Key), (Operation, Position)>,
    pub(crate) position: Position,
    pub(crate) time: Timestamp,
    pub(crate) journal: Vec<Decision>,
}

impl Model {
    pub(crate) fn shelf(&self, id: BookId) -> &Shelf {
        &self.shelves[usize::try_from(id.0).unwrap() - 1]
    }

    fn shelf_mut(&mut self, id: BookId) -> &mut Shelf {
        &mut self.shelves[usize::try_from(id.0).unwrap() - 1]
    }

    /// Decides a command and says what the ledger should have answered.
    pub(crate) fn decide(&mut self, command: &Command) -> Prediction {
        if let Some((operation, position)) = self.keys.get(&(command.book, command.key.clone())) {
            let same = *operation == command.operation;
            let answer = if same { Predicted::Replayed(*position) } else { Predicted::KeyReused(*position) };
            return Prediction { expired: vec![], answer };
        }
        let journal = self.position;
        let mut expired = vec![];
        let now = loop {
            let now = Timestamp(command.stamp.0.max(self.time.0 + 1));
            let Some((book, reserver)) = self.first_due(now) else { break now };
            expired.push(self.expire(book, &reserver, now));
        };
        let position = Position(self.position.0 + 1);
        let outcome = match self.run(command, position, journal) {
            Ok(effects) => Outcome::Accepted(effects),
            Err(rejection) => Outcome::Refused(rejection),
        };
        self.keys.insert((command.book, command.key.clone()), (command.operation.clone(), position));
        let origin = Origin::Request {
            key: command.key.clone(),
            fingerprint: command.fingerprint,
            actor: command.actor.clone(),
        };
        let operation = command.operation.kind();
        let decision = Decision { position, recorded_at: now, book: command.book, origin, operation, outcome };
        self.record(&decision);
        Prediction { expired, answer: Predicted::Decided(decision) }
    }

    fn record(&mut self, decision: &Decision) {
        self.position = decision.position;
        self.time = decision.recorded_at;
        self.journal.push(decision.clone());
    }

    /// What expires first among all that is due: by instant, then book, holds before payments, then id.
    fn first_due(&self, now: Timestamp) -> Option<(BookId, Reserver)> {
        let mut due = vec![];
        for shelf in &self.shelves {
            for reserver in shelf.reserved.keys() {
                let at = match reserver {
                    Reserver::Hold(id) => shelf.holds[id].expires_at,
                    Reserver::Payment(id) => shelf.payments[id].expires_at,
                };
                if let Some(at) = at.filter(|at| *at <= now) {
                    due.push((at, shelf.book.id, reserver.clone()));
                }
            }
        }
        due.into_iter().min().map(|(_, book, reserver)| (book, reserver))
    }

    fn expire(&mut self, book: BookId, reserver: &Reserver, now: Timestamp) -> Decision {
        let position = Position(self.position.0 + 1);
        let shelf = self.shelf_mut(book);
        shelf.reserved.remove(reserver);
        let (operation, snapshot) = match reserver {
            Reserver::Hold(id) => {
                let hold = shelf.holds.get_mut(id).expect("its reservation was there");
                hold.pending = 0;
                hold.state = if hold.captured == 0 { HoldState::Expired } else { HoldState::Captured };
                hold.decided = position;
                (OperationKind::ExpireHold, Snapshot::Hold(hold.clone()))
            }
            Reserver::Payment(id) => {
                let payment = shelf.payments.get_mut(id).expect("its reservation was there");
                payment.pending = 0;
                payment.state = if payment.captured == 0 { PaymentState::Expired } else { PaymentState::Captured };
                payment.decided = position;
                let payment = payment.clone();
                (OperationKind::ExpirePayment, shelf.snapshot(&Thing::Payment(payment)))
            }
        };
        let outcome = Outcome::Accepted(Effects { entries: vec![], snapshots: vec![snapshot] });
        let decision = Decision { position, recorded_at: now, book, origin: Origin::Internal, operation, outcome };
        self.record(&decision);
        decision
    }

    fn run(&mut self, command: &Command, position: Position, journal: Position) -> Result<Effects, Rejection> {
        if let Operation::OpenBook(operation) = &command.operation {
            return manual::open_book(self, operation, None, position);
        }
        if let Operation::OpenFiscalBook(operation) = &command.operation {
            return manual::open_book(self, &operation.book, Some(operation.first_month), position);
        }
        let moment = Moment { position, today: command.today, journal };
        let shelf = self.shelf_mut(command.book);
        if let Operation::PostEntries(entries) = &command.operation {
            return shelf.all_or_none(&moment, entries, manual::post_entry);
        }
        if let Operation::Transfers(transfers) = &command.operation {
            return shelf.all_or_none(&moment, transfers, manual::transfer);
        }
        let wish = wish(shelf, &moment, &command.operation)?;
        wish.drafts.iter().try_for_each(|draft| sums_fit(shelf, draft))?;
        wish.drafts.iter().try_for_each(|draft| shelf.check_date(draft))?;
        let mut effects = Effects::default();
        shelf.fulfil(&wish, position, &mut effects)?;
        Ok(effects)
    }
}

fn wish(shelf: &Shelf, moment: &Moment, operation: &Operation) -> Result<Wish, Rejection> {
    match operation {
        Operation::OpenBook(_) | Operation::OpenFiscalBook(_) | Operation::PostEntries(_) | Operation::Transfers(_) => {
            unreachable!("decided elsewhere")
        }
        Operation::RegisterCurrency(operation) => manual::register_currency(shelf, moment, operation),
        Operation::OpenAccount(operation) => manual::open_account(shelf, moment, operation),
        Operation::CloseAccount(code) => manual::close_account(shelf, moment, code),
        Operation::PostEntry(operation) => manual::post_entry(shelf, moment, operation),
        Operation::Transfer(operation) => manual::transfer(shelf, moment, operation),
        Operation::ReverseEntry(operation) => manual::reverse(shelf, moment, operation),
        Operation::PlaceHold(operation) => holds::place(shelf, moment, operation),
        Operation::CaptureHold(operation) => holds::capture(shelf, moment, operation),
        Operation::VoidHold(operation) => holds::void(shelf, moment, operation),
        Operation::CreateCharge(operation) => charges::create(shelf, moment, operation),
        Operation::VoidCharge(operation) => charges::void(shelf, moment, operation),
        Operation::CreatePayment(operation) => payments::create(shelf, moment, operation),
        Operation::CapturePayment(operation) => payments::capture(shelf, moment, operation),
        Operation::VoidPayment(operation) => payments::void(shelf, moment, operation),
        Operation::ApplyPayment(operation) => payments::apply(shelf, moment, operation),
        Operation::UnapplyPayment(operation) => payments::unapply(shelf, moment, operation),
        Operation::PostPaymentFee(operation) => payments::fee(shelf, moment, operation),
        Operation::CreateRefund(operation) => refunds::create(shelf, moment, operation),
        Operation::SettleRefund(operation) => refunds::settle(shelf, moment, operation),
        Operation::FailRefund(operation) => refunds::fail(shelf, moment, operation),
        Operation::SoftClosePeriod(operation) => periods::soft_close(shelf, moment, operation),
        Operation::ClosePeriod(operation) => periods::close(shelf, moment, operation),
        Operation::ReopenPeriod(operation) => periods::reopen(shelf, moment, operation),
        Operation::Recognise(operation) => finance::recognise(shelf, moment, operation),
        Operation::RecordRate(operation) => finance::record_rate(shelf, moment, operation),
        Operation::Convert(operation) => finance::convert(shelf, moment, operation),
        Operation::Revalue(operation) => finance::revalue(shelf, moment, operation),
        Operation::CloseYear(operation) => finance::close_year(shelf, moment, operation),
    }
}

pub(crate) fn refuse<T>(reason: Reason, field: Field) -> Result<T, Rejection> {
    Err(Rejection { reason, field, index: None })
}

/// A document gathers so many entries at most.
pub(crate) fn gather(entries: &mut Vec<EntryNumber>, number: EntryNumber) -> Result<(), Rejection> {
    if entries.len() >= MAX_DOCUMENT_ENTRIES {
        return refuse(Reason::DocumentFull, Field::Whole);
    }
    entries.push(number);
    Ok(())
}

impl Shelf {
    fn all_or_none<T>(
        &mut self,
        moment: &Moment,
        elements: &[T],
        rule: impl Fn(&Self, &Moment, &T) -> Result<Wish, Rejection>,
    ) -> Result<Effects, Rejection> {
        let mut effects = Effects::default();
        let mut wishes = vec![];
        for (index, element) in (0..).zip(elements) {
            let wish = rule(self, moment, element).and_then(|wish| {
                wish.drafts.iter().try_for_each(|draft| sums_fit(self, draft))?;
                Ok(wish)
            });
            wishes.push(wish.map_err(|rejection| Rejection { index: Some(index), ..rejection })?);
        }
        for (index, wish) in (0..).zip(&wishes) {
            wish.drafts
                .iter()
                .try_for_each(|draft| self.check_date(draft))
                .map_err(|rejection| Rejection { index: Some(index), ..rejection })?;
        }
        for (index, wish) in (0..).zip(wishes) {
            if let Err(mut rejection) = self.fulfil(&wish, moment.position, &mut effects) {
                effects.entries.iter().for_each(|_| self.unpost_last());
                rejection.index = Some(index);
                return Err(rejection);
            }
        }
        Ok(effects)
    }

    /// Does what was wished, or nothing.
    fn fulfil(&mut self, wish: &Wish, position: Position, effects: &mut Effects) -> Result<(), Rejection> {
        let before = self.reserved.clone();
        let posted_before = self.entries.len();
        let done = self.try_fulfil(wish, position, effects);
        if done.is_err() {
            self.reserved = before;
            while self.entries.len() > posted_before {
                self.unpost_last();
                effects.entries.pop();
            }
        }
        done
    }

    fn try_fulfil(&mut self, wish: &Wish, position: Position, effects: &mut Effects) -> Result<(), Rejection> {
        if let Some((reserver, reserved, fields)) = &wish.reserve {
            self.reserve(reserver, reserved.as_ref(), *fields)?;
        }
        for draft in &wish.drafts {
            self.check_balances(draft)?;
            let entry = self.post(draft, position, effects);
            effects.entries.push(entry);
        }
        for thing in &wish.things {
            self.keep(thing);
        }
        effects.snapshots.extend(wish.things.iter().map(|thing| self.snapshot(thing)));
        Ok(())
    }

    fn keep(&mut self, thing: &Thing) {
        match thing.clone() {
            Thing::Currency(currency) => self.currencies.push(currency),
            Thing::Account(account) => {
                self.accounts.retain(|kept| kept.id != account.id);
                self.accounts.push(account);
                self.accounts.sort_by_key(|kept| kept.id);
            }
            Thing::Calendar(calendar) => self.calendar = calendar,
            Thing::Period(period) => drop(self.periods.insert(period.id, period)),
            Thing::Rate(rate) => drop(self.rates.insert((rate.base, rate.quote, rate.date), rate)),
            Thing::Recognised(recognised) => drop(self.recognised.insert(recognised.charge.clone(), recognised)),
            Thing::RecognitionRun(_) | Thing::Valuation(_) | Thing::YearClose(_) => {}
            Thing::Hold(hold) => drop(self.holds.insert(hold.id.clone(), hold)),
            Thing::Charge(charge) => drop(self.charges.insert(charge.id.clone(), charge)),
            Thing::Payment(payment) => drop(self.payments.insert(payment.id.clone(), payment)),
            Thing::Refund(refund) => drop(self.refunds.insert(refund.id.clone(), refund)),
        }
    }

    fn snapshot(&self, thing: &Thing) -> Snapshot {
        match thing.clone() {
            Thing::Currency(currency) => Snapshot::Currency(currency),
            Thing::Account(account) => Snapshot::Account(account),
            Thing::Calendar(calendar) => Snapshot::Calendar(calendar),
            Thing::Period(period) => Snapshot::Period(period),
            Thing::Rate(rate) => Snapshot::Rate(rate),
            Thing::Recognised(recognised) => Snapshot::Recognised(recognised),
            Thing::RecognitionRun(run) => Snapshot::RecognitionRun(run),
            Thing::Valuation(valuation) => Snapshot::Valuation(valuation),
            Thing::YearClose(closed) => Snapshot::YearClose(closed),
            Thing::Hold(hold) => Snapshot::Hold(hold),
            Thing::Charge(charge) => {
                let open = self.item_balance(charge.receivable, &charge.customer, &charge.id, charge.currency);
                Snapshot::Charge { charge, open }
            }
            Thing::Payment(payment) => {
                let unapplied = self.item_balance(payment.unapplied, &payment.customer, &payment.id, payment.currency);
                Snapshot::Payment { payment, unapplied }
            }
            Thing::Refund(refund) => Snapshot::Refund(refund),
        }
    }

    fn post(&mut self, draft: &Draft, position: Position, effects: &Effects) -> Entry {
        let number = self.next_entry();
        let first: usize = effects.entries.iter().map(|entry| entry.lines.len()).sum();
        let places = (u32::try_from(first).unwrap()..).map(|line| PostingRef { position, line });
        let lines =
            draft.rows.iter().zip(places).map(|((row, _), place)| self.post_line(row, draft.date, place)).collect();
        let entry = Entry {
            number,
            rule: draft.rule,
            effective_date: draft.date,
            description: draft.description.clone(),
            metadata: draft.metadata.clone(),
            reverses: draft.reverses,
            document: draft.document.clone(),
            lines,
        };
        if let Some(reversed) = draft.reverses {
            self.entries[usize::try_from(reversed.0).unwrap() - 1].reversed_by = Some(number);
        }
        let index = u32::try_from(effects.entries.len()).unwrap();
        self.entries.push(Posted { entry: entry.clone(), position, index, reversed_by: None });
        entry
    }

    /// What a line's guarded balance holds and what of it is free; `None` where nothing guards the account.
    fn free(&self, row: &Row) -> Option<i128> {
        let account = self.account(row.account);
        let required = account.items == ItemRule::Required;
        if !required && account.overdraft == Overdraft::Allow {
            return None;
        }
        let (money, pending) = if required {
            let item = row.item.clone().expect("required items are there");
            let money = self.item(&(row.account, row.party.clone(), item, row.currency));
            let pending = self.pending(row.currency, |end| {
                end.account == row.account && end.party == row.party && end.item == row.item
            });
            (money, pending)
        } else {
            let money = self.subaccount(&(row.account, row.party.clone(), row.currency));
            (money, self.pending(row.currency, |end| end.account == row.account && end.party == row.party))
        };
        let normal = account.normal_side();
        let held = match normal {
            Side::Debit => pending.1,
            Side::Credit => pending.0,
        };
        Some(on(normal, money) - held)
    }

    fn same_guard(&self, one: &Row, other: &Row) -> bool {
        let items = self.account(one.account).items == ItemRule::Required;
        one.account == other.account
            && one.party == other.party
            && one.currency == other.currency
            && (!items || one.item == other.item)
    }

    /// No sum may grow too large, and then, line by line, a guarded balance must bear the entry's net effect.
    fn check_balances(&self, draft: &Draft) -> Result<(), Rejection> {
        sums_fit(self, draft)?;
        let mut controls = self.controls.clone();
        let mut totals = self.totals.clone();
        for (row, field) in &draft.rows {
            let sums =
                [controls.entry((row.account, row.currency)).or_default(), totals.entry(row.currency).or_default()];
            for sum in sums {
                let side = if row.side == Side::Debit { &mut sum.0 } else { &mut sum.1 };
                *side += row.amount;
                if *side > GREATEST_SUM {
                    let account = self.account(row.account).code.clone();
                    return refuse(Reason::BalanceTooLarge { account }, *field);
                }
            }
        }
        for (row, field) in &draft.rows {
            let normal = self.account(row.account).normal_side();
            let Some(available) = self.free(row) else { continue };
            let same = draft.rows.iter().filter(|(other, _)| self.same_guard(row, other));
            let net: i128 =
                same.map(|(other, _)| if other.side == normal { other.amount } else { -other.amount }).sum();
            if net < 0 && available + net < 0 {
                return self.overdraft(row, available, *field);
            }
        }
        Ok(())
    }

    fn overdraft<T>(&self, row: &Row, available: i128, field: Field) -> Result<T, Rejection> {
        let account = self.account(row.account).code.clone();
        refuse(Reason::Overdraft { account, available, decimals: self.decimals(row.currency) }, field)
    }

    fn reserve(
        &mut self,
        reserver: &Reserver,
        reserved: Option<&Reserved>,
        fields: [Field; 2],
    ) -> Result<(), Rejection> {
        let before = self.reserved.remove(reserver).map_or(0, |reserved| reserved.amount);
        let Some(reserved) = reserved else { return Ok(()) };
        if reserved.amount > before {
            let sides = [(&reserved.debit, Side::Debit, fields[0]), (&reserved.credit, Side::Credit, fields[1])];
            for (end, side, field) in sides {
                let row = Row {
                    account: end.account,
                    party: end.party.clone(),
                    item: end.item.clone(),
                    side,
                    amount: reserved.amount,
                    currency: reserved.currency,
                };
                let abnormal = self.account(end.account).normal_side() != side;
                if let Some(available) = self.free(&row).filter(|available| abnormal && *available < reserved.amount) {
                    return self.overdraft(&row, available, field);
                }
            }
        }
        self.reserved.insert(reserver.clone(), reserved.clone());
        Ok(())
    }
}

/// One entry's own sums must be numbers at all, before any balance is looked at.
fn sums_fit(shelf: &Shelf, draft: &Draft) -> Result<(), Rejection> {
    let mut sums: BTreeMap<(CurrencyId, Side), i128> = BTreeMap::new();
    for (row, field) in &draft.rows {
        let sum = sums.entry((row.currency, row.side)).or_default();
        match sum.checked_add(row.amount) {
            Some(larger) => *sum = larger,
            None => {
                let account = shelf.account(row.account).code.clone();
                return refuse(Reason::BalanceTooLarge { account }, *field);
            }
        }
    }
    Ok(())
}
