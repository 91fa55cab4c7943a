//! The binary's other commands, run to their end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::HarnessError;
use crate::node::binary;

/// A command's whole output. `Display` shows all of it.
#[derive(Debug)]
pub struct Ended {
    pub output: Output,
}

/// Runs `partita` with these arguments, off the async threads.
pub async fn partita<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Ended, HarnessError> {
    let mut command = prepare(args)?;
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.expect("waiting for a process does not panic");
    let output = output.map_err(|source| HarnessError::File {
        path: PathBuf::from("partita"),
        what: "cannot be run",
        source,
    })?;
    Ok(Ended { output })
}

/// A `partita` that is not started yet, its output kept.
pub fn prepare<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Command, HarnessError> {
    let mut command = Command::new(binary()?);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// `partita verify` of a stopped node's directory.
pub async fn verify(data: &Path) -> Result<Ended, HarnessError> {
    partita([OsStr::new("verify"), OsStr::new("--data"), data.as_os_str()]).await
}

/// A file of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

impl Ended {
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    #[must_use]
    pub fn said(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}\n{}{}", self.output.status, text(&self.output.stdout), text(&self.output.stderr))
    }
}
