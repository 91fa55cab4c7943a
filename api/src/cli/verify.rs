//! `partita verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use partita_storage::verify::Report;
use serde_json::{Value, json};

use super::CliError;
use super::output::{Format, csv, print, print_json, print_line};

const EXAMPLES: &str = "\
Examples:
  partita verify --data ./partita-data
  partita verify --data ./partita-data --format json | jq .clean

Rebuilds from the journal alone every balance, open item, document, hold, key, pointer, number, head and running total,
and compares all of it with the tables, both ways. Nothing is changed. The state is that of the last checkpoint: a node
that was stopped in order has everything in it; one that was killed has the rest in its raft log, and applies it when it
starts again.

Exit code: 0 if everything is as the journal says; 1 otherwise.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Verify {
    /// The stopped node's data directory
    #[arg(long, value_name = "DIR", env = "PARTITA_DATA", default_value = "./partita-data")]
    data: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Verify {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        let report = partita_consensus::verify(&self.data)?;
        match self.format {
            Format::Json => print_json(&document(&report))?,
            Format::Csv => print(&csv(&["What", ">Expected", ">Right"], &rows(&report)))?,
            Format::Table => {
                print_line(&report.to_string())?;
                print_line(if report.is_clean() { "Clean." } else { "NOT clean." })?;
            }
        }
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let row = |check: &partita_storage::verify::Check| {
        vec![check.name.clone(), check.expected.to_string(), check.checked.to_string()]
    };
    report.checks.iter().map(row).collect()
}

fn document(report: &Report) -> Value {
    let check = |check: &partita_storage::verify::Check| json!({"what": check.name, "expected": check.expected, "right": check.checked});
    let difference = |difference: &partita_storage::verify::Difference| {
        json!({
            "table": difference.table,
            "key": difference.key,
            "expected": difference.expected,
            "found": difference.found,
        })
    };
    json!({
        "clean": report.is_clean(),
        "position": report.position.0,
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
        "differences": report.differences.iter().map(difference).collect::<Vec<_>>(),
        "difference_count": report.difference_count,
        "blocks_beyond_head": report.blocks_beyond_head,
    })
}
