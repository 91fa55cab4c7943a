//! Reading ahead what a raft entry's commands will ask for: from the engine in one sorted look-up per table, from memory
//! for a few commands at a time.
//!
//! Only a matter of speed: what is not read ahead is read when it is asked for, with the same result.

use std::sync::atomic::{AtomicUsize, Ordering};

use partita_core::decision::Command;
use partita_core::id::{AccountCode, AccountId, BookId, CurrencyCode, CurrencyId, DocumentId, Key};
use partita_core::operation::{AccountRef, Operation, PostEntry, Transfer};
use partita_core::resolve::find_currency;
use partita_core::state::{ItemKey, Subaccount, SubaccountKey};

use super::error::StorageError;
use super::working::WorkingSet;
use crate::engine::TableEngine;

/// A key that stands twice in an entry is not asked for again; so many of those in a row do no harm.
const SKIPPED: usize = 8;

/// What some commands name.
#[derive(Default)]
struct Named<'a> {
    /// What was last asked of the charts, and what they said: mostly it is asked again.
    last: Option<(AccountInCurrency<'a>, (AccountId, CurrencyId))>,
    keys: Vec<(BookId, Key)>,
    subaccounts: Vec<SubaccountKey>,
    items: Vec<ItemKey>,
    charges: Vec<(BookId, DocumentId)>,
    payments: Vec<(BookId, DocumentId)>,
    refunds: Vec<(BookId, DocumentId)>,
    holds: Vec<(BookId, DocumentId)>,
}

type AccountInCurrency<'a> = (BookId, &'a AccountCode, &'a CurrencyCode);

/// What is looked for: idempotency keys, and everything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAhead {
    pub(super) keys: bool,
    pub(super) others: bool,
}

/// Keys of one raft entry's commands that were decided neither before it nor in an earlier one, in the commands' order.
///
/// It holds as long as nothing but the entry's own keys comes to the state. Those are in memory, which is asked first.
#[derive(Debug, Default)]
pub(super) struct NewKeys {
    keys: Vec<(BookId, Key)>,
    next: AtomicUsize,
}

impl NewKeys {
    /// Whether the key is among the next ones; those before it are not asked for any more.
    pub(super) fn has(&self, scope: BookId, key: &Key) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let place = self.keys.iter().skip(next).take(SKIPPED).position(|new| new.0 == scope && new.1 == *key);
        if let Some(skipped) = place {
            self.next.store(next + skipped + 1, Ordering::Relaxed);
        }
        place.is_some()
    }
}

/// Reads from the engine, in one look-up per table, what memory lacks of what `commands` name.
pub(super) fn prefetch<'a, E: TableEngine>(
    working: &WorkingSet<E>,
    commands: impl Iterator<Item = &'a Command>,
    ahead: ReadAhead,
) -> Result<NewKeys, StorageError> {
    let mut named = Named::default();
    for command in commands {
        if ahead.keys && !working.written_keys.surely_absent(command.book, command.key.as_str().as_bytes()) {
            named.keys.push((command.book, command.key.clone()));
        }
        if ahead.others {
            named.add_operation(working, command.book, &command.operation);
        }
    }
    let engine = &*working.engine;
    let keys = working.keys.prefetch_absent(engine, named.keys)?;
    working.subaccounts.prefetch(engine, named.subaccounts)?;
    working.items.prefetch(engine, named.items)?;
    working.charges.prefetch(engine, named.charges)?;
    working.payments.prefetch(engine, named.payments)?;
    working.refunds.prefetch(engine, named.refunds)?;
    working.holds.prefetch(engine, named.holds)?;
    Ok(NewKeys { keys, next: AtomicUsize::new(0) })
}

/// Brings into the processor's caches what `commands` name of tables that are too large to be there.
pub(super) fn touch<E: TableEngine>(working: &WorkingSet<E>, commands: &[Command]) {
    // One alone waits as long here as where it is asked for.
    if commands.len() < 2 {
        return;
    }
    if working.keys.is_large() {
        let keys: Vec<_> = commands.iter().map(|command| (command.book, command.key.clone())).collect();
        working.keys.touch(&keys, |record| record.position.0);
    }
    if working.subaccounts.is_large() {
        let mut named = Named::default();
        for command in commands {
            named.add_operation(working, command.book, &command.operation);
        }
        // One member at either end, and between them the roots, which a long chain has elsewhere.
        working.subaccounts.touch(&named.subaccounts, |Subaccount { sums, chain, greatest_date }| {
            let newest = chain.newest().map_or(0, |posting| posting.position.0);
            u64::from(sums.debits.leading_zeros()) ^ newest ^ u64::from(greatest_date.is_some())
        });
    }
}

impl<'a> Named<'a> {
    fn add_operation<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, operation: &'a Operation) {
        match operation {
            Operation::OpenBook(_)
            | Operation::OpenFiscalBook(_)
            | Operation::SoftClosePeriod(_)
            | Operation::ClosePeriod(_)
            | Operation::ReopenPeriod(_)
            | Operation::Recognise(_)
            | Operation::RecordRate(_)
            | Operation::Revalue(_)
            | Operation::CloseYear(_)
            | Operation::RegisterCurrency(_)
            | Operation::OpenAccount(_)
            | Operation::CloseAccount(_)
            | Operation::ReverseEntry(_) => {}
            Operation::PostEntry(entry) => self.add_entry(working, book, entry),
            Operation::PostEntries(entries) => {
                entries.iter().for_each(|entry| self.add_entry(working, book, entry));
            }
            Operation::Transfer(transfer) => self.add_transfer(working, book, transfer),
            Operation::Transfers(transfers) => {
                transfers.iter().for_each(|transfer| self.add_transfer(working, book, transfer));
            }
            Operation::Convert(convert) => {
                self.add_account(working, book, &convert.from, &convert.currency);
                self.add_account(working, book, &convert.to, &convert.received_currency);
            }
            Operation::PlaceHold(hold) => {
                self.holds.push((book, hold.id.clone()));
                self.add_account(working, book, &hold.debit, &hold.currency);
                self.add_account(working, book, &hold.credit, &hold.currency);
            }
            Operation::CaptureHold(capture) => self.holds.push((book, capture.id.clone())),
            Operation::VoidHold(void) => self.holds.push((book, void.id.clone())),
            Operation::CreateCharge(charge) => self.charges.push((book, charge.id.clone())),
            Operation::VoidCharge(void) => self.charges.push((book, void.id.clone())),
            Operation::CreatePayment(payment) => {
                self.payments.push((book, payment.id.clone()));
                self.charges.extend(payment.apply.iter().map(|apply| (book, apply.charge.clone())));
            }
            Operation::CapturePayment(capture) => self.payments.push((book, capture.id.clone())),
            Operation::VoidPayment(void) => self.payments.push((book, void.id.clone())),
            Operation::ApplyPayment(apply) | Operation::UnapplyPayment(apply) => {
                self.payments.push((book, apply.id.clone()));
                self.charges.extend(apply.apply.iter().map(|apply| (book, apply.charge.clone())));
            }
            Operation::PostPaymentFee(fee) => self.payments.push((book, fee.id.clone())),
            Operation::CreateRefund(refund) => {
                self.refunds.push((book, refund.id.clone()));
                self.payments.push((book, refund.payment.clone()));
            }
            Operation::SettleRefund(refund) | Operation::FailRefund(refund) => {
                self.refunds.push((book, refund.id.clone()));
            }
        }
    }

    fn add_entry<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, entry: &'a PostEntry) {
        for line in &entry.lines {
            self.add_account(working, book, &line.account, &line.currency);
        }
    }

    fn add_transfer<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, transfer: &'a Transfer) {
        self.add_account(working, book, &transfer.debit, &transfer.currency);
        self.add_account(working, book, &transfer.credit, &transfer.currency);
    }

    /// The balances behind a reference, as far as the chart knows it already.
    fn add_account<E: TableEngine>(
        &mut self,
        working: &WorkingSet<E>,
        book: BookId,
        reference: &'a AccountRef,
        code: &'a CurrencyCode,
    ) {
        let Some((account, currency)) = self.ids(working, (book, &reference.code, code)) else { return };
        let party = reference.party.clone();
        if let Some(item) = reference.item.clone() {
            self.items.push(ItemKey { book, account, party: party.clone(), item, currency });
        }
        self.subaccounts.push(SubaccountKey { book, account, party, currency });
    }

    fn ids<E: TableEngine>(
        &mut self,
        working: &WorkingSet<E>,
        asked: AccountInCurrency<'a>,
    ) -> Option<(AccountId, CurrencyId)> {
        if let Some((before, ids)) = self.last
            && before == asked
        {
            return Some(ids);
        }
        let (book, account, currency) = asked;
        let account = working.charts.account_by_code(book, account)?.id;
        let ids = (account, find_currency(working, book, currency)?.id);
        self.last = Some((asked, ids));
        Some(ids)
    }
}
