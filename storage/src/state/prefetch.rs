//! Reading ahead what a raft entry's commands will ask for, in one sorted look-up per table.
//!
//! Only a matter of speed: what is not read ahead is read when it is asked for, with the same result.

use partita_core::currency::iso_by_code;
use partita_core::decision::Command;
use partita_core::id::{BookId, CurrencyCode, CurrencyId, DocumentId, Key};
use partita_core::operation::{AccountRef, Operation, PostEntry, Transfer};
use partita_core::state::{ItemKey, SubaccountKey};

use super::error::StorageError;
use super::working::WorkingSet;
use crate::engine::TableEngine;

/// What some commands name.
#[derive(Default)]
struct Named {
    keys: Vec<(BookId, Key)>,
    subaccounts: Vec<SubaccountKey>,
    items: Vec<ItemKey>,
    charges: Vec<(BookId, DocumentId)>,
    payments: Vec<(BookId, DocumentId)>,
    refunds: Vec<(BookId, DocumentId)>,
    holds: Vec<(BookId, DocumentId)>,
}

pub(super) fn prefetch<E: TableEngine>(working: &WorkingSet<E>, commands: &[Command]) -> Result<(), StorageError> {
    let mut named = Named::default();
    for command in commands {
        if !working.written_keys.surely_absent(command.book, command.key.as_str().as_bytes()) {
            named.keys.push((command.book, command.key.clone()));
        }
        named.add_operation(working, command.book, &command.operation);
    }
    let engine = &*working.engine;
    working.keys.prefetch(engine, named.keys.into_iter())?;
    working.subaccounts.prefetch(engine, named.subaccounts.into_iter())?;
    working.items.prefetch(engine, named.items.into_iter())?;
    working.charges.prefetch(engine, named.charges.into_iter())?;
    working.payments.prefetch(engine, named.payments.into_iter())?;
    working.refunds.prefetch(engine, named.refunds.into_iter())?;
    working.holds.prefetch(engine, named.holds.into_iter())
}

impl Named {
    fn add_operation<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, operation: &Operation) {
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

    fn add_entry<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, entry: &PostEntry) {
        for line in &entry.lines {
            self.add_account(working, book, &line.account, &line.currency);
        }
    }

    fn add_transfer<E: TableEngine>(&mut self, working: &WorkingSet<E>, book: BookId, transfer: &Transfer) {
        self.add_account(working, book, &transfer.debit, &transfer.currency);
        self.add_account(working, book, &transfer.credit, &transfer.currency);
    }

    /// The balances behind a reference, as far as the chart knows it already.
    fn add_account<E: TableEngine>(
        &mut self,
        working: &WorkingSet<E>,
        book: BookId,
        reference: &AccountRef,
        code: &CurrencyCode,
    ) {
        let Some(account) = working.charts.account_by_code(book, &reference.code) else { return };
        let Some(currency) = currency_id(working, book, code) else { return };
        let (account, party) = (account.id, reference.party.clone());
        if let Some(item) = reference.item.clone() {
            self.items.push(ItemKey { book, account, party: party.clone(), item, currency });
        }
        self.subaccounts.push(SubaccountKey { book, account, party, currency });
    }
}

fn currency_id<E: TableEngine>(working: &WorkingSet<E>, book: BookId, code: &CurrencyCode) -> Option<CurrencyId> {
    let found = working.charts.currency(book, code).or_else(|| iso_by_code(code))?;
    Some(found.id)
}
