//! Text scenarios of the posting rules: `testdata/*.txt`, each opened by a sentence on the property it shows.
//!
//! A command, a line `----`, what the ledger answers, an empty line. `UPDATE_SCENARIOS=1 cargo test` writes the
//! answers anew; read the difference before it is committed. The commands are listed in `scenario/parse.rs`.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod scenario;
mod support;

use std::fs;
use std::path::PathBuf;

use scenario::Ledger;

fn check(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format!("{name}.txt"));
    let expected = fs::read_to_string(&path).unwrap();
    let (actual, commands) = play(&expected);
    assert!(commands > 0, "{name} has no commands");
    assert!(expected.starts_with("# "), "{name} opens with the property that it shows");
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let pairs = (1..).zip(actual.lines().zip(expected.lines()));
    if let Some((number, (found, wanted))) = pairs.clone().find(|(_, (found, wanted))| found != wanted) {
        panic!("{name}.txt:{number}:\n  expected {wanted}\n  found    {found}\n\n{}", context(&expected, number));
    }
    assert_eq!(actual, expected, "{name}");
}

/// The command that the line belongs to.
fn context(text: &str, line: usize) -> String {
    let before: Vec<&str> = text.lines().take(line).collect();
    let start = before.iter().rposition(|line| *line == "----").unwrap_or(0);
    before[start.saturating_sub(1)..].join("\n")
}

/// The scenario with every answer as the ledger gives it, and the number of commands.
fn play(text: &str) -> (String, usize) {
    let mut ledger = Ledger::default();
    let mut out = String::new();
    let mut commands = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        assert_eq!(lines.next(), Some("----"), "after the command {line:?}");
        while lines.next_if(|line| !line.is_empty()).is_some() {}
        out.push_str("----\n");
        out.push_str(&ledger.run(line));
        commands += 1;
    }
    (out, commands)
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_scenario_is_checked() {
            let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
            let mut files: Vec<String> = fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter_map(|file| file.strip_suffix(".txt").map(str::to_owned))
                .collect();
            let mut checked = vec![$(stringify!($name).to_owned()),*];
            files.sort();
            checked.sort();
            assert_eq!(files, checked);
        }
    };
}

scenarios! {
    account_close
    accounting
    apply
    authorisation
    charge
    charge_refused
    charge_void_refused
    deferred
    foreign
    idempotency
    fx
    manual
    month_end
    payment
    payment_refused
    period
    period_refused
    recognition
    refund
    refund_fail
    refund_refused
    year_close
}

#[test]
fn the_accounting_primer_shows_what_is_checked() {
    let read = |path: &str| fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (primer, scenario) = (read("../docs/accounting.md"), read("testdata/accounting.txt"));
    let shown: Vec<&str> = primer.split("```text\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(shown.len() > 5, "{} blocks", shown.len());
    for block in shown {
        assert!(scenario.contains(block), "core/testdata/accounting.txt does not have:\n{block}");
    }
}
