//! Going back: to any earlier posting of a long chain in few reads, through the journal block by block, and through
//! what an account is divided into.

use std::cell::Cell;
use std::collections::BTreeMap;

use partita_core::decision::Command;
use partita_core::id::{AccountId, Actor, BookCode, BookId, CurrencyCode, CurrencyId, Key, Party, Position};
use partita_core::money::WrittenAmount;
use partita_core::operation::{AccountRef, Chart, Details, OpenBook, Operation, Transfer};
use partita_core::state::{Head, OpenItem, Read, SubaccountKey};
use partita_core::time::{Date, Timestamp};

use super::reading::{layered, statements};
use super::script::Dice;
use super::{Entry, State};
use crate::codec::fingerprint;
use crate::engine::MemoryEngine;
use crate::state::error::StorageError;
use crate::state::journal::StoredBlock;
use crate::state::past::Past;
use crate::state::walk::Walk;

/// A journal that counts the blocks that were asked for.
struct Counting<'a, P> {
    past: &'a P,
    blocks: Cell<u64>,
}

impl<P: Past> Past for Counting<'_, P> {
    fn until(&self) -> Head {
        self.past.until()
    }

    fn block(&self, position: Position) -> Result<StoredBlock, StorageError> {
        self.blocks.set(self.blocks.get() + 1);
        self.past.block(position)
    }
}

fn command(number: u64, book: BookId, operation: Operation) -> Command {
    Command {
        book,
        key: Key::new(&format!("k-{number}")).unwrap(),
        fingerprint: fingerprint(&operation),
        stamp: Timestamp(i64::try_from(number).unwrap() * 1_000_000_000),
        today: Date::parse("2026-01-02").unwrap(),
        actor: Actor::new("test").unwrap(),
        operation,
    }
}

fn top_up(number: u64) -> Operation {
    let place = |code: &str, party: Option<&str>| AccountRef {
        code: partita_core::id::AccountCode::new(code).unwrap(),
        party: party.map(|party| Party::new(party).unwrap()),
        item: None,
    };
    // Dates go back now and then.
    let day = 20_455 + i32::try_from(number / 10).unwrap() - i32::try_from(number % 7).unwrap();
    Operation::Transfer(Transfer {
        debit: place("assets:bank", None),
        credit: place("liabilities:customer-prepaid", Some("cus_1")),
        amount: WrittenAmount::parse("1.00").unwrap(),
        currency: CurrencyCode::new("USD").unwrap(),
        details: Details { effective_date: Date::from_days(day), ..Details::default() },
    })
}

/// One posting a raft entry, and so one a block.
fn long_chain(postings: u64) -> State<MemoryEngine> {
    let mut state = State::open(MemoryEngine::new());
    let open = Operation::OpenBook(OpenBook {
        code: BookCode::new("acme").unwrap(),
        name: "Acme".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    });
    let entry: Entry = vec![command(0, BookId::CLUSTER, open)];
    state.apply(0, &entry);
    for number in 1..=postings {
        state.apply(usize::try_from(number).unwrap(), &vec![command(number, BookId(1), top_up(number))]);
        if number == postings / 2 {
            state.checkpoint();
        }
    }
    state
}

#[test]
fn any_earlier_posting_of_a_long_chain_is_a_few_blocks_away() {
    const POSTINGS: u64 = 3_000;
    const PAGE: usize = 5;
    let state = long_chain(POSTINGS);
    let account = state.reader.read(|view| {
        let code = partita_core::id::AccountCode::new("liabilities:customer-prepaid").unwrap();
        view.account_by_code(BookId(1), &code).unwrap().id
    });
    let key = SubaccountKey {
        book: BookId(1),
        account,
        party: Some(Party::new("cus_1").unwrap()),
        currency: CurrencyId(840),
    };
    let chain = state.reader.read(|view| view.subaccount(&key).chain);
    assert_eq!(chain.postings(), POSTINGS);
    let past = state.reader.past();
    let (mut most, mut most_by_date) = (0, 0);
    for target in (1..=POSTINGS).step_by(7) {
        let counting = Counting { past: &past, blocks: Cell::new(0) };
        // The book's opening has position 1, the first posting position 2.
        let page = Walk::new(&counting).postings_until(&key, &chain, Position(target + 1), PAGE).unwrap();
        let ordinals: Vec<u64> = page.iter().map(|posting| posting.line.after.ordinal).collect();
        let expected: Vec<u64> = (1..=target).rev().take(PAGE).collect();
        assert_eq!(ordinals, expected);
        most = most.max(counting.blocks.get());

        let counting = Counting { past: &past, blocks: Cell::new(0) };
        let date = Date::from_days(20_455 + i32::try_from(target / 10).unwrap()).unwrap();
        let before = Walk::new(&counting).ordinal_before(&key, &chain, date).unwrap();
        let mut greatest = 0;
        let expected = (1..=POSTINGS).take_while(|number| {
            let day = i32::try_from(number / 10).unwrap() - i32::try_from(number % 7).unwrap();
            greatest = greatest.max(20_455 + day);
            greatest < date.days()
        });
        assert_eq!(before, u64::try_from(expected.count()).unwrap(), "{date}");
        most_by_date = most_by_date.max(counting.blocks.get());
    }
    // Myers: at most 3 lg n steps; then the page. Looking at dates reads what is looked at and where it leads.
    assert!(most <= 3 * 12 + 5, "{most} blocks for one of {POSTINGS} postings");
    assert!(most_by_date <= 2 * 3 * 12, "{most_by_date} blocks for one of {POSTINGS} postings");
}

#[test]
fn chains_are_entered_at_any_position_and_date() {
    let (state, model, _) = layered(41);
    let reader = &state.reader;
    let head = model.head.position.0;
    let mut dice = Dice(3);
    let mut found = 0;
    for (key, postings) in statements(&model.journal) {
        for _ in 0..20 {
            let at = Position(dice.below(head + 2));
            let limit = 1 + dice.place(8);
            let page = reader.postings_until(&key, at, limit).unwrap();
            let expected: Vec<_> =
                postings.iter().rev().filter(|posting| posting.reference.position <= at).take(limit).cloned().collect();
            assert_eq!(page, expected);
            found += page.len();
            let date = Date::from_days(20_395 + i32::try_from(dice.below(110)).unwrap()).unwrap();
            let before = postings.iter().take_while(|posting| posting.line.after.greatest_date < date).count();
            assert_eq!(reader.ordinal_before(&key, date).unwrap(), u64::try_from(before).unwrap());
        }
    }
    assert!(found > 500, "only {found} postings");
}

#[test]
fn the_journal_is_read_back_block_by_block() {
    let (state, model, _) = layered(42);
    let (mut all, mut until) = (vec![], model.head.position);
    loop {
        let page = state.reader.decisions_back(until).unwrap();
        let Some(last) = page.last() else { break };
        until = Position(last.position.0 - 1);
        all.extend(page);
    }
    all.reverse();
    assert_eq!(all, model.journal);
    assert_eq!(state.reader.decisions_back(Position(u64::MAX)).unwrap()[0].position, model.head.position);
}

#[test]
fn the_parts_of_an_account_are_of_one_moment() {
    let (mut state, model, entries) = layered(43);
    let held = state.reader.hold();
    let accounts: Vec<(BookId, AccountId)> = model.accounts.keys().copied().collect();
    let all_parts: Vec<_> = accounts
        .iter()
        .map(|(book, account)| held.read_with_parts(*book, *account, |view| Ok(view.position())).unwrap())
        .collect();
    // What comes afterwards is not seen, on the disk or off it.
    for (place, entry) in super::script::script(44, 60).iter().enumerate().skip(1) {
        state.apply(entries.len() + place, entry);
    }
    let (mut rows, mut settled) = ((0, 0), 0);
    for ((book, account), (position, parts)) in accounts.iter().zip(&all_parts) {
        assert_eq!(*position, model.head.position);
        let (mut items, mut after) = (BTreeMap::new(), None);
        loop {
            let page = parts.open_items(after.as_ref(), 3).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            items.extend(page);
        }
        let of_account = |key: &partita_core::state::ItemKey| (key.book, key.account) == (*book, *account);
        let expected: BTreeMap<_, _> = model
            .open_items
            .iter()
            .filter(|row| of_account(row.0))
            .map(|(key, since)| (key.clone(), OpenItem { sums: model.items[key], since: *since }))
            .collect();
        settled += model.items.keys().filter(|key| of_account(key)).count() - expected.len();
        assert_eq!(items, expected);
        let (mut subaccounts, mut after) = (BTreeMap::new(), None);
        loop {
            let page = parts.subaccounts(after.as_ref(), 3).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            subaccounts.extend(page);
        }
        let expected: BTreeMap<_, _> = model
            .subaccounts
            .clone()
            .into_iter()
            .filter(|row| (row.0.book, row.0.account) == (*book, *account))
            .collect();
        assert_eq!(subaccounts, expected);
        rows = (rows.0 + items.len(), rows.1 + subaccounts.len());
    }
    assert!(rows.0 > 20 && rows.1 > 20 && settled > 10, "{rows:?}, {settled} settled");
}
