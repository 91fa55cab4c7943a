//! Decisions, documents and balances as the scenarios show them.

use std::fmt::Write as _;

use partita_core::decision::{Decision, Origin, Outcome};
use partita_core::document::{Charge, Hold, Payment, Refund, Snapshot};
use partita_core::entry::{DocumentRef, Entry, Line, Side};
use partita_core::fx::{self, Valuation};
use partita_core::id::{BookId, CurrencyId, EntryNumber, Role};
use partita_core::money::Formatted;
use partita_core::operation::AccountRef;
use partita_core::operations::period_close;
use partita_core::period::{Blocker, Period, PeriodId};
use partita_core::rejection::{Reason, Rejection};
use partita_core::resolve::known_currency;
use partita_core::seal;
use partita_core::state::{ItemKey, Read, SubaccountKey, Sums};
use partita_core::time::Date;

use super::Ledger;
use crate::support::memory::Memory;

struct Printer<'a> {
    memory: &'a Memory,
    book: BookId,
    out: String,
}

macro_rules! say {
    ($printer:expr, $($text:tt)*) => {
        writeln!($printer.out, $($text)*).unwrap()
    };
}

fn printer(ledger: &Ledger) -> Printer<'_> {
    Printer { memory: &ledger.memory, book: ledger.book, out: String::new() }
}

pub(super) fn decision(ledger: &Ledger, decision: &Decision) -> String {
    let mut printer = printer(ledger);
    let origin = match &decision.origin {
        Origin::Request { .. } => String::new(),
        Origin::Internal => format!(" {:?}", decision.operation),
    };
    match &decision.outcome {
        Outcome::Refused(rejection) => say!(printer, "#{} refused {}", decision.position, refusal(rejection)),
        Outcome::Accepted(effects) => {
            say!(printer, "#{}{origin}", decision.position);
            effects.entries.iter().for_each(|entry| printer.entry(entry));
            effects.snapshots.iter().for_each(|snapshot| printer.snapshot(snapshot));
        }
    }
    printer.out
}

fn refusal(rejection: &Rejection) -> String {
    let reason = &rejection.reason;
    let mut text = format!("{} at {:?}: {reason}", reason.code(), rejection.field);
    if let Reason::OverCapture { available, decimals }
    | Reason::OverApplication { available, decimals }
    | Reason::OverRefund { available, decimals }
    | Reason::Overdraft { available, decimals, .. } = reason
    {
        let available = Formatted { minor: *available, decimals: *decimals };
        write!(text, ", available {available}").unwrap();
    }
    if let Reason::PeriodNotReady { blockers } = reason {
        blockers.iter().for_each(|found| write!(text, "\n  {}", blocker(found)).unwrap());
    }
    if let Reason::AlreadyExists { decided_at, .. } = reason {
        write!(text, ", since #{decided_at}").unwrap();
    }
    text
}

fn blocker(blocker: &Blocker) -> String {
    match blocker {
        Blocker::RateMissing { account, currency } => {
            format!("{} {account} has no rate of {currency}", blocker.kind().name())
        }
        Blocker::MustZero { account, currency, balance, decimals }
        | Blocker::UnappliedCash { account, currency, balance, decimals }
        | Blocker::FxPosition { account, currency, balance, decimals } => {
            let balance = Formatted { minor: *balance, decimals: *decimals };
            format!("{} {account} {balance} {currency}", blocker.kind().name())
        }
    }
}

/// What a close of the period would be refused for, whatever it accepts.
pub(super) fn blockers(ledger: &Ledger, period: PeriodId) -> String {
    let balances = seal::trial_balance(&ledger.memory, ledger.book, period.last_day());
    let book = ledger.memory.book(ledger.book).unwrap();
    let found = period_close::blockers(&ledger.memory, &book, period, &balances);
    found.iter().map(|found| format!("{}\n", blocker(found))).collect()
}

/// The text that the period's seal is the hash of, as it can be made again.
pub(super) fn seal(ledger: &Ledger, period: PeriodId) -> String {
    let memory = &ledger.memory;
    let seal = memory.period(ledger.book, period).unwrap().seal.unwrap();
    let again = seal::trial_balance(memory, ledger.book, seal.as_of);
    let text = seal::text(memory, &memory.book(ledger.book).unwrap(), seal.as_of, &again);
    let moved = if seal::hash(&text) == seal.hash { "" } else { "something moved\n" };
    format!("{text}{moved}")
}

/// The FX position at the rates of a date.
pub(super) fn valuation(ledger: &Ledger, date: Date) -> String {
    let mut printer = printer(ledger);
    let (memory, book) = (printer.memory, printer.memory.book(printer.book).unwrap());
    let position = memory.account_by_role(book.id, &Role::new("fx_position").unwrap()).unwrap();
    match fx::value(memory, book.id, book.functional_currency, &position, date) {
        Ok(valuation) => printer.valuation(&valuation),
        Err(cannot) => say!(printer, "{cannot:?}"),
    }
    printer.out
}

impl Printer<'_> {
    fn money(&self, minor: i128, currency: CurrencyId) -> String {
        let currency = known_currency(self.memory, self.book, currency);
        Formatted { minor, decimals: currency.decimals }.to_string()
    }

    fn entry(&mut self, entry: &Entry) {
        let mut head = format!("entry {} {:?} {}", entry.number, entry.rule, entry.effective_date);
        if let Some(reversed) = entry.reverses {
            write!(head, ", reverses {reversed}").unwrap();
        }
        say!(self, "{head}");
        entry.lines.iter().for_each(|line| self.line(line));
    }

    fn line(&mut self, line: &Line) {
        let account = self.memory.account(self.book, line.account).unwrap();
        let mut place = account.code.to_string();
        line.party.iter().for_each(|party| write!(place, "/{party}").unwrap());
        line.item.iter().for_each(|item| write!(place, "/{item}").unwrap());
        let side = match line.side {
            Side::Debit => "debit",
            Side::Credit => "credit",
        };
        let currency = known_currency(self.memory, self.book, line.currency).code;
        let amount = self.money(line.amount.minor(), line.currency);
        let after = self.money(line.balance_after(account.normal_side()), line.currency);
        say!(self, "  {side:<6} {place:<50} {amount:>10} {currency}  -> {after}");
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        match snapshot {
            Snapshot::Hold(hold) => self.hold(hold),
            Snapshot::Charge { charge, open } => self.charge(charge, *open),
            Snapshot::Payment { payment, unapplied } => self.payment(payment, *unapplied),
            Snapshot::Refund(refund) => self.refund(refund),
            Snapshot::Book(book) => say!(self, "book {}", book.code),
            Snapshot::Currency(currency) => say!(self, "currency {} {}", currency.code, currency.decimals),
            // Opening a book shows its whole chart; the scenarios have other things to show.
            Snapshot::Account(account) if account.number.is_none() => {
                say!(self, "account {}{}", account.code, if account.closed { " closed" } else { "" });
            }
            Snapshot::Account(_) => {}
            Snapshot::Calendar(calendar) => {
                let shown = |period: Option<PeriodId>| period.map_or("-".to_owned(), |period| period.to_string());
                let (soft, closed) = (shown(calendar.soft_closed_through), shown(calendar.closed_through));
                let first = calendar.first_month.number();
                say!(self, "calendar from month {first}, soft-closed through {soft}, closed through {closed}");
            }
            Snapshot::Period(period) => self.period(period),
            Snapshot::Rate(rate) => {
                let code = |id| known_currency(self.memory, self.book, id).code;
                let (base, quote) = (code(rate.base), code(rate.quote));
                say!(self, "rate {base}/{quote} {} from {} ({})", rate.rate, rate.date, rate.source);
            }
            Snapshot::Recognised(recognised) => {
                let functional = self.memory.book(self.book).unwrap().functional_currency;
                let total = self.money(recognised.total(), functional);
                say!(self, "recognised of {} {total} through {}", recognised.charge, recognised.through);
            }
            Snapshot::RecognitionRun(run) => {
                let functional = self.memory.book(self.book).unwrap().functional_currency;
                let amount = self.money(run.amount, functional);
                let next = match &run.next {
                    Some(next) => format!(", next {}/{}", next.customer.as_ref().unwrap(), next.item),
                    None => String::new(),
                };
                say!(self, "recognition through {}: {} charges, {amount}{next}", run.through, run.charges);
            }
            Snapshot::Valuation(valuation) => self.valuation(valuation),
            Snapshot::YearClose(closed) => {
                let mut text = format!("fiscal year {} closed as of {}", closed.year, closed.as_of);
                for (currency, earnings) in &closed.earnings {
                    let code = known_currency(self.memory, self.book, *currency).code;
                    write!(text, ", earnings {} {code}", self.money(*earnings, *currency)).unwrap();
                }
                say!(self, "{text}");
            }
        }
    }

    fn valuation(&mut self, valuation: &Valuation) {
        let functional = self.memory.book(self.book).unwrap().functional_currency;
        let money = |minor| self.money(minor, functional);
        let mut text = format!("position at {}: functional {}", valuation.date, money(valuation.functional));
        for valued in &valuation.currencies {
            let code = known_currency(self.memory, self.book, valued.currency).code;
            let balance = self.money(valued.balance, valued.currency);
            write!(text, ", {code} {balance} at {} is {}", valued.rate, money(valued.value)).unwrap();
        }
        let difference = money(valuation.difference);
        say!(self, "{text}, left {difference}");
    }

    fn period(&mut self, period: &Period) {
        let mut text = format!("period {} {}", period.id, period.state);
        if period.reopened > 0 {
            write!(text, ", reopened {}", period.reopened).unwrap();
        }
        if !period.reason.is_empty() {
            write!(text, " ({})", period.reason).unwrap();
        }
        for kind in &period.accepted {
            write!(text, ", accepted {}", kind.name()).unwrap();
        }
        if let Some(seal) = &period.seal {
            let (rows, entry, position) = (seal.balances.len(), seal.last_entry, seal.journal.position);
            write!(text, ", sealed {} rows after entry {entry} at #{position}: {}", rows, seal.hash).unwrap();
        }
        say!(self, "{text}");
    }

    fn hold(&mut self, hold: &Hold) {
        let money = |minor| self.money(minor, hold.currency);
        let amounts = format!(
            "amount {} captured {} pending {}",
            money(hold.amount.minor()),
            money(hold.captured),
            money(hold.pending)
        );
        say!(self, "hold {} {:?}: {amounts}{}", hold.id, hold.state, entries(&hold.entries));
    }

    fn charge(&mut self, charge: &Charge, open: i128) {
        let money = |minor| self.money(minor, charge.currency);
        let functional = self.memory.book(self.book).unwrap().functional_currency;
        let refunded: i128 = charge.lines.iter().flat_map(|line| &line.tax).map(|tax| tax.refunded).sum();
        let mut text = format!(
            "amount {} tax {} open {} credited {} (tax {}, net {})",
            money(charge.amount.minor()),
            money(charge.tax()),
            money(open),
            money(charge.credited),
            money(refunded),
            self.money(charge.credited_functional_net, functional),
        );
        text.push_str(&links("payments", charge.payments.iter()));
        text.push_str(&links("refunds", charge.refunds.iter()));
        let voided = if charge.voided { " voided" } else { "" };
        say!(self, "charge {}{voided}: {text}{}", charge.id, entries(&charge.entries));
    }

    fn payment(&mut self, payment: &Payment, unapplied: i128) {
        let money = |minor| self.money(minor, payment.currency);
        let mut text = format!(
            "amount {} captured {} pending {} unapplied {} refunded {} (unapplied {}) refundable {} fees {}",
            money(payment.amount.minor()),
            money(payment.captured),
            money(payment.pending),
            money(unapplied),
            money(payment.refunded),
            money(payment.refunded_unapplied),
            money(payment.refundable()),
            money(payment.fees),
        );
        let applications = payment.applications.iter().map(|application| {
            let refunded = match application.refunded {
                0 => String::new(),
                refunded => format!("-{}", money(refunded)),
            };
            format!("{}:{}{refunded}", application.charge, money(application.amount))
        });
        text.push_str(&links("applied", applications));
        text.push_str(&links("refunds", payment.refunds.iter()));
        say!(self, "payment {} {:?}: {text}{}", payment.id, payment.state, entries(&payment.entries));
    }

    fn refund(&mut self, refund: &Refund) {
        let money = |minor| self.money(minor, refund.currency);
        let functional = self.memory.book(self.book).unwrap().functional_currency;
        let mut text = format!("amount {} unapplied {}", money(refund.amount.minor()), money(refund.unapplied));
        let parts = refund.parts.iter().map(|part| {
            let tax: i128 = part.tax.iter().flatten().sum();
            let net = self.money(part.functional_net, functional);
            format!("{}:{} (tax {}, net {net})", part.charge, money(part.amount.minor()), money(tax))
        });
        text.push_str(&links("from", parts));
        let of = &refund.payment;
        say!(self, "refund {} of {of} {:?}: {text}{}", refund.id, refund.state, entries(&refund.entries));
    }
}

fn links<T: ToString>(name: &str, ids: impl Iterator<Item = T>) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    if ids.is_empty() { String::new() } else { format!(" {name} {}", ids.join(",")) }
}

fn entries(numbers: &[EntryNumber]) -> String {
    match links("entries", numbers.iter()).strip_prefix(' ') {
        Some(text) => format!("; {text}"),
        None => String::new(),
    }
}

/// A document as its table has it now.
pub(super) fn document(ledger: &Ledger, document: &DocumentRef) -> String {
    let mut printer = printer(ledger);
    let (memory, book) = (printer.memory, printer.book);
    match document {
        DocumentRef::Hold(id) => printer.hold(&memory.hold(book, id).unwrap()),
        DocumentRef::Charge(id) => {
            let charge = memory.charge(book, id).unwrap();
            let open = partita_core::commit::open_amount(memory, book, &charge);
            printer.charge(&charge, open);
        }
        DocumentRef::Payment(id) => {
            let payment = memory.payment(book, id).unwrap();
            let unapplied = partita_core::commit::unapplied_amount(memory, book, &payment);
            printer.payment(&payment, unapplied);
        }
        DocumentRef::Refund(id) => printer.refund(&memory.refund(book, id).unwrap()),
    }
    printer.out
}

/// Every account's balance that is not zero, on its side, and the totals.
pub(super) fn trial_balance(ledger: &Ledger) -> String {
    let mut printer = printer(ledger);
    let mut totals: std::collections::BTreeMap<CurrencyId, (i128, i128)> = Default::default();
    let mut rows = vec![];
    for (key, sums) in ledger.memory.controls.iter().filter(|(key, _)| key.book == ledger.book) {
        let balance = sums.debits - sums.credits;
        let total = totals.entry(key.currency).or_default();
        total.0 += balance.max(0);
        total.1 += (-balance).max(0);
        if balance != 0 {
            let code = ledger.memory.account(key.book, key.account).unwrap().code.to_string();
            rows.push((key.currency, code, balance));
        }
    }
    for (currency, code, balance) in rows {
        let side = if balance > 0 { "debit" } else { "credit" };
        let amount = printer.money(balance.abs(), currency);
        let currency = known_currency(printer.memory, printer.book, currency).code;
        say!(printer, "{code:<40} {currency} {side:<6} {amount:>12}");
    }
    for (currency, (debits, credits)) in totals {
        let (debits, credits) = (printer.money(debits, currency), printer.money(credits, currency));
        let currency = known_currency(printer.memory, printer.book, currency).code;
        say!(printer, "total {currency} {debits} {credits}");
    }
    printer.out
}

/// An item's balance where the place names one, else a subaccount's.
pub(super) fn balance(ledger: &Ledger, (place, currency): &(AccountRef, partita_core::id::CurrencyCode)) -> String {
    let mut printer = printer(ledger);
    let (memory, book) = (printer.memory, printer.book);
    let account = memory.account_by_code(book, &place.code).unwrap();
    let currency = partita_core::resolve::find_currency(memory, book, currency).unwrap();
    let (account_id, party, currency_id) = (account.id, place.party.clone(), currency.id);
    let sums: Sums = match &place.item {
        Some(item) => {
            memory.item(&ItemKey { book, account: account_id, party, item: item.clone(), currency: currency_id })
        }
        None => memory.subaccount(&SubaccountKey { book, account: account_id, party, currency: currency_id }).sums,
    };
    let balance = match account.normal_side() {
        Side::Debit => sums.debits - sums.credits,
        Side::Credit => sums.credits - sums.debits,
    };
    let money = |minor| printer.money(minor, currency.id);
    let text = format!(
        "{} {}, pending debits {} credits {}",
        money(balance),
        currency.code,
        money(sums.pending_debits),
        money(sums.pending_credits)
    );
    say!(printer, "{text}");
    printer.out
}
