//! What a state must remember to do nothing twice: keys, reversals, refunds. It is tried on every way by which a state
//! comes back: a checkpoint, a replay, files that took another state's place.

use std::collections::BTreeMap;
use std::sync::Arc;

use partita_core::decision::{Answer, Command, Outcome};
use partita_core::document::{CaptureMode, SettleMode};
use partita_core::entry::Side;
use partita_core::id::{
    AccountCode, Actor, BookCode, BookId, CurrencyCode, DocumentId, EntryNumber, Key, Party, Position,
};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, Chart, CreateCharge, CreatePayment, CreateRefund, Details, ManualKind, OpenBook, Operation, PostEntry,
    ReverseEntry, WrittenApplication, WrittenChargeLine, WrittenLine, WrittenSource, WrittenTax,
};
use partita_core::rejection::Reason;
use partita_core::time::{Date, Timestamp};

use super::{Entry, State, next_of};
use crate::codec::{Levels, fingerprint};
use crate::engine::{MemoryEngine, TableEngine};
use crate::log::memory::Power;
use crate::snapshot::{Checkpoints, MemoryStore, StateHome};

const BOOK: BookId = BookId(1);

fn amount(text: &str) -> WrittenAmount {
    WrittenAmount::parse(text).unwrap()
}

fn usd() -> CurrencyCode {
    CurrencyCode::new("USD").unwrap()
}

fn id(text: &str) -> DocumentId {
    DocumentId::new(text).unwrap()
}

fn customer() -> Party {
    Party::new("cus_1").unwrap()
}

fn command(key: &str, book: BookId, operation: Operation) -> Command {
    Command {
        book,
        key: Key::new(key).unwrap(),
        fingerprint: fingerprint(&operation),
        stamp: Timestamp(1),
        today: Date::parse("2026-01-02").unwrap(),
        actor: Actor::new("test").unwrap(),
        operation,
    }
}

fn refund(refund: &str, minor: &str) -> Operation {
    Operation::CreateRefund(CreateRefund {
        id: id(refund),
        payment: id("pay_1"),
        amount: amount(minor),
        settle: SettleMode::Automatic,
        reason: String::new(),
        from: None,
        details: Details::default(),
    })
}

fn reversal() -> Operation {
    Operation::ReverseEntry(ReverseEntry { number: EntryNumber(1), details: Details::default() })
}

/// Each in a raft entry of its own: a manual entry and its reversal, a charge, its payment, and half of it refunded.
fn history() -> Vec<Entry> {
    let book = OpenBook {
        code: BookCode::new("acme").unwrap(),
        name: "Acme Inc".to_owned(),
        functional_currency: usd(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    };
    let line = |code: &str, side| WrittenLine {
        account: AccountRef { code: AccountCode::new(code).unwrap(), party: None, item: None },
        side,
        amount: amount("5.00"),
        currency: usd(),
    };
    let entry = PostEntry {
        kind: ManualKind::Standard,
        details: Details::default(),
        lines: vec![line("assets:bank", Side::Debit), line("equity:capital", Side::Credit)],
    };
    let tax = WrittenTax { jurisdiction: Party::new("us-ca").unwrap(), amount: amount("8.25") };
    let charge = CreateCharge {
        id: id("in_1"),
        customer: customer(),
        currency: usd(),
        due_date: None,
        rate: None,
        lines: vec![WrittenChargeLine {
            revenue: AccountCode::new("revenue:subscription").unwrap(),
            amount: amount("108.25"),
            tax: vec![tax],
            defer: None,
        }],
        details: Details::default(),
    };
    let payment = CreatePayment {
        id: id("pay_1"),
        customer: customer(),
        source: WrittenSource::Processor(Party::new("stripe").unwrap()),
        amount: amount("108.25"),
        currency: usd(),
        capture: CaptureMode::Automatic,
        apply: vec![WrittenApplication { charge: id("in_1"), amount: amount("108.25") }],
        fee: None,
        expires_at: None,
        details: Details::default(),
    };
    let all = [
        command("book", BookId::CLUSTER, Operation::OpenBook(book)),
        command("entry", BOOK, Operation::PostEntry(entry)),
        command("reversal", BOOK, reversal()),
        command("charge", BOOK, Operation::CreateCharge(charge)),
        command("payment", BOOK, Operation::CreatePayment(payment)),
        command("refund", BOOK, refund("re_1", "54.13")),
    ];
    all.into_iter().map(|command| vec![command]).collect()
}

fn refused(answer: &Answer) -> &Reason {
    match answer {
        Answer::Decided(decision) => match &decision.outcome {
            Outcome::Refused(rejection) => &rejection.reason,
            Outcome::Accepted(_) => panic!("it was done again: {decision:?}"),
        },
        Answer::Replayed { .. } | Answer::KeyReused { .. } => panic!("it has a key of its own: {answer:?}"),
    }
}

/// Sends everything again, with its own keys and then with new ones, and asks for more than is left to refund.
fn does_nothing_twice<E: TableEngine>(state: &mut State<E>, way: &str) {
    let history = history();
    let next = next_of(state.applier.applied());
    assert_eq!(next, history.len(), "{way}: everything is there");
    let before = state.reader.position();
    for (position, entry) in (1..).zip(&history) {
        let answers = state.apply(next + usize::try_from(position).unwrap(), entry);
        assert_eq!(answers, [Answer::Replayed { position: Position(position) }], "{way}");
    }
    assert_eq!(state.reader.position(), before, "{way}: replays decide nothing");
    let again = vec![
        command("reversal-2", BOOK, reversal()),
        command("refund-2", BOOK, refund("re_1", "54.13")),
        command("refund-3", BOOK, refund("re_2", "54.13")),
        command("refund-4", BOOK, refund("re_3", "54.12")),
        command("refund-5", BOOK, refund("re_4", "0.01")),
    ];
    let answers = state.apply(next + 20, &again);
    assert!(matches!(refused(&answers[0]), Reason::AlreadyReversed { by: EntryNumber(2) }), "{way}: {answers:?}");
    assert!(matches!(refused(&answers[1]), Reason::AlreadyExists { .. }), "{way}: {answers:?}");
    assert!(matches!(refused(&answers[2]), Reason::OverRefund { available: 54_12, .. }), "{way}: {answers:?}");
    let Answer::Decided(rest) = &answers[3] else { panic!("{way}: {answers:?}") };
    assert!(matches!(rest.outcome, Outcome::Accepted(_)), "{way}: the rest can be refunded: {rest:?}");
    assert!(matches!(refused(&answers[4]), Reason::OverRefund { available: 0, .. }), "{way}: {answers:?}");
}

fn apply_all<E: TableEngine>(state: &mut State<E>) {
    let next = state.next();
    for (place, entry) in history().iter().enumerate().skip(next) {
        state.apply(place, entry);
    }
}

#[test]
fn what_was_done_once_is_not_done_again_whichever_way_a_state_came_back() {
    let engine = MemoryEngine::new();
    let mut state = State::open(engine);
    apply_all(&mut state);
    does_nothing_twice(&mut state, "undisturbed");

    // The checkpoint has everything.
    let engine = MemoryEngine::new();
    let mut state = State::open(engine.clone());
    apply_all(&mut state);
    state.checkpoint();
    does_nothing_twice(&mut State::open(engine.crash(0)), "from a checkpoint");

    // It stands after each of the raft entries, and the rest is replayed.
    for written in 0..history().len() {
        let engine = MemoryEngine::new();
        let mut state = State::open(engine.clone());
        for (place, entry) in history().iter().enumerate().take(written) {
            state.apply(place, entry);
        }
        state.checkpoint();
        apply_all(&mut state);
        let mut state = State::open(engine.crash(0));
        assert_eq!(state.next(), written);
        apply_all(&mut state);
        does_nothing_twice(&mut state, &format!("replayed from {written}"));
    }

    // As files, in the place of a state that has nothing of it.
    let from = MemoryStore::new(Power::steady());
    let source = Arc::new(StateHome::recover(from, Levels::OWN).unwrap());
    let mut state = State::open(source.open().unwrap());
    apply_all(&mut state);
    state.checkpoint();
    let exported = source.export(state.checkpointer.engine()).unwrap().describe().unwrap();
    let to = MemoryStore::new(Power::steady());
    let target = StateHome::recover(to, Levels::OWN).unwrap();
    let old = Arc::new(target.open().unwrap());
    target.begin(exported.manifest()).unwrap();
    for (place, file) in exported.manifest().files.iter().enumerate() {
        let length = usize::try_from(file.length).unwrap();
        target.receive(place, 0, &exported.read(place, 0, length).unwrap()).unwrap();
    }
    let installed = target.install(&target.verify().unwrap(), &old).unwrap();
    does_nothing_twice(&mut State::open(installed), "installed");
}

/// Keys that say nothing of their time are looked for ahead of an entry; that must not hide one that comes again, in the
/// same entry or in a later one, in memory or on the disk.
#[test]
fn keys_in_no_order_of_time_are_decided_once_wherever_they_come_again() {
    let mut engine = MemoryEngine::new();
    let mut state = State::open(engine.clone());
    state.apply(0, &history()[0]);
    let mut decided: BTreeMap<usize, Position> = BTreeMap::new();
    let mut position = state.reader.position();
    for entry in 0..24_usize {
        // New ones, each thirteenth of them twice in a row and each seventeenth once more at the end; between them ones
        // of every age.
        let mut keys = Vec::new();
        for number in 0..40 {
            let new = entry * 40 + number;
            keys.push(new);
            if new % 13 == 0 {
                keys.push(new);
            }
            if new % 3 == 0 {
                keys.push(new * 7 / 11);
            }
        }
        keys.extend((entry * 40..entry * 40 + 40).filter(|new| new % 17 == 0));
        let commands: Vec<Command> = keys
            .iter()
            .map(|key| command(&format!("{:04x}", key * 40_503 % 65_536), BOOK, refund("re_1", "1.00")))
            .collect();
        let answers = state.apply(entry + 1, &commands);
        for (key, answer) in keys.iter().zip(answers) {
            if let Some(position) = decided.get(key) {
                assert_eq!(answer, Answer::Replayed { position: *position }, "key {key} in entry {entry}");
            } else {
                position = position.next();
                let Answer::Decided(decision) = answer else { panic!("key {key} in entry {entry} is new: {answer:?}") };
                assert_eq!(decision.position, position);
                decided.insert(*key, position);
            }
        }
        if entry % 3 == 1 {
            state.checkpoint();
        }
        if entry % 7 == 4 {
            state.checkpoint();
            engine = engine.crash(0);
            state = State::open(engine.clone());
        }
    }
    assert_eq!(decided.len(), 960);
}
