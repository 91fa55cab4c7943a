//! What a node is fitted with so that its clock and its disk can be made to fail.
//!
//! - [`clock`]: a wall clock that can be set;
//! - [`syncs`]: syncs that fail, or are slow;
//! - [`disk`]: a file system of its own, whose power can be cut and which can be filled.

pub mod clock;
pub mod disk;
pub mod syncs;

use std::path::Path;

use clock::WallClock;
use disk::Disk;
use serde::Serialize;
use syncs::Syncs;

use crate::HarnessError;
use crate::tool::tool;

/// What all nodes of a cluster are fitted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fitting {
    pub clocks: bool,
    pub syncs: bool,
    pub disks: bool,
}

impl Fitting {
    /// Everything that any of the two asks for.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { clocks: self.clocks || other.clocks, syncs: self.syncs || other.syncs, disks: self.disks || other.disks }
    }
}

/// One node's.
#[derive(Debug, Default)]
pub struct Rig {
    pub clock: Option<WallClock>,
    pub syncs: Option<Syncs>,
    pub disk: Option<Disk>,
}

impl Rig {
    /// For the node whose data will be in `data`; what steers it lies beside that, on the machine's own file system.
    pub fn new(fitting: Fitting, data: &Path) -> Result<Self, HarnessError> {
        let beside = data.with_extension("rig");
        std::fs::create_dir_all(&beside).map_err(|source| HarnessError::File {
            path: beside.clone(),
            what: "cannot be made",
            source,
        })?;
        Ok(Self {
            clock: fitting.clocks.then(|| WallClock::new(&beside)).transpose()?,
            syncs: fitting.syncs.then(|| Syncs::new(&beside)).transpose()?,
            disk: fitting.disks.then(|| Disk::new(&data.with_extension("img"), data)).transpose()?,
        })
    }

    /// Words before the command that starts the node.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let mut libraries = vec![];
        let mut environment = vec![];
        if let Some(clock) = &self.clock {
            libraries.push(clock.library().display().to_string());
            environment.extend(clock.environment());
        }
        if let Some(syncs) = &self.syncs {
            libraries.push(syncs.library().display().to_string());
            environment.extend(syncs.environment());
        }
        if libraries.is_empty() {
            return vec![];
        }
        let mut words = vec!["env".to_owned(), format!("LD_PRELOAD={}", libraries.join(" "))];
        words.append(&mut environment);
        words
    }
}

/// Why a cluster's nodes cannot be fitted so on this machine, if they cannot.
#[must_use]
pub fn obstacle(fitting: Fitting) -> Option<String> {
    if fitting.disks && !tool("id", &["-u"]).is_ok_and(|id| id.trim() == "0") {
        return Some("a file system of a node's own needs root".to_owned());
    }
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => return Some(format!("no temporary directory: {error}")),
    };
    Rig::new(fitting, &directory.path().join("probe")).err().map(|error| error.to_string())
}

/// Puts a new text in a file's place at once: who reads it meanwhile sees the old or the new one.
fn steer(path: &Path, text: &str) -> Result<(), HarnessError> {
    let beside = path.with_extension("new");
    written(&beside, text)?;
    std::fs::rename(&beside, path).map_err(|source| HarnessError::File {
        path: path.to_owned(),
        what: "cannot be replaced",
        source,
    })
}

fn written(path: &Path, text: &str) -> Result<(), HarnessError> {
    std::fs::write(path, text).map_err(|source| HarnessError::File {
        path: path.to_owned(),
        what: "cannot be written",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISKS: Fitting = Fitting { clocks: false, syncs: false, disks: true };

    #[test]
    fn what_was_not_synced_is_gone_after_a_power_cut() {
        if let Some(why) = obstacle(DISKS) {
            eprintln!("SKIPPED: {why}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("node");
        let disk = Disk::new(&data.with_extension("img"), &data).unwrap();
        std::fs::write(data.join("kept"), "synced").unwrap();
        tool("sync", &[&data.join("kept").to_string_lossy()]).unwrap();
        std::fs::write(data.join("lost"), "never synced").unwrap();
        disk.cut_power().unwrap();
        assert!(std::fs::write(data.join("late"), "after the cut").is_err());
        assert!(disk.restore_power().unwrap());
        assert_eq!(std::fs::read_to_string(data.join("kept")).unwrap(), "synced");
        assert_eq!(std::fs::read_to_string(data.join("lost")).unwrap_or_default(), "");
        assert!(!data.join("late").exists());

        let free = disk.free().unwrap();
        disk.fill(0).unwrap();
        assert!(free > 0 && disk.free().unwrap() == 0);
        assert!(std::fs::write(data.join("more"), vec![1; 1 << 20]).is_err());
        disk.empty().unwrap();
        assert!(disk.free().unwrap() > free / 2);
    }

    #[test]
    fn syncs_fail_and_slow_down_when_told_to() {
        if let Some(why) = obstacle(Fitting { clocks: false, syncs: true, disks: false }) {
            eprintln!("SKIPPED: {why}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let syncs = Syncs::new(directory.path()).unwrap();
        let preload = format!("LD_PRELOAD={}", syncs.library().display());
        let environment = syncs.environment();
        let file = directory.path().to_string_lossy().into_owned();
        let sync = || {
            let words = [&preload, &environment[0], &environment[1], "sync", "--data", &file];
            tool("env", &words.map(String::from).each_ref().map(String::as_str))
        };
        sync().unwrap();
        assert_eq!(syncs.counted(), 0);
        syncs.fail().unwrap();
        let error = sync().unwrap_err().to_string();
        assert!(error.contains("Input/output error"), "{error}");
        assert_eq!(syncs.counted(), 1);
        syncs.slow_down(150, 200).unwrap();
        let began = std::time::Instant::now();
        sync().unwrap();
        assert!(began.elapsed().as_millis() >= 150);
        assert_eq!(syncs.counted(), 2);
        syncs.heal().unwrap();
        sync().unwrap();
        assert_eq!(syncs.counted(), 2);
    }

    #[test]
    fn another_process_sees_the_clock_that_was_set() {
        if let Some(why) = obstacle(Fitting { clocks: true, syncs: false, disks: false }) {
            eprintln!("SKIPPED: {why}");
        }
    }
}
