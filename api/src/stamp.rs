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
    head_at(names, now())
}

fn head_at(names: Option<&Names>, now: Timestamp) -> CommandHead {
    let utc = jiff::tz::TimeZone::UTC;
    CommandHead {
        book: names.map_or(BookId::CLUSTER, |names| names.book.id),
        today: date_of(now, names.map_or(&utc, Names::zone)),
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

#[cfg(test)]
mod tests {
    use partita_core::id::{DocumentId, Key};
    use partita_core::operation::{Operation, VoidHold};
    use partita_storage::codec::{CommandsWriter, Levels, decode_commands};

    use super::*;

    /// A retry after midnight is the same request: what is stamped into a command is not of its content.
    #[test]
    fn the_day_that_is_stamped_is_no_content() {
        let second = 1_000_000_000;
        let midnight = 20_456 * 86_400 * second;
        let operation = Operation::VoidHold(VoidHold { id: DocumentId::new("h_1").expect("an id") });
        let at = |now| {
            let mut writer = CommandsWriter::with_capacity(256);
            writer.push(&head_at(None, Timestamp(now)), &Key::new("k").expect("a key"), &operation);
            writer.fingerprint(|_, _| {});
            let mut sealed = Vec::new();
            writer.seal_into(Levels::OWN.newest(), Timestamp(now), &mut sealed);
            decode_commands(&sealed, Levels::OWN).expect("what was written").commands.pop().expect("one")
        };
        let (before, after) = (at(midnight - second), at(midnight + second));
        assert_eq!(before.today.to_string(), "2026-01-02");
        assert_eq!(after.today.to_string(), "2026-01-03");
        assert_eq!(before.fingerprint, after.fingerprint);
    }
}
