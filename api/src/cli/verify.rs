//! `partita verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::CliError;

#[derive(Debug, Args)]
pub struct Verify {
    /// The stopped node's data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{data}: not wired yet", data = data.display())]
    Missing { data: PathBuf },
}

impl Verify {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        Err(VerifyError::Missing { data: self.data.clone() }.into())
    }
}
