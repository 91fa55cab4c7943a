//! A state that leaves one node's files and takes the place of another's: whole, with readers, and with the power
//! going at every step (they are listed in `crate::snapshot`).

use std::io;
use std::sync::Arc;

use super::script::script;
use super::{Entry, State, assert_same_tables, dump};
use crate::codec::Levels;
use crate::engine::{EngineError, RocksEngine, TableEngine, TableRead};
use crate::log::memory::{Power, Unsynced};
use crate::snapshot::files::Listed;
use crate::snapshot::{
    Checkpoints, DiskFiles, DiskStore, Exported, Files, MemoryStore, SnapshotError, StateHome, TableStore,
};
use crate::state::{HeadRecord, OpenError, read_head};
use crate::tree::Hash;

/// Small enough for most files in memory to take several; RocksDB's are larger.
const CHUNK_BYTES: usize = 2 << 10;
const OLD: usize = 30;
const NEW: usize = 90;

/// A state that some entries were applied to, as files.
fn exported<S: TableStore>(store: S, entries: &[Entry]) -> Exported {
    let home = Arc::new(StateHome::recover(store, Levels::OWN).unwrap());
    let mut state = State::open(home.open().unwrap());
    entries.iter().enumerate().for_each(|(place, entry)| drop(state.apply(place, entry)));
    state.checkpoint();
    home.export(state.checkpointer.engine()).unwrap().describe().unwrap()
}

/// Sends what is missing; returns how many bytes that were.
fn send(from: &Exported, to: &dyn Checkpoints) -> Result<usize, SnapshotError> {
    let mut sent = 0;
    let lengths = to.begin(from.manifest())?;
    for (place, (file, mut offset)) in from.manifest().files.iter().zip(lengths).enumerate() {
        while offset < file.length {
            let step = usize::try_from(file.length - offset).unwrap().min(CHUNK_BYTES);
            to.receive(place, offset, &from.read(place, offset, step)?)?;
            offset += u64::try_from(step).unwrap();
            sent += step;
        }
    }
    Ok(sent)
}

/// All steps of an install, as a node does them.
fn install<S: TableStore>(from: &Exported, home: &StateHome<S>, old: &S::Engine) -> Result<S::Engine, SnapshotError> {
    send(from, home)?;
    home.install(&home.verify()?, old)
}

fn head_of(engine: &impl TableRead) -> Option<Hash> {
    read_head(engine, Levels::OWN).unwrap().map(|record| record.tree.root())
}

fn undisturbed(entries: &[Entry]) -> (Hash, std::collections::BTreeMap<crate::engine::Table, Vec<crate::engine::Row>>) {
    let engine = crate::engine::MemoryEngine::new();
    let mut state = State::open(engine.clone());
    entries.iter().enumerate().for_each(|(place, entry)| drop(state.apply(place, entry)));
    state.checkpoint();
    (state.head_hash(), dump(&engine))
}

fn takes_the_place_of_another<S: TableStore>(source: S, target: S) {
    let entries = script(11, 120);
    let (old_head, _) = undisturbed(&entries[..OLD]);
    let (new_head, new_tables) = undisturbed(&entries[..NEW]);
    let from = exported(source, &entries[..NEW]);
    assert!(from.manifest().files.len() > 2, "{:?}", from.manifest());
    assert_eq!(from.manifest().head_hash, new_head);

    let home = StateHome::recover(target, Levels::OWN).unwrap();
    let mut state = State::open(home.open().unwrap());
    entries[..OLD].iter().enumerate().for_each(|(place, entry)| drop(state.apply(place, entry)));
    state.checkpoint();
    let (reader, old) = (state.reader.clone(), state.reader.engine());
    let installed = State::open(install(&from, &home, &old).unwrap());
    assert_same_tables(&dump(&*installed.reader.engine()), &new_tables, "installed");
    assert_eq!(home.installed(), Some(installed.applier.applied().index));

    // Whoever reads goes on reading what it began with; the next read sees the new state.
    let before = reader.read(|view| {
        let before = view.position();
        assert_eq!((view.head_hash(), reader.position()), (old_head, before));
        before
    });
    reader.lead_to(&installed.reader);
    assert!(reader.position() > before && state.reader.position() > before);
    assert_eq!(reader.read(|view| view.head_hash()), new_head);
    assert_eq!(head_of(&*old), Some(old_head));
    drop((old, state));

    let mut state = installed;
    entries.iter().enumerate().skip(NEW).for_each(|(place, entry)| drop(state.apply(place, entry)));
    state.checkpoint();
    let (head, tables) = undisturbed(&entries);
    assert_eq!(state.head_hash(), head);
    assert_same_tables(&dump(&*reader.engine()), &tables, "went on");
    let directories = home.directories();
    assert_eq!(directories, ["state-1"], "the old one went with its last reader");
}

impl<S: TableStore> StateHome<S> {
    /// What stands in the data directory beside files.
    fn directories(&self) -> Vec<String> {
        let listed = self.files().list("").unwrap();
        listed.into_iter().filter(|found| found.length.is_none()).map(|found| found.name).collect()
    }
}

#[test]
fn a_checkpoint_takes_the_place_of_another_state_in_memory() {
    takes_the_place_of_another(MemoryStore::new(Power::steady()), MemoryStore::new(Power::steady()));
}

#[test]
fn a_checkpoint_takes_the_place_of_another_state_on_disk() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    takes_the_place_of_another(DiskStore::new(source.path(), 16 << 20), DiskStore::new(target.path(), 16 << 20));
    assert!(!source.path().join("outgoing-0").exists(), "a checkpoint goes with its last reader");
}

#[test]
fn what_a_node_left_that_stopped_while_it_sent_is_removed() {
    let entries = script(11, OLD);
    let data = tempfile::tempdir().unwrap();
    let store = || DiskStore::new(data.path(), 16 << 20);
    let home = Arc::new(StateHome::recover(store(), Levels::OWN).unwrap());
    let mut state = State::open(home.open().unwrap());
    entries.iter().enumerate().for_each(|(place, entry)| drop(state.apply(place, entry)));
    state.checkpoint();
    let export = || home.export(state.checkpointer.engine()).unwrap();
    drop(export());
    // The process ends: nobody lets go of it. RocksDB may have been in the middle of another.
    std::mem::forget(export());
    std::mem::forget(export().describe().unwrap());
    std::fs::create_dir(data.path().join("outgoing-3.tmp")).unwrap();
    assert_eq!(home.directories(), ["outgoing-1", "outgoing-2", "outgoing-3.tmp", "state"]);
    let head = state.head_hash();
    drop(state);
    let home = StateHome::recover(store(), Levels::OWN).unwrap();
    assert_eq!(home.directories(), ["state"]);
    assert_eq!(head_of(&home.open().unwrap()), Some(head));
}

#[test]
fn what_differs_is_named_and_received_again() {
    let entries = script(11, 60);
    let from = exported(MemoryStore::new(Power::steady()), &entries);
    let whole = usize::try_from(from.manifest().bytes()).unwrap();
    let target = MemoryStore::new(Power::steady());
    let home = StateHome::recover(target.clone(), Levels::OWN).unwrap();
    assert_eq!(send(&from, &home).unwrap(), whole);
    for (place, file) in from.manifest().files.iter().enumerate() {
        let path = format!("state-1/{}", file.name);
        let at = file.length / 2;
        let byte = target.files().read_at(&path, at, 1).unwrap()[0];
        target.files().write_at(&path, at, &[byte ^ 1]).unwrap();
        match home.verify() {
            Err(SnapshotError::Damaged { file: named, .. }) => assert_eq!(named, file.name),
            other => panic!("{other:?}"),
        }
        assert!(matches!(home.verify(), Err(SnapshotError::Incomplete { .. })));
        assert_eq!(send(&from, &home).unwrap(), usize::try_from(file.length).unwrap(), "that file alone");
        assert!(home.verify().is_ok(), "file {place}");
    }
    // Of another checkpoint, what is the same stays.
    let other = exported(MemoryStore::new(Power::steady()), &script(11, 61));
    let sent = send(&other, &home).unwrap();
    assert!(sent < usize::try_from(other.manifest().bytes()).unwrap(), "{sent} bytes");
    home.verify().unwrap();
}

#[test]
fn parts_in_disorder_and_surplus_bytes_are_refused() {
    let from = exported(MemoryStore::new(Power::steady()), &script(11, 40));
    let home = StateHome::recover(MemoryStore::new(Power::steady()), Levels::OWN).unwrap();
    assert!(matches!(home.receive(0, 0, b"x"), Err(SnapshotError::NotOffered)));
    home.begin(from.manifest()).unwrap();
    assert!(matches!(home.receive(0, 5, b"x"), Err(SnapshotError::Misplaced { expected: 0, .. })));
    let length = usize::try_from(from.manifest().files[0].length).unwrap();
    assert!(matches!(home.receive(0, 0, &vec![0; length + 1]), Err(SnapshotError::Damaged { .. })));
    assert!(matches!(home.receive(usize::MAX, 0, b"x"), Err(SnapshotError::NotOffered)));
    // A manifest that tells another story than the files.
    let mut lying = from.manifest().clone();
    lying.head.position = lying.head.position.next();
    home.begin(&lying).unwrap();
    for (place, file) in lying.files.iter().enumerate() {
        home.receive(place, 0, &from.read(place, 0, usize::try_from(file.length).unwrap()).unwrap()).unwrap();
    }
    assert!(matches!(home.verify(), Err(SnapshotError::OtherHead)));
}

/// The power goes at every write, sync, rename and removal of receiving and installing.
#[test]
fn a_power_cut_at_any_step_of_an_install_leaves_one_whole_state() {
    let entries = script(11, NEW);
    let from = exported(MemoryStore::new(Power::steady()), &entries);
    let heads = [undisturbed(&entries[..OLD]).0, undisturbed(&entries).0];
    let prepare = |power: Power| {
        let store = MemoryStore::new(power);
        let mut state = State::open(store.engine());
        entries[..OLD].iter().enumerate().for_each(|(place, entry)| drop(state.apply(place, entry)));
        state.checkpoint();
        (store, state)
    };
    let power = Power::steady();
    let (store, state) = prepare(power.clone());
    install(&from, &StateHome::recover(store, Levels::OWN).unwrap(), &state.reader.engine()).unwrap();
    let steps = power.steps();
    assert!(steps > 40, "{steps} steps show little");
    let (mut found, mut resumed) = ([0, 0], 0);
    for stop_at in 0..steps {
        let (store, state) = prepare(Power::failing_at(stop_at));
        let attempt = StateHome::recover(store.clone(), Levels::OWN)
            .and_then(|home| install(&from, &home, &state.reader.engine()).map(|_| ()));
        assert!(attempt.is_err(), "the power goes at {stop_at} of {steps}");
        for unsynced in [Unsynced::Lost, Unsynced::Kept] {
            let case = format!("power cut at {stop_at}, {unsynced:?}");
            let left = store.after_power_cut(unsynced, 0, Power::steady());
            let home = StateHome::recover(left, Levels::OWN).unwrap_or_else(|error| panic!("{case}: {error}"));
            let engine = home.open().unwrap();
            let head = head_of(&engine).unwrap();
            let which = heads.iter().position(|known| *known == head).unwrap_or_else(|| panic!("{case}: neither"));
            assert_eq!(home.installed().is_some(), which == 1, "{case}");
            found[which] += 1;
            if which == 0 {
                let sent = send(&from, &home).unwrap();
                resumed += usize::from(sent < usize::try_from(from.manifest().bytes()).unwrap());
                // What lay unsynced at a file's end may have to come again.
                let verified = match home.verify() {
                    Err(SnapshotError::Damaged { .. }) => {
                        send(&from, &home).unwrap();
                        home.verify()
                    }
                    verified => verified,
                };
                let engine = home.install(&verified.unwrap(), &engine).unwrap();
                assert_eq!(head_of(&engine), Some(heads[1]), "{case}");
            }
        }
    }
    assert!(found[0] > 40 && found[1] > 1 && resumed > 20, "{found:?} states, {resumed} went on");
}

/// Files whose power goes, and tables that lie among them.
#[derive(Debug)]
struct Failing<S> {
    store: S,
    files: FailingFiles,
}

#[derive(Debug)]
struct FailingFiles {
    disk: DiskFiles,
    power: MemoryStore,
}

impl FailingFiles {
    /// One step of the power.
    fn step(&self) -> io::Result<()> {
        self.power.files().sync_directory("")
    }
}

impl Files for FailingFiles {
    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.disk.make_directory(path)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Listed>> {
        self.disk.list(directory)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path)
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.disk.read_at(path, offset, length)
    }

    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        self.disk.write_at(path, offset, bytes)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.disk.sync_file(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.disk.sync_directory(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.disk.remove_file(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.disk.remove_directory(path)
    }
}

impl TableStore for Failing<DiskStore> {
    type Engine = RocksEngine;
    type Files = FailingFiles;

    fn files(&self) -> &FailingFiles {
        &self.files
    }

    fn open(&self, directory: &str) -> Result<RocksEngine, EngineError> {
        self.store.open(directory)
    }

    fn head(&self, directory: &str, known: Levels) -> Result<Option<HeadRecord>, OpenError> {
        self.store.head(directory, known)
    }

    fn checkpoint(&self, engine: &RocksEngine, directory: &str) -> Result<(), EngineError> {
        self.store.checkpoint(engine, directory)
    }

    fn retire(&self, engine: &RocksEngine, directory: &str) {
        self.store.retire(engine, directory);
    }
}

/// The process ends at every step, over RocksDB in real directories, and the next one goes on.
#[test]
fn an_install_that_ends_at_any_step_goes_on_over_real_directories() {
    let entries = script(11, NEW);
    let heads = [undisturbed(&entries[..OLD]).0, undisturbed(&entries).0];
    let source = tempfile::tempdir().unwrap();
    let from = exported(DiskStore::new(source.path(), 16 << 20), &entries);
    let prepared = tempfile::tempdir().unwrap();
    drop(exported(DiskStore::new(prepared.path(), 16 << 20), &entries[..OLD]));
    let run = |stop_at: u64| {
        let target = tempfile::tempdir().unwrap();
        std::fs::create_dir(target.path().join("state")).unwrap();
        for file in std::fs::read_dir(prepared.path().join("state")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), target.path().join("state").join(file.file_name())).unwrap();
        }
        let store = || DiskStore::new(target.path(), 16 << 20);
        let power = Power::failing_at(stop_at);
        let files = FailingFiles { disk: DiskFiles::new(target.path()), power: MemoryStore::new(power.clone()) };
        let attempt = StateHome::recover(Failing { store: store(), files }, Levels::OWN)
            .and_then(|home| install(&from, &home, &home.open()?).map(|_| ()));
        assert_eq!(attempt.is_ok(), !power.is_off(), "stopped at {stop_at}");
        let home =
            StateHome::recover(store(), Levels::OWN).unwrap_or_else(|error| panic!("stopped at {stop_at}: {error}"));
        let engine = home.open().unwrap();
        let which = heads.iter().position(|head| Some(*head) == head_of(&engine)).expect("one of the two");
        assert_eq!(home.installed().is_some(), which == 1, "stopped at {stop_at}");
        let engine = if which == 0 { install(&from, &home, &engine).unwrap() } else { engine };
        let report = crate::verify::verify(&engine.snapshot());
        assert!(report.is_clean(), "stopped at {stop_at}: {report}");
        assert_eq!(report.head, heads[1], "stopped at {stop_at}");
        (which, power.steps())
    };
    let (_, steps) = run(u64::MAX);
    // The last steps are those around the rename; the many before them receive, all in the same way.
    let stops: Vec<u64> = (0..steps).filter(|step| step % 16 == 3 || step + 10 > steps).collect();
    let found: Vec<usize> = stops.iter().map(|stop_at| run(*stop_at).0).collect();
    let installed: usize = found.iter().sum();
    assert!(found.len() - installed > 8 && installed > 1, "{found:?}");
}
