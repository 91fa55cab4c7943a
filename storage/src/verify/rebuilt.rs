//! Everything the tables should hold, rebuilt from decisions one after the other.
//!
//! Sums, pointers, numbers and pending amounts are computed here from the journal's lines and snapshots, without the
//! code that decided or applied them, and what a decision says about itself is checked on the way. A document's row
//! is its last snapshot; of those only a digest is kept.

use std::collections::{BTreeMap, BTreeSet};

use partita_core::account::{Account, Book, ItemRule};
use partita_core::chain::PostingRef;
use partita_core::currency::Currency;
use partita_core::decision::{Decision, Effects, Origin, Outcome};
use partita_core::document::{Charge, Hold, Payment, Snapshot, Source};
use partita_core::entry::{DocumentRef, Entry, Line, Side};
use partita_core::fx::Rate;
use partita_core::id::{AccountId, BookId, CurrencyId, DocumentId, EntryNumber, Item, Party, Position};
use partita_core::operation::OperationKind;
use partita_core::period::{Calendar, JournalHead, Period, PeriodId};
use partita_core::recognition::Recognised;
use partita_core::rejection::Reason;
use partita_core::state::{
    BookTotals, ControlKey, EntryRecord, Expiring, Expiry, Head, ItemKey, Movement, MovementKey, SubaccountKey, Sums,
};
use partita_core::time::{Date, Timestamp};

use super::postings::{Postings, add, add_pending};
use super::report::Report;
use crate::codec::keys::{CustomerKey, DocumentKind, RateKey};
use crate::codec::{Stored, encode_record};
use crate::tree::{Frontier, leaf};

/// The first bytes of a record's BLAKE3.
pub(super) type Digest = [u8; 16];

pub(super) fn digest(record: &[u8]) -> Digest {
    let hash = blake3::hash(record);
    let (head, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
    *head
}

/// What is remembered of a document.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// Of the document's record.
    pub(super) digest: Digest,
    /// The decision whose snapshot the row must equal.
    pub(super) decided: Position,
    pending: i128,
    expires_at: Option<Timestamp>,
}

type Documents = BTreeMap<(BookId, DocumentId), Trace>;

/// How much was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) decisions: u64,
    pub(super) refusals: u64,
    pub(super) expiries: u64,
    pub(super) entries: u64,
    pub(super) lines: u64,
    pub(super) snapshots: u64,
    pub(super) seals: u64,
}

/// The tables as the journal says they are.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    pub(super) head: Head,
    pub(super) tree: Frontier,
    pub(super) trees: BTreeMap<BookId, Frontier>,
    pub(super) books: BTreeMap<BookId, Book>,
    pub(super) currencies: BTreeMap<(BookId, CurrencyId), Currency>,
    pub(super) accounts: BTreeMap<(BookId, AccountId), Account>,
    pub(super) totals: BTreeMap<BookId, BookTotals>,
    pub(super) controls: BTreeMap<ControlKey, Sums>,
    pub(super) subaccounts: BTreeMap<SubaccountKey, Postings>,
    pub(super) items: BTreeMap<ItemKey, Sums>,
    /// The date of the posting that last took an item off zero, or over it.
    pub(super) opened: BTreeMap<ItemKey, Date>,
    pub(super) movements: BTreeMap<MovementKey, Movement>,
    pub(super) calendars: BTreeMap<BookId, Calendar>,
    pub(super) periods: BTreeMap<(BookId, PeriodId), Period>,
    pub(super) rates: BTreeMap<RateKey, Rate>,
    pub(super) recognitions: BTreeMap<(BookId, DocumentId), Recognised>,
    /// What each charge deferred, per line in the functional currency.
    deferred: BTreeMap<(BookId, DocumentId), Vec<i128>>,
    pub(super) entries: BTreeMap<(BookId, EntryNumber), EntryRecord>,
    pub(super) holds: Documents,
    pub(super) charges: Documents,
    pub(super) payments: Documents,
    pub(super) refunds: Documents,
    pub(super) customers: BTreeSet<CustomerKey>,
    pub(super) expiries: BTreeSet<Expiry>,
    /// The journal before the command that the next decisions belong to; `None`: as it is.
    pub(super) before_expiries: Option<Frontier>,
    /// The journal before the newest command.
    pub(super) before_command: Option<JournalHead>,
    pub(super) seen: Seen,
}

/// An (account, party, item) of a book in a currency.
struct Place<'a> {
    book: BookId,
    account: AccountId,
    party: Option<&'a Party>,
    item: Option<&'a Item>,
    currency: CurrencyId,
}

impl Place<'_> {
    fn control(&self) -> ControlKey {
        ControlKey { book: self.book, account: self.account, currency: self.currency }
    }

    fn subaccount(&self) -> SubaccountKey {
        let party = self.party.cloned();
        SubaccountKey { book: self.book, account: self.account, party, currency: self.currency }
    }

    fn item(&self) -> Option<ItemKey> {
        let item = self.item?.clone();
        let party = self.party.cloned();
        Some(ItemKey { book: self.book, account: self.account, party, item, currency: self.currency })
    }
}

impl Rebuilt {
    /// Takes the next decision in, with its canonical bytes.
    pub(super) fn apply(&mut self, decision: &Decision, bytes: &[u8], report: &mut Report) {
        let position = decision.position;
        self.check_order(decision, report);
        self.check_origin(decision, report);
        self.note_journal_head(decision);
        self.head.position = position;
        self.head.time = decision.recorded_at;
        let hash = leaf(bytes);
        self.tree.push(hash);
        self.trees.entry(decision.book).or_default().push(hash);
        self.seen.decisions += 1;
        match &decision.outcome {
            Outcome::Accepted(effects) => self.accept(decision, effects, report),
            Outcome::Refused(rejection) => {
                self.seen.refusals += 1;
                if let Reason::AlreadyExists { decided_at, .. } = &rejection.reason
                    && *decided_at >= position
                {
                    report.differ("journal", at(position, "refusal"), "an earlier decision", decided_at);
                }
            }
        }
    }

    fn check_order(&self, decision: &Decision, report: &mut Report) {
        let position = decision.position;
        report.same("journal", at(position, "position"), &self.head.position.next(), &position);
        if decision.recorded_at <= self.head.time && self.seen.decisions > 0 {
            report.differ(
                "journal",
                at(position, "ledger time"),
                format_args!("after {:?}", self.head.time),
                format_args!("{:?}", decision.recorded_at),
            );
        }
        let is_known = decision.book == BookId::CLUSTER || self.books.contains_key(&decision.book);
        if !is_known {
            report.differ("journal", at(position, "book"), "a book that was opened", decision.book);
        }
    }

    /// Callers' decisions come when nothing is due any more, the ledger's own when exactly that is due.
    fn check_origin(&mut self, decision: &Decision, report: &mut Report) {
        let position = decision.position;
        let due = self.expiries.first().filter(|expiry| expiry.at <= decision.recorded_at);
        let is_expiry = match decision.operation {
            OperationKind::ExpireHold | OperationKind::ExpirePayment => true,
            OperationKind::OpenBook
            | OperationKind::RegisterCurrency
            | OperationKind::OpenAccount
            | OperationKind::CloseAccount
            | OperationKind::PostEntry
            | OperationKind::PostEntries
            | OperationKind::Transfer
            | OperationKind::Transfers
            | OperationKind::ReverseEntry
            | OperationKind::PlaceHold
            | OperationKind::CaptureHold
            | OperationKind::VoidHold
            | OperationKind::CreateCharge
            | OperationKind::VoidCharge
            | OperationKind::CreatePayment
            | OperationKind::CapturePayment
            | OperationKind::VoidPayment
            | OperationKind::ApplyPayment
            | OperationKind::UnapplyPayment
            | OperationKind::PostPaymentFee
            | OperationKind::CreateRefund
            | OperationKind::SettleRefund
            | OperationKind::FailRefund
            | OperationKind::SoftClosePeriod
            | OperationKind::ClosePeriod
            | OperationKind::ReopenPeriod
            | OperationKind::Recognise
            | OperationKind::RecordRate
            | OperationKind::Convert
            | OperationKind::Revalue
            | OperationKind::CloseYear => false,
        };
        match (&decision.origin, is_expiry) {
            (Origin::Request { .. }, false) => {
                if let Some(due) = due {
                    report.differ(
                        "journal",
                        at(position, "expiry"),
                        format_args!("{due:?} first"),
                        "a caller's request",
                    );
                }
            }
            (Origin::Internal, true) => {
                let found = expired(decision);
                let is_due = due.is_some_and(|due| due.book == decision.book && found.as_ref() == Some(&due.what));
                if !is_due {
                    report.differ(
                        "journal",
                        at(position, "expiry"),
                        format_args!("{due:?}"),
                        format_args!("{found:?}"),
                    );
                }
                self.seen.expiries += 1;
            }
            (Origin::Request { .. }, true) | (Origin::Internal, false) => {
                let found = format_args!("{:?} of {:?}", decision.operation, decision.origin);
                report.differ("journal", at(position, "origin"), "a caller's request or an expiry", found);
            }
        }
    }

    fn accept(&mut self, decision: &Decision, effects: &Effects, report: &mut Report) {
        let position = decision.position;
        let mut next_line = 0;
        for (index, entry) in (0u32..).zip(&effects.entries) {
            self.number(decision, entry, index, report);
            for line in &entry.lines {
                let here = PostingRef { position, line: next_line };
                next_line += 1;
                self.post(decision.book, entry, line, here, report);
            }
            check_balance(position, entry, report);
            self.check_date(decision.book, position, entry, report);
        }
        let mut book = decision.book;
        for snapshot in &effects.snapshots {
            if let Snapshot::Book(opened) = snapshot {
                book = opened.id;
            }
            self.keep(book, position, snapshot, report);
            self.seen.snapshots += 1;
        }
        for snapshot in &effects.snapshots {
            self.check_snapshot(book, decision, effects, snapshot, report);
        }
    }

    fn number(&mut self, decision: &Decision, entry: &Entry, index: u32, report: &mut Report) {
        let (book, position) = (decision.book, decision.position);
        self.seen.entries += 1;
        let totals = self.totals.entry(book).or_default();
        report.same("journal", at(position, "entry number"), &totals.last_entry.next(), &entry.number);
        totals.last_entry = entry.number;
        let record = EntryRecord { position, index, reversed_by: None };
        self.entries.insert((book, entry.number), record);
        let Some(reversed) = entry.reverses else { return };
        match self.entries.get_mut(&(book, reversed)) {
            Some(record) if record.reversed_by.is_none() && reversed < entry.number => {
                record.reversed_by = Some(entry.number);
            }
            Some(_) | None => {
                report.differ("journal", at(position, "reversal"), "an earlier entry, not reversed yet", reversed);
            }
        }
    }

    fn post(&mut self, book: BookId, entry: &Entry, line: &Line, here: PostingRef, report: &mut Report) {
        self.seen.lines += 1;
        let Line { account, party, item, side, amount, currency, after } = line;
        let place = Place { book, account: *account, party: party.as_ref(), item: item.as_ref(), currency: *currency };
        self.check_chart(&place, here, report);
        let minor = amount.minor();
        add(self.controls.entry(place.control()).or_default(), *side, minor);
        if let Some(key) = place.item() {
            let sums = self.items.entry(key.clone()).or_default();
            let before = sums.debits.cmp(&sums.credits);
            add(sums, *side, minor);
            if sums.debits.cmp(&sums.credits) != before && sums.debits != sums.credits {
                self.opened.insert(key, entry.effective_date);
            }
        }
        let key = MovementKey { control: place.control(), date: entry.effective_date };
        move_by(self.movements.entry(key).or_default(), *side, minor);
        let sums = &mut self.totals.entry(book).or_default().sums;
        let index = sums.partition_point(|sum| sum.0 < *currency);
        if sums.get(index).is_none_or(|sum| sum.0 != *currency) {
            sums.insert(index, (*currency, Movement::default()));
        }
        move_by(&mut sums[index].1, *side, minor);
        let subaccount = self.subaccounts.entry(place.subaccount()).or_default();
        let expected = subaccount.post(here, *side, minor, entry.effective_date);
        report.same("journal", format_args!("position {}, line {}", here.position, here.line), &expected, after);
    }

    /// The rules of the chart that every line keeps (docs/rules.md, rule 1).
    fn check_chart(&self, place: &Place<'_>, here: PostingRef, report: &mut Report) {
        let Some(account) = self.accounts.get(&(place.book, place.account)) else {
            report.differ("journal", at(here.position, "account"), "an account of the chart", place.account);
            return;
        };
        let item_fits = match account.items {
            ItemRule::None => place.item.is_none(),
            ItemRule::Optional => true,
            ItemRule::Required => place.item.is_some(),
        };
        let fits = !account.closed
            && account.party.is_some() == place.party.is_some()
            && item_fits
            && account.currencies.allows(place.currency);
        if !fits {
            let found = format_args!("party {:?}, item {:?}, currency {}", place.party, place.item, place.currency);
            report.differ("journal", at(here.position, "line"), format_args!("what {account:?} takes"), found);
        }
    }

    /// Takes a snapshot in as the row it says there is.
    fn keep(&mut self, book: BookId, position: Position, snapshot: &Snapshot, report: &mut Report) {
        let customer = |customer: &Party, kind, id: &DocumentId| CustomerKey {
            book,
            customer: customer.clone(),
            kind,
            id: id.clone(),
        };
        match snapshot {
            Snapshot::Book(opened) => {
                report.same("journal", at(position, "book number"), &BookId(self.head.last_book.0 + 1), &opened.id);
                self.head.last_book = opened.id;
                self.books.insert(opened.id, opened.clone());
            }
            Snapshot::Currency(currency) => {
                self.totals.entry(book).or_default().registered_currencies += 1;
                self.currencies.insert((book, currency.id), currency.clone());
            }
            Snapshot::Account(account) => {
                let totals = self.totals.entry(book).or_default();
                totals.last_account = totals.last_account.max(account.id);
                self.accounts.insert((book, account.id), account.clone());
            }
            Snapshot::Calendar(calendar) => {
                self.check_calendar(book, position, calendar, report);
                self.calendars.insert(book, *calendar);
            }
            Snapshot::Period(period) => {
                self.periods.insert((book, period.id), period.clone());
            }
            Snapshot::Rate(rate) => {
                let key = RateKey { book, base: rate.base, quote: rate.quote, date: rate.date };
                self.rates.insert(key, rate.clone());
            }
            Snapshot::Recognised(recognised) => {
                self.recognitions.insert((book, recognised.charge.clone()), recognised.clone());
            }
            // Kept in their decisions only.
            Snapshot::RecognitionRun(_) | Snapshot::Valuation(_) | Snapshot::YearClose(_) => {}
            Snapshot::Hold(hold) => self.keep_hold(book, hold),
            Snapshot::Charge { charge, .. } => {
                self.customers.insert(customer(&charge.customer, DocumentKind::Charge, &charge.id));
                self.deferred.entry((book, charge.id.clone())).or_insert_with(|| deferred_of(charge));
                self.charges.insert((book, charge.id.clone()), trace(charge, charge.decided, 0, None));
            }
            Snapshot::Payment { payment, .. } => {
                self.customers.insert(customer(&payment.customer, DocumentKind::Payment, &payment.id));
                self.keep_payment(book, payment);
            }
            Snapshot::Refund(refund) => {
                self.customers.insert(customer(&refund.customer, DocumentKind::Refund, &refund.id));
                self.refunds.insert((book, refund.id.clone()), trace(refund, refund.decided, 0, None));
            }
        }
    }

    fn keep_hold(&mut self, book: BookId, hold: &Hold) {
        let key = (book, hold.id.clone());
        let new = trace(hold, hold.decided, hold.pending, hold.expires_at);
        let delta = self.change_expiry(book, self.holds.get(&key).cloned(), &new, Expiring::Hold(hold.id.clone()));
        self.holds.insert(key, new);
        for (endpoint, side) in [(&hold.debit, Side::Debit), (&hold.credit, Side::Credit)] {
            let place = Place {
                book,
                account: endpoint.account,
                party: endpoint.party.as_ref(),
                item: endpoint.item.as_ref(),
                currency: hold.currency,
            };
            self.reserve(&place, side, delta);
        }
    }

    /// An authorisation is pending at the source and in unapplied cash; its item stands where the account keeps items.
    fn keep_payment(&mut self, book: BookId, payment: &Payment) {
        let key = (book, payment.id.clone());
        let new = trace(payment, payment.decided, payment.pending, payment.expires_at);
        let before = self.payments.get(&key).cloned();
        let delta = self.change_expiry(book, before, &new, Expiring::Payment(payment.id.clone()));
        self.payments.insert(key, new);
        let (account, party) = match &payment.source {
            Source::Processor { account, processor } => (*account, Some(processor)),
            Source::Account(account) => (*account, None),
        };
        let item = Item::from(&payment.id);
        let keeps_items = self.accounts.get(&(book, account)).is_some_and(|account| account.items != ItemRule::None);
        let currency = payment.currency;
        let source = Place { book, account, party, item: keeps_items.then_some(&item), currency };
        self.reserve(&source, Side::Debit, delta);
        let (party, item) = (Some(&payment.customer), Some(&item));
        self.reserve(&Place { book, account: payment.unapplied, party, item, currency }, Side::Credit, delta);
    }

    /// Moves a document's expiry and says by how much its pending amount changed.
    fn change_expiry(&mut self, book: BookId, before: Option<Trace>, after: &Trace, what: Expiring) -> i128 {
        let due = |trace: &Trace| trace.expires_at.filter(|_| trace.pending > 0);
        if let Some(at) = before.as_ref().and_then(due) {
            self.expiries.remove(&Expiry { at, book, what: what.clone() });
        }
        if let Some(at) = due(after) {
            self.expiries.insert(Expiry { at, book, what });
        }
        after.pending.saturating_sub(before.map_or(0, |trace| trace.pending))
    }

    fn reserve(&mut self, place: &Place<'_>, side: Side, delta: i128) {
        if delta == 0 {
            return;
        }
        add_pending(self.controls.entry(place.control()).or_default(), side, delta);
        add_pending(&mut self.subaccounts.entry(place.subaccount()).or_default().sums, side, delta);
        if let Some(key) = place.item() {
            add_pending(self.items.entry(key).or_default(), side, delta);
        }
    }

    /// No line recognises more than it deferred, and the decision's entry of the charge is the one that the record names.
    fn check_recognised(
        &mut self,
        book: BookId,
        position: Position,
        effects: &Effects,
        recognised: &Recognised,
        report: &mut Report,
    ) {
        let empty = vec![];
        let deferred = self.deferred.get(&(book, recognised.charge.clone())).unwrap_or(&empty);
        let is_within = deferred.len() == recognised.lines.len()
            && recognised.lines.iter().zip(deferred).all(|(recognised, deferred)| (0..=*deferred).contains(recognised));
        if !is_within {
            let found = format_args!("{:?} of {deferred:?}", recognised.lines);
            report.differ("journal", at(position, "recognition"), "recognised ≤ deferred, line by line", found);
        }
        let of_charge = DocumentRef::Charge(recognised.charge.clone());
        let entry = effects.entries.iter().find(|entry| entry.document.as_ref() == Some(&of_charge));
        let number = entry.map(|entry| entry.number);
        report.same("journal", at(position, "recognition's entry"), &number, &Some(recognised.last_entry));
    }

    /// What a snapshot says beside its row: who decided it, what is open or unapplied, which entries are its own.
    fn check_snapshot(
        &mut self,
        book: BookId,
        decision: &Decision,
        effects: &Effects,
        snapshot: &Snapshot,
        report: &mut Report,
    ) {
        let position = decision.position;
        let balance = |account, customer: &Party, id: &DocumentId, currency| {
            let item = Item::from(id);
            let place = Place { book, account, party: Some(customer), item: Some(&item), currency };
            let sums = place.item().and_then(|key| self.items.get(&key)).copied().unwrap_or_default();
            sums.debits.saturating_sub(sums.credits)
        };
        let (decided, document) = match snapshot {
            Snapshot::Book(opened) => (opened.decided, None),
            Snapshot::Currency(currency) => (currency.decided, None),
            Snapshot::Account(account) => (account.decided, None),
            Snapshot::Calendar(calendar) => (calendar.decided, None),
            Snapshot::Period(period) => {
                self.check_period(book, position, period, report);
                (period.decided, None)
            }
            Snapshot::Rate(rate) => (rate.decided, None),
            Snapshot::Recognised(recognised) => {
                self.check_recognised(book, position, effects, recognised, report);
                (recognised.decided, None)
            }
            Snapshot::RecognitionRun(_) | Snapshot::Valuation(_) | Snapshot::YearClose(_) => (position, None),
            Snapshot::Hold(hold) => (hold.decided, Some((DocumentRef::Hold(hold.id.clone()), &hold.entries))),
            Snapshot::Charge { charge, open } => {
                let expected = balance(charge.receivable, &charge.customer, &charge.id, charge.currency);
                report.same("journal", at(position, "open amount"), &expected, open);
                (charge.decided, Some((DocumentRef::Charge(charge.id.clone()), &charge.entries)))
            }
            Snapshot::Payment { payment, unapplied } => {
                let expected = -balance(payment.unapplied, &payment.customer, &payment.id, payment.currency);
                report.same("journal", at(position, "unapplied amount"), &expected, unapplied);
                if payment.refunded > payment.captured || payment.captured > payment.amount.minor() {
                    let found = format_args!("{} refunded, {} captured", payment.refunded, payment.captured);
                    report.differ("journal", at(position, "payment"), "refunded ≤ captured ≤ authorised", found);
                }
                (payment.decided, Some((DocumentRef::Payment(payment.id.clone()), &payment.entries)))
            }
            Snapshot::Refund(refund) => {
                (refund.decided, Some((DocumentRef::Refund(refund.id.clone()), &refund.entries)))
            }
        };
        report.same("journal", at(position, "decided"), &position, &decided);
        let Some((document, numbers)) = document else { return };
        for entry in effects.entries.iter().filter(|entry| entry.document.as_ref() == Some(&document)) {
            if !numbers.contains(&entry.number) {
                report.differ(
                    "journal",
                    at(position, "document"),
                    format_args!("entry {}", entry.number),
                    "not listed",
                );
            }
        }
        if let Some(number) = numbers.iter().find(|number| !self.entries.contains_key(&(book, **number))) {
            report.differ("journal", at(position, "document"), "entries of the book", number);
        }
    }
}

/// Per line what was put off; zero where a line is earned at once.
fn deferred_of(charge: &Charge) -> Vec<i128> {
    charge.lines.iter().map(|line| if line.defer.is_some() { line.functional_net } else { 0 }).collect()
}

/// Whether a decision seals a period.
pub(super) fn seals(decision: &Decision) -> bool {
    decision.operation == OperationKind::ClosePeriod && matches!(decision.outcome, Outcome::Accepted(_))
}

pub(super) fn at(position: Position, what: &str) -> String {
    format!("position {position}, {what}")
}

/// What an expiry's decision says has expired.
fn expired(decision: &Decision) -> Option<Expiring> {
    let Outcome::Accepted(effects) = &decision.outcome else { return None };
    match effects.snapshots.first()? {
        Snapshot::Hold(hold) if hold.pending == 0 => Some(Expiring::Hold(hold.id.clone())),
        Snapshot::Payment { payment, .. } if payment.pending == 0 => Some(Expiring::Payment(payment.id.clone())),
        Snapshot::Hold(_)
        | Snapshot::Payment { .. }
        | Snapshot::Charge { .. }
        | Snapshot::Refund(_)
        | Snapshot::Book(_)
        | Snapshot::Currency(_)
        | Snapshot::Account(_)
        | Snapshot::Calendar(_)
        | Snapshot::Period(_)
        | Snapshot::Rate(_)
        | Snapshot::Recognised(_)
        | Snapshot::RecognitionRun(_)
        | Snapshot::Valuation(_)
        | Snapshot::YearClose(_) => None,
    }
}

fn trace<T: Stored>(document: &T, decided: Position, pending: i128, expires_at: Option<Timestamp>) -> Trace {
    Trace { digest: digest(&encode_record(document)), decided, pending, expires_at }
}

fn move_by(movement: &mut Movement, side: Side, minor: i128) {
    let sum = match side {
        Side::Debit => &mut movement.debits,
        Side::Credit => &mut movement.credits,
    };
    *sum = sum.saturating_add(minor);
}

fn check_balance(position: Position, entry: &Entry, report: &mut Report) {
    let mut nets: BTreeMap<CurrencyId, Movement> = BTreeMap::new();
    for line in &entry.lines {
        move_by(nets.entry(line.currency).or_default(), line.side, line.amount.minor());
    }
    for (currency, net) in nets {
        if net.debits != net.credits {
            let found = format_args!("{} and {} in currency {currency}", net.debits, net.credits);
            report.differ("journal", at(position, "entry"), "debits equal to credits", found);
        }
    }
}
