//! What a request is stamped with, once for all that it asks for.

use partita_core::id::{Actor, BookId};
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::CommandHead;

use crate::names::Names;

/// Who posts, until callers authenticate.
const ANONYMOUS: &str = "anonymous";

/// What all commands of a request in a book have in common or, without one, of a request in the cluster's own scope.
/// Their stamp is set when they are proposed.
pub(crate) fn head(names: Option<&Names>) -> CommandHead {
    let today = match names {
        Some(names) => today(names),
        None => date_of(now(), &jiff::tz::TimeZone::UTC),
    };
    CommandHead {
        book: names.map_or(BookId::CLUSTER, |names| names.book.id),
        today,
        actor: Actor::new(ANONYMOUS).expect("a word is an actor"),
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
