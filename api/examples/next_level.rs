//! `partita serve` of the version after this one, as far as replicated levels go: it knows one level more.
//!
//! For the tests of an upgrade (`jepsen/tests/cluster/upgrade.rs`). The levels that a node knows are a value that it
//! is started with, so that this is one more program over the same library: nothing is compiled twice, and what ships
//! has no switch for it. No rule differs at the level above, until one does.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use partita_api::serve::Serve;
use partita_storage::codec::Levels;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Cli::parse().command;
    serve.run(Levels::upto(Levels::OWN.newest().next()))
}
