//! Idempotency keys that the client makes for its callers: UUIDv7 (RFC 9562), each greater than the one before, so that the
//! ledger finds at once that it has not seen them.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

const HEX: &[u8; 16] = b"0123456789abcdef";
/// The bits of a UUIDv7 that are neither time, version nor variant.
const RANDOM_BITS: u32 = 74;

/// Makes keys. One that is shared stands behind a lock.
#[derive(Debug)]
pub struct Keys {
    millis: u64,
    /// Random at the beginning of each millisecond, then counted up (RFC 9562, section 6.2, method 2 with steps of
    /// one). Its top bit begins at zero, so that no millisecond can use it up.
    random: u128,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    #[must_use]
    pub fn new() -> Self {
        Self { millis: 0, random: 0 }
    }

    #[expect(clippy::should_implement_trait, reason = "keys never end, and each is drawn where it is needed")]
    pub fn next(&mut self) -> Key {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        self.next_at(u64::try_from(now).unwrap_or(u64::MAX))
    }

    fn next_at(&mut self, now: u64) -> Key {
        // A clock that was set back does not take the keys with it.
        if now > self.millis {
            self.millis = now;
            self.random = Uuid::new_v4().as_u128() >> (128 - RANDOM_BITS + 1);
        } else {
            self.random += 1;
        }
        let low = self.random & ((1 << 62) - 1);
        let middle = (self.random >> 62) & 0xFFF;
        Key((u128::from(self.millis) << 80) | (0x7 << 76) | (middle << 64) | (0b10 << 62) | low)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u128);

impl Key {
    /// Any UUID.
    #[must_use]
    pub fn of(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }

    /// `0193f3a4-5b8e-7c3e-9d51-2f6f2f1f3a10`.
    #[must_use]
    pub fn text(self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.to_be_bytes().into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 0xF)];
            at += 2;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_uuids_of_version_7_and_only_grow() {
        let mut keys = Keys::new();
        let mut before = keys.next_at(1_000);
        for now in [1_000, 1_000, 999, 1_001, 1_001, 5, 2_000] {
            let key = keys.next_at(now);
            assert!(key > before, "{key:?} after {before:?}");
            let text = String::from_utf8(key.text().to_vec()).unwrap();
            let uuid = Uuid::parse_str(&text).unwrap();
            assert_eq!((uuid.get_version_num(), uuid.to_string()), (7, text));
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            before = key;
        }
        assert_eq!(before.0 >> 80, 2_000);
    }

    #[test]
    fn two_makers_do_not_make_the_same_keys() {
        let (mut one, mut other) = (Keys::new(), Keys::new());
        let ours: std::collections::BTreeSet<_> = (0..10_000).map(|_| one.next_at(7)).collect();
        assert_eq!(ours.len(), 10_000);
        assert!((0..10_000).all(|_| !ours.contains(&other.next_at(7))));
    }
}
