//! What the nodes themselves log, as lines of the trace.

use std::cell::Cell;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::trace::{Trace, say};

thread_local! {
    /// Whose turn it is.
    static NODE: Cell<u64> = const { Cell::new(0) };
}

/// From now on what is logged is this node's.
pub(crate) fn is_turn_of(node: u64) {
    NODE.set(node);
}

/// Lines that are counted.
const COUNTED: [(&str, &str); 3] = [
    ("a received state is installed", "installs"),
    ("a snapshot was installed by a follower", "snapshots sent"),
    ("a part of a snapshot is to come again", "parts sent again"),
];

struct Lines(Trace);

pub(crate) fn install(trace: Trace) {
    tracing::subscriber::set_global_default(Lines(trace)).expect("a process is one run");
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("partita") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        for (text, counted) in COUNTED {
            if line.message == text {
                self.0.count(counted);
            }
        }
        say!(self.0, "node {}: | {}{}", NODE.get(), line.message, line.fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
