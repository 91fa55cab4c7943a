//! Calendars, periods and seals, recomputed: no entry stands in a period that did not take it, and every seal is the
//! trial balance and the journal's head of its moment.

use std::collections::BTreeMap;

use partita_core::currency::iso_by_id;
use partita_core::decision::{Decision, Origin};
use partita_core::entry::Entry;
use partita_core::id::{AccountId, BookId, CurrencyCode, CurrencyId, Position};
use partita_core::money::Formatted;
use partita_core::period::{Calendar, Digest, JournalHead, Period, PeriodId, PeriodState, Seal, SealedBalance};
use partita_core::state::{ControlKey, Movement};
use partita_core::time::Date;

use super::rebuilt::{Rebuilt, at};
use super::report::Report;

impl Rebuilt {
    /// Remembers the journal before a command and before what expired with it.
    pub(super) fn note_journal_head(&mut self, decision: &Decision) {
        match decision.origin {
            Origin::Internal => {
                if self.before_expiries.is_none() {
                    self.before_expiries = Some(self.tree.clone());
                }
            }
            Origin::Request { .. } => {
                // The root is worth its hashes only where a close will say it.
                self.before_command = super::rebuilt::seals(decision).then(|| {
                    let tree = self.before_expiries.as_ref().unwrap_or(&self.tree);
                    JournalHead { position: Position(tree.size()), hash: Digest(tree.root()) }
                });
                self.before_expiries = None;
            }
        }
    }

    /// An entry's period took it when it was posted.
    pub(super) fn check_date(&self, book: BookId, position: Position, entry: &Entry, report: &mut Report) {
        let calendar = self.calendars.get(&book).copied().unwrap_or_default();
        let state = calendar.state_on(entry.effective_date);
        if !state.accepts(entry.rule) {
            let found = format_args!("{:?} dated {}", entry.rule, entry.effective_date);
            report.differ("journal", at(position, "period"), format_args!("what a {state} period takes"), found);
        }
    }

    /// Nothing is closed that is not soft-closed, and a book's fiscal years never begin with another month.
    pub(super) fn check_calendar(&self, book: BookId, position: Position, calendar: &Calendar, report: &mut Report) {
        let first_month = self.calendars.get(&book).map_or(calendar.first_month, |before| before.first_month);
        if calendar.closed_through > calendar.soft_closed_through || calendar.first_month != first_month {
            let found = format_args!("{calendar:?}");
            report.differ("journal", at(position, "calendar"), "closed after soft-closed, one first month", found);
        }
    }

    /// A period says what the calendar says, and is sealed if it is closed.
    pub(super) fn check_period(&mut self, book: BookId, position: Position, period: &Period, report: &mut Report) {
        let calendar = self.calendars.get(&book).copied().unwrap_or_default();
        report.same("journal", at(position, "period"), &calendar.state(period.id), &period.state);
        let is_closed = period.state == PeriodState::Closed;
        report.same("journal", at(position, "period is sealed"), &is_closed, &period.seal.is_some());
        if let Some(seal) = &period.seal {
            self.seen.seals += 1;
            self.check_seal(book, position, period.id, seal, report);
        }
    }

    fn check_seal(&self, book: BookId, position: Position, period: PeriodId, seal: &Seal, report: &mut Report) {
        report.same("journal", at(position, "seal's date"), &period.last_day(), &seal.as_of);
        report.same("journal", at(position, "seal's journal head"), &self.before_command, &Some(seal.journal));
        let last_entry = self.totals.get(&book).map(|totals| totals.last_entry).unwrap_or_default();
        report.same("journal", at(position, "seal's last entry"), &last_entry, &seal.last_entry);
        let rows = self.balances(book, seal.as_of);
        let balances: Vec<SealedBalance> = rows.iter().map(|row| row.1).collect();
        report.same("journal", at(position, "sealed balances"), &balances, &seal.balances);
        let hash = Digest(*blake3::hash(self.sealed_text(book, seal.as_of, &rows).as_bytes()).as_bytes());
        report.same("journal", at(position, "seal's hash"), &hash, &seal.hash);
    }

    /// The trial balance as of a date, from the movements, with each row's names, in their order.
    fn balances(&self, book: BookId, as_of: Date) -> Vec<((String, CurrencyCode, u8), SealedBalance)> {
        let mut sums: BTreeMap<(AccountId, CurrencyId), Movement> = BTreeMap::new();
        let of_book = |control: &ControlKey| control.book == book;
        for (key, movement) in self.movements.iter().filter(|(key, _)| of_book(&key.control) && key.date <= as_of) {
            let sum = sums.entry((key.control.account, key.control.currency)).or_default();
            sum.debits = sum.debits.saturating_add(movement.debits);
            sum.credits = sum.credits.saturating_add(movement.credits);
        }
        let mut rows: Vec<_> = sums
            .into_iter()
            .map(|((account, currency), Movement { debits, credits })| {
                let code = self.accounts.get(&(book, account)).map(|found| found.code.to_string()).unwrap_or_default();
                let known = iso_by_id(currency).or_else(|| self.currencies.get(&(book, currency)).cloned());
                // A posting in a currency that nobody registered was reported where it stands.
                let (name, decimals) = known.map_or_else(
                    || (CurrencyCode::new("XX").expect("two letters are a code"), 0),
                    |known| (known.code, known.decimals),
                );
                ((code, name, decimals), SealedBalance { account, currency, debits, credits })
            })
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    fn sealed_text(&self, book: BookId, as_of: Date, rows: &[((String, CurrencyCode, u8), SealedBalance)]) -> String {
        let code = self.books.get(&book).map(|book| book.code.to_string()).unwrap_or_default();
        let head = format!("partita trial balance 1\nbook {code}\nas of {as_of}\n");
        let lines = rows.iter().map(|((account, currency, decimals), row)| {
            let money = |minor| Formatted { minor, decimals: *decimals };
            format!("{account} {currency} {} {}\n", money(row.debits), money(row.credits))
        });
        std::iter::once(head).chain(lines).collect()
    }
}
