//! The raft log over real RocksDB and over the store that loses power.

use bytes::Bytes;

use super::super::entry::EntryKind;
use super::super::mark::MarkFile;
use super::super::memory::{MemoryLog, MemoryMark, Power, Unsynced};
use super::super::rocks::RocksLog;
use super::*;

const TAIL_BYTES: usize = 200;
const EVERYTHING: usize = usize::MAX;

fn entry(index: u64, term: u64) -> LogEntry {
    let payload = Bytes::from(format!("payload {index} of term {term}"));
    LogEntry { id: EntryId { index, term, node: 1 }, kind: EntryKind::Commands, payload }
}

fn run(first: u64, last: u64, term: u64) -> Vec<LogEntry> {
    (first..=last).map(|index| entry(index, term)).collect()
}

fn append<E: LogEngine, M: MarkStore>(writer: &mut LogWriter<E, M>, entries: &[LogEntry]) -> Result<(), LogError> {
    writer.log().stage(entries).expect("the test's entries follow each other");
    writer.append(entries)
}

fn open_rocks(directory: &std::path::Path) -> Result<LogWriter<RocksLog, MarkFile>, LogError> {
    let engine = RocksLog::open(&directory.join("log"), 1 << 20)?;
    open_log(engine, MarkFile::new(&directory.join("mark")), TAIL_BYTES)
}

fn all<E: LogEngine>(log: &RaftLog<E>) -> Vec<LogEntry> {
    let mut found = Vec::new();
    loop {
        let next = found.last().map_or(0, |entry: &LogEntry| entry.id.index + 1);
        let more = log.read(next, u64::MAX, 64).unwrap();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

#[test]
fn entries_vote_and_purge_point_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 20, 1)).unwrap();
    let vote = Vote { term: 2, node: 1, committed: false };
    writer.save_vote(vote).unwrap();
    append(&mut writer, &run(21, 40, 2)).unwrap();
    writer.purge_upto(EntryId { index: 5, term: 1, node: 1 }).unwrap();
    let mut expected = run(6, 20, 1);
    expected.extend(run(21, 40, 2));
    assert_eq!(all(&writer.log()), expected);
    writer.mark().sync().unwrap();
    drop(writer);

    let writer = open_rocks(directory.path()).unwrap();
    assert_eq!(all(&writer.log()), expected);
    assert_eq!(writer.log().vote(), Some(vote));
    let purged = Some(EntryId { index: 5, term: 1, node: 1 });
    assert_eq!(writer.log().state(), LogState { purged, last: Some(entry(40, 2).id) });
}

/// Whoever proposed an entry knows it again by where its bytes lie.
#[test]
fn the_newest_entries_are_handed_out_as_the_bytes_that_were_staged() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    let entries = run(0, 2, 1);
    let is_handed_out = |writer: &LogWriter<RocksLog, MarkFile>| {
        let found = writer.log().read(0, 3, EVERYTHING).unwrap();
        found.iter().zip(&entries).all(|(found, staged)| found.payload.as_ptr() == staged.payload.as_ptr())
    };
    writer.log().stage(&entries).unwrap();
    assert!(is_handed_out(&writer));
    writer.append(&entries).unwrap();
    assert!(is_handed_out(&writer));
}

#[test]
fn staged_entries_are_readable_before_they_are_durable() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    let log = writer.log();
    append(&mut writer, &run(0, 9, 1)).unwrap();
    log.stage(&run(10, 30, 1)).unwrap();
    assert_eq!(all(&log), run(0, 30, 1));
    assert!(matches!(log.stage(&run(40, 40, 1)), Err(LogError::Gap { index: 40, last: 30 })));
    drop((log, writer));
    let writer = open_rocks(directory.path()).unwrap();
    assert_eq!(all(&writer.log()), run(0, 9, 1));
}

#[test]
fn reads_are_bounded_by_bytes_and_never_empty_handed() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 50, 1)).unwrap();
    let log = writer.log();
    assert_eq!(log.read(3, 50, 1).unwrap(), run(3, 3, 1));
    assert_eq!(log.read(50, 99, 1).unwrap(), run(50, 50, 1));
    assert_eq!(log.read(51, 99, EVERYTHING).unwrap(), vec![]);
    assert_eq!(log.read(7, 7, EVERYTHING).unwrap(), vec![]);
    assert!(log.read(0, 50, 500).unwrap().len() < 20);
}

#[test]
fn truncation_is_durable_and_lowers_the_mark_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 9, 1)).unwrap();
    writer.mark().sync().unwrap();
    writer.truncate_after(Some(4)).unwrap();
    assert_eq!(writer.mark().current().last, Some(entry(4, 1).id));
    assert!(!writer.mark().sync().unwrap(), "the lowered mark was durable already");
    drop(writer);
    let mut writer = open_rocks(directory.path()).unwrap();
    assert_eq!(all(&writer.log()), run(0, 4, 1));
    append(&mut writer, &run(5, 6, 3)).unwrap();
    writer.truncate_after(None).unwrap();
    assert_eq!(all(&writer.log()), vec![]);
    assert_eq!(writer.log().state(), LogState { purged: None, last: None });
}

#[test]
fn a_purge_may_go_beyond_the_last_entry() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 9, 1)).unwrap();
    let upto = EntryId { index: 20, term: 1, node: 1 };
    writer.purge_upto(upto).unwrap();
    assert_eq!(writer.log().state(), LogState { purged: Some(upto), last: Some(upto) });
    append(&mut writer, &run(21, 22, 1)).unwrap();
    drop(writer);
    let writer = open_rocks(directory.path()).unwrap();
    assert_eq!(all(&writer.log()), run(21, 22, 1));
}

#[test]
fn a_log_shorter_than_its_mark_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 9, 1)).unwrap();
    writer.save_vote(Vote { term: 4, node: 1, committed: true }).unwrap();
    writer.mark().sync().unwrap();
    let engine = &writer.log.shared.engine;
    engine.commit(&[LogWrite::Remove { first: 9, last: 9 }]).unwrap();
    drop(writer);
    let error = open_rocks(directory.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the raft log ends at index 8 of term 1 (node 1) but index 9 of term 1 (node 1) was acknowledged: acknowledged \
         writes are missing, so this node must not start; rejoin it under a new id"
    );
}

#[test]
fn a_missing_mark_beside_a_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    append(&mut writer, &run(0, 9, 1)).unwrap();
    drop(writer);
    std::fs::remove_file(directory.path().join("mark")).unwrap();
    assert!(matches!(open_rocks(directory.path()), Err(LogError::MarkLost { .. })));
}

/// A byte flipped anywhere in the write-ahead log: either everything acknowledged is there, or it does not open.
#[test]
fn damage_in_the_write_ahead_log_is_never_silent() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open_rocks(directory.path()).unwrap();
    for index in 0..40 {
        append(&mut writer, &run(index, index, 1)).unwrap();
    }
    writer.mark().sync().unwrap();
    drop(writer);
    let wal = std::fs::read_dir(directory.path().join("log"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap();
    let name = wal.file_name().unwrap().to_owned();
    let length = std::fs::metadata(&wal).unwrap().len();
    assert!(length > 1_000, "the entries must lie in the write-ahead log");
    let mut refused = 0;
    for at in (0..length).step_by(37) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("log")).unwrap();
        for file in std::fs::read_dir(directory.path().join("log")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join("log").join(file.file_name())).unwrap();
        }
        std::fs::copy(directory.path().join("mark"), copy.path().join("mark")).unwrap();
        let damaged = copy.path().join("log").join(&name);
        let mut bytes = std::fs::read(&damaged).unwrap();
        bytes[usize::try_from(at).unwrap()] ^= 0x20;
        std::fs::write(&damaged, bytes).unwrap();
        match open_rocks(copy.path()) {
            Ok(writer) => assert_eq!(all(&writer.log()), run(0, 39, 1), "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 10, "only {refused} flips were noticed");
}

/// What one run of the script acknowledged before the power went.
#[derive(Clone, Debug, Default, PartialEq)]
struct Acknowledged {
    entries: Vec<LogEntry>,
    vote: Option<Vote>,
    purged: Option<EntryId>,
    /// Steps that began but were not acknowledged may have happened: the states that are right besides.
    began: Option<Box<Acknowledged>>,
}

/// One step of the script.
type Act<'a> = &'a dyn Fn(&mut LogWriter<MemoryLog, MemoryMark>) -> Result<(), LogError>;

fn script(engine: &MemoryLog, mark: &MemoryMark, seen: &mut Acknowledged) -> Result<(), LogError> {
    let mut writer = open_log(engine.clone(), mark.clone(), TAIL_BYTES)?;
    let mut step =
        |seen: &mut Acknowledged, change: &dyn Fn(&mut Acknowledged), act: Act<'_>| -> Result<(), LogError> {
            let mut next = seen.clone();
            next.began = None;
            change(&mut next);
            seen.began = Some(Box::new(next.clone()));
            act(&mut writer)?;
            *seen = next;
            Ok(())
        };
    let vote = Vote { term: 1, node: 1, committed: true };
    step(seen, &|s| s.vote = Some(vote), &|w| w.save_vote(vote))?;
    step(seen, &|s| s.entries = run(0, 5, 1), &|w| append(w, &run(0, 5, 1)))?;
    step(seen, &|_| (), &|w| w.mark().sync().map(|_| ()))?;
    step(seen, &|s| s.entries.extend(run(6, 9, 1)), &|w| append(w, &run(6, 9, 1)))?;
    step(seen, &|_| (), &|w| w.mark().sync().map(|_| ()))?;
    step(seen, &|s| s.entries.truncate(8), &|w| w.truncate_after(Some(7)))?;
    let vote = Vote { term: 2, node: 3, committed: false };
    step(seen, &|s| s.vote = Some(vote), &|w| w.save_vote(vote))?;
    step(seen, &|s| s.entries.extend(run(8, 12, 2)), &|w| append(w, &run(8, 12, 2)))?;
    step(seen, &|_| (), &|w| w.mark().sync().map(|_| ()))?;
    let upto = entry(6, 1).id;
    let purge = |s: &mut Acknowledged| {
        s.entries.drain(..7);
        s.purged = Some(upto);
    };
    step(seen, &purge, &|w| w.purge_upto(upto))?;
    step(seen, &|s| s.entries.extend(run(13, 14, 2)), &|w| append(w, &run(13, 14, 2)))?;
    step(seen, &|_| (), &|w| w.mark().sync().map(|_| ()))
}

/// The power goes at every write and every sync of log and mark, one after the other.
#[test]
fn nothing_acknowledged_is_lost_at_any_power_cut() {
    let power = Power::steady();
    let mut full = Acknowledged::default();
    script(&MemoryLog::new(power.clone()), &MemoryMark::new(power.clone()), &mut full).unwrap();
    let steps = power.steps();
    assert!(steps > 20, "the script must write: {steps}");
    for stop_at in 0..steps {
        for unsynced in [Unsynced::Lost, Unsynced::Kept] {
            let power = Power::failing_at(stop_at);
            let (engine, mark) = (MemoryLog::new(power.clone()), MemoryMark::new(power));
            let mut seen = Acknowledged::default();
            script(&engine, &mark, &mut seen).unwrap_err();
            let power = Power::steady();
            let engine = engine.after_power_cut(unsynced, power.clone());
            let mark = mark.after_power_cut(unsynced, power);
            let writer = open_log(engine, mark, TAIL_BYTES)
                .unwrap_or_else(|error| panic!("stopped at {stop_at}, {unsynced:?}: {error}"));
            let log = writer.log();
            let found = (all(&log), log.vote(), log.state().purged);
            let began = seen.began.as_deref().map(|began| (began.entries.clone(), began.vote, began.purged));
            let right = found == (seen.entries.clone(), seen.vote, seen.purged) || Some(&found) == began.as_ref();
            assert!(right, "stopped at {stop_at}, {unsynced:?}: found {found:?}, acknowledged {seen:?}");
        }
    }
}
