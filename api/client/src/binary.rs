//! The compact binary body of `transfers:batch` and its answer (docs/api.md): little-endian, lengths before texts, and
//! the same meaning as the JSON. Refusals stay JSON in it.

use serde_json::{Map, Value};
use std::sync::Arc;

use crate::amount::Amount;
use crate::error::{Error, Refusal};
use crate::items::Transfer;
use crate::parse::{NotResults, Posted};

pub(crate) const CONTENT_TYPE: &str = "application/vnd.partita.transfers.v1";

/// Bits of an item's first byte.
const EFFECTIVE_DATE: u8 = 1;
const DESCRIPTION: u8 = 2;
const METADATA: u8 = 4;
/// Bit of an answer's first byte: one decision for all, which is not what this client asks for.
const ATOMIC: u8 = 1;

pub(crate) fn is_type(content_type: &[u8]) -> bool {
    content_type.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
}

/// Flags, and room for the count.
pub(crate) fn open(body: &mut Vec<u8>) {
    body.extend_from_slice(&[0; 5]);
}

pub(crate) fn set_count(count: usize, body: &mut [u8]) {
    let count = u32::try_from(count).expect("a batch has at most 10,000 items");
    body[1..5].copy_from_slice(&count.to_le_bytes());
}

pub(crate) fn transfer(transfer: &Transfer<'_>, key: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let details = &transfer.details;
    let date = match details.effective_date {
        None => None,
        Some(text) => Some(days(text).ok_or("effective_date: must be a date such as 2026-01-31")?),
    };
    let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
    let metadata = details.metadata;
    out.push(
        bit(date.is_some(), EFFECTIVE_DATE)
            | bit(details.description.is_some(), DESCRIPTION)
            | bit(!metadata.is_empty(), METADATA),
    );
    short(key, out)?;
    for text in [transfer.debit, transfer.credit, transfer.currency] {
        short(text.as_bytes(), out)?;
    }
    out.push(transfer.amount.decimals());
    // What is below zero is refused as what is zero.
    out.extend_from_slice(&u128::try_from(transfer.amount.units()).unwrap_or(0).to_le_bytes());
    if let Some(date) = date {
        out.extend_from_slice(&date.to_le_bytes());
    }
    if let Some(description) = details.description {
        long(description.as_bytes(), out)?;
    }
    if !metadata.is_empty() {
        out.push(u8::try_from(metadata.len()).map_err(|_too_many| "metadata: has more than 255 pairs")?);
        for (name, value) in metadata {
            short(name.as_bytes(), out)?;
            long(value.as_bytes(), out)?;
        }
    }
    Ok(())
}

fn short(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    out.push(u8::try_from(text.len()).map_err(|_too_long| "a key, account, currency or name has more than 255 bytes")?);
    out.extend_from_slice(text);
    Ok(())
}

fn long(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let length = u16::try_from(text.len()).map_err(|_too_long| "a description or value has more than 65,535 bytes")?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
    Ok(())
}

/// The key of an item that was written.
pub(crate) fn key_of(item: &[u8]) -> String {
    let key = item.get(1).and_then(|&length| item.get(2..2 + usize::from(length)));
    String::from_utf8_lossy(key.unwrap_or_default()).into_owned()
}

/// Days since 1970-01-01 of `2026-01-31` in the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms", `days_from_civil`).
fn days(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' || !text.is_ascii() {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = &text[range];
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse::<i32>().ok() } else { None }
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if year < 1 || !(1..=last).contains(&day) {
        return None;
    }
    // The year begins in March, so that the leap day is its last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted / 400;
    let year_of_era = shifted % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Gives `each` the results in their order. How many there were.
pub(crate) fn read_results(body: &[u8], mut each: impl FnMut(Result<Posted, Error>)) -> Result<usize, NotResults> {
    let mut bytes = Bytes(body);
    let [flags] = bytes.array()?;
    if flags & ATOMIC != 0 {
        return Err(NotResults);
    }
    let count = usize::try_from(u32::from_le_bytes(bytes.array()?)).map_err(|_too_many| NotResults)?;
    for _item in 0..count {
        let [status] = bytes.array()?;
        each(match status {
            0 => {
                let (number, position) = (u64::from_le_bytes(bytes.array()?), u64::from_le_bytes(bytes.array()?));
                let [decimals] = bytes.array()?;
                if decimals > Amount::MAX_DECIMALS {
                    return Err(NotResults);
                }
                let mut balance = || Ok(Amount::new(i128::from_le_bytes(bytes.array()?), decimals));
                Ok(Posted::two(number, position, [balance()?, balance()?]))
            }
            1 => Ok(Posted::replayed(u64::from_le_bytes(bytes.array()?), u64::from_le_bytes(bytes.array()?))),
            2 | 3 => {
                let length = usize::try_from(u32::from_le_bytes(bytes.array()?)).map_err(|_too_long| NotResults)?;
                let object = bytes.slice(length)?;
                let mut fields: Map<String, Value> = serde_json::from_slice(object).map_err(|_no_json| NotResults)?;
                fields.remove("status");
                Err(Error::Refused(Arc::new(Refusal::of(fields, status == 3).ok_or(NotResults)?)))
            }
            _ => return Err(NotResults),
        });
    }
    if bytes.0.is_empty() { Ok(count) } else { Err(NotResults) }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotResults> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(NotResults)?;
        self.0 = rest;
        Ok(*array)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], NotResults> {
        let (slice, rest) = self.0.split_at_checked(length).ok_or(NotResults)?;
        self.0 = rest;
        Ok(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::items::Details;

    #[test]
    fn a_transfer_is_the_bytes_that_are_documented() {
        let mut item = Transfer::new("a:b", "c/d", Amount::new(100, 2), "USD");
        let mut body = Vec::new();
        open(&mut body);
        transfer(&item, b"key", &mut body).unwrap();
        set_count(1, &mut body);
        let mut expected = b"\0\x01\0\0\0\0\x03key\x03a:b\x03c/d\x03USD\x02".to_vec();
        expected.extend_from_slice(&100_u128.to_le_bytes());
        assert_eq!(body, expected);
        assert_eq!(key_of(&body[5..]), "key");

        item.details =
            Details { effective_date: Some("1970-01-02"), description: Some("é"), metadata: &[("n", "v"), ("m", "")] };
        let mut full = Vec::new();
        transfer(&item, b"key", &mut full).unwrap();
        let mut expected = expected[5..].to_vec();
        expected[0] = 7;
        expected.extend_from_slice(b"\x01\0\0\0\x02\0\xC3\xA9\x02\x01n\x01\0v\x01m\0\0");
        assert_eq!(full, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(256);
        let good = Transfer::new("a", "b", Amount::new(1, 0), "USD");
        for bad in [
            Transfer { debit: &long, ..good },
            Transfer { details: Details { effective_date: Some("2026-02-29"), ..Details::default() }, ..good },
            Transfer { details: Details { effective_date: Some("31.1.2026"), ..Details::default() }, ..good },
        ] {
            assert!(transfer(&bad, b"k", &mut Vec::new()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dates_are_days_since_1970() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("2026-01-31", Some(20_484)),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("1900-02-29", None),
            ("2026-13-01", None),
            ("2026-1-001", None),
            ("2026-01-3é", None),
        ] {
            assert_eq!(days(text), expected, "{text}");
        }
    }

    #[test]
    fn every_kind_of_result_is_read_and_nothing_else() {
        let mut body = vec![0];
        body.extend_from_slice(&4_u32.to_le_bytes());
        body.push(0);
        body.extend_from_slice(&3_u64.to_le_bytes());
        body.extend_from_slice(&7_u64.to_le_bytes());
        body.push(2);
        body.extend_from_slice(&(-100_i128).to_le_bytes());
        body.extend_from_slice(&250_i128.to_le_bytes());
        body.push(1);
        body.extend_from_slice(&2_u64.to_le_bytes());
        body.extend_from_slice(&5_u64.to_le_bytes());
        for (status, object) in [
            (2, br#"{"status":"rejected","position":8,"code":"overdraft","available":"0.40"}"#.as_slice()),
            (3, br#"{"status":"replayed","position":6,"code":"overdraft","available":"0.30"}"#),
        ] {
            body.push(status);
            body.extend_from_slice(&u32::try_from(object.len()).unwrap().to_le_bytes());
            body.extend_from_slice(object);
        }
        let mut results = Vec::new();
        assert_eq!(read_results(&body, |result| results.push(result)), Ok(4));
        let posted = results[0].as_ref().unwrap();
        assert_eq!((posted.number, posted.position, posted.is_replayed), (3, 7, false));
        assert_eq!(posted.balances(), [Amount::new(-100, 2), Amount::new(250, 2)]);
        let replayed = results[1].as_ref().unwrap();
        assert_eq!((replayed.number, replayed.position, replayed.is_replayed), (2, 5, true));
        for (index, position, is_replayed, available) in [(2, 8, false, "0.40"), (3, 6, true, "0.30")] {
            let Err(Error::Refused(refusal)) = &results[index] else { panic!("{:?}", results[index]) };
            assert_eq!((&refusal.code, refusal.position), (&Code::Overdraft, Some(position)));
            assert_eq!((refusal.is_replayed, refusal.text("available")), (is_replayed, Some(available)));
        }
        for end in 0..body.len() {
            assert_eq!(read_results(&body[..end], |_result| ()), Err(NotResults), "{end}");
        }
        body.push(0);
        assert_eq!(read_results(&body, |_result| ()), Err(NotResults));
    }
}
