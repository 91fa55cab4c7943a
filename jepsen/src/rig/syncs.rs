//! Syncs that fail or take their time: a library loaded before a node's own, steered by a file.
//!
//! It is compiled by the machine's C compiler where it is needed, because the project has no unsafe code of its own.

use std::path::{Path, PathBuf};

use super::{steer, written};
use crate::HarnessError;
use crate::tool::tool;

const SOURCE: &str = include_str!("syncs.c");

#[derive(Debug)]
pub struct Syncs {
    library: PathBuf,
    steering: PathBuf,
    counted: PathBuf,
}

impl Syncs {
    /// Compiles the library into a directory of its own.
    pub fn new(directory: &Path) -> Result<Self, HarnessError> {
        let (source, library) = (directory.join("syncs.c"), directory.join("libsyncs.so"));
        written(&source, SOURCE)?;
        let (from, to) = (source.to_string_lossy(), library.to_string_lossy());
        tool("cc", &["-shared", "-fPIC", "-O2", "-o", &to, &from, "-ldl"])?;
        let syncs = Self { library, steering: directory.join("syncs"), counted: directory.join("syncs.counted") };
        syncs.heal()?;
        Ok(syncs)
    }

    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    #[must_use]
    pub fn environment(&self) -> Vec<String> {
        vec![
            format!("FAULTY_SYNCS={}", self.steering.display()),
            format!("FAULTY_SYNCS_COUNT={}", self.counted.display()),
        ]
    }

    /// Every sync fails with EIO from now on.
    pub fn fail(&self) -> Result<(), HarnessError> {
        steer(&self.steering, "eio")
    }

    /// Every sync takes so much longer, in milliseconds.
    pub fn slow_down(&self, least: u64, most: u64) -> Result<(), HarnessError> {
        steer(&self.steering, &format!("slow {least} {most}"))
    }

    pub fn heal(&self) -> Result<(), HarnessError> {
        steer(&self.steering, "ok")
    }

    /// Syncs that failed or were slow so far.
    #[must_use]
    pub fn counted(&self) -> u64 {
        // Until the first one there is no file.
        std::fs::metadata(&self.counted).map_or(0, |file| file.len())
    }
}
