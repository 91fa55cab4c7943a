//! Replicated levels: which rules and which forms of commands hold at a place of the raft log.
//!
//! Every batch carries the level that it was written at. The first batch of a log says at which level the log begins;
//! from then on an empty batch of the next level raises it, and nothing lowers it. A program knows two levels: its
//! newest and the one before, whose rules and bytes it reproduces exactly. So members of two adjacent versions can
//! work on one log, and a newer program replays the log that an older one left.
//!
//! A change of rules or of a command's form gets a number here: [`Levels::OWN`] goes up by one, and the code that
//! differs asks for the level. Until then there is nothing to ask.

use std::fmt;

use super::{CodecError, Reader, Stored, Writer};

/// A number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

/// The levels that a program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    oldest: Level,
    newest: Level,
}

/// Why a program does not go on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    #[error("replicated level {found} is unknown: this program knows {known}; start the newer one")]
    Unknown { found: Level, known: Levels },
    #[error("replicated level {found} is no longer known: this program knows {known}; start the version between first")]
    Forgotten { found: Level, known: Levels },
    #[error("a batch is of replicated level {found}, but the log was not raised to it: {active} holds")]
    NotRaised { found: Level, active: Level },
}

impl Level {
    pub const FIRST: Self = Self(1);

    /// `None` for 0, which is how bytes say that there is no level yet.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// # Panics
    /// After 254 raises.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a level is raised once a version"))
    }

    /// Optional levels as they are stored: one byte, 0 where there is none.
    #[must_use]
    pub fn byte_of(level: Option<Self>) -> u8 {
        level.map_or(0, Self::number)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Stored for Level {
    fn put(&self, writer: &mut Writer) {
        writer.byte(self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::new(reader.byte()?).ok_or(CodecError::Invalid { what: "a replicated level", rule: "1 or above" })
    }
}

impl Levels {
    /// What this program knows.
    pub const OWN: Self = Self::upto(Level::FIRST);

    /// What a program knows whose newest level this is.
    #[must_use]
    pub const fn upto(newest: Level) -> Self {
        let oldest = if newest.0 > 1 { Level(newest.0 - 1) } else { newest };
        Self { oldest, newest }
    }

    /// `None` where the oldest is not the older.
    #[must_use]
    pub fn between(oldest: Level, newest: Level) -> Option<Self> {
        (oldest <= newest).then_some(Self { oldest, newest })
    }

    #[must_use]
    pub const fn oldest(self) -> Level {
        self.oldest
    }

    #[must_use]
    pub const fn newest(self) -> Level {
        self.newest
    }

    #[must_use]
    pub fn know(self, level: Level) -> bool {
        (self.oldest..=self.newest).contains(&level)
    }

    /// Whether programs that know these and those can work on one log.
    #[must_use]
    pub fn meet(self, other: Self) -> bool {
        self.oldest <= other.newest && other.oldest <= self.newest
    }

    /// The level, if it is known.
    pub fn check(self, found: Level) -> Result<Level, LevelError> {
        if found > self.newest {
            Err(LevelError::Unknown { found, known: self })
        } else if found < self.oldest {
            Err(LevelError::Forgotten { found, known: self })
        } else {
            Ok(found)
        }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            write!(f, "level {}", self.newest)
        } else {
            write!(f, "levels {} and {}", self.oldest, self.newest)
        }
    }
}

/// The level that holds after a batch, where `active` held before it.
///
/// Batches that were on their way when the level was raised follow at the level before; the rules of the raised
/// level hold for them too.
pub fn follow(active: Option<Level>, batch: Level, is_empty: bool) -> Result<Level, LevelError> {
    match active {
        None => Ok(batch),
        Some(active) if batch <= active => Ok(active),
        Some(active) if batch == active.next() && is_empty => Ok(batch),
        Some(active) => Err(LevelError::NotRaised { found: batch, active }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn level(number: u8) -> Level {
        Level::new(number).expect("above zero")
    }

    #[test]
    fn a_program_knows_its_newest_level_and_the_one_before() {
        assert_eq!(Levels::upto(level(1)).to_string(), "level 1");
        assert_eq!(Levels::between(level(1), level(1)), Some(Levels::OWN));
        assert_eq!(Levels::between(level(2), level(1)), None);
        let known = Levels::upto(level(3));
        assert_eq!(known.to_string(), "levels 2 and 3");
        assert_eq!((known.check(level(2)), known.check(level(3))), (Ok(level(2)), Ok(level(3))));
        assert!(known.meet(Levels::upto(level(2))) && known.meet(Levels::upto(level(4))));
        assert!(!known.meet(Levels::upto(level(1))) && !known.meet(Levels::upto(level(5))));
        assert_eq!(known.check(level(4)), Err(LevelError::Unknown { found: level(4), known }));
        assert_eq!(known.check(level(1)), Err(LevelError::Forgotten { found: level(1), known }));
    }

    #[test]
    fn only_an_empty_batch_of_the_next_level_raises_it_and_nothing_lowers_it() {
        let (two, three, four) = (level(2), level(3), level(4));
        assert_eq!(follow(None, two, false), Ok(two), "the first batch says where the log begins");
        assert_eq!(follow(Some(two), two, false), Ok(two));
        assert_eq!(follow(Some(two), three, true), Ok(three));
        assert_eq!(follow(Some(three), two, false), Ok(three), "on its way when the level was raised");
        assert_eq!(follow(Some(three), two, true), Ok(three));
        assert_eq!(follow(Some(two), three, false), Err(LevelError::NotRaised { found: three, active: two }));
        assert_eq!(follow(Some(two), four, true), Err(LevelError::NotRaised { found: four, active: two }));
    }
}
