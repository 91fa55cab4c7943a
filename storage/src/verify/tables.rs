//! Comparing every row of the tables with what was rebuilt, both ways: rows that are missing, rows that are surplus.

use std::collections::BTreeMap;
use std::fmt::Debug;

use partita_core::account::ItemRule;
use partita_core::document::{Charge, Hold, Payment, Refund};
use partita_core::id::{BookId, DocumentId, EntryNumber};
use partita_core::state::{ControlKey, ItemKey, Movement, OpenItem, Sums};
use partita_core::time::Date;

use super::PAGE_ROWS;
use super::rebuilt::{Rebuilt, Trace, digest};
use super::report::Report;
use crate::codec::keys::TableKey;
use crate::codec::{EntryPage, Stored, decode_record, encode_record};
use crate::engine::{Direction, EngineError, KeyRange, Row, Table, TableRead};
use crate::state::page_of;

/// Compares all tables that hold rows of the ledger.
pub(super) fn compare_all(engine: &impl TableRead, rebuilt: &Rebuilt, report: &mut Report) {
    compare(engine, report, Table::Books, rebuilt.books.iter());
    compare(engine, report, Table::Currencies, rebuilt.currencies.iter());
    compare(engine, report, Table::Accounts, rebuilt.accounts.iter());
    compare(engine, report, Table::Totals, rebuilt.totals.iter());
    compare(engine, report, Table::Trees, rebuilt.trees.iter());
    compare(engine, report, Table::Controls, rebuilt.controls.iter());
    let subaccounts: Vec<_> = rebuilt.subaccounts.iter().map(|(key, postings)| (key, postings.row())).collect();
    let rows = subaccounts.iter().filter_map(|(key, row)| row.as_ref().map(|row| (*key, row)));
    compare(engine, report, Table::Subaccounts, rows);
    compare(engine, report, Table::Items, rebuilt.items.iter());
    let open: Vec<(&ItemKey, OpenItem)> =
        rebuilt.opened.iter().filter_map(|(key, since)| open_item(rebuilt, key, *since)).collect();
    compare(engine, report, Table::OpenItems, open.iter().map(|(key, open)| (*key, open)));
    compare(engine, report, Table::Movements, rebuilt.movements.iter());
    compare(engine, report, Table::Calendars, rebuilt.calendars.iter());
    compare(engine, report, Table::Periods, rebuilt.periods.iter());
    compare(engine, report, Table::Rates, rebuilt.rates.iter());
    compare(engine, report, Table::Recognitions, rebuilt.recognitions.iter());
    compare(engine, report, Table::Entries, entry_pages(rebuilt).iter());
    compare_documents::<Hold>(engine, report, Table::Holds, rebuilt.holds.iter());
    compare_documents::<Charge>(engine, report, Table::Charges, rebuilt.charges.iter());
    compare_documents::<Payment>(engine, report, Table::Payments, rebuilt.payments.iter());
    compare_documents::<Refund>(engine, report, Table::Refunds, rebuilt.refunds.iter());
    compare(engine, report, Table::Customers, rebuilt.customers.iter().map(|key| (key, &())));
    compare(engine, report, Table::Expiries, rebuilt.expiries.iter().map(|key| (key, &())));
}

fn entry_pages(rebuilt: &Rebuilt) -> BTreeMap<(BookId, EntryNumber), EntryPage> {
    let mut pages: BTreeMap<_, EntryPage> = BTreeMap::new();
    for ((book, number), record) in &rebuilt.entries {
        pages.entry((*book, page_of(*number))).or_default().records.push(*record);
    }
    pages
}

fn open_item<'a>(rebuilt: &Rebuilt, key: &'a ItemKey, since: Date) -> Option<(&'a ItemKey, OpenItem)> {
    let sums = *rebuilt.items.get(key)?;
    (sums.debits != sums.credits).then_some((key, OpenItem { sums, since }))
}

fn compare<'a, K: TableKey + Debug + 'a, V: Stored + Debug + 'a>(
    engine: &impl TableRead,
    report: &mut Report,
    table: Table,
    expected: impl Iterator<Item = (&'a K, &'a V)>,
) {
    join(
        engine,
        report,
        table,
        expected,
        |value, found| encode_record(*value) == found,
        |value| format!("{value:?}"),
        found_as::<V>,
    );
}

/// Documents are compared by digest; a difference names the decision whose snapshot the row should be.
fn compare_documents<'a, V: Stored + Debug>(
    engine: &impl TableRead,
    report: &mut Report,
    table: Table,
    expected: impl Iterator<Item = (&'a (BookId, DocumentId), &'a Trace)>,
) {
    join(
        engine,
        report,
        table,
        expected,
        |trace, found| digest(found) == trace.digest,
        |trace| format!("as decision {} left it", trace.decided),
        found_as::<V>,
    );
}

fn found_as<V: Stored + Debug>(bytes: &[u8]) -> String {
    match decode_record::<V>(bytes) {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("no record: {error}"),
    }
}

/// Walks the table and the expected rows side by side.
fn join<'a, K: TableKey + Debug + 'a, V>(
    engine: &impl TableRead,
    report: &mut Report,
    table: Table,
    expected: impl Iterator<Item = (&'a K, V)>,
    matches: impl Fn(&V, &[u8]) -> bool,
    show: impl Fn(&V) -> String,
    show_found: impl Fn(&[u8]) -> String,
) {
    let name = table.name();
    let mut expected_rows: u64 = 0;
    let mut expected =
        expected.map(|(key, value)| (key.to_bytes(), key, value)).inspect(|_| expected_rows += 1).peekable();
    let mut equal = 0;
    let result = for_each_row(engine, table, |(key, value)| {
        while let Some((_, typed, missing)) = expected.next_if(|row| row.0 < key) {
            report.differ(name, format_args!("{typed:?}"), show(&missing), "no row");
        }
        match expected.next_if(|row| row.0 == key) {
            Some((_, _, wanted)) if matches(&wanted, &value) => equal += 1,
            Some((_, typed, wanted)) => {
                report.differ(name, format_args!("{typed:?}"), show(&wanted), show_found(&value));
            }
            None => match K::from_bytes(&key) {
                Ok(typed) => report.differ(name, format_args!("{typed:?}"), "no row", show_found(&value)),
                Err(_) => report.differ(name, format_args!("{key:02x?}"), "no row", show_found(&value)),
            },
        }
    });
    match result {
        Ok(hidden) => {
            for (_, typed, missing) in expected {
                report.differ(name, format_args!("{typed:?}"), show(&missing), "no row");
            }
            differ_hidden(report, name, &hidden);
        }
        Err(error) => {
            report.differ(name, "rows", "readable", error);
            expected.for_each(drop);
        }
    }
    report.check(name, expected_rows, equal);
}

/// Calls `visit` for every row of a table, in order; gives back the keys under which no look-up finds their row.
pub(super) fn for_each_row(
    engine: &impl TableRead,
    table: Table,
    mut visit: impl FnMut(Row),
) -> Result<Vec<Vec<u8>>, EngineError> {
    let mut hidden_keys = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let rows = engine.scan(table, &range, Direction::Forward, PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(hidden_keys) };
        range.from = [last.as_slice(), &[0]].concat();
        hidden_keys.extend(hidden(engine, table, &rows)?);
        rows.into_iter().for_each(&mut visit);
    }
}

pub(super) fn differ_hidden(report: &mut Report, table: &str, hidden: &[Vec<u8>]) {
    for key in hidden {
        report.differ(table, format_args!("{key:02x?}"), "found by its key", "found by a scan only");
    }
}

/// Rows that a scan sees but a look-up by key does not: a damaged filter would hide them from the ledger.
fn hidden(engine: &impl TableRead, table: Table, rows: &[Row]) -> Result<Vec<Vec<u8>>, EngineError> {
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.0.clone()).collect();
    let found = engine.multi_get(table, &keys)?;
    let hidden = rows.iter().zip(found).filter(|((_, value), found)| found.as_ref() != Some(value));
    Ok(hidden.map(|((key, _), _)| key.clone()).collect())
}

/// Invariant 2, over what was rebuilt: every coarser sum is the sum of the finer ones below it.
pub(super) fn check_sums(rebuilt: &Rebuilt, report: &mut Report) {
    let mut checked = Counted::default();
    let mut below: std::collections::BTreeMap<ControlKey, Sums> = std::collections::BTreeMap::new();
    for (key, postings) in &rebuilt.subaccounts {
        let control = ControlKey { book: key.book, account: key.account, currency: key.currency };
        add_all(below.entry(control).or_default(), &postings.sums);
    }
    checked.same(report, "controls", rebuilt.controls.iter(), &below);

    let is_required = |book, account| {
        rebuilt.accounts.get(&(book, account)).is_some_and(|account| account.items == ItemRule::Required)
    };
    let mut items = std::collections::BTreeMap::new();
    for (key, sums) in rebuilt.items.iter().filter(|(key, _)| is_required(key.book, key.account)) {
        let (book, account, party, currency) = (key.book, key.account, key.party.clone(), key.currency);
        let subaccount = partita_core::state::SubaccountKey { book, account, party, currency };
        add_all(items.entry(subaccount).or_default(), sums);
    }
    let required = rebuilt.subaccounts.iter().filter(|(key, _)| is_required(key.book, key.account));
    checked.same(report, "subaccounts", required.map(|(key, postings)| (key, &postings.sums)), &items);

    let mut by_date: std::collections::BTreeMap<ControlKey, Sums> = std::collections::BTreeMap::new();
    for (key, movement) in &rebuilt.movements {
        add_all(by_date.entry(key.control.clone()).or_default(), &posted(movement));
    }
    for (key, sums) in &rebuilt.controls {
        let posted = Sums { pending_debits: 0, pending_credits: 0, ..*sums };
        let moved = by_date.get(key).copied().unwrap_or_default();
        checked.count(report.same("movements", format_args!("Σ {key:?}"), &posted, &moved));
    }
    for (book, totals) in &rebuilt.totals {
        for (currency, sum) in &totals.sums {
            let of_book = rebuilt.controls.iter().filter(|(key, _)| key.book == *book && key.currency == *currency);
            let mut sums = Sums::default();
            of_book.for_each(|(_, control)| add_all(&mut sums, control));
            let posted = Movement { debits: sums.debits, credits: sums.credits };
            let name = format!("Σ book {book}, currency {currency}");
            checked.count(report.same("totals", &name, &posted, sum));
            checked.count(report.same("totals", format_args!("{name}: debits and credits"), &sum.debits, &sum.credits));
        }
    }
    report.check("sums of sums", checked.all, checked.equal);
}

#[derive(Default)]
struct Counted {
    all: u64,
    equal: u64,
}

impl Counted {
    fn count(&mut self, is_equal: bool) {
        self.all += 1;
        self.equal += u64::from(is_equal);
    }

    fn same<'a, K: Ord + Debug + 'a>(
        &mut self,
        report: &mut Report,
        table: &str,
        coarse: impl Iterator<Item = (&'a K, &'a Sums)>,
        fine: &std::collections::BTreeMap<K, Sums>,
    ) {
        for (key, sums) in coarse {
            let below = fine.get(key).copied().unwrap_or_default();
            self.count(report.same(table, format_args!("Σ below {key:?}"), &below, sums));
        }
    }
}

fn posted(movement: &Movement) -> Sums {
    Sums { debits: movement.debits, credits: movement.credits, pending_debits: 0, pending_credits: 0 }
}

fn add_all(sums: &mut Sums, more: &Sums) {
    let Sums { debits, credits, pending_debits, pending_credits } = more;
    sums.debits = sums.debits.saturating_add(*debits);
    sums.credits = sums.credits.saturating_add(*credits);
    sums.pending_debits = sums.pending_debits.saturating_add(*pending_debits);
    sums.pending_credits = sums.pending_credits.saturating_add(*pending_credits);
}
