//! Commands in the form of the log, written one by one as they are read from a request: what [`super::encode_commands`]
//! makes of all of them together.
//!
//! The operation is the last field of a command's bytes, and its fingerprint is taken of just these; so it is encoded
//! once, and hashed where it lies, many at a time. The stamp has a fixed place: it is set when the commands are proposed.

use std::ops::Range;

use partita_core::decision::Command;
use partita_core::id::{Actor, BookId, Fingerprint, Key};
use partita_core::operation::Operation;
use partita_core::time::{Date, Timestamp};

use super::{BATCH_VERSION, Level, Stored, Writer, fingerprint_of};
use crate::hashing::hash_each;

/// What the commands of one request have in common.
#[derive(Clone, Debug)]
pub struct CommandHead {
    pub book: BookId,
    pub today: Date,
    pub actor: Actor,
}

/// Commands so far. They have no stamp until [`CommandsWriter::stamp`].
#[derive(Debug, Default)]
pub struct CommandsWriter {
    bytes: Vec<u8>,
    /// Where each command begins, and where its stamp stands.
    places: Vec<Place>,
    /// How many have their fingerprint, from the first on.
    fingerprinted: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    stamp: usize,
    /// What the fingerprint is taken of, to the command's end; `None` if it has one.
    operation: Option<usize>,
}

/// What a fingerprint takes. It stands before the stamp.
const FINGERPRINT_BYTES: usize = size_of::<Fingerprint>();

/// What the number of a stamp takes that is seconds or more after 1970, with the byte that says so.
const STAMP_BYTES: usize = 9;
/// Version, level, count and checksum.
const FRAME_BYTES: usize = 1 + 1 + 9 + 4;

impl CommandsWriter {
    /// Takes room for as many bytes of commands.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// At most as many bytes has the batch of these commands.
    #[must_use]
    pub fn sealed_bytes(&self) -> usize {
        self.bytes.len() + FRAME_BYTES
    }

    /// A command of a request that was just read: [`Self::fingerprint`] takes its fingerprint.
    pub fn push(&mut self, head: &CommandHead, key: &Key, operation: &Operation) {
        self.put(head.book, key, None, head.today, &head.actor, operation);
    }

    /// A command with the fingerprint that it has.
    pub fn push_command(&mut self, command: &Command) {
        let Command { book, key, fingerprint, stamp: _, today, actor, operation } = command;
        self.put(*book, key, Some(*fingerprint), *today, actor, operation);
    }

    fn put(
        &mut self,
        book: BookId,
        key: &Key,
        fingerprint: Option<Fingerprint>,
        today: Date,
        actor: &Actor,
        operation: &Operation,
    ) {
        let start = self.bytes.len();
        let mut writer = Writer::from_vec(std::mem::take(&mut self.bytes));
        book.put(&mut writer);
        key.put(&mut writer);
        fingerprint.unwrap_or(Fingerprint([0; FINGERPRINT_BYTES])).put(&mut writer);
        let stamp = writer.as_slice().len();
        writer.raw(&[0; STAMP_BYTES]);
        today.put(&mut writer);
        actor.put(&mut writer);
        let operation_at = fingerprint.is_none().then_some(writer.as_slice().len());
        operation.put(&mut writer);
        self.bytes = writer.into_vec();
        self.places.push(Place { start, stamp, operation: operation_at });
    }

    /// Takes the fingerprints that are missing, and says of which command each is, counted from 0.
    pub fn fingerprint(&mut self, mut taken: impl FnMut(usize, Fingerprint)) {
        let mut missing = Vec::with_capacity(self.places.len() - self.fingerprinted);
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(missing.capacity());
        for number in self.fingerprinted..self.places.len() {
            if let Some(operation) = self.places[number].operation {
                let end = self.places.get(number + 1).map_or(self.bytes.len(), |next| next.start);
                missing.push(number);
                parts.push(operation..end);
            }
        }
        let mut hashes = Vec::new();
        hash_each(&self.bytes, &parts, &mut hashes);
        for (number, hash) in missing.into_iter().zip(&hashes) {
            let fingerprint = fingerprint_of(hash);
            let stamp = self.places[number].stamp;
            self.bytes[stamp - FINGERPRINT_BYTES..stamp].copy_from_slice(&fingerprint.0);
            taken(number, fingerprint);
        }
        self.fingerprinted = self.places.len();
    }

    /// Takes the last command out, as the first of another writer.
    #[must_use]
    pub fn split_last(&mut self) -> Self {
        let Some(Place { start, stamp, operation }) = self.places.pop() else { return Self::default() };
        let bytes = self.bytes.split_off(start);
        let fingerprinted = self.fingerprinted.saturating_sub(self.places.len());
        self.fingerprinted = self.fingerprinted.min(self.places.len());
        let place = Place { start: 0, stamp: stamp - start, operation: operation.map(|operation| operation - start) };
        Self { bytes, places: vec![place], fingerprinted }
    }

    /// Appends the commands to `out`, as one batch of a level, all of them stamped.
    ///
    /// # Panics
    /// If fingerprints are missing.
    pub fn seal_into(mut self, level: Level, at: Timestamp, out: &mut Vec<u8>) {
        assert_eq!(self.fingerprinted, self.places.len(), "every command has its fingerprint");
        let mut stamp = Writer::with_capacity(STAMP_BYTES);
        at.put(&mut stamp);
        let stamp = stamp.as_slice();
        let start = out.len();
        out.reserve(self.sealed_bytes());
        let mut writer = Writer::from_vec(std::mem::take(out));
        writer.byte(BATCH_VERSION);
        level.put(&mut writer);
        writer.length(self.places.len());
        if stamp.len() == STAMP_BYTES {
            for place in &self.places {
                self.bytes[place.stamp..place.stamp + STAMP_BYTES].copy_from_slice(stamp);
            }
            writer.raw(&self.bytes);
        } else {
            // A clock within seconds of 1970: its stamps are shorter than their places.
            let mut written = 0;
            for place in &self.places {
                writer.raw(&self.bytes[written..place.stamp]);
                writer.raw(stamp);
                written = place.stamp + STAMP_BYTES;
            }
            writer.raw(&self.bytes[written..]);
        }
        let mut bytes = writer.into_vec();
        let checksum = crc32fast::hash(&bytes[start..]);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        *out = bytes;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::samples::{command, operations};
    use crate::codec::{Levels, decode_commands, encode_commands};

    fn commands() -> Vec<Command> {
        operations().into_iter().map(command).collect()
    }

    fn sealed(mut writer: CommandsWriter, at: Timestamp) -> Vec<u8> {
        writer.fingerprint(|_, _| panic!("all are taken"));
        let mut out = b"before".to_vec();
        writer.seal_into(Level::FIRST, at, &mut out);
        assert_eq!(&out[..6], b"before");
        out.split_off(6)
    }

    fn stamps() -> impl Strategy<Value = Timestamp> {
        prop_oneof![0..300_i64, 0..1_i64 << 34, Just(i64::from(u32::MAX) / 2), any::<i64>()].prop_map(Timestamp)
    }

    proptest! {
        #[test]
        fn commands_written_one_by_one_are_the_batch_of_them(
            picked in proptest::collection::vec(proptest::sample::select(commands()), 0..20), at in stamps(),
            split in any::<bool>(), early in any::<bool>()
        ) {
            let stamped: Vec<Command> = picked.into_iter().map(|command| Command { stamp: at, ..command }).collect();
            let mut given = CommandsWriter::default();
            let mut taken = CommandsWriter::with_capacity(64);
            for command in &stamped {
                let Command { book, key, today, actor, operation, .. } = command;
                given.push_command(command);
                taken.push(&CommandHead { book: *book, today: *today, actor: actor.clone() }, key, operation);
            }
            prop_assert_eq!(given.len(), stamped.len());
            prop_assert!(given.sealed_bytes() >= encode_commands(&stamped, Level::FIRST).len());
            let mut head = stamped.as_slice();
            if split {
                let tail;
                (head, tail) = stamped.split_at(stamped.len().saturating_sub(1));
                if early {
                    taken.fingerprint(|number, fingerprint| assert_eq!(fingerprint, stamped[number].fingerprint));
                }
                prop_assert_eq!(sealed(given.split_last(), at), encode_commands(tail, Level::FIRST));
                let mut last = taken.split_last();
                last.fingerprint(|_, fingerprint| assert_eq!(fingerprint, tail[0].fingerprint));
                prop_assert_eq!(sealed(last, at), encode_commands(tail, Level::FIRST));
            }
            taken.fingerprint(|number, fingerprint| assert_eq!(fingerprint, head[number].fingerprint));
            let bytes = sealed(given, at);
            prop_assert_eq!(&bytes, &encode_commands(head, Level::FIRST));
            prop_assert_eq!(&sealed(taken, at), &bytes, "the samples' fingerprints are those of their operations");
            prop_assert_eq!(decode_commands(&bytes, Levels::OWN).unwrap().commands, head);
        }
    }
}
