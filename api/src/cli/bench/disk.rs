//! What a synced write costs where the data lies, measured in the same run as everything else.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::BenchError;

const WRITES: usize = 100;
const BLOCK: [u8; 4096] = [0x5A; 4096];

/// `fdatasync` after overwriting one preallocated block, a hundred times at each measurement.
#[derive(Debug)]
pub(super) struct Syncs {
    path: PathBuf,
    taken: Vec<Duration>,
}

impl Syncs {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(format!("partita-bench-{}.sync", uuid::Uuid::now_v7())), taken: Vec::new() }
    }

    pub(super) fn measure(&mut self) -> Result<(), BenchError> {
        let result = write_and_sync(&self.path, &mut self.taken);
        let removed = std::fs::remove_file(&self.path);
        result.and(removed).map_err(|source| BenchError::File {
            path: self.path.clone(),
            what: "synced writes cannot be measured there",
            source,
        })
    }

    pub(super) fn median(&self) -> Duration {
        let mut sorted = self.taken.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.taken.len()
    }
}

fn write_and_sync(path: &Path, taken: &mut Vec<Duration>) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(&BLOCK)?;
    file.sync_all()?;
    for _ in 0..WRITES {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&BLOCK)?;
        let started = Instant::now();
        file.sync_data()?;
        taken.push(started.elapsed());
    }
    Ok(())
}

/// The type of the file system that a directory is on: on `tmpfs` a sync costs nothing and proves nothing.
pub(super) fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = mounted.filter(|(point, _)| dir.starts_with(point));
    around.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}
