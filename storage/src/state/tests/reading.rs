//! Readers: scans page by page, statements, balances at earlier moments, and one consistent state under writing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use partita_core::chain::PostingRef;
use partita_core::decision::{Decision, Outcome};
use partita_core::entry::Side;
use partita_core::id::{AccountId, BookId, CurrencyId, Position};
use partita_core::operation::OperationKind;
use partita_core::state::{ControlKey, Movement, SubaccountKey};
use partita_core::time::{Date, Timestamp};

use super::memory::Memory;
use super::script::{Dice, script};
use super::{Entry, SMALL, State, run_on_maps};
use crate::engine::{MemoryEngine, RocksEngine, TableEngine};
use crate::state::{EntriesOf, MovementsOf, Order, Posting, Reader, StateConfig, open_state};

/// Part of it on the disk, part sealed, part current.
pub(super) fn layered(seed: u64) -> (State<MemoryEngine>, Memory, Vec<Entry>) {
    let entries = script(seed, 160);
    let (mut state, mut model) = (State::open(MemoryEngine::new()), Memory::default());
    for (place, entry) in entries.iter().enumerate() {
        state.apply(place, entry);
        run_on_maps(&mut model, entry);
        if place == 50 || place == 90 {
            state.checkpoint();
        }
        if place == 130 {
            assert!(state.applier.seal().is_some());
        }
    }
    (state, model, entries)
}

/// All postings of every subaccount, oldest first, from the decisions alone.
pub(super) fn statements(journal: &[Decision]) -> BTreeMap<SubaccountKey, Vec<Posting>> {
    let mut all: BTreeMap<SubaccountKey, Vec<Posting>> = BTreeMap::new();
    for decision in journal {
        let Outcome::Accepted(effects) = &decision.outcome else { continue };
        let mut line_number = 0;
        for entry in &effects.entries {
            for line in &entry.lines {
                let key = SubaccountKey {
                    book: decision.book,
                    account: line.account,
                    party: line.party.clone(),
                    currency: line.currency,
                };
                all.entry(key).or_default().push(Posting {
                    reference: PostingRef { position: decision.position, line: line_number },
                    line: line.clone(),
                    entry: entry.clone(),
                    recorded_at: decision.recorded_at,
                });
                line_number += 1;
            }
        }
    }
    all
}

fn pages<E: TableEngine>(reader: &Reader<E>, key: &SubaccountKey, order: Order, limit: usize) -> Vec<Posting> {
    let (mut all, mut after) = (vec![], None);
    loop {
        let page = reader.postings(key, order, after, limit).unwrap();
        let Some(last) = page.last() else { return all };
        assert!(page.len() <= limit);
        after = Some(last.line.after.ordinal);
        all.extend(page);
    }
}

#[test]
fn statements_are_what_the_journal_says() {
    let (state, model, _) = layered(21);
    let statements = statements(&model.journal);
    let longest = statements.values().map(Vec::len).max().unwrap();
    assert!(longest > 100, "the longest statement has {longest} postings");
    let reader = &state.reader;
    for (key, expected) in &statements {
        for limit in [1, 7, 1_000] {
            assert_eq!(&pages(reader, key, Order::Oldest, limit), expected);
            let newest: Vec<_> = expected.iter().rev().cloned().collect();
            assert_eq!(pages(reader, key, Order::Newest, limit), newest);
        }
        assert_eq!(reader.posting(expected[0].reference).unwrap().as_ref(), Some(&expected[0]));
    }
    assert_eq!(reader.posting(PostingRef { position: Position(1), line: 0 }).unwrap(), None);
    assert_eq!(reader.posting(PostingRef { position: Position(1 << 40), line: 0 }).unwrap(), None);
}

#[test]
fn balances_at_earlier_moments_are_sums_of_postings() {
    let (state, model, _) = layered(22);
    let head = model.head.position.0;
    let mut dice = Dice(1);
    let mut asked = 0;
    let reader = &state.reader;
    for (key, postings) in statements(&model.journal) {
        for _ in 0..60 {
            let at = (dice.below(4) > 0).then(|| Position(dice.below(head + 2)));
            let days = 20_395 + i32::try_from(dice.below(110)).unwrap();
            let as_of = (dice.below(4) > 0).then(|| Date::from_days(days).unwrap());
            let mut expected = Movement::default();
            for posting in &postings {
                let is_known = at.is_none_or(|at| posting.reference.position <= at);
                if is_known && as_of.is_none_or(|date| posting.entry.effective_date <= date) {
                    match posting.line.side {
                        Side::Debit => expected.debits += posting.line.amount.minor(),
                        Side::Credit => expected.credits += posting.line.amount.minor(),
                    }
                }
            }
            assert_eq!(reader.read(|view| view.balance_at(&key, as_of, at)).unwrap(), expected);
            assert_eq!(reader.balance_at(&key, as_of, at).unwrap(), expected, "{key:?} {as_of:?} {at:?}");
            asked += 1;
        }
    }
    assert!(asked > 500);
}

#[test]
fn scans_page_through_all_layers() {
    let (state, model, _) = layered(23);
    state.reader.read(|view| {
        let mut items = 0;
        for (book, account) in model.accounts.keys() {
            let of_account: Vec<_> =
                model.items.iter().filter(|row| (row.0.book, row.0.account) == (*book, *account)).collect();
            let mut after = None;
            let mut paged = vec![];
            loop {
                let page = view.items(*book, *account, None, after.as_ref(), 3).unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.0.clone());
                paged.extend(page);
            }
            assert_eq!(paged.iter().map(|row| (&row.0, &row.1)).collect::<Vec<_>>(), of_account);
            for (key, _) in &of_account {
                let of_party = view.items(*book, *account, key.party.as_ref(), None, usize::MAX).unwrap();
                assert!(of_party.iter().all(|row| row.0.party == key.party));
                assert!(of_party.iter().any(|row| row.0 == **key));
            }
            items += paged.len();
        }
        assert!(items > 20, "only {items} items");

        let mut documents = 0;
        for book in model.books.keys() {
            for customer in (0..7).map(|number| partita_core::id::Party::new(&format!("cus_{number}")).unwrap()) {
                let expected: Vec<_> = model
                    .payments
                    .iter()
                    .filter(|row| row.0.0 == *book && row.1.customer == customer)
                    .map(|row| row.1.clone())
                    .collect();
                let mut paged = vec![];
                loop {
                    let after = paged.last().map(|payment: &partita_core::document::Payment| payment.id.clone());
                    let page = view.payments(*book, Some(&customer), after.as_ref(), 2).unwrap();
                    if page.is_empty() {
                        break;
                    }
                    paged.extend(page);
                }
                assert_eq!(paged, expected);
                documents += expected.len();
                let charges = view.charges(*book, Some(&customer), None, usize::MAX).unwrap();
                assert!(charges.iter().all(|charge| charge.customer == customer));
                documents += charges.len();
                documents += view.refunds(*book, Some(&customer), None, usize::MAX).unwrap().len();
            }
        }
        assert_eq!(documents, model.payments.len() + model.charges.len() + model.refunds.len());
        assert!(documents > 40, "only {documents} documents");
        let codes: Vec<_> = view.books(None, 9).unwrap().iter().map(|book| book.code.to_string()).collect();
        assert_eq!(codes, ["acme", "beta"]);
        assert_eq!(view.books(Some(&view.books(None, 1).unwrap()[0].code), 9).unwrap().len(), 1);
    });
}

#[test]
fn the_journal_is_read_by_position_and_by_instant() {
    let (state, model, _) = layered(24);
    let reader = &state.reader;
    let mut all = vec![];
    loop {
        let next = Position(u64::try_from(all.len()).unwrap() + 1);
        let page = reader.decisions(next, 17, 4_000).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 17);
        all.extend(page);
    }
    assert_eq!(all, model.journal);
    assert_eq!(reader.decisions(Position(1), 50, 0).unwrap().len(), 1);
    for decision in &model.journal {
        let instant = decision.recorded_at;
        assert_eq!(reader.position_at(instant).unwrap(), decision.position);
        assert_eq!(reader.position_at(Timestamp(instant.0 - 1)).unwrap().0, decision.position.0 - 1);
    }
    let mut last = BTreeMap::new();
    for decision in &model.journal {
        if let Outcome::Accepted(effects) = &decision.outcome {
            last.extend(effects.entries.iter().map(|entry| (decision.book, entry.number)));
        }
        for book in model.books.keys() {
            let expected = last.get(book).copied().unwrap_or_default();
            assert_eq!(reader.last_entry_at(*book, decision.position).unwrap(), expected);
        }
    }
    assert_eq!(reader.position_at(Timestamp(i64::MAX)).unwrap(), model.head.position);
    assert_eq!(reader.position_at(Timestamp(0)).unwrap(), Position(0));
}

/// From the decisions alone: what was posted up to a position, by account, currency and stretch.
fn posted(
    journal: &[Decision],
    book: BookId,
    cuts: &[Date],
    at: Position,
) -> BTreeMap<(AccountId, CurrencyId, Date), Movement> {
    let mut sums: BTreeMap<_, Movement> = BTreeMap::new();
    for decision in journal.iter().filter(|decision| decision.book == book && decision.position <= at) {
        let Outcome::Accepted(effects) = &decision.outcome else { continue };
        for entry in &effects.entries {
            let Some(cut) = cuts.iter().find(|cut| entry.effective_date <= **cut) else { continue };
            for line in &entry.lines {
                let sum = sums.entry((line.account, line.currency, *cut)).or_default();
                match line.side {
                    Side::Debit => sum.debits += line.amount.minor(),
                    Side::Credit => sum.credits += line.amount.minor(),
                }
            }
        }
    }
    sums
}

#[test]
fn sums_of_a_book_are_those_of_its_entries_at_any_position_and_date() {
    let (state, model, _) = layered(25);
    let mut dice = Dice(7);
    let (mut rows, mut early) = (0, 0);
    for round in 0..200 {
        let book = BookId(1 + u32::from(round % 4 == 3));
        let mut cuts: Vec<Date> = (0..=dice.below(3))
            .map(|_| Date::from_days(20_390 + i32::try_from(dice.below(120)).unwrap()).unwrap())
            .collect();
        cuts.sort();
        cuts.dedup();
        let at = (round % 5 > 0).then(|| Position(dice.below(model.head.position.0 + 2)));
        let expected = posted(&model.journal, book, &cuts, at.unwrap_or(model.head.position));
        let found = state.reader.posted(MovementsOf::Book(book), &cuts, at, || true).unwrap().unwrap();
        let found: BTreeMap<_, _> =
            found.into_iter().map(|sums| ((sums.account, sums.currency, sums.date), sums.movement)).collect();
        assert_eq!(found, expected, "book {book}, {cuts:?}, at {at:?}");
        if let Some((account, currency, _)) = expected.keys().nth(expected.len() / 2) {
            let key = ControlKey { book, account: *account, currency: *currency };
            let found = state.reader.posted(MovementsOf::Control(&key), &cuts, at, || true).unwrap().unwrap();
            let expected: Vec<_> = expected.iter().filter(|row| (row.0.0, row.0.1) == (*account, *currency)).collect();
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(sums, row)| (sums.date, &sums.movement) == (row.0.2, row.1)));
        }
        rows += expected.len();
        early += usize::from(at.is_some_and(|at| at < model.head.position));
    }
    assert!(rows > 1_000 && early > 100, "{rows} rows, {early} before the head");
    let never = state.reader.posted(MovementsOf::Book(BookId(1)), &[Date::MAX], Some(Position(3)), || false).unwrap();
    assert_eq!(never, None);
}

#[test]
fn a_pass_through_the_journal_finds_what_it_looks_for() {
    let (state, model, _) = layered(26);
    let mut dice = Dice(8);
    let head = model.head.position.0;
    let mut found_entries = 0;
    for _ in 0..100 {
        let day = 20_395 + i32::try_from(dice.below(110)).unwrap();
        let account = AccountId(1 + u32::try_from(dice.below(12)).unwrap());
        let of = EntriesOf {
            book: BookId(1),
            control: (dice.below(2) > 0).then_some((account, CurrencyId(840))),
            from: (dice.below(2) > 0).then(|| Date::from_days(day).unwrap()),
            until: (dice.below(2) > 0).then(|| Date::from_days(day + 20).unwrap()),
            operations: [&[][..], &[OperationKind::PostEntry, OperationKind::PostEntries]][dice.place(2)],
        };
        let (from, until) = (Position(1 + dice.below(head)), Position(dice.below(head + 2)));
        let takes = |entry: &&partita_core::entry::Entry| {
            of.from.is_none_or(|from| from <= entry.effective_date)
                && of.until.is_none_or(|until| entry.effective_date <= until)
                && of.control.is_none_or(|at| entry.lines.iter().any(|line| (line.account, line.currency) == at))
        };
        let numbers = |decisions: &[Decision]| {
            let mut numbers = vec![];
            for decision in decisions {
                if let Outcome::Accepted(effects) = &decision.outcome {
                    numbers.extend(effects.entries.iter().filter(takes).map(|entry| entry.number));
                }
            }
            numbers
        };
        let (mut passed, mut next) = (vec![], from);
        while next <= until {
            let step = state.reader.entries(&of, next, until, 500).unwrap();
            assert!(step.next > next, "a pass goes on");
            next = step.next;
            passed.extend(step.decisions);
        }
        let expected: Vec<Decision> = model
            .journal
            .iter()
            .filter(|decision| decision.book == of.book && (from..=until).contains(&decision.position))
            .filter(|decision| of.operations.is_empty() || of.operations.contains(&decision.operation))
            .cloned()
            .collect();
        assert_eq!(numbers(&passed), numbers(&expected), "{of:?} {from} {until}");
        found_entries += numbers(&expected).len();
    }
    assert!(found_entries > 1_000, "{found_entries}");
}

#[test]
fn readers_see_whole_raft_entries_while_others_are_applied_and_written() {
    let entries = script(31, 400);
    let mut expected = BTreeMap::new();
    {
        let mut state = State::open(MemoryEngine::new());
        expected.insert(Position(0), state.head_hash());
        for (place, entry) in entries.iter().enumerate() {
            state.apply(place, entry);
            expected.insert(state.applier.position(), state.head_hash());
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(directory.path(), 32 << 20).unwrap();
    // Room for a handful of checkpoints over the whole script.
    let (mut applier, mut checkpointer, reader) =
        open_state(engine, StateConfig { memory_bytes: 256 << 10, ..SMALL }).unwrap();
    let done = AtomicBool::new(false);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|seed| {
                let (reader, done, expected) = (reader.clone(), &done, &expected);
                scope.spawn(move || {
                    let (mut dice, mut seen, mut reads) = (Dice(seed), Position(0), 0u64);
                    while !done.load(Ordering::Acquire) {
                        reads += 1;
                        reader.read(|view| {
                            let position = view.position();
                            assert!(position >= seen, "a node never goes back");
                            assert_eq!(
                                expected.get(&position),
                                Some(&view.head_hash()),
                                "not between two raft entries"
                            );
                            seen = position;
                            if position > Position(0) {
                                let some = Position(1 + dice.below(position.0));
                                assert_eq!(view.decision(some).unwrap().unwrap().position, some);
                            }
                        });
                        let all = MovementsOf::Book(BookId(1));
                        let at = (seen > Position(0)).then(|| Position(1 + dice.below(seen.0)));
                        let middle = Date::from_days(20_395 + i32::try_from(dice.below(110)).unwrap()).unwrap();
                        let sums = reader.posted(all, &[middle, Date::MAX], at, || true).unwrap().unwrap();
                        let debits: i128 = sums.iter().map(|row| row.movement.debits).sum();
                        let credits: i128 = sums.iter().map(|row| row.movement.credits).sum();
                        assert_eq!(debits, credits, "controls, movements and the journal are of one moment");
                        if seen > Position(0) {
                            let some = Position(1 + dice.below(seen.0));
                            assert_eq!(reader.decision(some).unwrap().unwrap().position, some);
                        }
                    }
                    reads
                })
            })
            .collect();
        let writer = scope.spawn(move || {
            let mut written = 0;
            while let Ok(sealed) = receiver.recv() {
                checkpointer.write(sealed).unwrap();
                written += 1;
            }
            written
        });
        for (place, entry) in entries.iter().enumerate() {
            let patience = Instant::now() + Duration::from_secs(30);
            while applier.must_wait() {
                assert!(Instant::now() < patience, "a checkpoint takes too long");
                std::thread::sleep(Duration::from_millis(1));
            }
            applier.apply(super::applied(place), entry.clone());
            let sealed = if applier.checkpoint_due() { applier.seal() } else { None };
            if let Some(sealed) = sealed {
                sender.send(sealed).unwrap();
            }
        }
        drop(sender);
        let checkpoints: u32 = writer.join().unwrap();
        done.store(true, Ordering::Release);
        let reads: Vec<u64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(checkpoints > 3 && reads.iter().all(|reads| *reads > 20), "{checkpoints} checkpoints, {reads:?} reads");
    });
}
