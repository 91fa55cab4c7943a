//! The binary form of a batch of transfers, version 1; docs/api.md has its layout. It says what the JSON form says, and is read into
//! the same form of a transfer, value by value with the same words for what is wrong.

use partita_core::entry::MAX_METADATA;
use partita_core::money::WrittenAmount;
use partita_core::operation::MAX_BATCH;
use partita_core::time::Date;

use crate::problem::Problem;
use crate::routes::transfers::TransferForm;
use crate::values::{Amount, Day, Fault, FromText, MetadataValue, amount_fault, metadata_name, metadata_text};

/// The version is part of it.
pub const MEDIA_TYPE: &str = "application/vnd.partita.transfers.v1";
/// The flag of a body: all or none.
pub(crate) const ATOMIC: u8 = 1;

const EFFECTIVE_DATE: u8 = 1;
const DESCRIPTION: u8 = 2;
const METADATA: u8 = 4;

/// A batch's body that is being read.
#[derive(Debug)]
pub(crate) struct Transfers<'a> {
    rest: &'a [u8],
    pub(crate) atomic: bool,
    count: usize,
    read: usize,
}

/// Why an item cannot be read.
enum ItemFault {
    /// The body ends inside of it.
    End,
    Value(&'static str, Fault),
}

impl<'a> Transfers<'a> {
    /// Reads what is before the first transfer.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut rest = bytes;
        let (Some(flags), Some(count)) = (byte(&mut rest), array(&mut rest).map(u32::from_le_bytes)) else {
            return Err(Problem::malformed("the body ends before its first transfer"));
        };
        if flags & !ATOMIC != 0 {
            return Err(Problem::malformed(format!("the body has flags that are not known: {flags}")));
        }
        let bad_count = |rule: String| Err(Problem::malformed(format!("transfers: {rule}")).at("/transfers"));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count == 0 {
            return bad_count("must have at least 1 element".to_owned());
        }
        if count > MAX_BATCH {
            return bad_count(format!("must have at most {MAX_BATCH} elements"));
        }
        Ok(Self { rest, atomic: flags & ATOMIC != 0, count, read: 0 })
    }

    pub(crate) fn total(&self) -> usize {
        self.count
    }

    fn problem(&self, fault: ItemFault) -> Problem {
        let index = self.read;
        match fault {
            ItemFault::End => Problem::malformed(format!("transfers[{index}]: the body ends inside of it"))
                .at(format!("/transfers/{index}")),
            ItemFault::Value(field, Fault { code, detail }) => {
                Problem::new(code, format!("transfers[{index}].{field}: {detail}"))
                    .at(format!("/transfers/{index}/{field}"))
            }
        }
    }
}

impl Iterator for Transfers<'_> {
    type Item = Result<TransferForm, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read < self.count {
            let read = transfer(&mut self.rest).map_err(|fault| self.problem(fault));
            self.read += 1;
            return Some(read);
        }
        let left = std::mem::take(&mut self.rest).len();
        (left > 0).then(|| {
            let count = self.count;
            Err(Problem::malformed(format!("the body has {left} bytes behind its {count} transfers")))
        })
    }
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    array::<1>(rest).map(|[byte]| byte)
}

fn short(rest: &mut &[u8]) -> Option<usize> {
    byte(rest).map(usize::from)
}

fn long(rest: &mut &[u8]) -> Option<usize> {
    array(rest).map(|length| usize::from(u16::from_le_bytes(length)))
}

/// A text behind its length.
fn text<'a>(
    rest: &mut &'a [u8],
    length: fn(&mut &'a [u8]) -> Option<usize>,
    field: &'static str,
) -> Result<&'a str, ItemFault> {
    let length = length(rest).ok_or(ItemFault::End)?;
    let (head, tail) = rest.split_at_checked(length).ok_or(ItemFault::End)?;
    *rest = tail;
    std::str::from_utf8(head).map_err(|_error| ItemFault::Value(field, Fault::malformed("must be UTF-8")))
}

fn value<T: FromText>(text: &str, field: &'static str) -> Result<T, ItemFault> {
    T::from_text(text).map_err(|fault| ItemFault::Value(field, fault))
}

fn transfer(rest: &mut &[u8]) -> Result<TransferForm, ItemFault> {
    let fields = byte(rest).ok_or(ItemFault::End)?;
    if fields & !(EFFECTIVE_DATE | DESCRIPTION | METADATA) != 0 {
        let fault = Fault::malformed(format!("must have no bit but 0, 1 and 2, not {fields}"));
        return Err(ItemFault::Value("fields", fault));
    }
    let key = text(rest, short, "idempotency_key")?;
    let idempotency_key = if key.is_empty() { None } else { Some(value(key, "idempotency_key")?) };
    let debit = value(text(rest, short, "debit")?, "debit")?;
    let credit = value(text(rest, short, "credit")?, "credit")?;
    let currency = value(text(rest, short, "currency")?, "currency")?;
    let scale = byte(rest).ok_or(ItemFault::End)?;
    let mantissa = array(rest).map(u128::from_le_bytes).ok_or(ItemFault::End)?;
    let amount =
        WrittenAmount::new(mantissa, scale).map_err(|error| ItemFault::Value("amount", amount_fault(error)))?;
    let effective_date = if fields & EFFECTIVE_DATE == 0 { None } else { Some(day(rest)?) };
    let description = match fields & DESCRIPTION {
        0 => None,
        _ => Some(value(text(rest, long, "description")?, "description")?),
    };
    let metadata = if fields & METADATA == 0 { None } else { Some(metadata(rest)?) };
    Ok(TransferForm {
        debit,
        credit,
        amount: Amount(amount),
        currency,
        effective_date,
        description,
        metadata,
        idempotency_key,
    })
}

fn day(rest: &mut &[u8]) -> Result<Day, ItemFault> {
    let days = array(rest).map(i32::from_le_bytes).ok_or(ItemFault::End)?;
    let fault = || Fault::malformed("must be a day of the years 1 to 9999, counted from 1970-01-01");
    Date::from_days(days).map(Day).ok_or_else(|| ItemFault::Value("effective_date", fault()))
}

fn metadata(rest: &mut &[u8]) -> Result<MetadataValue, ItemFault> {
    let wrong = |fault| ItemFault::Value("metadata", fault);
    let (most_pairs, _, _) = MAX_METADATA;
    let pairs = short(rest).ok_or(ItemFault::End)?;
    if pairs > most_pairs {
        return Err(wrong(Fault::malformed(format!("must have at most {most_pairs} pairs"))));
    }
    let mut metadata = MetadataValue::default();
    for _ in 0..pairs {
        let name = metadata_name(text(rest, short, "metadata")?).map_err(wrong)?;
        let value = metadata_text(&name, text(rest, long, "metadata")?).map_err(wrong)?;
        if metadata.0.contains_key(&name) {
            return Err(wrong(Fault::malformed(format!("has the name {name} twice"))));
        }
        metadata.0.insert(name, value);
    }
    Ok(metadata)
}
