//! `partita restore`: a backup as the first node of a new cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use partita_consensus::backup::restore;

use super::CliError;
use super::backup::{document, show};
use super::output::Format;

const EXAMPLES: &str = "\
Examples:
  partita restore --backup /backups/2026-11-21 --data ./restored && partita serve --data ./restored
  partita restore --backup /backups/2026-11-21 --data /var/lib/partita --node-id 7

Every byte of the backup is checked first; a damaged file is named and nothing is made. The ledger is the same: journal,
positions, heads, keys, so that requests sent again with their old keys do nothing twice. The cluster is a new one, with
a new id and this node as its only member; others join it as they join any.

Exit code: 0 if the directory is ready to be served; 1 otherwise.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restore {
    /// What `partita backup` wrote
    #[arg(long, value_name = "DIR")]
    backup: PathBuf,
    /// A data directory that is empty or does not exist
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The number of the node that will serve it
    #[arg(long, value_name = "N", default_value_t = 1)]
    node_id: u64,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Restore {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        let restored = restore(&self.backup, &self.data, self.node_id)?;
        let mut said = document(&restored.manifest);
        said.push(("cluster", restored.cluster.to_string().into()));
        show(self.format, &said)?;
        Ok(ExitCode::SUCCESS)
    }
}
