//! A node's wall clock, set ahead and back while it runs: libfaketime, loaded before the node's own libraries.
//!
//! The monotonic clock stays as it is: a machine whose wall clock is set does not lose count of seconds.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::steer;
use crate::HarnessError;
use crate::tool::tool;

#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    steering: PathBuf,
}

impl WallClock {
    /// Sets a clock of another process ahead and back first, so that it is known to work here.
    pub fn new(directory: &Path) -> Result<Self, HarnessError> {
        let clock = Self { library: library()?, steering: directory.join("clock") };
        for offset in [3_600, -3_600, 0] {
            clock.set(offset)?;
            let seen = clock.seen_by_another()?;
            if (seen - now_s() - offset).abs() > 30 {
                let said = format!("shows {seen} where the clock should be {offset} s off");
                return Err(HarnessError::Tool { command: "date under libfaketime".to_owned(), said });
            }
        }
        Ok(clock)
    }

    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    #[must_use]
    pub fn environment(&self) -> Vec<String> {
        vec![
            format!("FAKETIME_TIMESTAMP_FILE={}", self.steering.display()),
            // The file is read again whenever the time is asked for.
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_DONT_RESET=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ]
    }

    /// So many seconds ahead of the machine's clock, or behind it.
    pub fn set(&self, offset_s: i64) -> Result<(), HarnessError> {
        steer(&self.steering, &format!("{offset_s:+}\n"))
    }

    fn seen_by_another(&self) -> Result<i64, HarnessError> {
        let preload = format!("LD_PRELOAD={}", self.library.display());
        let environment = self.environment();
        let mut words: Vec<&str> = vec![&preload];
        words.extend(environment.iter().map(String::as_str));
        words.extend(["date", "+%s"]);
        let said = tool("env", &words)?;
        let Ok(seen) = said.trim().parse() else {
            return Err(HarnessError::Tool { command: "date +%s".to_owned(), said });
        };
        Ok(seen)
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock of a test machine is past 1970");
    i64::try_from(since.as_secs()).expect("seconds fit for ages")
}

/// Where Debian's package and a build from source put it.
fn library() -> Result<PathBuf, HarnessError> {
    let name = "faketime/libfaketimeMT.so.1";
    let mut places: Vec<PathBuf> = vec!["/usr/lib".into(), "/usr/lib64".into(), "/usr/local/lib".into()];
    let below = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    places.extend(below.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("-linux-gnu")));
    places.into_iter().map(|place| place.join(name)).find(|path| path.is_file()).ok_or_else(|| HarnessError::Tool {
        command: "libfaketime".to_owned(),
        said: "is not installed (Debian: apt-get install libfaketime)".to_owned(),
    })
}
