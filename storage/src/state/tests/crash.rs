//! Checkpoints and crashes: whatever happens to the store, replaying from its `applied` leads to the same state.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::applier::GENERATION_COMMANDS;
use super::memory::Memory;
use super::script::{Dice, script};
use super::{Entry, State, applied, assert_agrees, assert_same_tables, dump, run_on_maps};
use crate::codec::Levels;
use crate::engine::tests::copy_files;
use crate::engine::{MemoryEngine, RocksEngine, Row, Stop, Table};
use crate::state::{StateConfig, open_state};
use crate::tree::Hash;

/// What a run that nothing disturbs leads to.
struct Undisturbed {
    head_hash: Hash,
    tables: BTreeMap<Table, Vec<Row>>,
    model: Memory,
}

fn undisturbed(entries: &[Entry]) -> Undisturbed {
    let engine = MemoryEngine::new();
    let mut state = State::open(engine.clone());
    let mut model = Memory::default();
    for (place, entry) in entries.iter().enumerate() {
        assert_eq!(state.apply(place, entry), run_on_maps(&mut model, entry), "raft entry {place}");
    }
    assert_agrees(&state.reader, &model);
    state.checkpoint();
    assert_agrees(&state.reader, &model);
    Undisturbed { head_hash: state.head_hash(), tables: dump(&engine), model }
}

/// Applies the rest and compares everything.
fn finish(engine: &MemoryEngine, entries: &[Entry], expected: &Undisturbed, when: &str) {
    let mut state = State::open(engine.clone());
    for (place, entry) in entries.iter().enumerate().skip(state.next()) {
        state.apply(place, entry);
    }
    assert_eq!(state.head_hash(), expected.head_hash, "{when}");
    state.checkpoint();
    assert_same_tables(&dump(engine), &expected.tables, when);
}

#[test]
fn a_disturbed_run_ends_as_an_undisturbed_one() {
    let (mut crashes, mut checkpoints, mut replayed) = (0, 0, 0);
    for seed in 0..6 {
        let entries = script(seed, 150);
        let expected = undisturbed(&entries);
        let mut dice = Dice(seed ^ 0xC0FFEE);
        let mut engine = MemoryEngine::new();
        let mut state = State::open(engine.clone());
        let mut sealed = None;
        let mut furthest = 0;
        while state.next() < entries.len() {
            let place = state.next();
            let answers = state.apply(place, &entries[place]);
            assert_eq!(answers.len(), entries[place].len());
            replayed += usize::from(place < furthest);
            furthest = furthest.max(place + 1);
            match dice.below(30) {
                // A checkpoint is written while entries go on being applied.
                0..=3 if sealed.is_none() => sealed = state.applier.seal(),
                4..=9 => {
                    if let Some(sealed) = sealed.take() {
                        state.checkpointer.write(sealed).unwrap();
                        checkpoints += 1;
                    }
                }
                10 => {
                    if let Some(sealed) = sealed.take() {
                        let operation = 1 + dice.below(6);
                        engine.stop_at(Some(Stop { operation, takes_effect: dice.below(2) == 0 }));
                        // Whether it came to the stop does not matter here.
                        drop(state.checkpointer.write(sealed));
                    }
                    engine = engine.crash(dice.place(engine.unflushed() + 1));
                    state = State::open(engine.clone());
                    crashes += 1;
                }
                _ => {}
            }
        }
        if let Some(sealed) = sealed {
            state.checkpointer.write(sealed).unwrap();
        }
        assert_agrees(&state.reader, &expected.model);
        finish(&engine, &entries, &expected, "after crashes");
        state.checkpoint();
        assert_eq!(state.head_hash(), expected.head_hash, "seed {seed}");
        assert_same_tables(&dump(&engine), &expected.tables, "after a disturbed run");
        assert_agrees(&state.reader, &expected.model);
    }
    assert!(
        crashes > 10 && checkpoints > 40 && replayed > 20,
        "{crashes} crashes, {checkpoints} checkpoints, {replayed} replayed"
    );
}

#[test]
fn a_stop_at_any_write_or_flush_of_a_checkpoint_loses_nothing() {
    let entries = script(77, 120);
    let expected = undisturbed(&entries);
    let (first, second) = (40, 90);
    let prepare = || {
        let engine = MemoryEngine::new();
        let mut state = State::open(engine.clone());
        (0..first).for_each(|place| drop(state.apply(place, &entries[place])));
        state.checkpoint();
        (first..second).for_each(|place| drop(state.apply(place, &entries[place])));
        (engine, state)
    };
    let (engine, mut state) = prepare();
    engine.stop_at(None);
    state.checkpoint();
    let operations = engine.operations();
    assert!(operations > 4, "a checkpoint of {operations} steps shows little");
    let mut images = 0;
    for operation in 1..=operations {
        for takes_effect in [false, true] {
            let (engine, mut state) = prepare();
            engine.stop_at(Some(Stop { operation, takes_effect }));
            let sealed = state.applier.seal().unwrap();
            assert!(state.checkpointer.write(sealed).is_err(), "the store stops at operation {operation}");
            for kept in 0..=engine.unflushed() {
                let when = format!("stopped at {operation} ({takes_effect}), {kept} batches kept");
                finish(&engine.crash(kept), &entries, &expected, &when);
                images += 1;
            }
        }
    }
    assert!(images > 20, "only {images} crashes");
}

#[test]
fn rocksdb_comes_back_from_its_last_checkpoint() {
    let entries = script(5, 120);
    let expected = undisturbed(&entries);
    let open = |directory: &Path| State::open(RocksEngine::open(directory, 32 << 20).unwrap());
    let mut directory = tempfile::tempdir().unwrap();
    let mut state = open(directory.path());
    let mut lost = 0;
    for crash_at in [30, 55, 56, 100] {
        while state.next() < crash_at {
            let place = state.next();
            state.apply(place, &entries[place]);
            if place % 20 == 19 {
                state.checkpoint();
            }
        }
        let image = copy_files(directory.path());
        drop(state);
        directory = image;
        state = open(directory.path());
        lost += crash_at - state.next();
    }
    assert!(lost > 20, "only {lost} raft entries had to be replayed");
    while state.next() < entries.len() {
        let place = state.next();
        state.apply(place, &entries[place]);
    }
    assert_eq!(state.head_hash(), expected.head_hash);
    assert_agrees(&state.reader, &expected.model);
    state.checkpoint();
    assert_same_tables(&dump(&*state.reader.engine()), &expected.tables, "over RocksDB");
    drop(state);
    let state = open(directory.path());
    assert_eq!(state.next(), entries.len());
    assert_agrees(&state.reader, &expected.model);
}

#[test]
fn a_generation_has_so_many_commands_at_most() {
    let entries = script(3, 60);
    let config = StateConfig { memory_bytes: 1 << 30, levels: Levels::OWN };
    let (mut applier, ..) = open_state(MemoryEngine::new(), config).unwrap();
    let mut commands = 0;
    // Sent again and again they are replayed: that takes hardly any memory.
    for (place, entry) in entries.iter().cycle().enumerate() {
        assert_eq!(applier.checkpoint_due(), commands >= GENERATION_COMMANDS, "{commands} commands");
        if applier.checkpoint_due() {
            break;
        }
        commands += applier.apply(applied(place), entry.clone()).len();
    }
    assert!(applier.seal().is_some());
    assert!(!applier.checkpoint_due());
}

#[test]
fn a_generation_is_sealed_once_and_bounded() {
    let entries = script(3, 60);
    let mut state = State::open(MemoryEngine::new());
    assert!(state.applier.seal().is_none(), "nothing was applied yet");
    let mut place = 0;
    while !state.applier.checkpoint_due() {
        state.apply(place, &entries[place]);
        place += 1;
    }
    assert!(!state.applier.must_wait(), "there is room for a second generation");
    let sealed = state.applier.seal().unwrap();
    assert!(!state.applier.checkpoint_due());
    assert!(state.applier.seal().is_none(), "a checkpoint is under way");
    while !state.applier.checkpoint_due() {
        state.apply(place, &entries[place]);
        place += 1;
    }
    assert!(state.applier.must_wait());
    state.checkpointer.write(sealed).unwrap();
    assert!(!state.applier.must_wait());
    state.checkpoint();
    assert!(state.applier.seal().is_none(), "nothing was applied since");
}

/// Blocks and hashes made beside the execution are those that are made after each command: journal, trees and answers.
/// Nor does it matter in which pieces the commands come.
#[test]
fn a_second_thread_changes_nothing() {
    let entries: Vec<Entry> = script(5, 300).chunks(60).map(<[Entry]>::concat).collect();
    assert!(entries.iter().any(|entry| entry.len() > 128), "decisions are handed over in several parts");
    let pieces = |entry: &Entry, size| entry.chunks(size).map(<[_]>::to_vec).collect();
    let run = |beside, size| {
        let engine = MemoryEngine::new();
        let mut state = State::open(engine.clone());
        let apply =
            |(place, entry): (usize, &Entry)| state.applier.apply_with(applied(place), pieces(entry, size), beside);
        let answers: Vec<_> = entries.iter().enumerate().map(apply).collect();
        state.checkpoint();
        (answers, state.head_hash(), dump(&engine))
    };
    let alone = run(usize::MAX, usize::MAX);
    for (beside, way) in [(run(0, usize::MAX), "two threads"), (run(0, 7), "two threads, in pieces")] {
        assert_eq!((&alone.0, alone.1), (&beside.0, beside.1), "{way}");
        assert_same_tables(&alone.2, &beside.2, way);
    }
}

#[test]
#[should_panic(expected = "applied twice")]
fn a_raft_entry_is_applied_once() {
    let entries = script(3, 2);
    let mut state = State::open(MemoryEngine::new());
    state.apply(0, &entries[0]);
    state.apply(0, &entries[0]);
}
