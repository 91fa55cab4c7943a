//! Many seeds, each in a process of its own, and what all of them did together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// What many seeds together have to have seen, each at least once.
const CLASSES: [&str; 30] = [
    "checkpoints",
    "commands acknowledged",
    "decisions compared",
    "entries committed",
    "expiries",
    "fault: blackout",
    "fault: broken-connections",
    "fault: clock-jump",
    "fault: disk-fails",
    "fault: halves",
    "fault: isolate",
    "fault: kill",
    "fault: long-away",
    "fault: loss",
    "fault: one-way",
    "fault: pause",
    "fault: power-cut",
    "fault: shut-down",
    "fault: slow-disk",
    "fault: slow-way",
    "heads compared",
    "installs",
    "joins",
    "leaders",
    "purges",
    "reads",
    "refunds",
    "removals",
    "replays answered",
    "reused keys refused",
];
/// With fewer seeds than this a class may be missing by chance.
const SEEDS_FOR_ALL: u64 = 25;
/// Of so many seeds one may be too short to say anything.
const VACUOUS_PART: u64 = 10;

#[derive(Default)]
struct Totals {
    counts: BTreeMap<String, u64>,
    failed: Vec<(u64, String)>,
    vacuous: Vec<u64>,
}

fn parse(seeds: &str) -> Option<Range<u64>> {
    let (first, end) = seeds.split_once("..")?;
    let seeds = first.parse().ok()?..end.parse().ok()?;
    (!seeds.is_empty()).then_some(seeds)
}

pub(crate) fn run(seeds: &str, jobs: usize) -> ExitCode {
    let Some(seeds) = parse(seeds) else { return super::usage() };
    let program = std::env::current_exe().expect("a running program has a file");
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new(Totals::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let output = Command::new(&program).arg(seed.to_string()).output();
                    let output = output.expect("this program can be run again");
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let errors = String::from_utf8_lossy(&output.stderr);
                    totals.lock().add(seed, &(text + &errors), output.status.success());
                }
            });
        }
    });
    totals.into_inner().report(seeds.end - seeds.start, began.elapsed().as_secs_f64())
}

impl Totals {
    fn add(&mut self, seed: u64, text: &str, succeeded: bool) {
        for line in text.lines() {
            if let Some((count, what)) = line.strip_prefix("count ").and_then(|line| line.split_once(' ')) {
                *self.counts.entry(what.to_owned()).or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        if !succeeded {
            println!("seed {seed} failed:\n{text}");
            let why = text.lines().find(|line| line.starts_with("BROKEN ")).unwrap_or("it ended early");
            self.failed.push((seed, why.to_owned()));
        } else if text.contains("VACUOUS ") {
            self.vacuous.push(seed);
        }
    }

    fn report(self, seeds: u64, seconds: f64) -> ExitCode {
        for (what, count) in &self.counts {
            println!("{count:>12} {what}");
        }
        let mut is_good = self.failed.is_empty();
        for (seed, why) in &self.failed {
            println!("seed {seed}: {why}");
        }
        if !self.vacuous.is_empty() {
            println!("seeds that did too little: {:?}", self.vacuous);
            is_good &= u64::try_from(self.vacuous.len()).expect("64 bits") * VACUOUS_PART <= seeds;
        }
        if seeds >= SEEDS_FOR_ALL {
            for class in CLASSES.iter().filter(|class| !self.counts.contains_key(**class)) {
                println!("MISSING {class}: not once in {seeds} seeds");
                is_good = false;
            }
        }
        println!("{seeds} seeds, {} failed, in {seconds:.0} s", self.failed.len());
        if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
