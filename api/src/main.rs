//! The `partita` binary: server, client and tool.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use partita_api::cli;
use partita_api::serve::Serve;
use partita_storage::codec::Levels;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    #[cfg(feature = "planted-bugs")]
    if let Err(error) = partita_consensus::planted::plant() {
        eprintln!("partita: {error}");
        return ExitCode::from(2);
    }
    match Cli::parse().command {
        Command::Serve(serve) => serve.run(Levels::OWN),
        Command::Client(command) => cli::run(command),
    }
}
