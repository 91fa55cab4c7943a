//! From operations to commands: what a request is stamped with, once for all that it asks for.

use partita_core::decision::Command;
use partita_core::id::{Actor, BookId, Key};
use partita_core::operation::Operation;
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::Fingerprints;

use crate::names::Names;

/// Who posts, until callers authenticate.
const ANONYMOUS: &str = "anonymous";

/// What all commands of one request have in common.
#[derive(Debug)]
pub(crate) struct Stamp {
    book: BookId,
    now: Timestamp,
    today: Date,
    actor: Actor,
    fingerprints: Fingerprints,
}

impl Stamp {
    /// Of a request in a book or, without one, in the cluster's own scope.
    pub(crate) fn new(names: Option<&Names>) -> Self {
        let now = now();
        let today = match names {
            Some(names) => date_of(now, names.zone()),
            None => date_of(now, &jiff::tz::TimeZone::UTC),
        };
        Self {
            book: names.map_or(BookId::CLUSTER, |names| names.book.id),
            now,
            today,
            actor: Actor::new(ANONYMOUS).expect("a word is an actor"),
            fingerprints: Fingerprints::default(),
        }
    }

    /// The fingerprint is taken of what the caller wrote.
    pub(crate) fn command(&mut self, key: Key, operation: Operation) -> Command {
        Command {
            book: self.book,
            key,
            fingerprint: self.fingerprints.of(&operation),
            // Set when it is proposed.
            stamp: self.now,
            today: self.today,
            actor: self.actor.clone(),
            operation,
        }
    }
}

fn now() -> Timestamp {
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    Timestamp(i64::try_from(nanoseconds).expect("64 bits of nanoseconds last until 2262"))
}

fn date_of(now: Timestamp, zone: &jiff::tz::TimeZone) -> Date {
    let instant = jiff::Timestamp::from_nanosecond(i128::from(now.0)).expect("a clock's time is an instant");
    Date::from_civil(instant.to_zoned(zone.clone()).date()).expect("a clock's year is 1 to 9999")
}

/// Today in the book's time zone.
pub(crate) fn today(names: &Names) -> Date {
    date_of(now(), names.zone())
}
