//! What happened, line by line, with a hash over all of it; and the counts that tell a run from an empty one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Lines of the trace that a failure prints.
const TAIL_LINES: usize = 60;

/// Clones are one trace.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    now_ms: u64,
    lines: Vec<String>,
    hash: blake3::Hasher,
    counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        let (lines, counts) = (Vec::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Inner { now_ms: 0, lines, hash: blake3::Hasher::new(), counts })))
    }

    /// The time that lines have from now on.
    pub(crate) fn at(&self, now_ms: u64) {
        self.0.lock().now_ms = now_ms;
    }

    pub(crate) fn say(&self, what: &dyn fmt::Display) {
        let mut inner = self.0.lock();
        let line = format!("{:>7} {what}", inner.now_ms);
        inner.hash.update(line.as_bytes());
        inner.hash.update(b"\n");
        inner.lines.push(line);
    }

    /// What is too much to be printed and yet has to be the same in every run of a seed.
    pub(crate) fn note(&self, numbers: &[u64]) {
        let mut inner = self.0.lock();
        for number in numbers {
            inner.hash.update(&number.to_le_bytes());
        }
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&self, what: &'static str, number: u64) {
        *self.0.lock().counts.entry(what).or_default() += number;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().counts.clone()
    }

    pub(crate) fn hash(&self) -> String {
        self.0.lock().hash.finalize().to_hex().to_string()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone()
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        let inner = self.0.lock();
        inner.lines[inner.lines.len().saturating_sub(TAIL_LINES)..].to_vec()
    }
}

macro_rules! say {
    ($trace:expr, $($text:tt)+) => { $trace.say(&format_args!($($text)+)) };
}
pub(crate) use say;
