//! Both engines against the same expectations, and what each keeps of a crash.

use std::path::Path;

use super::{Batch, Direction, EngineError, KeyRange, MemoryEngine, RocksEngine, Stop, Table, TableEngine, TableRead};

fn put(engine: &impl TableEngine, rows: &[(Table, &str, &str)]) {
    let mut batch = Batch::new();
    for (table, key, value) in rows {
        batch.put(*table, key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    engine.write(batch).unwrap();
}

fn keys(reader: &impl TableRead, range: &KeyRange, direction: Direction, limit: usize) -> Vec<String> {
    let rows = reader.scan(Table::Items, range, direction, limit).unwrap();
    rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

fn reads_what_was_written(engine: &impl TableEngine) {
    put(engine, &[(Table::Items, "a1", "x"), (Table::Items, "a2", "y"), (Table::Items, "b1", "z")]);
    put(engine, &[(Table::Keys, "a1", "other table")]);
    assert_eq!(engine.get(Table::Items, b"a2").unwrap(), Some(b"y".to_vec()));
    assert_eq!(engine.get(Table::Items, b"a3").unwrap(), None);
    let wanted = [b"a1".to_vec(), b"a3".to_vec(), b"b1".to_vec()];
    assert_eq!(engine.multi_get(Table::Items, &wanted).unwrap(), [Some(b"x".to_vec()), None, Some(b"z".to_vec())]);
    assert_eq!(keys(engine, &KeyRange::all(), Direction::Forward, 9), ["a1", "a2", "b1"]);
    assert_eq!(keys(engine, &KeyRange::all(), Direction::Backward, 2), ["b1", "a2"]);
    let a = KeyRange::prefix(b"a".to_vec());
    assert_eq!(keys(engine, &a, Direction::Forward, 9), ["a1", "a2"]);
    assert_eq!(keys(engine, &a, Direction::Backward, 1), ["a2"]);
    let empty = KeyRange { from: b"b".to_vec(), to: Some(b"a".to_vec()) };
    assert_eq!(keys(engine, &empty, Direction::Forward, 9), [""; 0]);

    let snapshot = engine.snapshot();
    let mut batch = Batch::new();
    batch.remove(Table::Items, b"a1".to_vec());
    batch.put(Table::Items, b"a2".to_vec(), b"new".to_vec());
    engine.write(batch).unwrap();
    engine.flush().unwrap();
    assert_eq!(keys(&snapshot, &a, Direction::Forward, 9), ["a1", "a2"]);
    assert_eq!(snapshot.get(Table::Items, b"a2").unwrap(), Some(b"y".to_vec()));
    assert_eq!(snapshot.multi_get(Table::Items, &wanted).unwrap()[0], Some(b"x".to_vec()));
    assert_eq!(keys(engine, &a, Direction::Forward, 9), ["a2"]);
    assert_eq!(engine.get(Table::Items, b"a2").unwrap(), Some(b"new".to_vec()));
}

#[test]
fn memory_reads_what_was_written() {
    reads_what_was_written(&MemoryEngine::new());
}

#[test]
fn rocks_reads_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(directory.path(), 16 << 20).unwrap();
    reads_what_was_written(&engine);
    drop(engine);
    let engine = RocksEngine::open(directory.path(), 16 << 20).unwrap();
    assert_eq!(engine.get(Table::Items, b"a2").unwrap(), Some(b"new".to_vec()));
    engine.compact();
    assert_eq!(engine.get(Table::Keys, b"a1").unwrap(), Some(b"other table".to_vec()));
}

#[test]
fn a_crash_keeps_what_was_flushed_and_any_prefix_behind_it() {
    let engine = MemoryEngine::new();
    put(&engine, &[(Table::Meta, "head", "1")]);
    engine.flush().unwrap();
    put(&engine, &[(Table::Meta, "head", "2"), (Table::Items, "a", "2")]);
    put(&engine, &[(Table::Meta, "head", "3")]);
    let heads: Vec<_> = (0..=2).map(|kept| engine.crash(kept).get(Table::Meta, b"head").unwrap().unwrap()).collect();
    assert_eq!(heads, [b"1", b"2", b"3"]);
    assert_eq!(engine.crash(0).get(Table::Items, b"a").unwrap(), None);
}

#[test]
fn a_store_stops_where_it_is_told() {
    for takes_effect in [false, true] {
        let engine = MemoryEngine::new();
        engine.stop_at(Some(Stop { operation: 2, takes_effect }));
        put(&engine, &[(Table::Meta, "head", "1")]);
        assert!(matches!(engine.flush(), Err(EngineError::Stopped)));
        assert!(matches!(engine.write(Batch::new()), Err(EngineError::Stopped)));
        assert_eq!(engine.crash(0).get(Table::Meta, b"head").unwrap().is_some(), takes_effect);
    }
}

/// What a power cut would leave of an open database: its files as they are, taken while none of them changes.
pub(crate) fn copy_files(from: &Path) -> tempfile::TempDir {
    let list = || {
        let mut files: Vec<_> = std::fs::read_dir(from)
            .unwrap()
            .map(|file| file.unwrap())
            .filter_map(|file| Some((file.file_name(), file.metadata().ok()?.len())))
            .collect();
        files.sort();
        files
    };
    for _ in 0..1_000 {
        let (image, before) = (tempfile::tempdir().unwrap(), list());
        let copied = before.iter().all(|(name, _)| std::fs::copy(from.join(name), image.path().join(name)).is_ok());
        if copied && list() == before {
            return image;
        }
    }
    panic!("the files of {} never stand still", from.display())
}

#[test]
fn rocks_loses_what_was_not_flushed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(directory.path(), 16 << 20).unwrap();
    put(&engine, &[(Table::Meta, "head", "1"), (Table::Items, "a", "1")]);
    engine.flush().unwrap();
    put(&engine, &[(Table::Meta, "head", "2"), (Table::Items, "a", "2")]);
    let image = copy_files(directory.path());
    let crashed = RocksEngine::open(image.path(), 16 << 20).unwrap();
    assert_eq!(crashed.get(Table::Meta, b"head").unwrap(), Some(b"1".to_vec()));
    assert_eq!(crashed.get(Table::Items, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(engine.get(Table::Meta, b"head").unwrap(), Some(b"2".to_vec()));
    let linked = tempfile::tempdir().unwrap();
    engine.checkpoint(&linked.path().join("state")).unwrap();
    assert!(RocksEngine::open(&linked.path().join("state"), 16 << 20).is_ok());
}

#[test]
fn every_table_stands_in_its_place() {
    let places: Vec<usize> = Table::ALL.into_iter().map(Table::index).collect();
    assert_eq!(places, (0..Table::ALL.len()).collect::<Vec<_>>());
}
