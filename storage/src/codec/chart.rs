//! Books, accounts and currencies.

use partita_core::account::{Account, Book, Class, CurrencyRule, ItemRule, Overdraft};
use partita_core::currency::Currency;
use partita_core::id::CurrencyId;
use partita_core::money::MAX_DECIMALS;

use super::{CodecError, Reader, Stored, Writer};

stored_struct!(Book { id, code, name, functional_currency, time_zone, decided });

stored_enum!(Class { 0 => Asset, 1 => Liability, 2 => Equity, 3 => Revenue, 4 => Expense, 5 => Memo });
stored_enum!(ItemRule { 0 => None, 1 => Optional, 2 => Required });
stored_enum!(Overdraft { 0 => Allow, 1 => Forbid });

stored_struct!(Account {
    id,
    code,
    number,
    name,
    class,
    contra,
    party,
    items,
    currencies,
    overdraft,
    must_zero,
    role,
    closed,
    decided,
});

impl Stored for CurrencyRule {
    fn put(&self, writer: &mut Writer) {
        match self {
            Self::Any => writer.byte(0),
            Self::Only(currencies) => {
                writer.byte(1);
                currencies.put(writer);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.byte()? {
            0 => Ok(Self::Any),
            1 => Ok(Self::Only(sorted(Vec::<CurrencyId>::take(reader)?)?)),
            tag => Err(CodecError::Tag { what: "CurrencyRule", tag }),
        }
    }
}

/// A list of currencies is a set: not empty, in order, each once.
pub(super) fn sorted<T: Ord>(values: Vec<T>) -> Result<Vec<T>, CodecError> {
    if !values.is_empty() && values.windows(2).all(|pair| pair[0] < pair[1]) {
        Ok(values)
    } else {
        Err(CodecError::Invalid { what: "a list of currencies", rule: "sorted, not empty, without duplicates" })
    }
}

impl Stored for Currency {
    fn put(&self, writer: &mut Writer) {
        let Self { id, code, decimals, decided } = self;
        id.put(writer);
        code.put(writer);
        decimals.put(writer);
        decided.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let currency = Self {
            id: Stored::take(reader)?,
            code: Stored::take(reader)?,
            decimals: decimals(reader)?,
            decided: Stored::take(reader)?,
        };
        Ok(currency)
    }
}

/// A currency's digits after the decimal point.
pub(super) fn decimals(reader: &mut Reader<'_>) -> Result<u8, CodecError> {
    let decimals = reader.byte()?;
    if decimals <= MAX_DECIMALS {
        Ok(decimals)
    } else {
        Err(CodecError::Invalid { what: "a currency's decimals", rule: "at most 18" })
    }
}
