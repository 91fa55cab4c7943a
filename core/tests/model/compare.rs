//! Whether the ledger's tables are what the model says: what a command touched, or everything there is.

use std::collections::BTreeSet;
use std::fmt::Debug;

use partita_core::decision::{Decision, Outcome};
use partita_core::document::Snapshot;
use partita_core::id::{AccountId, BookId, CurrencyId};
use partita_core::state::{ControlKey, ItemKey, MovementKey, Read, SubaccountKey, Sums};

use super::decide::Model;
use super::ledger::{ItemAt, Money, Reserver, Shelf, SubaccountAt};
use super::periods::known;
use super::reports;

/// What a comparison found, or how much it compared.
pub(crate) type Compared = Result<usize, String>;

fn same<T: PartialEq + Debug>(what: impl Fn() -> String, found: &T, expected: &T) -> Compared {
    if found == expected { Ok(1) } else { Err(format!("{}:\n   found    {found:?}\n   expected {expected:?}", what())) }
}

fn sums(posted: Money, pending: Money) -> Sums {
    Sums { debits: posted.0, credits: posted.1, pending_debits: pending.0, pending_credits: pending.1 }
}

struct Comparison<'a> {
    shelf: &'a Shelf,
    state: &'a dyn Read,
    book: BookId,
}

impl Comparison<'_> {
    fn control(&self, (account, currency): (AccountId, CurrencyId)) -> Compared {
        let key = ControlKey { book: self.book, account, currency };
        let posted = self.shelf.controls.get(&(account, currency)).copied().unwrap_or_default();
        let pending = self.shelf.pending(currency, |end| end.account == account);
        same(|| format!("control {key:?}"), &self.state.control(&key), &sums(posted, pending))
    }

    fn subaccount(&self, at: &SubaccountAt) -> Compared {
        let (account, party, currency) = at.clone();
        let key = SubaccountKey { book: self.book, account, party: party.clone(), currency };
        let found = self.state.subaccount(&key);
        let pending = self.shelf.pending(currency, |end| end.account == account && end.party == party);
        let what = || format!("subaccount {key:?}");
        let count = same(what, &found.sums, &sums(self.shelf.subaccount(at), pending))?;
        let steps = self.shelf.steps.get(at).map_or(&[][..], Vec::as_slice);
        let newest = steps.last().map(|step| step.posting);
        let postings = u64::try_from(steps.len()).unwrap();
        let date = steps.last().map(|step| step.greatest_date);
        let chain = (found.chain.postings(), found.chain.newest(), found.greatest_date);
        Ok(count + same(what, &chain, &(postings, newest, date))?)
    }

    fn item(&self, at: &ItemAt) -> Compared {
        let (account, party, item, currency) = at.clone();
        let key = ItemKey { book: self.book, account, party: party.clone(), item: item.clone(), currency };
        let fits = |end: &partita_core::document::Endpoint| {
            end.account == account && end.party == party && end.item.as_ref() == Some(&item)
        };
        let expected = sums(self.shelf.item(at), self.shelf.pending(currency, fits));
        same(|| format!("item {key:?}"), &self.state.item(&key), &expected)
    }

    fn movement(&self, at: (AccountId, CurrencyId, partita_core::time::Date)) -> Compared {
        let control = ControlKey { book: self.book, account: at.0, currency: at.1 };
        let key = MovementKey { control, date: at.2 };
        let found = self.state.movement(&key);
        let expected = self.shelf.movements.get(&at).copied().unwrap_or_default();
        same(|| format!("movement {key:?}"), &(found.debits, found.credits), &expected)
    }

    fn totals(&self) -> Compared {
        let found = self.state.totals(self.book);
        let sums: Vec<_> = found.sums.iter().map(|(currency, sum)| (*currency, (sum.debits, sum.credits))).collect();
        let expected: Vec<_> = self
            .shelf
            .totals
            .iter()
            .filter(|(_, money)| **money != (0, 0))
            .map(|(currency, money)| (*currency, *money))
            .collect();
        let what = || format!("totals of book {}", self.book);
        let mut count = same(what, &sums, &expected)?;
        let entries = u64::try_from(self.shelf.entries.len()).unwrap();
        count += same(what, &found.last_entry.0, &entries)?;
        count += same(what, &usize::try_from(found.last_account.0).unwrap(), &self.shelf.accounts.len())?;
        Ok(count + same(what, &usize::from(found.registered_currencies), &self.shelf.currencies.len())?)
    }

    fn document(&self, snapshot: &Snapshot) -> Compared {
        let what = || "document".to_owned();
        let state = self.state;
        match snapshot {
            Snapshot::Hold(hold) => same(what, &state.hold(self.book, &hold.id).as_ref(), &Some(hold)),
            Snapshot::Charge { charge, .. } => same(what, &state.charge(self.book, &charge.id).as_ref(), &Some(charge)),
            Snapshot::Payment { payment, .. } => {
                same(what, &state.payment(self.book, &payment.id).as_ref(), &Some(payment))
            }
            Snapshot::Refund(refund) => same(what, &state.refund(self.book, &refund.id).as_ref(), &Some(refund)),
            Snapshot::Book(book) => {
                let by_code = state.book_by_code(&book.code);
                same(what, &(state.book(book.id).as_deref(), by_code.as_deref()), &(Some(book), Some(book)))
            }
            Snapshot::Currency(currency) => {
                let both = (state.currency(self.book, &currency.code), state.currency_by_id(self.book, currency.id));
                same(what, &both, &(Some(currency.clone()), Some(currency.clone())))
            }
            Snapshot::Calendar(calendar) => same(what, &state.calendar(self.book), calendar),
            Snapshot::Period(period) => {
                same(what, &state.period(self.book, period.id).map(known), &Some(period.clone()))
            }
            Snapshot::Rate(rate) => {
                same(what, &state.rate(self.book, rate.base, rate.quote, rate.date).as_ref(), &Some(rate))
            }
            Snapshot::Recognised(recognised) => {
                same(what, &state.recognised(self.book, &recognised.charge).as_ref(), &Some(recognised))
            }
            Snapshot::RecognitionRun(_) | Snapshot::Valuation(_) | Snapshot::YearClose(_) => Ok(0),
            Snapshot::Account(account) => {
                let by_code = state.account_by_code(self.book, &account.code);
                let found = (state.account(self.book, account.id), by_code);
                same(what, &(found.0.as_deref(), found.1.as_deref()), &(Some(account), Some(account)))
            }
        }
    }

    /// The document as it stands by now: a later command of the same raft entry may have changed it again.
    fn now(&self, snapshot: &Snapshot) -> Snapshot {
        let shelf = self.shelf;
        match snapshot {
            Snapshot::Hold(hold) => Snapshot::Hold(shelf.holds[&hold.id].clone()),
            Snapshot::Charge { charge, open } => {
                Snapshot::Charge { charge: shelf.charges[&charge.id].clone(), open: *open }
            }
            Snapshot::Payment { payment, unapplied } => {
                Snapshot::Payment { payment: shelf.payments[&payment.id].clone(), unapplied: *unapplied }
            }
            Snapshot::Refund(refund) => Snapshot::Refund(shelf.refunds[&refund.id].clone()),
            Snapshot::Account(account) => Snapshot::Account(shelf.account(account.id).clone()),
            Snapshot::Calendar(_) => Snapshot::Calendar(shelf.calendar),
            Snapshot::Period(period) => Snapshot::Period(shelf.periods[&period.id].clone()),
            Snapshot::Rate(rate) => Snapshot::Rate(shelf.rates[&(rate.base, rate.quote, rate.date)].clone()),
            Snapshot::Recognised(recognised) => Snapshot::Recognised(shelf.recognised[&recognised.charge].clone()),
            Snapshot::Book(_)
            | Snapshot::Currency(_)
            | Snapshot::RecognitionRun(_)
            | Snapshot::Valuation(_)
            | Snapshot::YearClose(_) => snapshot.clone(),
        }
    }

    /// What a reservation can have changed: both ends of every document in the decision.
    fn ends(&self, decision: &Decision) -> Vec<(partita_core::document::Endpoint, CurrencyId)> {
        let Outcome::Accepted(effects) = &decision.outcome else { return vec![] };
        let mut ends = vec![];
        for snapshot in &effects.snapshots {
            let (reserver, currency) = match snapshot {
                Snapshot::Hold(hold) => {
                    ends.extend([(hold.debit.clone(), hold.currency), (hold.credit.clone(), hold.currency)]);
                    continue;
                }
                Snapshot::Payment { payment, .. } => (Reserver::Payment(payment.id.clone()), payment.currency),
                Snapshot::Charge { .. }
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
                | Snapshot::YearClose(_) => continue,
            };
            if let Some(reserved) = self.shelf.reserved.get(&reserver) {
                ends.extend([(reserved.debit.clone(), currency), (reserved.credit.clone(), currency)]);
            }
        }
        ends
    }

    fn touched(&self, decision: &Decision) -> Compared {
        let Outcome::Accepted(effects) = &decision.outcome else { return Ok(0) };
        let mut count = 0;
        for (end, currency) in self.ends(decision) {
            count += self.control((end.account, currency))?;
            count += self.subaccount(&(end.account, end.party.clone(), currency))?;
            if let Some(item) = end.item {
                count += self.item(&(end.account, end.party, item, currency))?;
            }
        }
        for entry in &effects.entries {
            let mut seen = BTreeSet::new();
            for line in &entry.lines {
                if !seen.insert((line.account, &line.party, &line.item, line.currency)) {
                    continue;
                }
                count += self.control((line.account, line.currency))?;
                count += self.subaccount(&(line.account, line.party.clone(), line.currency))?;
                count += self.movement((line.account, line.currency, entry.effective_date))?;
                if let Some(item) = &line.item {
                    count += self.item(&(line.account, line.party.clone(), item.clone(), line.currency))?;
                }
            }
            count += same(|| "entry".to_owned(), &self.state.entry(self.book, entry.number).as_ref(), &Some(entry))?;
        }
        for snapshot in &effects.snapshots {
            count += self.document(&self.now(snapshot))?;
        }
        Ok(count + self.totals()?)
    }

    fn everything(&self) -> Compared {
        self.shelf.recount();
        let shelf = self.shelf;
        let mut count = self.totals()? + reports::trial_balances(shelf)?;
        for at in shelf.controls.keys() {
            count += self.control(*at)?;
        }
        for at in shelf.steps.keys() {
            count += self.subaccount(at)?;
        }
        for at in shelf.items.keys() {
            count += self.item(at)?;
        }
        for at in shelf.movements.keys() {
            count += self.movement(*at)?;
        }
        for posted in &shelf.entries {
            let record = self.state.entry_record(self.book, posted.entry.number);
            let found = record.map(|record| (record.position, record.index, record.reversed_by));
            let expected = Some((posted.position, posted.index, posted.reversed_by));
            count += same(|| format!("record of entry {}", posted.entry.number), &found, &expected)?;
        }
        let holds = shelf.holds.values().cloned().map(Snapshot::Hold);
        let charges = shelf.charges.values().cloned().map(|charge| Snapshot::Charge { charge, open: 0 });
        let payments = shelf.payments.values().cloned().map(|payment| Snapshot::Payment { payment, unapplied: 0 });
        let refunds = shelf.refunds.values().cloned().map(Snapshot::Refund);
        let accounts = shelf.accounts.iter().cloned().map(Snapshot::Account);
        let currencies = shelf.currencies.iter().cloned().map(Snapshot::Currency);
        let periods = shelf.periods.values().cloned().map(Snapshot::Period);
        let rates = shelf.rates.values().cloned().map(Snapshot::Rate);
        let recognised = shelf.recognised.values().cloned().map(Snapshot::Recognised);
        let book = [Snapshot::Book(shelf.book.clone()), Snapshot::Calendar(shelf.calendar)];
        let documents = holds.chain(charges).chain(payments).chain(refunds);
        for snapshot in
            documents.chain(accounts).chain(currencies).chain(periods).chain(rates).chain(recognised).chain(book)
        {
            count += self.document(&snapshot)?;
        }
        Ok(count)
    }
}

/// What this decision touched, in the book that it belongs to.
pub(crate) fn touched(model: &Model, state: &dyn Read, decision: &Decision) -> Compared {
    let head = state.head();
    let mut count = same(|| "head".to_owned(), &(head.position, head.time), &(model.position, model.time))?;
    let book = match &decision.outcome {
        Outcome::Accepted(effects) => effects.snapshots.iter().find_map(|snapshot| match snapshot {
            Snapshot::Book(book) => Some(book.id),
            Snapshot::Hold(_)
            | Snapshot::Charge { .. }
            | Snapshot::Payment { .. }
            | Snapshot::Refund(_)
            | Snapshot::Currency(_)
            | Snapshot::Account(_)
            | Snapshot::Calendar(_)
            | Snapshot::Period(_)
            | Snapshot::Rate(_)
            | Snapshot::Recognised(_)
            | Snapshot::RecognitionRun(_)
            | Snapshot::Valuation(_)
            | Snapshot::YearClose(_) => None,
        }),
        Outcome::Refused(_) => None,
    };
    let book = book.unwrap_or(decision.book);
    if book != BookId::CLUSTER {
        count += Comparison { shelf: model.shelf(book), state, book }.touched(decision)?;
    }
    Ok(count)
}

/// Every balance, item, document, key and total that the model has.
pub(crate) fn everything(model: &Model, state: &dyn Read) -> Compared {
    let mut count = 0;
    for shelf in &model.shelves {
        count += Comparison { shelf, state, book: shelf.book.id }.everything()?;
    }
    for ((scope, key), (_, position)) in &model.keys {
        let found = state.key(*scope, key).map(|record| record.position);
        count += same(|| format!("key {key} of book {scope}"), &found, &Some(*position))?;
    }
    let first = model.shelves.iter().flat_map(|shelf| {
        shelf.reserved.keys().filter_map(|reserver| match reserver {
            Reserver::Hold(id) => shelf.holds[id].expires_at,
            Reserver::Payment(id) => shelf.payments[id].expires_at,
        })
    });
    let found = state.due(partita_core::time::Timestamp(i64::MAX)).map(|expiry| expiry.at);
    Ok(count + same(|| "first expiry".to_owned(), &found, &first.min())?)
}
