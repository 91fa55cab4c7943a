//! `partita backup`: a node's state as files in a directory of their own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use partita_consensus::backup::BackupWriter;
use partita_storage::snapshot::Manifest;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Format, csv, print, print_json, print_line, table};
use super::{CliError, DEFAULT_URL};

const EXAMPLES: &str = "\
Examples:
  partita backup --to /backups/2026-11-21
  partita backup --url http://10.0.0.3:7070 --to /backups/today --local
  partita restore --backup /backups/2026-11-21 --data ./restored

Any node of a cluster will do, and writes go on. The backup has everything that was acknowledged before it began. Each
file is checked against its hash as it comes; the file `manifest` is written last, and without it a directory is no
backup. The state is read from one moment's checkpoint: balances, journal, keys and documents are of one position.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// The server
    #[arg(long, env = "PARTITA_URL", default_value = DEFAULT_URL, value_name = "URL")]
    url: String,
    /// A directory that is empty or does not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Take what this node has, without asking a leader: for a cluster that has none any more
    #[arg(long)]
    local: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Backup {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let client = Client::new(&self.url)?;
        let mut backup = BackupWriter::create(&self.to)?;
        let query = [("consistency", self.local.then_some("local"))];
        let mut download = client.download("/v1/cluster/backup", &query).await?;
        while let Some(piece) = download.piece().await? {
            backup.write(&piece)?;
        }
        let manifest = backup.finish()?;
        show(self.format, &document(&manifest))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a backup holds, in the words of the other commands.
pub(super) fn document(manifest: &Manifest) -> Vec<(&'static str, Value)> {
    let head: String = manifest.head_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("position", manifest.head.position.0.into()),
        ("head", format!("blake3:{head}").into()),
        ("files", manifest.files.len().into()),
        ("bytes", manifest.bytes().into()),
    ]
}

pub(super) fn show(format: Format, document: &[(&'static str, Value)]) -> Result<(), CliError> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let rows: Vec<Vec<String>> = document.iter().map(|(name, value)| vec![(*name).to_owned(), text(value)]).collect();
    match format {
        Format::Json => {
            let fields = document.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            print_json(&json!(fields.collect::<serde_json::Map<_, _>>()))?;
        }
        Format::Csv => print(&csv(&["What", "Value"], &rows))?,
        Format::Table => print_line(table(&["What", ">Value"], &rows).trim_end())?,
    }
    Ok(())
}
