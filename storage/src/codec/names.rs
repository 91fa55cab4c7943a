//! Identifiers, numbers, amounts, dates and instants.

use partita_core::id::{
    AccountCode, AccountId, Actor, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Fingerprint,
    Item, Key, Party, PartyKind, Position, Role,
};
use partita_core::money::{Amount, WrittenAmount};
use partita_core::time::{Date, Timestamp};
use rust_decimal::Decimal;

use super::{CodecError, Reader, Stored, Writer};

macro_rules! stored_text {
    ($($type:ident),* $(,)?) => {$(
        impl Stored for $type {
            fn put(&self, writer: &mut Writer) {
                writer.text(self.as_str());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                Self::new(reader.text()?)
                    .map_err(|error| CodecError::Invalid { what: stringify!($type), rule: error.rule })
            }
        }
    )*};
}

stored_text!(BookCode, AccountCode, Party, Item, DocumentId, Key, CurrencyCode, PartyKind, Role, Actor);

macro_rules! stored_number {
    ($($type:ident),* $(,)?) => {$(
        impl Stored for $type {
            fn put(&self, writer: &mut Writer) {
                self.0.put(writer);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                Stored::take(reader).map(Self)
            }
        }
    )*};
}

stored_number!(BookId, AccountId, CurrencyId, Position, EntryNumber, Timestamp, Fingerprint);

impl Stored for Date {
    fn put(&self, writer: &mut Writer) {
        self.days().put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::from_days(i32::take(reader)?)
            .ok_or(CodecError::Invalid { what: "a date", rule: "in the years 1 to 9999" })
    }
}

impl Stored for Amount {
    fn put(&self, writer: &mut Writer) {
        self.minor().put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::new(i128::take(reader)?).ok_or(CodecError::Invalid { what: "an amount", rule: "above zero" })
    }
}

impl Stored for WrittenAmount {
    fn put(&self, writer: &mut Writer) {
        let (mantissa, scale) = self.parts();
        mantissa.put(writer);
        scale.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (mantissa, scale) = (u128::take(reader)?, u8::take(reader)?);
        Self::from_parts(mantissa, scale)
            .ok_or(CodecError::Invalid { what: "a written amount", rule: "above zero, bounded and normalised" })
    }
}

/// A rate, as mantissa and scale: `1.10` and `1.1` are two values, and callers normalise.
impl Stored for Decimal {
    fn put(&self, writer: &mut Writer) {
        self.mantissa().put(writer);
        self.scale().put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (mantissa, scale) = (i128::take(reader)?, u32::take(reader)?);
        Self::try_from_i128_with_scale(mantissa, scale)
            .map_err(|_source| CodecError::Invalid { what: "a rate", rule: "a decimal of 96 bits" })
    }
}
