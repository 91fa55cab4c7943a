//! Fiscal periods: which dates take which entries, the three acts, and the trial balance that a close seals.
//!
//! Periods are compared as texts (`2026-01`), balances summed from the entries alone.

use std::collections::BTreeMap;

use partita_core::decision::Decision;
use partita_core::document::Snapshot;
use partita_core::entry::Side;
use partita_core::id::{CurrencyCode, CurrencyId};
use partita_core::operation::{ClosePeriod, MovePeriod};
use partita_core::period::{
    Blocker, BlockerKind, Calendar, Digest, JournalHead, Period, PeriodId, PeriodState, Seal, SealedBalance,
};
use partita_core::rejection::{Reason, Rejection};
use partita_core::time::Date;

use super::decide::{Draft, Moment, Thing, Wish, refuse};
use super::finance::{fx_blocker, is_finance};
use super::ledger::{Shelf, on};

fn month_of(date: Date) -> String {
    date.to_string()[..7].to_owned()
}

/// What is known of the journal's head hash: nothing. Storage's own tests have it.
const UNKNOWN: Digest = Digest([0; 32]);

/// The period as the model can know it.
pub(crate) fn known(mut period: Period) -> Period {
    if let Some(seal) = &mut period.seal {
        seal.journal.hash = UNKNOWN;
    }
    period
}

/// The decision as the model can know it.
pub(crate) fn known_decision(decision: &Decision) -> Decision {
    let mut decision = decision.clone();
    if let partita_core::decision::Outcome::Accepted(effects) = &mut decision.outcome {
        for snapshot in &mut effects.snapshots {
            if let Snapshot::Period(period) = snapshot {
                *period = known(period.clone());
            }
        }
    }
    decision
}

pub(crate) fn state(calendar: &Calendar, month: &str) -> PeriodState {
    let reached = |last: Option<PeriodId>| last.is_some_and(|last| month <= last.to_string().as_str());
    match (reached(calendar.closed_through), reached(calendar.soft_closed_through)) {
        (true, _) => PeriodState::Closed,
        (false, true) => PeriodState::SoftClosed,
        (false, false) => PeriodState::Open,
    }
}

impl Shelf {
    pub(crate) fn check_date(&self, draft: &Draft) -> Result<(), Rejection> {
        let month = month_of(draft.date);
        let state = state(&self.calendar, &month);
        let finance = is_finance(draft.rule);
        if state == PeriodState::Open || (state == PeriodState::SoftClosed && finance) {
            return Ok(());
        }
        let period = PeriodId::parse(&month).unwrap();
        refuse(Reason::PeriodClosed { period, state, date: draft.date }, partita_core::rejection::Field::EffectiveDate)
    }

    /// The next period to be soft-closed, where that is settled.
    pub(crate) fn first_open(&self) -> Option<PeriodId> {
        match self.calendar.soft_closed_through {
            Some(last) => last.next(),
            None => {
                let dates = self.entries.iter().map(|posted| posted.entry.effective_date);
                dates.min().map(|date| PeriodId::parse(&month_of(date)).unwrap())
            }
        }
    }

    fn before(&self, id: PeriodId) -> u32 {
        self.periods.get(&id).map_or(0, |period| period.reopened)
    }
}

fn whole<T>(reason: Reason) -> Result<T, Rejection> {
    refuse(reason, partita_core::rejection::Field::Whole)
}

fn moved(period: Period, calendar: Calendar) -> Wish {
    Wish { things: vec![Thing::Period(period), Thing::Calendar(calendar)], ..Wish::default() }
}

pub(crate) fn soft_close(shelf: &Shelf, moment: &Moment, operation: &MovePeriod) -> Result<Wish, Rejection> {
    let found = state(&shelf.calendar, &operation.period.to_string());
    if found != PeriodState::Open {
        return whole(Reason::PeriodState { state: found });
    }
    if let Some(first) = shelf.first_open().filter(|first| *first < operation.period) {
        return whole(Reason::PeriodOutOfOrder { first });
    }
    let period = Period {
        id: operation.period,
        state: PeriodState::SoftClosed,
        seal: None,
        accepted: vec![],
        reopened: shelf.before(operation.period),
        reason: operation.reason.clone(),
        decided: moment.position,
    };
    let mut calendar = Calendar { decided: moment.position, ..shelf.calendar };
    if calendar.soft_closed_through.is_none() {
        calendar.closed_through = operation.period.previous();
    }
    calendar.soft_closed_through = Some(operation.period);
    Ok(moved(period, calendar))
}

pub(crate) fn close(shelf: &Shelf, moment: &Moment, operation: &ClosePeriod) -> Result<Wish, Rejection> {
    let found = state(&shelf.calendar, &operation.period.to_string());
    if found != PeriodState::SoftClosed {
        return whole(Reason::PeriodState { state: found });
    }
    if let Some(first) = shelf.calendar.closed_through.and_then(PeriodId::next)
        && first < operation.period
    {
        return whole(Reason::PeriodOutOfOrder { first });
    }
    let rows = balances(shelf, operation.period);
    let found = rows.iter().filter_map(|row| blocker(shelf, row)).chain(fx_blocker(shelf, operation.period));
    let blockers: Vec<Blocker> = found.filter(|found| !operation.accept.contains(&found.kind())).collect();
    if !blockers.is_empty() {
        return whole(Reason::PeriodNotReady { blockers });
    }
    let as_of = last_day(operation.period);
    let seal = Seal {
        as_of,
        journal: JournalHead { position: moment.journal, hash: UNKNOWN },
        last_entry: partita_core::id::EntryNumber(u64::try_from(shelf.entries.len()).unwrap()),
        hash: Digest(*blake3::hash(text(shelf, as_of, &rows).as_bytes()).as_bytes()),
        balances: rows,
    };
    let period = Period {
        id: operation.period,
        state: PeriodState::Closed,
        seal: Some(seal),
        accepted: operation.accept.clone(),
        reopened: shelf.before(operation.period),
        reason: operation.reason.clone(),
        decided: moment.position,
    };
    let calendar = Calendar { closed_through: Some(operation.period), decided: moment.position, ..shelf.calendar };
    Ok(moved(period, calendar))
}

pub(crate) fn reopen(shelf: &Shelf, moment: &Moment, operation: &MovePeriod) -> Result<Wish, Rejection> {
    let found = state(&shelf.calendar, &operation.period.to_string());
    let mut calendar = Calendar { decided: moment.position, ..shelf.calendar };
    let (last, state) = match found {
        PeriodState::Open => return whole(Reason::PeriodState { state: found }),
        PeriodState::SoftClosed => (&mut calendar.soft_closed_through, PeriodState::Open),
        PeriodState::Closed => (&mut calendar.closed_through, PeriodState::SoftClosed),
    };
    let first = last.expect("something is closed");
    if first != operation.period {
        return whole(Reason::PeriodOutOfOrder { first });
    }
    *last = operation.period.previous();
    let period = Period {
        id: operation.period,
        state,
        seal: None,
        accepted: vec![],
        reopened: shelf.before(operation.period) + 1,
        reason: operation.reason.clone(),
        decided: moment.position,
    };
    Ok(moved(period, calendar))
}

pub(crate) fn last_day(period: PeriodId) -> Date {
    (28..=31).rev().find_map(|day| Date::parse(&format!("{period}-{day}"))).expect("a month has 28 days or more")
}

fn balances(shelf: &Shelf, period: PeriodId) -> Vec<SealedBalance> {
    let mut sums: BTreeMap<(String, CurrencyCode), SealedBalance> = BTreeMap::new();
    for entry in shelf.entries.iter().map(|posted| &posted.entry) {
        if month_of(entry.effective_date) > period.to_string() {
            continue;
        }
        for line in &entry.lines {
            let key = (shelf.account(line.account).code.to_string(), shelf.currency_code(line.currency));
            let empty = SealedBalance { account: line.account, currency: line.currency, debits: 0, credits: 0 };
            let sum = sums.entry(key).or_insert(empty);
            match line.side {
                Side::Debit => sum.debits += line.amount.minor(),
                Side::Credit => sum.credits += line.amount.minor(),
            }
        }
    }
    sums.into_values().collect()
}

fn blocker(shelf: &Shelf, row: &SealedBalance) -> Option<Blocker> {
    let account = shelf.account(row.account);
    let balance = on(account.normal_side(), (row.debits, row.credits));
    let (code, currency) = (account.code.clone(), shelf.currency_code(row.currency));
    let decimals = shelf.decimals(row.currency);
    let unapplied = account.role.as_ref().is_some_and(|role| role.as_str() == "unapplied_cash");
    match (balance, account.must_zero, unapplied) {
        (0, _, _) | (_, false, false) => None,
        (_, true, _) => Some(Blocker::MustZero { account: code, currency, balance, decimals }),
        (_, false, true) => Some(Blocker::UnappliedCash { account: code, currency, balance, decimals }),
    }
}

fn text(shelf: &Shelf, as_of: Date, rows: &[SealedBalance]) -> String {
    let mut lines =
        vec!["partita trial balance 1".to_owned(), format!("book {}", shelf.book.code), format!("as of {as_of}")];
    for row in rows {
        let decimal = |minor| decimal(shelf, minor, row.currency);
        let (account, currency) = (&shelf.account(row.account).code, shelf.currency_code(row.currency));
        lines.push(format!("{account} {currency} {} {}", decimal(row.debits), decimal(row.credits)));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Minor units with the currency's digits.
pub(crate) fn decimal(shelf: &Shelf, minor: i128, currency: CurrencyId) -> String {
    let decimals = usize::from(shelf.decimals(currency));
    let mut digits = format!("{:0width$}", minor.abs(), width = decimals + 1);
    if decimals > 0 {
        digits.insert(digits.len() - decimals, '.');
    }
    format!("{}{digits}", if minor < 0 { "-" } else { "" })
}

/// What a generator may accept.
pub(crate) fn accepted(bits: usize) -> Vec<BlockerKind> {
    BlockerKind::ALL.into_iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1).map(|pair| pair.1).collect()
}
