//! Names and numbers: one newtype per kind of identifier, each checked once, where it is made.

use std::fmt;

use compact_str::CompactString;

use crate::text::Text;

/// Why a string is not an identifier of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {rule}")]
pub struct IdError {
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $check:expr) => {
        text_id!($(#[$doc])* $name(CompactString), $rule, $check);
    };
    ($(#[$doc:meta])* $name:ident($text:ident), $rule:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// What such an identifier looks like, for error messages.
            pub const RULE: &'static str = $rule;

            pub fn new(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self($text::new(text))) } else { Err(IdError { rule: Self::RULE }) }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

fn is_code(text: &str, longest: usize) -> bool {
    let bytes = text.as_bytes();
    let head = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !bytes.is_empty()
        && bytes.len() <= longest
        && head(bytes[0])
        && bytes.iter().all(|&byte| head(byte) || byte == b':' || byte == b'-')
}

fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

fn is_currency(text: &str) -> bool {
    let bytes = text.as_bytes();
    (2..=24).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes.iter().all(|&byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'\'' | b'.' | b'_' | b'-')
        })
        && bytes.last().is_some_and(|&byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

text_id!(
    /// A book's name in paths: `acme`.
    BookCode, "1 to 64 characters [a-z0-9:-], starting with a letter or digit", |text| is_code(text, 64)
);
text_id!(
    /// An account's name in its chart: `assets:receivable`.
    AccountCode(Text), "1 to 64 characters [a-z0-9:-], starting with a letter or digit", |text| is_code(text, 64)
);
text_id!(
    /// Whose part of a control account a line is: `cus_42`.
    Party, "1 to 64 characters [A-Za-z0-9._:-]", is_reference
);
text_id!(
    /// What a line settles: `in_1`.
    Item, "1 to 64 characters [A-Za-z0-9._:-]", is_reference
);
text_id!(
    /// A hold's, charge's, payment's or refund's id, chosen by the caller.
    DocumentId, "1 to 64 characters [A-Za-z0-9._:-]", is_reference
);
text_id!(
    /// An idempotency key, unique per book for the life of the journal.
    Key(Text), "1 to 255 characters 0x21 to 0x7E", |text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7E).contains(&byte))
);
text_id!(
    /// ISO 4217's three letters or a code registered in the book: `USD`, `USDC`.
    CurrencyCode, "2 to 24 characters [A-Z0-9'._-], starting with a letter, ending with a letter or digit", is_currency
);
text_id!(
    /// The kind of party that a control account is divided by: `customer`, `processor`.
    PartyKind, "1 to 64 characters [a-z0-9:-], starting with a letter or digit", |text| is_code(text, 64)
);
text_id!(
    /// What posting rules look an account up by: `receivable`. Roles are data: a chart may have others than the rules use.
    Role, "1 to 64 characters [a-z0-9_], starting with a letter", |text| {
        let bytes = text.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    }
);
text_id!(
    /// Who posted: the authenticated caller's name.
    Actor, "1 to 64 characters [A-Za-z0-9._:-]", is_reference
);

impl From<&DocumentId> for Item {
    /// A document is the item of its own lines: a charge's receivable item carries the charge's id.
    fn from(id: &DocumentId) -> Self {
        Self(id.0.clone())
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A book's internal number: 1, 2, … in the order of opening. 0 is the cluster's own key scope.
    BookId(u32)
);
number_id!(
    /// An account's internal number within its book: 1, 2, … in the order of opening.
    AccountId(u32)
);
number_id!(
    /// A currency's internal number: ISO 4217's numeric code, or 1000 and up for those registered in the book.
    CurrencyId(u16)
);
number_id!(
    /// The place of a decision in the one total order of all decisions: 1, 2, … ; 0 is "before the first".
    Position(u64)
);
number_id!(
    /// An entry's number within its book: 1, 2, … without gaps.
    EntryNumber(u64)
);

impl BookId {
    /// The scope of keys that belong to no book (`POST /v1/books`).
    pub const CLUSTER: Self = Self(0);
}

impl Position {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl EntryNumber {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The first 16 bytes of the BLAKE3 of a request's canonical form, before any default is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_own_characters() {
        assert!(AccountCode::new("assets:processor-clearing").is_ok());
        assert!(AccountCode::new("Assets").is_err());
        assert!(AccountCode::new(":a").is_err());
        assert!(Party::new("cus_1").is_ok());
        assert!(Party::new("").is_err());
        assert!(Party::new(&"x".repeat(65)).is_err());
        assert!(Key::new(&"~".repeat(255)).is_ok());
        assert!(Key::new(&"~".repeat(256)).is_err());
        assert!(Key::new("with space").is_err());
        assert!(CurrencyCode::new("USDC").is_ok());
        assert!(CurrencyCode::new("U").is_err());
        assert!(CurrencyCode::new("usd").is_err());
    }
}
