//! Verification of a ledger with every operation in it: clean as it is, and any damage to it found.

use partita_core::decision::{Answer, Command, Outcome};
use partita_core::document::{CaptureMode, Deferral, SettleMode, Snapshot};
use partita_core::entry::{Metadata, Side};
use partita_core::id::{Actor, BookCode, BookId, CurrencyCode, EntryNumber, Position};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, Chart, ClosePeriod, CloseYear, Convert, CreateCharge,
    CreatePayment, CreateRefund, Currencies, Details, ManualKind, MovePeriod, MoveRefund, OpenAccount, OpenBook,
    OpenFiscalBook, Operation, PlaceHold, PostEntry, PostPaymentFee, Recognise, RecordRate, RegisterCurrency, Revalue,
    ReverseEntry, Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication, WrittenChargeLine, WrittenLine,
    WrittenSource, WrittenTax,
};
use partita_core::period::{BlockerKind, FiscalYear, Month, Period, PeriodId, Seal};
use partita_core::state::{ControlKey, Subaccount, SubaccountKey, Sums};
use partita_core::time::Timestamp;

use super::{Report, verify};
use crate::codec::keys::TableKey;
use crate::codec::samples::{STAMP, code, date, id, item, key, party};
use crate::codec::{Level, Levels, Stored, decode_record, encode_decision, encode_record, fingerprint};
use crate::engine::{Batch, Direction, KeyRange, MemoryEngine, RocksEngine, Table, TableEngine, TableRead};
use crate::journal::block::{Block, BlockBuilder};
use crate::state::{Applied, StateConfig, open_state};

const CONFIG: StateConfig = StateConfig { memory_bytes: 1 << 20, levels: Levels::OWN };

fn account(text: &str) -> AccountRef {
    let mut parts = text.split('/');
    AccountRef { code: code(parts.next().unwrap()), party: parts.next().map(party), item: parts.next().map(item) }
}

fn written(text: &str) -> WrittenAmount {
    WrittenAmount::parse(text).unwrap()
}

fn usd() -> CurrencyCode {
    CurrencyCode::new("USD").unwrap()
}

fn on(day: &str) -> Details {
    Details { effective_date: Some(date(day)), ..Details::default() }
}

fn transfer(debit: &str, credit: &str, amount: &str, day: &str) -> Transfer {
    Transfer {
        debit: account(debit),
        credit: account(credit),
        amount: written(amount),
        currency: usd(),
        details: on(day),
    }
}

fn apply(charge: &str, amount: &str) -> Vec<WrittenApplication> {
    vec![WrittenApplication { charge: id(charge), amount: written(amount) }]
}

fn charge(name: &str, amount: &str, tax: &str) -> Operation {
    Operation::CreateCharge(CreateCharge {
        id: id(name),
        customer: party("cus_1"),
        currency: usd(),
        due_date: None,
        rate: None,
        lines: vec![WrittenChargeLine {
            revenue: code("revenue:subscription"),
            amount: written(amount),
            tax: vec![WrittenTax { jurisdiction: party("us-ca"), amount: written(tax) }],
            defer: (name == "in_2").then(|| Deferral { from: date("2026-01-01"), to: date("2026-12-31") }),
        }],
        details: on("2026-01-02"),
    })
}

fn payment(name: &str, amount: &str, capture: CaptureMode, charge: &str) -> Operation {
    Operation::CreatePayment(CreatePayment {
        id: id(name),
        customer: party("cus_1"),
        source: WrittenSource::Processor(party("stripe")),
        amount: written(amount),
        currency: usd(),
        capture,
        apply: apply(charge, amount),
        fee: (capture == CaptureMode::Automatic).then(|| written("3.44")),
        expires_at: (capture == CaptureMode::Manual).then_some(Timestamp(STAMP.0 + 1_000_000_000)),
        details: on("2026-01-03"),
    })
}

fn refund(name: &str, amount: &str, settle: SettleMode) -> Operation {
    let (payment, amount) = (id("pay_1"), written(amount));
    let details = on("2026-01-05");
    Operation::CreateRefund(CreateRefund {
        id: id(name),
        payment,
        amount,
        settle,
        reason: String::new(),
        from: None,
        details,
    })
}

fn hold(name: &str, amount: &str, expires_after: Option<i64>) -> Operation {
    Operation::PlaceHold(PlaceHold {
        id: id(name),
        debit: account("assets:bank"),
        credit: account("liabilities:customer-prepaid/cus_1"),
        amount: written(amount),
        currency: usd(),
        expires_at: expires_after.map(|after| Timestamp(STAMP.0 + after)),
        description: "Deposit".to_owned(),
        metadata: [("ref".to_owned(), "x".to_owned())].into(),
    })
}

fn entry() -> PostEntry {
    let line =
        |text, side, amount| WrittenLine { account: account(text), side, amount: written(amount), currency: usd() };
    PostEntry {
        kind: ManualKind::Standard,
        details: on("2026-02-01"),
        lines: vec![
            line("expenses:processing-fees", Side::Debit, "15.00"),
            line("assets:bank", Side::Credit, "14.00"),
            line("assets:cash-in-transit", Side::Credit, "1.00"),
        ],
    }
}

/// Every operation at least once, several refusals, and both kinds of expiry.
#[allow(clippy::too_many_lines, reason = "a list")]
fn operations() -> Vec<Operation> {
    let refund_of = |name| MoveRefund { id: id(name), details: on("2026-01-06") };
    let capture = |name, amount: Option<&str>, is_final| {
        let amount = amount.map(written);
        Operation::CapturePayment(CapturePayment {
            id: id(name),
            amount,
            is_final,
            apply: None,
            fee: None,
            details: on("2026-01-04"),
        })
    };
    let to_wallet = |amount, day| transfer("assets:bank", "liabilities:customer-prepaid/cus_1", amount, day);
    vec![
        Operation::RegisterCurrency(RegisterCurrency { code: CurrencyCode::new("USDC").unwrap(), decimals: 6 }),
        Operation::OpenAccount(OpenAccount {
            code: code("assets:till"),
            number: None,
            name: "Till".to_owned(),
            class: partita_core::account::Class::Asset,
            contra: false,
            party: None,
            items: partita_core::account::ItemRule::None,
            currencies: Currencies::Any,
            overdraft: partita_core::account::Overdraft::Forbid,
            must_zero: false,
            role: None,
        }),
        Operation::CloseAccount(code("assets:till")),
        Operation::Transfer(transfer("assets:till", "assets:bank", "1.00", "2026-01-01")),
        Operation::Transfer(to_wallet("100.00", "2026-01-09")),
        Operation::Transfers(vec![to_wallet("1.00", "2025-12-31"), to_wallet("2.50", "2026-01-31")]),
        Operation::PostEntry(entry()),
        Operation::PostEntries(vec![entry(), entry()]),
        Operation::ReverseEntry(ReverseEntry { number: EntryNumber(4), details: on("2026-02-02") }),
        Operation::ReverseEntry(ReverseEntry { number: EntryNumber(4), details: on("2026-02-02") }),
        hold("h_1", "20.00", Some(1_000_000_000)),
        hold("h_2", "30.00", None),
        hold("h_3", "5.00", Some(50)),
        Operation::CaptureHold(CaptureHold {
            id: id("h_1"),
            amount: Some(written("5")),
            is_final: false,
            details: on("2026-01-07"),
        }),
        Operation::VoidHold(VoidHold { id: id("h_2") }),
        charge("in_1", "108.25", "8.25"),
        charge("in_2", "1299.00", "99.00"),
        charge("in_3", "10.00", "0.00001"),
        charge("in_3", "10.00", "1.00"),
        charge("in_1", "10.00", "1.00"),
        Operation::VoidCharge(VoidCharge { id: id("in_3"), details: on("2026-01-04") }),
        payment("pay_1", "108.25", CaptureMode::Automatic, "in_1"),
        payment("pay_2", "500.00", CaptureMode::Manual, "in_2"),
        payment("pay_3", "70.00", CaptureMode::Manual, "in_2"),
        payment("pay_4", "40.00", CaptureMode::Manual, "in_2"),
        capture("pay_2", Some("200.00"), false),
        Operation::VoidPayment(VoidPayment { id: id("pay_3") }),
        Operation::UnapplyPayment(ApplyPayment {
            id: id("pay_2"),
            apply: apply("in_2", "50.00"),
            details: on("2026-01-04"),
        }),
        Operation::ApplyPayment(ApplyPayment {
            id: id("pay_2"),
            apply: apply("in_2", "20.00"),
            details: on("2026-01-04"),
        }),
        Operation::PostPaymentFee(PostPaymentFee {
            id: id("pay_2"),
            amount: written("0.30"),
            returned: false,
            details: on("2026-01-04"),
        }),
        refund("re_1", "54.13", SettleMode::Automatic),
        refund("re_2", "10.00", SettleMode::Manual),
        refund("re_3", "11.00", SettleMode::Manual),
        refund("re_4", "5000.00", SettleMode::Manual),
        Operation::SettleRefund(refund_of("re_2")),
        Operation::FailRefund(refund_of("re_3")),
        Operation::VoidHold(VoidHold { id: id("h_9") }),
        Operation::Recognise(Recognise { through: date("2026-01-31"), after: None, metadata: Metadata::new() }),
        Operation::Convert(Convert {
            from: account("assets:bank"),
            amount: written("10"),
            currency: CurrencyCode::new("EUR").unwrap(),
            to: account("assets:bank"),
            received: written("11"),
            received_currency: usd(),
            fee: Some(written("0.10")),
            details: on("2026-01-20"),
        }),
        Operation::Revalue(Revalue { date: date("2026-01-31") }),
        Operation::RecordRate(RecordRate {
            base: CurrencyCode::new("EUR").unwrap(),
            quote: usd(),
            date: date("2026-01-30"),
            rate: rust_decimal::Decimal::new(112, 2),
            source: "ECB".to_owned(),
        }),
        Operation::Revalue(Revalue { date: date("2026-01-31") }),
        Operation::SoftClosePeriod(moved("2025-12")),
        Operation::CloseYear(CloseYear { year: FiscalYear::new(2025).unwrap(), metadata: Metadata::new() }),
        Operation::Transfer(to_wallet("1.00", "2025-12-31")),
        close("2025-12"),
        Operation::ReopenPeriod(moved("2025-12")),
        Operation::SoftClosePeriod(moved("2026-01")),
        close("2026-01"),
    ]
}

fn moved(period: &str) -> MovePeriod {
    MovePeriod { period: PeriodId::parse(period).unwrap(), reason: "month-end".to_owned() }
}

fn close(period: &str) -> Operation {
    let accept = BlockerKind::ALL.to_vec();
    Operation::ClosePeriod(ClosePeriod { period: PeriodId::parse(period).unwrap(), accept, reason: String::new() })
}

fn command(number: usize, book: BookId, operation: Operation) -> Command {
    // Keys of both classes: ordered ones and others.
    let text = if number.is_multiple_of(3) {
        format!("key_{number}")
    } else {
        format!("019b7f2a-{number:04x}-7000-8000-000000000000")
    };
    Command {
        book,
        key: key(&text),
        fingerprint: fingerprint(&operation),
        stamp: Timestamp(STAMP.0 + i64::try_from(number).unwrap()),
        today: date("2026-01-02"),
        actor: Actor::new("billing").unwrap(),
        operation,
    }
}

fn book(name: &str, chart: Chart) -> OpenBook {
    OpenBook {
        code: BookCode::new(name).unwrap(),
        name: name.to_owned(),
        functional_currency: usd(),
        time_zone: "UTC".to_owned(),
        chart,
    }
}

fn open_book(name: &str, chart: Chart) -> Operation {
    Operation::OpenBook(book(name, chart))
}

fn open_fiscal_book(name: &str) -> Operation {
    let first_month = Month::new(4).unwrap();
    Operation::OpenFiscalBook(OpenFiscalBook { book: book(name, Chart::Empty), first_month })
}

/// One decision per command but for those of `padding`, which are many small ones in one raft entry.
fn commands(padding: usize) -> Vec<Vec<Command>> {
    let mut entries = vec![
        vec![
            command(1, BookId::CLUSTER, open_book("acme", Chart::Saas)),
            command(2, BookId::CLUSTER, open_fiscal_book("empty")),
        ],
        vec![command(3, BookId::CLUSTER, open_book("acme", Chart::Empty))],
    ];
    let all = operations().into_iter().enumerate().map(|(index, operation)| command(index + 10, BookId(1), operation));
    let all: Vec<Command> = all.collect();
    entries.extend(all.chunks(4).map(<[Command]>::to_vec));
    // A replay and a reused key: no decisions.
    entries.push(vec![
        all[4].clone(),
        Command { key: all[4].key.clone(), ..command(900, BookId(1), operations().remove(6)) },
    ]);
    let small = || Operation::Transfer(transfer("assets:bank", "assets:cash-in-transit", "0.01", "2026-03-01"));
    entries.push((0..padding).map(|index| command(1_000 + index, BookId(1), small())).collect());
    // Late enough for every expiry.
    let late = Timestamp(STAMP.0 + 2_000_000_000);
    // What expires with the close is behind the head that it seals.
    entries.push(vec![Command { stamp: late, ..command(989, BookId(1), close("2025-12")) }]);
    entries.push(vec![Command { stamp: late, ..command(990, BookId(1), hold("h_4", "1.00", Some(3_000_000_000))) }]);
    entries
}

/// Applies all of it with a checkpoint now and then, and one at the end.
fn build(engine: impl TableEngine, padding: usize) -> u64 {
    let (mut applier, mut checkpointer, _reader) = open_state(engine, CONFIG).unwrap();
    let mut decided = 0;
    for (index, commands) in (1u64..).zip(commands(padding)) {
        for answer in applier.apply(Applied { index, level: Some(Level::FIRST), raft: vec![1] }, commands) {
            match answer {
                Answer::Decided(_) => decided += 1,
                Answer::Replayed { .. } | Answer::KeyReused { .. } => {}
            }
        }
        if index % 5 == 0 {
            let sealed = applier.seal().unwrap();
            checkpointer.write(sealed).unwrap();
        }
    }
    if let Some(sealed) = applier.seal() {
        checkpointer.write(sealed).unwrap();
    }
    decided
}

fn ledger(padding: usize) -> MemoryEngine {
    let engine = MemoryEngine::new();
    build(engine.clone(), padding);
    engine
}

fn rows(engine: &impl TableRead, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.scan(table, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap()
}

fn put(engine: &impl TableEngine, table: Table, key: &[u8], value: Vec<u8>) {
    let mut batch = Batch::new();
    batch.put(table, key.to_vec(), value);
    engine.write(batch).unwrap();
}

fn remove(engine: &impl TableEngine, table: Table, key: &[u8]) {
    let mut batch = Batch::new();
    batch.remove(table, key.to_vec());
    engine.write(batch).unwrap();
}

/// The one difference of a report, as `table: key: expected / found`.
fn only_difference(report: &Report) -> (&str, &str, &str, &str) {
    assert_eq!(report.difference_count, 1, "{report}");
    let difference = &report.differences[0];
    (&difference.table, &difference.key, &difference.expected, &difference.found)
}

#[test]
fn a_ledger_of_all_operations_is_clean_and_everything_was_counted() {
    let engine = MemoryEngine::new();
    let decided = build(engine.clone(), 400);
    let report = verify(&engine);
    assert!(report.is_clean(), "{report}");
    // Two authorisations and two holds expired.
    assert_eq!(report.position, Position(decided + 4));
    for check in &report.checks {
        assert!(check.checked > 0, "nothing was checked of {}", check.name);
    }
    for table in Table::ALL {
        let checked = match table {
            Table::Journal => report.checked("journal blocks with footers"),
            Table::Meta => report.checked("head"),
            Table::Keys
            | Table::Books
            | Table::Currencies
            | Table::Accounts
            | Table::Totals
            | Table::Trees
            | Table::Controls
            | Table::Subaccounts
            | Table::Items
            | Table::OpenItems
            | Table::Movements
            | Table::Calendars
            | Table::Periods
            | Table::Rates
            | Table::Recognitions
            | Table::Entries
            | Table::Holds
            | Table::Charges
            | Table::Payments
            | Table::Refunds
            | Table::Customers
            | Table::Expiries => report.checked(table.name()),
        };
        let rows = u64::try_from(rows(&engine, table).len()).unwrap();
        assert!(checked == rows || table == Table::Meta, "{}: {checked} of {rows}", table.name());
    }
}

#[test]
fn every_operation_was_accepted_at_least_once() {
    let engine = ledger(1);
    let mut accepted = std::collections::BTreeSet::new();
    let mut refused = 0;
    for (_, bytes) in rows(&engine, Table::Journal) {
        let block = Block::open(&bytes).unwrap();
        for (position, _) in block.iter() {
            let decision = block.decision(position).unwrap();
            match decision.outcome {
                Outcome::Accepted(_) => drop(accepted.insert(format!("{:?}", decision.operation))),
                Outcome::Refused(_) => refused += 1,
            }
        }
    }
    assert_eq!(accepted.len(), 33, "{accepted:?}");
    assert!(refused >= 6, "{refused} refusals");
}

#[test]
fn an_empty_database_has_nothing_to_differ() {
    let report = verify(&MemoryEngine::new());
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.position, Position(0));
}

#[test]
fn every_flipped_byte_of_the_journal_is_found() {
    let engine = ledger(1);
    let mut flipped = 0;
    for (key, value) in rows(&engine, Table::Journal) {
        for at in 0..value.len() {
            let mask = 1 << (at % 8);
            engine.damage(Table::Journal, &key, at, mask);
            assert!(!verify(&engine).is_clean(), "byte {at} of block {key:02x?}");
            engine.damage(Table::Journal, &key, at, mask);
            flipped += 1;
        }
        for at in 0..key.len() {
            let mut moved = key.clone();
            moved[at] ^= 1;
            let displaced = engine.get(Table::Journal, &moved).unwrap();
            remove(&engine, Table::Journal, &key);
            put(&engine, Table::Journal, &moved, value.clone());
            assert!(!verify(&engine).is_clean(), "byte {at} of the key {key:02x?}");
            remove(&engine, Table::Journal, &moved);
            if let Some(block) = displaced {
                put(&engine, Table::Journal, &moved, block);
            }
            put(&engine, Table::Journal, &key, value.clone());
            flipped += 1;
        }
    }
    assert!(flipped > 10_000, "{flipped} bytes flipped");
    assert!(verify(&engine).is_clean());
}

#[test]
fn every_damaged_missing_or_surplus_row_is_found() {
    let engine = ledger(1);
    let mut seen = 0;
    for table in Table::ALL {
        for (key, value) in rows(&engine, table) {
            let at = seen % value.len();
            engine.damage(table, &key, at, 0x40);
            assert!(!verify(&engine).is_clean(), "damaged {} {key:02x?}", table.name());
            engine.damage(table, &key, at, 0x40);
            // A row without another's value: of another key, still well-formed, with its checksum.
            remove(&engine, table, &key);
            let report = verify(&engine);
            assert!(!report.is_clean(), "missing {} {key:02x?}", table.name());
            put(&engine, table, &key, value.clone());
            let mut surplus = key.clone();
            surplus.push(b'x');
            put(&engine, table, &surplus, value);
            assert!(!verify(&engine).is_clean(), "surplus {} {surplus:02x?}", table.name());
            remove(&engine, table, &surplus);
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen} rows");
    assert!(verify(&engine).is_clean());
}

/// Changes one row to another valid record and returns the report.
fn tampered<K: TableKey, V: Stored>(table: Table, key: &K, change: impl FnOnce(&mut V)) -> Report {
    let engine = ledger(1);
    let key = key.to_bytes();
    let mut value: V = decode_record(&engine.get(table, &key).unwrap().unwrap()).unwrap();
    change(&mut value);
    put(&engine, table, &key, encode_record(&value));
    verify(&engine)
}

#[test]
fn a_difference_says_table_key_expected_and_found() {
    let bank = ControlKey {
        book: BookId(1),
        account: partita_core::id::AccountId(1),
        currency: partita_core::id::CurrencyId(840),
    };
    let report = tampered::<_, Sums>(Table::Controls, &bank, |sums| sums.debits += 1);
    let (table, key, expected, found) = only_difference(&report);
    assert_eq!((table, key), ("controls", format!("{bank:?}").as_str()));
    assert_eq!(expected, "Sums { debits: 13351, credits: 4200, pending_debits: 100, pending_credits: 0 }");
    assert_eq!(found, "Sums { debits: 13352, credits: 4200, pending_debits: 100, pending_credits: 0 }");
    assert!(report.to_string().contains("controls"), "{report}");
}

#[test]
fn a_pending_amount_a_chain_root_and_a_document_are_rebuilt_too() {
    let wallet = SubaccountKey {
        book: BookId(1),
        account: partita_core::id::AccountId(12),
        party: Some(party("cus_1")),
        currency: partita_core::id::CurrencyId(840),
    };
    let report = tampered::<_, Subaccount>(Table::Subaccounts, &wallet, |row| row.sums.pending_credits = 0);
    assert_eq!(only_difference(&report).0, "subaccounts");
    let report = tampered::<_, Subaccount>(Table::Subaccounts, &wallet, |row| {
        let mut roots: Vec<_> = row.chain.roots().collect();
        let last = roots.last_mut().unwrap();
        last.line += 1;
        row.chain = partita_core::chain::Chain::from_parts(row.chain.postings(), roots).unwrap();
    });
    assert_eq!(only_difference(&report).0, "subaccounts");
    let charge = (BookId(1), id("in_2"));
    let report = tampered::<_, partita_core::document::Charge>(Table::Charges, &charge, |charge| charge.credited += 1);
    let (table, _, expected, _) = only_difference(&report);
    assert_eq!(table, "charges");
    assert!(expected.starts_with("as decision "), "{expected}");
}

/// Rewrites one block with a decision changed, checksum and all.
fn rewritten(change: impl Fn(&mut partita_core::decision::Decision) -> bool) -> Report {
    let engine = ledger(1);
    let mut changed = 0;
    for (key, bytes) in rows(&engine, Table::Journal) {
        let block = Block::open(&bytes).unwrap();
        let mut builder = BlockBuilder::new(block.header().raft_index);
        for (position, _) in block.iter() {
            let mut decision = block.decision(position).unwrap();
            changed += u32::from(changed == 0 && change(&mut decision));
            builder.push(&decision, &encode_decision(&decision));
        }
        put(&engine, Table::Journal, &key, builder.finish());
    }
    assert_eq!(changed, 1, "one decision was changed");
    verify(&engine)
}

#[test]
fn a_forged_journal_fits_neither_its_hash_tree_nor_later_seals() {
    let report = rewritten(|decision| match &mut decision.outcome {
        Outcome::Accepted(effects) if !effects.entries.is_empty() => {
            effects.entries[0].description.push('!');
            true
        }
        Outcome::Accepted(_) | Outcome::Refused(_) => false,
    });
    let mut tables: Vec<&str> = report.differences.iter().map(|difference| difference.table.as_str()).collect();
    tables.dedup();
    assert_eq!(tables, ["journal", "meta", "trees"], "{report}");
    let sealed = report.differences.iter().find(|difference| difference.table == "journal").unwrap();
    assert!(sealed.key.ends_with("seal's journal head"), "{report}");
}

#[test]
fn a_forged_seal_is_found() {
    let with_seal = |change: fn(&mut Seal)| {
        rewritten(move |decision| match &mut decision.outcome {
            Outcome::Accepted(effects) => effects.snapshots.iter_mut().any(|snapshot| {
                let Snapshot::Period(Period { seal: Some(seal), .. }) = snapshot else { return false };
                change(seal);
                true
            }),
            Outcome::Refused(_) => false,
        })
    };
    type Change = fn(&mut Seal);
    let changes: [(&str, Change); 5] = [
        ("seal's journal head", |seal| seal.journal.hash.0[0] ^= 1),
        ("seal's last entry", |seal| seal.last_entry = seal.last_entry.next()),
        ("sealed balances", |seal| seal.balances[0].debits += 1),
        ("seal's hash", |seal| seal.hash.0[31] ^= 1),
        ("seal's date", |seal| seal.as_of = date("2025-12-30")),
    ];
    for (what, change) in changes {
        let report = with_seal(change);
        assert!(report.differences.iter().any(|difference| difference.key.ends_with(what)), "{what}: {report}");
    }
}

#[test]
fn forged_lines_are_found_in_the_journal_itself() {
    let with_line = |change: fn(&mut partita_core::entry::Line)| {
        rewritten(move |decision| match &mut decision.outcome {
            Outcome::Accepted(effects) => effects.entries.first_mut().is_some_and(|entry| {
                let far = entry.lines.iter_mut().find(|line| line.after.ordinal > 2);
                far.map(change).is_some()
            }),
            Outcome::Refused(_) => false,
        })
    };
    let changes: [fn(&mut partita_core::entry::Line); 5] = [
        |line| line.after.jump = None,
        |line| line.after.previous = None,
        |line| line.after.ordinal += 1,
        |line| line.after.debits += 1,
        |line| line.after.greatest_date = date("2030-01-01"),
    ];
    for change in changes {
        let report = with_line(change);
        assert!(
            report
                .differences
                .iter()
                .any(|difference| difference.table == "journal" && difference.key.contains(", line ")),
            "{report}"
        );
    }
}

#[test]
fn a_ledger_in_rocksdb_is_clean_too() {
    let directory = tempfile::tempdir().unwrap();
    let decided = build(RocksEngine::open(directory.path(), 64 << 20).unwrap(), 300);
    let report = verify(&RocksEngine::open(directory.path(), 64 << 20).unwrap());
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked("decisions"), decided + 4);
}

/// Below the rows: bytes of the journal's files, where RocksDB's own checksums are the first to notice. (Other tables
/// have filters too, whose damage RocksDB finds and does without.)
#[test]
fn flipped_bytes_of_the_journals_files_are_found() {
    let directory = tempfile::tempdir().unwrap();
    build(RocksEngine::open(directory.path(), 8 << 20).unwrap(), 50);
    let files = |of: &std::path::Path| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(of).unwrap().map(|file| file.unwrap().path()).collect()
    };
    let mut flipped = 0;
    for path in files(directory.path()) {
        let whole = std::fs::read(&path).unwrap();
        // The column family's name stands among a table file's properties.
        let is_table = path.extension().is_some_and(|extension| extension == "sst");
        if !is_table || !whole.windows(7).any(|bytes| bytes == b"journal") {
            continue;
        }
        for at in (0..whole.len()).step_by(whole.len() / 12 + 1) {
            let copy = tempfile::tempdir().unwrap();
            for file in files(directory.path()) {
                std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
            }
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
            let is_found = match RocksEngine::open(copy.path(), 8 << 20) {
                Ok(engine) => !verify(&engine).is_clean(),
                Err(_) => true,
            };
            assert!(is_found, "byte {at} of {}", path.display());
            flipped += 1;
        }
    }
    assert!(flipped >= 20, "{flipped} bytes flipped");
}
