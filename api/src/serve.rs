//! `partita serve`: one node with its HTTP interface, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Serve a ledger from a data directory (created when it does not exist).
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Where the node keeps its journal, tables and raft log.
    #[arg(long, value_name = "DIR", default_value = "./partita-data", env = "PARTITA_DATA")]
    pub data: PathBuf,
    /// Where the node listens for HTTP/1.1 and HTTP/2.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070", env = "PARTITA_LISTEN")]
    pub listen: SocketAddr,
    /// The node's memory budget for caches and tables.
    #[arg(long, value_name = "BYTES", default_value = "2GiB", value_parser = parse_bytes, env = "PARTITA_MEMORY")]
    pub memory: u64,
}

impl Serve {
    /// Runs until SIGTERM or SIGINT.
    #[must_use]
    pub fn run(self) -> ExitCode {
        ExitCode::FAILURE
    }
}

/// Reads `512MiB`, `2GiB` or a plain number of bytes.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err(format!("{unit:?} is not one of KiB, MiB, GiB")),
    };
    let number: u64 = number.parse().map_err(|_error| "must be a number such as 512MiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}
