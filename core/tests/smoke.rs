//! The way of one entry through `execute`: decided once, replayed, refused when its key is reused.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod support;

use partita_core::decision::{Answer, Command, Outcome};
use partita_core::entry::Side;
use partita_core::execute::execute;
use partita_core::id::{AccountCode, Actor, BookCode, BookId, CurrencyCode, CurrencyId, Fingerprint, Key, Position};
use partita_core::money::WrittenAmount;
use partita_core::operation::{AccountRef, Chart, Details, OpenBook, Operation, Transfer};
use partita_core::state::{ControlKey, Read};
use partita_core::time::{Date, Timestamp};
use support::memory::Memory;

fn command(book: u32, key: &str, content: u8, operation: Operation) -> Command {
    Command {
        book: BookId(book),
        key: Key::new(key).unwrap(),
        fingerprint: Fingerprint([content; 16]),
        stamp: Timestamp(1),
        today: Date::parse("2026-01-02").unwrap(),
        actor: Actor::new("test").unwrap(),
        operation,
    }
}

fn run(state: &mut Memory, command: &Command) -> Answer {
    let executed = execute(state, command);
    for decision in executed.expired.iter() {
        state.record((**decision).clone());
    }
    if let Answer::Decided(decision) = &executed.answer {
        state.record((**decision).clone());
    }
    executed.answer
}

fn transfer(amount: &str) -> Operation {
    let place = |code: &str| AccountRef { code: AccountCode::new(code).unwrap(), party: None, item: None };
    Operation::Transfer(Transfer {
        debit: place("assets:bank"),
        credit: place("equity:capital"),
        amount: WrittenAmount::parse(amount).unwrap(),
        currency: CurrencyCode::new("USD").unwrap(),
        details: Details::default(),
    })
}

/// Keys never expire, and nothing that was stamped belongs to the content: a retry is one after midnight, after years,
/// from a clock that stands before the first request, and from somebody else.
#[test]
fn a_retry_is_one_at_any_time_and_on_any_day() {
    let mut state = Memory::default();
    let open = Operation::OpenBook(OpenBook {
        code: BookCode::new("acme").unwrap(),
        name: "Acme Inc".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    });
    run(&mut state, &command(0, "open", 1, open));
    let day = 86_400_000_000_000;
    let first = Command { stamp: Timestamp(20_000 * day), ..command(1, "t1", 2, transfer("10.00")) };
    let refused = Command { stamp: Timestamp(20_000 * day), ..command(1, "t2", 3, transfer("10.001")) };
    assert!(matches!(run(&mut state, &first), Answer::Decided(_)));
    let Answer::Decided(decision) = run(&mut state, &refused) else { panic!() };
    assert!(matches!(decision.outcome, Outcome::Refused(_)));
    let before = state.clone();
    let mut retries = 0;
    for (days, today) in [(20_001, "2026-01-03"), (23_650, "2036-01-02"), (1, "1970-01-02")] {
        for (sent, position) in [(&first, 2), (&refused, 3)] {
            let again = Command {
                stamp: Timestamp(days * day),
                today: Date::parse(today).unwrap(),
                actor: Actor::new("somebody-else").unwrap(),
                ..sent.clone()
            };
            assert_eq!(run(&mut state, &again), Answer::Replayed { position: Position(position) }, "{today}");
            retries += 1;
        }
    }
    assert_eq!((state, retries), (before, 6));
}

#[test]
fn a_key_is_decided_once() {
    let mut state = Memory::default();
    let open = Operation::OpenBook(OpenBook {
        code: BookCode::new("acme").unwrap(),
        name: "Acme Inc".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    });
    assert!(matches!(run(&mut state, &command(0, "open", 1, open)), Answer::Decided(_)));

    let Answer::Decided(decision) = run(&mut state, &command(1, "t1", 2, transfer("10.00"))) else { panic!() };
    let Outcome::Accepted(effects) = &decision.outcome else { panic!("{decision:?}") };
    let line = &effects.entries[0].lines[0];
    assert_eq!((line.side, line.after.debits, line.after.ordinal), (Side::Debit, 1000, 1));
    assert_eq!(decision.recorded_at, Timestamp(2), "the second decision's stamp was the first one's");

    let before = state.clone();
    assert_eq!(run(&mut state, &command(1, "t1", 2, transfer("10.00"))), Answer::Replayed { position: Position(2) });
    assert_eq!(run(&mut state, &command(1, "t1", 3, transfer("11.00"))), Answer::KeyReused { position: Position(2) });
    assert_eq!(state, before);

    let bank = state.account_by_code(BookId(1), &AccountCode::new("assets:bank").unwrap()).unwrap();
    let key = ControlKey { book: BookId(1), account: bank.id, currency: CurrencyId(840) };
    assert_eq!(state.control(&key).debits, 1000);
}
