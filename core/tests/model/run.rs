//! Runs commands through a ledger and the model side by side; makes a failing run short.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use partita_core::decision::{Answer, Command, Decision};
use partita_core::execute::Executed;
use partita_core::id::BookId;
use partita_core::state::Read;
use partita_core::wellformed;

use super::compare;
use super::coverage::Coverage;
use super::decide::{Model, Predicted, Prediction};
use super::generate::{Fingerprinter, Generator};
use super::periods::known_decision;

/// A ledger under test.
pub(crate) trait Ledger {
    fn new(seed: u64) -> Self;
    /// Decides the commands together and keeps their decisions.
    fn execute(&mut self, commands: &[Command]) -> Vec<Executed>;
    /// How many commands the next [`Self::execute`] should get.
    fn batch(&mut self) -> usize {
        1
    }
    /// Lets `check` read the tables as they are.
    fn read(&self, check: &mut dyn FnMut(&dyn Read) -> compare::Compared) -> compare::Compared;
    /// Called now and then: a chance to crash and come back.
    fn disturb(&mut self) {}
    /// At the end of a run: what else there is to hold against the model.
    fn finish(&mut self, model: &Model) -> compare::Compared {
        let _ = model;
        Ok(0)
    }
}

/// Where and how a run went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) commands: Vec<Command>,
    pub(crate) message: String,
}

struct Run<L> {
    ledger: L,
    model: Model,
    coverage: Coverage,
}

fn shown(decision: &Decision) -> String {
    format!("{decision:#?}")
}

/// The lines in which two long texts differ, with a little around them.
fn difference(found: &str, expected: &str) -> String {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    let first = found.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let around =
        |lines: &[&str]| lines[first.saturating_sub(8).min(lines.len())..(first + 6).min(lines.len())].join("\n");
    format!("--- found:\n{}\n--- expected:\n{}", around(&found), around(&expected))
}

fn compare_answers(executed: &Executed, prediction: &Prediction) -> Result<(), String> {
    let expired: Vec<&Decision> = executed.expired.iter().map(Arc::as_ref).collect();
    if !expired.iter().copied().eq(prediction.expired.iter()) {
        return Err(format!(
            "expiries:\n{}",
            difference(&format!("{expired:#?}"), &format!("{:#?}", prediction.expired))
        ));
    }
    let (found, expected) = match (&executed.answer, &prediction.answer) {
        (Answer::Decided(found), Predicted::Decided(expected)) => {
            let found = known_decision(found);
            if found == *expected {
                return Ok(());
            }
            (shown(&found), shown(expected))
        }
        (Answer::Replayed { position }, Predicted::Replayed(expected)) if position == expected => return Ok(()),
        (Answer::KeyReused { position }, Predicted::KeyReused(expected)) if position == expected => return Ok(()),
        (found, expected) => (format!("{found:#?}"), format!("{expected:#?}")),
    };
    Err(format!("answer:\n{}", difference(&found, &expected)))
}

impl<L: Ledger> Run<L> {
    fn new(seed: u64) -> Self {
        Self { ledger: L::new(seed), model: Model::default(), coverage: Coverage::default() }
    }

    fn step(&mut self, command: &Command) -> Result<(), String> {
        let prediction = self.predict(command);
        self.execute(std::slice::from_ref(command), vec![prediction])
    }

    fn predict(&mut self, command: &Command) -> Prediction {
        wellformed::check(&command.operation).expect("the generator asks for nothing that the edge would refuse");
        let prediction = self.model.decide(command);
        self.coverage.note(command.operation.kind(), &prediction);
        prediction
    }

    fn execute(&mut self, commands: &[Command], predictions: Vec<Prediction>) -> Result<(), String> {
        let executed = catch_unwind(AssertUnwindSafe(|| self.ledger.execute(commands)))
            .map_err(|panic| format!("execute panicked: {}", panic_text(panic.as_ref())))?;
        assert_eq!(executed.len(), commands.len(), "one answer for each command");
        let mut touched = vec![];
        for (executed, prediction) in executed.iter().zip(predictions) {
            compare_answers(executed, &prediction)?;
            touched.extend(prediction.expired);
            if let Predicted::Decided(decision) = prediction.answer {
                touched.push(decision);
            }
        }
        let model = &self.model;
        let compared = self.ledger.read(&mut |state| {
            touched.iter().try_fold(0, |count, decision| Ok(count + compare::touched(model, state, decision)?))
        })?;
        self.coverage.compared += u64::try_from(compared).unwrap();
        Ok(())
    }

    fn everything(&mut self) -> Result<(), String> {
        let model = &self.model;
        let compared = self.ledger.read(&mut |state| compare::everything(model, state))?;
        self.coverage.compared += u64::try_from(compared).unwrap();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        self.everything()?;
        let compared = self.ledger.finish(&self.model)?;
        self.coverage.compared += u64::try_from(compared).unwrap();
        Ok(())
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The same commands again, as far as they can be decided; `None` if nothing goes wrong.
fn replay<L: Ledger>(seed: u64, commands: &[Command]) -> Option<(usize, String)> {
    let mut run = Run::<L>::new(seed);
    for (index, command) in commands.iter().enumerate() {
        let exists =
            command.book == BookId::CLUSTER || usize::try_from(command.book.0).unwrap() <= run.model.shelves.len();
        if exists && let Err(message) = run.step(command) {
            return Some((index, message));
        }
    }
    run.finish().err().map(|message| (commands.len().saturating_sub(1), message))
}

/// Leaves out whatever the failure does not need.
fn shrink<L: Ledger>(seed: u64, mut failure: Failure) -> Failure {
    let mut chunk = failure.commands.len() / 2;
    // A failure that needs its batches or crashes stays as long as it is.
    let mut budget = if replay::<L>(seed, &failure.commands).is_some() { 400 } else { 0 };
    while chunk > 0 && budget > 0 {
        let mut start = 0;
        while start < failure.commands.len() && budget > 0 {
            budget -= 1;
            let mut fewer = failure.commands.clone();
            fewer.drain(start..(start + chunk).min(fewer.len()));
            match replay::<L>(seed, &fewer) {
                Some((last, message)) => {
                    fewer.truncate(last + 1);
                    failure = Failure { commands: fewer, message };
                }
                None => start += chunk,
            }
        }
        chunk /= 2;
    }
    failure
}

/// One seeded run; stops at the first difference, made short.
pub(crate) fn run<L: Ledger>(seed: u64, length: usize, fingerprint: Fingerprinter) -> Result<Coverage, Failure> {
    let mut run = Run::<L>::new(seed);
    let mut generator = Generator::new(seed, fingerprint);
    let mut commands = vec![];
    while commands.len() < length {
        let first = commands.len();
        let mut predictions = vec![];
        for _ in 0..run.ledger.batch() {
            let command = generator.command(&run.model);
            predictions.push(run.predict(&command));
            commands.push(command);
        }
        let mut done = run.execute(&commands[first..], predictions);
        if done.is_ok() && generator.random.chance(2) {
            run.ledger.disturb();
        }
        if done.is_ok() && commands.len() / 500 > first / 500 {
            done = run.everything();
        }
        if let Err(message) = done {
            return Err(shrink::<L>(seed, Failure { commands, message }));
        }
    }
    match run.finish() {
        Ok(()) => Ok(run.coverage),
        Err(message) => Err(shrink::<L>(seed, Failure { commands, message })),
    }
}

/// These commands alone; panics at the first difference.
pub(crate) fn directed<L: Ledger>(commands: &[Command]) -> Coverage {
    let mut run = Run::<L>::new(0);
    for command in commands {
        if let Err(message) = run.step(command) {
            panic!("{:?}\n{message}", command.operation);
        }
    }
    if let Err(message) = run.finish() {
        panic!("{message}");
    }
    run.coverage
}

/// Many runs, on two threads; panics with the shortest telling of the first failure.
pub(crate) fn runs<L: Ledger>(seeds: std::ops::Range<u64>, length: usize, fingerprint: Fingerprinter) -> Coverage {
    let half = |parity: u64| {
        let mut coverage = Coverage::default();
        for seed in seeds.clone().filter(|seed| seed % 2 == parity) {
            match run::<L>(seed, length, fingerprint) {
                Ok(more) => coverage.merge(more),
                Err(failure) => panic!("{}", told(seed, length, &failure)),
            }
        }
        coverage
    };
    let mut all = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let own = half(0);
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut all = own;
        all.merge(other);
        all
    });
    all.counts.retain(|_, count| *count > 0);
    all
}

fn told(seed: u64, length: usize, failure: &Failure) -> String {
    let mut text = format!("seed {seed}, {length} commands, made short to {}:\n", failure.commands.len());
    let tail = failure.commands.len().saturating_sub(12);
    for command in &failure.commands[tail..] {
        text +=
            &format!("book {} key {} stamp {} {:?}\n", command.book, command.key, command.stamp.0, command.operation);
    }
    text + &failure.message
}
