//! Which idempotency keys cannot be on the disk, so that looking them up need not read it.
//!
//! Clients make keys in order of time (UUIDv7, ULID), so a new key is mostly greater than every key of its class
//! that a checkpoint ever wrote. Memory knows exactly the keys since then; what is greater than the greatest
//! written key is absent for certain. A key from a clock far ahead would spoil that for everyone until its time
//! comes: such keys do not raise the greatest key, the instants they bear are remembered instead, and a look-up
//! with one of those instants reads the disk.
//!
//! Nothing here decides an outcome: a horizon that is too high only costs reads.

use std::collections::BTreeMap;

use partita_core::id::BookId;
use partita_core::time::Timestamp;

use crate::codec::{CodecError, Reader, Stored, Writer};

/// How far ahead of ledger time a key's own instant may be to count as ordered.
const AHEAD_MS: u64 = 1_000;
/// Ranges of instants that are remembered per book and class; beyond it the two nearest become one.
const MAX_AHEAD_RANGES: usize = 64;

/// Kinds of keys whose order is the order of their making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyClass {
    /// `0190163d-8694-739b-aea5-966c26f8ad91`, lower case.
    UuidV7,
    /// `01J0B3V1MME9SATX9YDGJFHBCH`, upper case.
    Ulid,
}

impl KeyClass {
    pub(super) const ALL: [Self; 2] = [Self::UuidV7, Self::Ulid];

    pub(super) fn tag(self) -> u8 {
        match self {
            Self::UuidV7 => 1,
            Self::Ulid => 2,
        }
    }
}

/// A key's class and the instant it bears, in milliseconds since 1970; `None`: not of an ordered class.
#[must_use]
pub fn classify(key: &[u8]) -> Option<(KeyClass, u64)> {
    match key.len() {
        36 => uuid_v7_ms(key).map(|ms| (KeyClass::UuidV7, ms)),
        26 => ulid_ms(key).map(|ms| (KeyClass::Ulid, ms)),
        _ => None,
    }
}

/// The value of a lower-case hexadecimal digit; 255 for any other byte.
const DIGITS: [u8; 256] = {
    let mut values = [255; 256];
    let digits = b"0123456789abcdef";
    let mut digit = 0u8;
    let mut index = 0;
    while index < digits.len() {
        #[expect(clippy::as_conversions, reason = "a byte is an index; `From` is not for constants yet")]
        let place = digits[index] as usize;
        values[place] = digit;
        digit += 1;
        index += 1;
    }
    values
};

fn uuid_v7_ms(key: &[u8]) -> Option<u64> {
    let key: &[u8; 36] = key.try_into().ok()?;
    let digit = |index: usize| DIGITS[usize::from(key[index])];
    // Every value is below 16 or 255: one that is no digit shows in the upper bits of all of them together.
    let mut all = 0;
    for group in [0..8, 9..13, 14..18, 19..23, 24..36] {
        for index in group {
            all |= digit(index);
        }
    }
    let dashes = [8, 13, 18, 23].iter().all(|index| key[*index] == b'-');
    if all > 15 || !dashes || digit(14) != 7 || digit(19) >> 2 != 2 {
        return None;
    }
    // The first 48 bits are the instant.
    Some((0..8).chain(9..13).fold(0, |ms, index| ms << 4 | u64::from(digit(index))))
}

fn ulid_ms(key: &[u8]) -> Option<u64> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut ms = 0u64;
    for (index, byte) in key.iter().enumerate() {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        if index == 0 && digit > 7 {
            return None;
        }
        // Ten digits are the instant.
        if index < 10 {
            ms = ms << 5 | u64::try_from(digit).expect("below 32");
        }
    }
    Some(ms)
}

/// What is known of the written keys of one book and class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// The greatest written key that was not ahead; empty before the first.
    greatest: Vec<u8>,
    /// Instants (ms, both ends inclusive) of written keys that were ahead; sorted, disjoint.
    ahead: Vec<(u64, u64)>,
}

impl Horizon {
    fn surely_absent(&self, key: &[u8], ms: u64) -> bool {
        if key <= self.greatest.as_slice() {
            return false;
        }
        let next = self.ahead.partition_point(|range| range.1 < ms);
        self.ahead.get(next).is_none_or(|range| ms < range.0)
    }

    fn cover(&mut self, key: &[u8], ms: u64, is_ahead: bool) {
        if is_ahead {
            self.cover_ahead(ms);
        } else if key > self.greatest.as_slice() {
            self.greatest = key.to_vec();
        }
    }

    fn cover_ahead(&mut self, ms: u64) {
        let next = self.ahead.partition_point(|range| range.1 < ms);
        if self.ahead.get(next).is_some_and(|range| range.0 <= ms) {
            return;
        }
        self.ahead.insert(next, (ms, ms));
        if self.ahead.len() > MAX_AHEAD_RANGES {
            let nearest = (1..self.ahead.len())
                .min_by_key(|index| self.ahead[*index].0 - self.ahead[index - 1].1)
                .expect("there are two ranges or more");
            let (_, end) = self.ahead.remove(nearest);
            self.ahead[nearest - 1].1 = end;
        }
    }
}

impl Stored for Horizon {
    fn put(&self, writer: &mut Writer) {
        self.greatest.put(writer);
        self.ahead.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (greatest, ahead) = (Vec::take(reader)?, Vec::<(u64, u64)>::take(reader)?);
        let ordered = ahead.iter().all(|range| range.0 <= range.1) && ahead.windows(2).all(|two| two[0].1 < two[1].0);
        if !ordered {
            return Err(CodecError::Invalid { what: "a key horizon", rule: "sorted and disjoint" });
        }
        Ok(Self { greatest, ahead })
    }
}

/// The horizons of all books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizons {
    of: BTreeMap<(BookId, KeyClass), Horizon>,
}

impl Horizons {
    pub(super) fn insert(&mut self, book: BookId, class: KeyClass, horizon: Horizon) {
        self.of.insert((book, class), horizon);
    }

    /// Whether no checkpoint ever wrote this key of this book.
    #[must_use]
    pub fn surely_absent(&self, book: BookId, key: &[u8]) -> bool {
        let Some((class, ms)) = classify(key) else { return false };
        self.of.get(&(book, class)).is_none_or(|horizon| horizon.surely_absent(key, ms))
    }

    /// Takes note of a key that the next checkpoint writes.
    pub(super) fn cover(&mut self, book: BookId, key: &[u8], now: Timestamp) {
        let Some((class, ms)) = classify(key) else { return };
        let now_ms = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
        self.of.entry((book, class)).or_default().cover(key, ms, ms > now_ms.saturating_add(AHEAD_MS));
    }

    /// The horizons that are not as they are in `before`.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<((BookId, KeyClass), Horizon)> {
        let is_changed = |of: &(BookId, KeyClass), horizon: &Horizon| before.of.get(of) != Some(horizon);
        let changed = self.of.iter().filter(|(of, horizon)| is_changed(of, horizon));
        changed.map(|(of, horizon)| (*of, horizon.clone())).collect()
    }
}

/// A horizon with something of everything, for the golden bytes.
#[cfg(test)]
pub(crate) fn horizon_sample() -> Horizon {
    let mut horizon = Horizon::default();
    horizon.cover(b"0190163d-8694-739b-aea5-966c26f8ad91", 0x0190_163d_8694, false);
    horizon.cover(b"01a0163d-8694-739b-aea5-966c26f8ad91", 0x01a0_163d_8694, true);
    horizon.cover(b"01b0163d-8694-739b-aea5-966c26f8ad91", 0x01b0_163d_8694, true);
    horizon
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: BookId = BookId(1);

    fn uuid(ms: u64, tail: u64) -> Vec<u8> {
        format!("{:08x}-{:04x}-7000-8000-{tail:012x}", ms >> 16, ms & 0xFFFF).into_bytes()
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp(i64::try_from(ms).unwrap() * 1_000_000)
    }

    #[test]
    fn keys_are_classified_by_their_form() {
        assert_eq!(classify(b"0190163d-8694-739b-aea5-966c26f8ad91"), Some((KeyClass::UuidV7, 0x0190_163d_8694)));
        assert_eq!(classify(b"01ARZ3NDEKTSV4RRFFQ69G5FAV"), Some((KeyClass::Ulid, 1_469_922_850_259)));
        for other in [
            "0190163D-8694-739B-AEA5-966C26F8AD91",
            "0190163d-8694-439b-aea5-966c26f8ad91",
            "0190163d-8694-739b-cea5-966c26f8ad91",
            "0190163d+8694-739b-aea5-966c26f8ad91",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "pay_1",
        ] {
            assert_eq!(classify(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn only_what_no_checkpoint_wrote_is_surely_absent() {
        let mut horizons = Horizons::default();
        assert!(horizons.surely_absent(BOOK, &uuid(50, 0)));
        assert!(!horizons.surely_absent(BOOK, b"pay_1"));
        horizons.cover(BOOK, &uuid(100, 5), at(100));
        assert!(!horizons.surely_absent(BOOK, &uuid(100, 5)));
        assert!(!horizons.surely_absent(BOOK, &uuid(99, 0)));
        assert!(horizons.surely_absent(BOOK, &uuid(100, 6)));
        assert!(horizons.surely_absent(BookId(2), &uuid(100, 5)));
    }

    #[test]
    fn a_key_from_a_clock_ahead_spoils_nothing_and_is_found() {
        let mut horizons = Horizons::default();
        horizons.cover(BOOK, &uuid(100, 0), at(100));
        horizons.cover(BOOK, &uuid(9_000_000, 7), at(100));
        assert!(horizons.surely_absent(BOOK, &uuid(200, 0)));
        assert!(!horizons.surely_absent(BOOK, &uuid(9_000_000, 7)));
        assert!(horizons.surely_absent(BOOK, &uuid(9_000_001, 7)));
        // Ledger time has come there: other keys raise the horizon, and the early one is still found.
        horizons.cover(BOOK, &uuid(8_999_999, 0), at(9_000_000));
        assert!(!horizons.surely_absent(BOOK, &uuid(9_000_000, 7)));
    }

    #[test]
    fn many_clocks_ahead_cost_reads_but_no_key() {
        let mut horizons = Horizons::default();
        let ahead: Vec<u64> = (0..1_000).map(|index| 1_000_000 + index * index * 7).collect();
        for ms in &ahead {
            horizons.cover(BOOK, &uuid(*ms, 0), at(0));
        }
        assert!(ahead.iter().all(|ms| !horizons.surely_absent(BOOK, &uuid(*ms, 0))));
        assert!(horizons.surely_absent(BOOK, &uuid(500, 0)));
        assert_eq!(horizons.of[&(BOOK, KeyClass::UuidV7)].ahead.len(), MAX_AHEAD_RANGES);
        let bytes = crate::codec::encode_record(&horizons.of[&(BOOK, KeyClass::UuidV7)]);
        let back: Horizon = crate::codec::decode_record(&bytes).unwrap();
        assert_eq!(back, horizons.of[&(BOOK, KeyClass::UuidV7)]);
    }
}
