//! The simulator: a seed is the same run byte for byte, and a range of seeds holds every invariant and is not empty.
//! `PARTITA_SEEDS=FIRST..END` asks for other seeds.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong")]

use std::process::{Command, Output};

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulate")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in ["1", "7"] {
        let (first, second) = (simulate(&[seed, "--trace"]), simulate(&[seed, "--trace"]));
        let (first, second) = (text(&first), text(&second));
        assert!(first.lines().count() > 500, "a trace has what happened:\n{first}");
        let differ = first.lines().zip(second.lines()).find(|(first, second)| first != second);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(text(&simulate(&["1"])), text(&simulate(&["2"])), "another seed is another run");
}

#[test]
fn a_range_of_seeds_holds_every_invariant() {
    let seeds = std::env::var("PARTITA_SEEDS").unwrap_or_else(|_| "0..30".to_owned());
    let output = simulate(&["--seeds", &seeds, "--jobs", "2"]);
    println!("{}", text(&output));
    assert!(output.status.success(), "{}", text(&output));
}
