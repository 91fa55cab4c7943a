//! A reader of plain JSON: strings without escapes, objects and arrays of them. It gives up on all else.

use partita_core::entry::MAX_METADATA;

use crate::values::{FromText, MetadataValue, metadata_name, metadata_text};

/// Reads on from a place in a body.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Where among eight bytes the first one is that ends a plain string or must not stand in one: `"`, `\` or a control
/// character. Bytes above the first may be marked wrongly, by the borrow; nobody asks for them.
fn first_special(word: u64) -> Option<usize> {
    let zero_of = |word: u64| word.wrapping_sub(LOW_BITS) & !word;
    let quote = zero_of(word ^ (LOW_BITS * 0x22));
    let backslash = zero_of(word ^ (LOW_BITS * 0x5C));
    let control = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    let special = (quote | backslash | control) & HIGH_BITS;
    if special == 0 { None } else { usize::try_from(special.trailing_zeros() / 8).ok() }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { text: std::str::from_utf8(bytes).ok()?, at: 0 })
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Steps over a byte, if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// A string without escapes.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        self.rest_of_text()
    }

    /// The same, behind its first quote.
    pub(super) fn rest_of_text(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start;
        loop {
            let Some(word) = bytes.get(end..).and_then(<[u8]>::first_chunk::<8>) else {
                let rest = bytes.get(end..)?;
                end += rest.iter().position(|&byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
                break;
            };
            if let Some(special) = first_special(u64::from_le_bytes(*word)) {
                end += special;
                break;
            }
            end += 8;
        }
        if bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// Where the scanner is, to come back to.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    /// What was read since then.
    pub(super) fn since(&self, place: usize) -> Option<&'a str> {
        self.text.get(place..self.at)
    }

    /// What stands from there up to the quote that opens the string to come, with it; the scanner stays before the quote.
    pub(super) fn up_to_quote(&mut self, place: usize) -> Option<&'a str> {
        if self.peek()? == b'"' { self.text.get(place..=self.at) } else { None }
    }

    /// Steps over exactly this.
    pub(super) fn literal(&mut self, literal: &str) -> Option<()> {
        let is_next = self.text.as_bytes().get(self.at..)?.starts_with(literal.as_bytes());
        self.at += if is_next { literal.len() } else { 0 };
        is_next.then_some(())
    }

    /// A value that is written as one string.
    pub(super) fn value<T: FromText>(&mut self) -> Option<T> {
        T::from_text(self.text()?).ok()
    }

    /// One of the words that are no strings: `null`, `true`, `false`.
    pub(super) fn word(&mut self, word: &str) -> bool {
        if self.peek() != word.as_bytes().first().copied() {
            return false;
        }
        let is_next = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// Calls `member` with every member's name, to read its value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let name = self.text()?;
            self.expect(b':')?;
            member(self, name)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Calls `element` for every element, to read it; there are at most `most`.
    pub(super) fn array(&mut self, most: usize, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Some(());
        }
        for _ in 0..most {
            element(self)?;
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
        None
    }

    /// Nothing may follow but white space.
    pub(super) fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// A member that must stand there once.
    pub(super) fn member<T: FromText>(&mut self, slot: &mut Option<T>) -> Option<()> {
        if slot.is_some() {
            return None;
        }
        *slot = Some(self.value()?);
        Some(())
    }

    /// A member that may be left out or null; it may not stand there twice either.
    pub(super) fn optional<T: FromText>(&mut self, slot: &mut Option<Option<T>>) -> Option<()> {
        if slot.is_some() {
            return None;
        }
        *slot = Some(if self.word("null") { None } else { Some(self.value()?) });
        Some(())
    }

    /// Metadata, as an optional member.
    pub(super) fn metadata(&mut self, slot: &mut Option<Option<MetadataValue>>) -> Option<()> {
        if slot.is_some() {
            return None;
        }
        if self.word("null") {
            *slot = Some(None);
            return Some(());
        }
        let (most_pairs, _, _) = MAX_METADATA;
        let mut metadata = MetadataValue::default();
        self.object(|scanner, name| {
            let name = metadata_name(name).ok()?;
            let value = metadata_text(&name, scanner.text()?).ok()?;
            let is_new = metadata.0.insert(name, value).is_none();
            (is_new && metadata.0.len() <= most_pairs).then_some(())
        })?;
        *slot = Some(Some(metadata));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_string_ends_at_its_quote_wherever_that_is() {
        for length in 0..40 {
            for beyond in ["", "x", "\"\\\u{1}", "  and more of them"] {
                let inner = "a".repeat(length);
                let body = format!("\"{inner}\"{beyond}");
                let mut scanner = Scanner::new(body.as_bytes()).unwrap();
                assert_eq!(scanner.text(), Some(inner.as_str()), "{body}");
                assert_eq!(&body[scanner.at..], beyond);
            }
        }
    }

    #[test]
    fn what_is_special_is_found_at_every_place_among_every_byte() {
        for place in 0..20 {
            for byte in 0..=0x7F_u8 {
                let mut inner = vec![b'z'; 20];
                inner[place] = byte;
                let body = [b"\"".as_slice(), &inner, b"\""].concat();
                let found = Scanner::new(&body).unwrap().text().map(str::len);
                let expected = match byte {
                    b'"' => Some(place),
                    b'\\' | 0..0x20 => None,
                    _ => Some(20),
                };
                assert_eq!(found, expected, "{byte} at {place}");
            }
        }
        let umlauts = "\"ä\u{7F}\u{80}é\u{10FFFF}äöü\"";
        assert_eq!(Scanner::new(umlauts.as_bytes()).unwrap().text().map(str::len), Some(umlauts.len() - 2));
    }
}
