//! The `partita` binary: server, client and tool.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use partita_api::serve::Serve;

/// A replicated double-entry ledger: charges, payments and refunds as balanced journal entries.
#[derive(Debug, Parser)]
#[command(name = "partita", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
    }
}
