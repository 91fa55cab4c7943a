//! A whole cluster in one process on virtual time: `simulate SEED`, or `simulate --seeds FIRST..END [--jobs N]`.
//!
//! The nodes are real: execute, batching, the working set, checkpoints, replay, snapshot installs, the protocol between
//! nodes and raft. Given to them are clocks, draws, threads, disks that lose what was not synced, and a network. All of
//! it follows from the seed, so that a seed is the same run, byte for byte, whenever it is run. One process is one seed.

#![allow(clippy::print_stdout, reason = "a program that is run in a terminal")]

mod clients;
mod cluster;
mod dice;
mod disks;
mod invariants;
mod log_lines;
mod looks;
mod machine;
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "written for core's tests; a part of it is used here"
)]
#[path = "../../../../core/tests/model/mod.rs"]
mod model;
mod nemesis;
mod network;
mod oracle;
mod plan;
mod range;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use trace::Trace;
use world::World;

const USAGE: &str = "simulate SEED [--trace]
simulate --seeds FIRST..END [--jobs N]";

fn main() -> ExitCode {
    #[cfg(feature = "planted-bugs")]
    if let Err(error) = partita_consensus::planted::plant() {
        println!("{error}");
        return ExitCode::from(2);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--seeds", seeds] => range::run(seeds, 2),
        ["--seeds", seeds, "--jobs", jobs] => match jobs.parse() {
            Ok(jobs) if jobs > 0 => range::run(seeds, jobs),
            Ok(_) | Err(_) => usage(),
        },
        [seed] => seed.parse().map_or_else(|_| usage(), |seed| run(seed, false)),
        [seed, "--trace"] => seed.parse().map_or_else(|_| usage(), |seed| run(seed, true)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    println!("{USAGE}");
    ExitCode::from(2)
}

/// What a seed has to have done to count: less says nothing.
const FLOORS: [(&str, u64); 4] = [("commands acknowledged", 100), ("reads", 20), ("faults", 4), ("leaders", 1)];

fn run(seed: u64, prints_trace: bool) -> ExitCode {
    let trace = Trace::new();
    let mut world = World::new(seed, &trace);
    println!("seed {seed}\n{}", world.plan());
    // Whatever panics in a node's task is found by the world; here, what does in its own code or in the model's.
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err(world.panicked()));
    if prints_trace {
        trace.lines().iter().for_each(|line| println!("{line}"));
    }
    if let Err(broken) = &outcome {
        if !prints_trace {
            trace.tail().iter().for_each(|line| println!("{line}"));
        }
        println!("BROKEN {broken}");
        println!("again: cargo run --release -p partita-consensus --bin simulate -- {seed} --trace");
    }
    let counts = trace.counts();
    for (what, count) in &counts {
        println!("count {count} {what}");
    }
    println!("trace {}", trace.hash());
    if outcome.is_err() {
        return ExitCode::FAILURE;
    }
    let short = FLOORS.iter().filter(|(what, floor)| counts.get(what).copied().unwrap_or(0) < *floor);
    for (what, floor) in short {
        println!("VACUOUS {what}: fewer than {floor}");
    }
    ExitCode::SUCCESS
}
