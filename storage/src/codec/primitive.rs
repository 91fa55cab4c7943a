//! Numbers, text and lists as bytes, and the trait that every stored type implements.
//!
//! bincode writes the numbers (varint, little-endian, zigzag for signed ones) and is known to this file only.
//! Core's types derive neither its traits nor serde's: what is stored is spelled out, field by field, in this module.

use std::collections::BTreeMap;

use bincode::de::DecoderImpl;
use bincode::enc::EncoderImpl;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use super::CodecError;

/// A value with one stored form. The form never changes; another meaning is another variant or version.
pub trait Stored: Sized {
    fn put(&self, writer: &mut Writer);
    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// The bytes written so far.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// Lets bincode append to a vector, which cannot fail.
struct Sink<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Writer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Goes on behind what `bytes` holds already.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn length(&mut self, length: usize) {
        u64::try_from(length).expect("lengths have at most 64 bits").put(self);
    }

    pub fn text(&mut self, text: &str) {
        self.length(text.len());
        self.raw(text.as_bytes());
    }

    fn number<T: Encode>(&mut self, number: T) {
        number
            .encode(&mut EncoderImpl::new(Sink(&mut self.bytes), bincode::config::standard()))
            .expect("a number is always written to memory");
    }
}

/// The bytes that are still to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

struct Feed<'a, 'b>(&'b mut &'a [u8]);

impl bincode::de::read::Reader for Feed<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let Some((head, rest)) = self.0.split_at_checked(bytes.len()) else {
            return Err(DecodeError::UnexpectedEnd { additional: bytes.len() - self.0.len() });
        };
        bytes.copy_from_slice(head);
        *self.0 = rest;
        Ok(())
    }
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The end of a value that must be all there is.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing { bytes: self.rest.len() }) }
    }

    pub fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.raw(1)?[0])
    }

    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        Ok(self.raw(N)?.try_into().expect("raw gives as many bytes as asked for"))
    }

    /// A count of things that take a byte or more each, so that a damaged one cannot ask for all memory.
    pub fn length(&mut self) -> Result<usize, CodecError> {
        let length = usize::try_from(u64::take(self)?).map_err(|_source| CodecError::Truncated)?;
        if length > self.rest.len() { Err(CodecError::Truncated) } else { Ok(length) }
    }

    pub fn text(&mut self) -> Result<&'a str, CodecError> {
        let length = self.length()?;
        std::str::from_utf8(self.raw(length)?).map_err(|_source| CodecError::Text)
    }

    /// A list, behind what `values` has.
    pub(super) fn list_behind<T: Stored>(&mut self, values: &mut Vec<T>) -> Result<(), CodecError> {
        let count = self.length()?;
        // An element may be far larger in memory than its bytes: a damaged count must not ask for all of it.
        let most = (RESERVED_PER_BYTE * self.rest.len() / size_of::<T>().max(1)).max(16);
        values.reserve(count.min(most));
        for _ in 0..count {
            values.push(T::take(self)?);
        }
        Ok(())
    }

    fn number<T: Decode<()>>(&mut self) -> Result<T, CodecError> {
        let before = self.rest.len();
        let mut decoder = DecoderImpl::new(Feed(&mut self.rest), bincode::config::standard(), ());
        T::decode(&mut decoder).map_err(|_source| match before {
            0 => CodecError::Truncated,
            _ => CodecError::Number,
        })
    }
}

/// bincode's form of what is below this is the number itself, in one byte. Most numbers are, and are not worth its way.
const ONE_BYTE: u8 = 251;
/// These bytes of bincode's say that the number follows, little-endian, in two, four or eight.
const IN_TWO: u8 = 251;
const IN_FOUR: u8 = 252;
const IN_EIGHT: u8 = 253;

impl Writer {
    /// bincode's form of a number that one byte has no room for.
    fn wide(&mut self, number: u64) {
        if let Ok(number) = u16::try_from(number) {
            let [a, b] = number.to_le_bytes();
            self.raw(&[IN_TWO, a, b]);
        } else if let Ok(number) = u32::try_from(number) {
            let [a, b, c, d] = number.to_le_bytes();
            self.raw(&[IN_FOUR, a, b, c, d]);
        } else {
            let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
            self.raw(&[IN_EIGHT, a, b, c, d, e, f, g, h]);
        }
    }
}

impl Reader<'_> {
    /// What [`Writer::wide`] has written, and where it ends; `None` for anything else.
    fn wide(&self) -> Option<(u64, usize)> {
        match *self.rest {
            [IN_TWO, a, b, ..] => Some((u64::from(u16::from_le_bytes([a, b])), 3)),
            [IN_FOUR, a, b, c, d, ..] => Some((u64::from(u32::from_le_bytes([a, b, c, d])), 5)),
            [IN_EIGHT, a, b, c, d, e, f, g, h, ..] => Some((u64::from_le_bytes([a, b, c, d, e, f, g, h]), 9)),
            _ => None,
        }
    }
}

macro_rules! stored_numbers {
    ($($type:ty as $plain:ty, $zigzag:expr, $unzigzag:expr);*) => {$(
        impl Stored for $type {
            #[inline]
            fn put(&self, writer: &mut Writer) {
                let plain: $plain = $zigzag(*self);
                match u8::try_from(plain) {
                    Ok(small) if small < ONE_BYTE => writer.byte(small),
                    Ok(_) | Err(_) => match u64::try_from(plain) {
                        Ok(number) => writer.wide(number),
                        Err(_) => writer.number(*self),
                    },
                }
            }

            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                if let Some((small, rest)) = reader.rest.split_first() && *small < ONE_BYTE {
                    reader.rest = rest;
                    return Ok($unzigzag(<$plain>::from(*small)));
                }
                if let Some((number, end)) = reader.wide() && let Ok(number) = <$plain>::try_from(number) {
                    reader.rest = &reader.rest[end..];
                    return Ok($unzigzag(number));
                }
                reader.number()
            }
        }
    )*};
}

stored_numbers!(
    u16 as u16, |number| number, |plain| plain;
    u32 as u32, |number| number, |plain| plain;
    u64 as u64, |number| number, |plain| plain;
    u128 as u128, |number| number, |plain| plain;
    i32 as u32, |number: Self| ((number << 1) ^ (number >> 31)).cast_unsigned(), |plain: u32| (plain >> 1).cast_signed() ^ -(plain & 1).cast_signed();
    i64 as u64, |number: Self| ((number << 1) ^ (number >> 63)).cast_unsigned(), |plain: u64| (plain >> 1).cast_signed() ^ -(plain & 1).cast_signed();
    i128 as u128, |number: Self| ((number << 1) ^ (number >> 127)).cast_unsigned(), |plain: u128| (plain >> 1).cast_signed() ^ -(plain & 1).cast_signed()
);

impl Stored for u8 {
    fn put(&self, writer: &mut Writer) {
        writer.byte(*self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.byte()
    }
}

impl Stored for bool {
    fn put(&self, writer: &mut Writer) {
        writer.byte(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(CodecError::Tag { what: "a yes or no", tag }),
        }
    }
}

/// A record whose key says everything.
impl Stored for () {
    fn put(&self, _writer: &mut Writer) {}

    fn take(_reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(())
    }
}

impl<const N: usize> Stored for [u8; N] {
    fn put(&self, writer: &mut Writer) {
        writer.raw(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.array()
    }
}

impl Stored for String {
    fn put(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.text().map(str::to_owned)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, writer: &mut Writer) {
        match self {
            None => writer.byte(0),
            Some(value) => {
                writer.byte(1);
                value.put(writer);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => T::take(reader).map(Some),
            tag => Err(CodecError::Tag { what: "an optional value", tag }),
        }
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
        self.1.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok((A::take(reader)?, B::take(reader)?))
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, writer: &mut Writer) {
        writer.length(self.len());
        for value in self {
            value.put(writer);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut values = Self::new();
        reader.list_behind(&mut values)?;
        Ok(values)
    }
}

/// Memory that a list takes before it is read, for each byte that it can be read from.
const RESERVED_PER_BYTE: usize = 4;

/// Metadata: pairs in the order of their names.
impl Stored for BTreeMap<String, String> {
    fn put(&self, writer: &mut Writer) {
        writer.length(self.len());
        for (name, value) in self {
            writer.text(name);
            writer.text(value);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = reader.length()?;
        let mut pairs = Self::new();
        for _ in 0..count {
            let name = reader.text()?;
            if pairs.last_key_value().is_some_and(|(last, _)| last.as_str() >= name) {
                return Err(CodecError::Invalid { what: "metadata", rule: "in the order of its names" });
            }
            let value = reader.text()?;
            pairs.insert(name.to_owned(), value.to_owned());
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

    use std::fmt::Debug;

    use super::*;

    fn check<T: Stored + Encode + Decode<()> + Copy + PartialEq + Debug>(number: T) {
        let mut writer = Writer::new();
        number.put(&mut writer);
        let bytes = writer.into_vec();
        assert_eq!(bytes, bincode::encode_to_vec(number, bincode::config::standard()).unwrap(), "{number:?}");
        let mut reader = Reader::new(&bytes);
        assert_eq!(T::take(&mut reader).unwrap(), number);
        reader.finish().unwrap();
    }

    #[test]
    fn every_number_has_the_form_of_bincode() {
        for number in 0..=u16::MAX {
            check(number);
            check(u32::from(number));
            check(u64::from(number));
            check(u128::from(number));
            for number in [i32::from(number), -i32::from(number)] {
                check(number);
                check(i64::from(number));
                check(i128::from(number));
            }
        }
        for shift in 0..128 {
            let number = 1u128 << shift;
            check(number);
            check(number - 1);
            check(number.cast_signed());
            check((number - 1).cast_signed());
        }
        for shift in 0..64 {
            check(1u64 << shift);
            check(1i64 << shift);
            check(-(1i64 << shift.min(62)));
        }
        for number in [i32::MIN, i32::MAX] {
            check(number);
        }
        for number in [i64::MIN, i64::MAX] {
            check(number);
        }
        for number in [i128::MIN, i128::MAX] {
            check(number);
        }
    }
}
