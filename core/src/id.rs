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

/// Which characters a byte may be one of; a table, since every name of every request is checked.
const LOWER_CODE: u8 = 1;
const REFERENCE: u8 = 2;
const VISIBLE: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut class = 0;
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b':' || byte == b'-' {
            class |= LOWER_CODE;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-') {
            class |= REFERENCE;
        }
        if 0x21 <= byte && byte <= 0x7E {
            class |= VISIBLE;
        }
        #[expect(clippy::as_conversions, reason = "From is not for constants")]
        {
            classes[byte as usize] = class;
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

/// Whether every byte is of the class. Without an early end: names are short and nearly always right.
fn all_of(class: u8, text: &str) -> bool {
    text.bytes().fold(class, |common, byte| common & CLASSES[usize::from(byte)]) != 0
}

fn is_code(text: &str, longest: usize) -> bool {
    let head = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(head) && text.len() <= longest && all_of(LOWER_CODE, text)
}

fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len()) && all_of(REFERENCE, text)
}

fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && all_of(VISIBLE, text)
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
    Key(Text), "1 to 255 characters 0x21 to 0x7E", is_key
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
    fn the_table_of_characters_says_what_the_rules_say() {
        for character in (0..=0x17F).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let code = matches!(character, 'a'..='z' | '0'..='9' | ':' | '-');
            let reference = code || matches!(character, 'A'..='Z' | '.' | '_');
            let visible = matches!(character, '!'..='~');
            assert_eq!(AccountCode::new(&text).is_ok(), code, "{text:?}");
            assert_eq!(Party::new(&text).is_ok(), reference, "{text:?}");
            assert_eq!(Key::new(&text).is_ok(), visible, "{text:?}");
        }
    }

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
