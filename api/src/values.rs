//! The scalar values of the JSON forms: strings that are checked while they are read.
//!
//! Each wraps core's own type, so that a form that was read holds nothing unchecked. Their schemas stand in the
//! OpenAPI document under the same names.

use std::fmt;
use std::marker::PhantomData;

use partita_core::entry::{MAX_DESCRIPTION, MAX_METADATA, Metadata};
use partita_core::id;
use partita_core::money::{AmountError, WrittenAmount};
use partita_core::time::{Date, Timestamp};
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Code;

/// A value's fault with its own code. It passes through serde as text; [`crate::body`] takes it apart again.
#[derive(Debug)]
pub struct Fault {
    pub code: Code,
    pub detail: String,
}

/// Opens a fault's text. A control character, so that no text of a request can pretend to be one: those are refused.
pub(crate) const FAULT_MARK: char = '\u{1}';

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FAULT_MARK}{}{FAULT_MARK}{}{FAULT_MARK}", self.code.as_str(), self.detail)
    }
}

impl Fault {
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self { code: Code::Malformed, detail: detail.into() }
    }
}

/// A value that is written as one JSON string.
pub(crate) trait FromText: Sized {
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Result<Self, Fault>;
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
}

fn string_schema(description: &str, format: Option<KnownFormat>, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .format(format.map(SchemaFormat::KnownFormat))
        .description(Some(description))
        .examples([serde_json::Value::from(example)])
        .into()
}

macro_rules! text_value {
    ($name:ident($inner:ty), $schema:literal, $expected:expr, $format:expr, $example:literal, $read:expr) => {
        #[derive(Clone, Debug)]
        pub struct $name(pub $inner);

        impl FromText for $name {
            const EXPECTED: &'static str = $expected;
            fn from_text(text: &str) -> Result<Self, Fault> {
                let read: fn(&str) -> Result<$inner, Fault> = $read;
                read(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor(PhantomData))
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                string_schema(Self::EXPECTED, $format, $example)
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }
        }
    };
}

macro_rules! id_value {
    ($name:ident, $core:ty, $schema:literal, $example:literal) => {
        text_value!($name($core), $schema, <$core>::RULE, None, $example, |text| {
            <$core>::new(text).map_err(|error| Fault::malformed(error.to_string()))
        });
    };
}

id_value!(BookCode, id::BookCode, "BookCode", "acme");
id_value!(AccountCode, id::AccountCode, "AccountCode", "assets:receivable");
id_value!(Party, id::Party, "Party", "cus_1");
id_value!(Item, id::Item, "Item", "in_1");
id_value!(DocumentId, id::DocumentId, "DocumentId", "in_1");
id_value!(Key, id::Key, "IdempotencyKey", "0193f3a4-5b8e-7c3e-9d51-2f6f2f1f3a10");
id_value!(CurrencyCode, id::CurrencyCode, "CurrencyCode", "USD");
id_value!(PartyKind, id::PartyKind, "PartyKind", "customer");
id_value!(Role, id::Role, "Role", "receivable");

text_value!(
    Amount(WrittenAmount),
    "Amount",
    "an amount above zero as a decimal string such as \"108.25\"",
    None,
    "108.25",
    |text| WrittenAmount::parse(text).map_err(amount_fault)
);

pub(crate) fn amount_fault(error: AmountError) -> Fault {
    let code = match error {
        AmountError::Malformed | AmountError::TooFine => Code::Malformed,
        AmountError::NotPositive => Code::AmountNotPositive,
        AmountError::TooLarge => Code::AmountTooLarge,
    };
    Fault { code, detail: error.to_string() }
}

text_value!(Day(Date), "Date", "a date such as \"2026-01-31\"", Some(KnownFormat::Date), "2026-01-31", |text| {
    Date::parse(text).ok_or_else(|| Fault::malformed("must be a date such as \"2026-01-31\""))
});

text_value!(
    Instant(Timestamp),
    "Instant",
    "an instant in UTC such as \"2026-01-31T12:00:00Z\"",
    Some(KnownFormat::DateTime),
    "2026-01-31T12:00:00Z",
    |text| parse_instant(text)
        .ok_or_else(|| Fault::malformed("must be an instant in UTC such as \"2026-01-31T12:00:00Z\", before 2262"))
);

text_value!(
    Rate(Decimal),
    "Rate",
    "a rate above zero as a decimal string such as \"1.10\", of at most 28 digits",
    None,
    "1.10",
    parse_rate
);

text_value!(
    AccountRef(partita_core::operation::AccountRef),
    "AccountRef",
    "`code`, `code/party` or `code/party/item`",
    None,
    "assets:receivable/cus_1/in_1",
    parse_account_ref
);

text_value!(TimeZone(String), "TimeZone", "an IANA time zone such as \"Europe/Berlin\"", None, "UTC", |text| {
    match jiff::tz::TimeZone::get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_unknown) => Err(Fault::malformed("must be an IANA time zone such as \"Europe/Berlin\"")),
    }
});

text_value!(
    Description(String),
    "Description",
    "a text of at most 500 characters without control characters",
    None,
    "Wire fee",
    |text| plain_text(text, 0, MAX_DESCRIPTION)
);
text_value!(
    Name(String),
    "Name",
    "a text of 1 to 200 characters without control characters",
    None,
    "Accounts receivable",
    |text| plain_text(text, 1, 200)
);
text_value!(
    Word(String),
    "Word",
    "a text of 1 to 64 characters without control characters",
    None,
    "requested_by_customer",
    |text| plain_text(text, 1, 64)
);

/// Reads an instant of RFC 3339 in UTC; `None` if it is none, or outside of what 64 bits of nanoseconds hold.
fn parse_instant(text: &str) -> Option<Timestamp> {
    let shape = text.len() >= 20
        && text.ends_with('Z')
        && text.as_bytes().get(10) == Some(&b'T')
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z'));
    if !shape {
        return None;
    }
    let instant: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
}

fn parse_rate(text: &str) -> Result<Decimal, Fault> {
    let fault = || Fault::malformed("must be a decimal string above zero such as \"1.10\", of at most 28 digits");
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let shape = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && (1..=28).contains(&digits)
        && !text.starts_with('.')
        && !text.ends_with('.')
        && (!text.starts_with('0') || text == "0" || text.starts_with("0."));
    if !shape {
        return Err(fault());
    }
    let rate = Decimal::from_str_exact(text).map_err(|_error| fault())?.normalize();
    if rate.is_zero() { Err(fault()) } else { Ok(rate) }
}

fn parse_account_ref(text: &str) -> Result<partita_core::operation::AccountRef, Fault> {
    let bad = |error: id::IdError, what: &str| Fault::malformed(format!("its {what} {error}"));
    let (code, rest) = up_to_slash(text);
    let code = id::AccountCode::new(code).map_err(|error| bad(error, "account"))?;
    let Some(rest) = rest else { return Ok(partita_core::operation::AccountRef { code, party: None, item: None }) };
    let (party, rest) = up_to_slash(rest);
    let party = id::Party::new(party).map_err(|error| bad(error, "party"))?;
    let Some(rest) = rest else {
        return Ok(partita_core::operation::AccountRef { code, party: Some(party), item: None });
    };
    let (item, rest) = up_to_slash(rest);
    let item = id::Item::new(item).map_err(|error| bad(error, "item"))?;
    if rest.is_some() {
        return Err(Fault::malformed("must be `code`, `code/party` or `code/party/item`"));
    }
    Ok(partita_core::operation::AccountRef { code, party: Some(party), item: Some(item) })
}

/// What is before the first slash, and what is behind it.
fn up_to_slash(text: &str) -> (&str, Option<&str>) {
    // Short texts: a plain loop beats the search that `split_once` begins.
    match text.bytes().position(|byte| byte == b'/') {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    }
}

fn plain_text(text: &str, least: usize, most: usize) -> Result<String, Fault> {
    let characters = text.chars().count();
    if text.chars().any(char::is_control) {
        return Err(Fault::malformed("must have no control characters"));
    }
    if characters < least {
        return Err(Fault::malformed(format!("must have at least {least} character")));
    }
    if characters > most {
        return Err(Fault::malformed(format!("must have at most {most} characters, not {characters}")));
    }
    Ok(text.to_owned())
}

/// Metadata: at most 50 pairs, no name twice.
#[derive(Clone, Debug, Default)]
pub struct MetadataValue(pub Metadata);

impl<'de> Deserialize<'de> for MetadataValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = MetadataValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (most_pairs, _, _) = MAX_METADATA;
        let mut metadata = Metadata::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = metadata_name(&name).map_err(A::Error::custom)?;
            let value: MetadataText = map.next_value()?;
            let value = metadata_text(&name, &value.0).map_err(A::Error::custom)?;
            if metadata.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(Fault::malformed(format!("has the name {name} twice"))));
            }
            if metadata.len() > most_pairs {
                return Err(A::Error::custom(Fault::malformed(format!("must have at most {most_pairs} pairs"))));
            }
        }
        Ok(MetadataValue(metadata))
    }
}

/// The name of a pair, checked.
pub(crate) fn metadata_name(name: &str) -> Result<String, Fault> {
    let (_, longest, _) = MAX_METADATA;
    plain_text(name, 1, longest).map_err(|fault| Fault::malformed(format!("a name {}", fault.detail)))
}

/// The value of a pair, checked.
pub(crate) fn metadata_text(name: &str, value: &str) -> Result<String, Fault> {
    let (_, _, longest) = MAX_METADATA;
    plain_text(value, 0, longest).map_err(|fault| Fault::malformed(format!("the value of {name} {}", fault.detail)))
}

#[derive(serde::Deserialize)]
struct MetadataText(String);

impl PartialSchema for MetadataValue {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Object))
            .description(Some("at most 50 pairs of texts; names of 1 to 40, values of up to 500 characters"))
            .property_names(Some(
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .min_length(Some(1))
                    .max_length(Some(40))
                    .build(),
            ))
            .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::RefOr(RefOr::T(Schema::from(
                ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).max_length(Some(500)).build(),
            )))))
            .into()
    }
}

impl ToSchema for MetadataValue {
    fn name() -> std::borrow::Cow<'static, str> {
        "Metadata".into()
    }
}

/// Reads an array and stops at the first element above the bound, so that a huge one costs nothing.
pub(crate) fn at_most<'de, T, D, const N: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Bounded<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of at most {N} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(element) = elements.next_element()? {
                if all.len() == N {
                    return Err(A::Error::custom(Fault::malformed(format!("must have at most {N} elements"))));
                }
                all.push(element);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, N>(PhantomData))
}

/// The same for an array that may be left out.
pub(crate) fn some_at_most<'de, T, D, const N: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    at_most::<T, D, N>(deserializer).map(Some)
}

/// An instant as answers write it.
pub(crate) fn format_instant(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).expect("64 bits of nanoseconds are an instant").to_string()
}
