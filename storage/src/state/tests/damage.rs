//! Damaged tables: a wrong byte is found when it is read, and the message says where.

use super::script::script;
use super::{SMALL, State, dump};
use crate::codec::keys::TableKey;
use crate::engine::{Batch, MemoryEngine, Table, TableEngine};
use crate::state::{HEAD_KEY, OpenError, StorageError, open_state};
use partita_core::id::Position;

fn checkpointed() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut state = State::open(engine.clone());
    for (place, entry) in script(9, 80).iter().enumerate() {
        state.apply(place, entry);
    }
    state.checkpoint();
    engine
}

#[test]
fn a_flipped_byte_in_what_is_loaded_refuses_to_open() {
    let engine = checkpointed();
    let mut flipped = 0;
    for table in
        [Table::Books, Table::Currencies, Table::Accounts, Table::Totals, Table::Trees, Table::Controls, Table::Meta]
    {
        let rows = dump(&engine).remove(&table).unwrap();
        for (key, value) in rows.iter().take(5) {
            for byte in 0..value.len() {
                let copy = engine.crash(0);
                copy.damage(table, key, byte, 0x10);
                let error = open_state(copy, SMALL).map(drop).expect_err("the byte is read when the state is opened");
                assert!(error.to_string().contains(table.name()), "{error}");
                flipped += 1;
            }
        }
    }
    assert!(flipped > 500, "only {flipped} bytes were flipped");
}

#[test]
fn a_flipped_byte_in_a_block_is_found_when_it_is_read() {
    let engine = checkpointed();
    let blocks = dump(&engine).remove(&Table::Journal).unwrap();
    assert!(blocks.len() > 3);
    let (key, block) = &blocks[1];
    let first = Position::from_bytes(key).unwrap();
    for byte in (0..block.len()).step_by(7) {
        let copy = engine.crash(0);
        copy.damage(Table::Journal, key, byte, 0x01);
        let state = State::open(copy);
        let found = state.reader.read(|view| view.decision(first));
        assert!(matches!(found, Err(StorageError::Block { first: at, .. }) if at == first), "byte {byte}");
    }
}

#[test]
fn a_missing_end_of_the_journal_or_head_refuses_to_open() {
    let engine = checkpointed();
    let (last, _) = dump(&engine).remove(&Table::Journal).unwrap().pop().unwrap();
    let copy = engine.crash(0);
    let mut batch = Batch::new();
    batch.remove(Table::Journal, last);
    copy.write(batch).unwrap();
    assert!(matches!(open_state(copy, SMALL).map(drop), Err(OpenError::Storage(StorageError::Gap { .. }))));

    let copy = engine.crash(0);
    let mut batch = Batch::new();
    batch.remove(Table::Meta, HEAD_KEY.to_vec());
    copy.write(batch).unwrap();
    assert!(matches!(open_state(copy, SMALL).map(drop), Err(OpenError::NoHead)));
}
