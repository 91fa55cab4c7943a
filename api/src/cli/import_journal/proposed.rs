//! What a file asks for, in the forms of the API, each under a key of its own; and what of the file is refused.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

/// One write, and where in the file it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// `books.csv:17`
    pub place: String,
    pub key: String,
    pub body: Value,
}

/// What is not posted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub place: String,
    /// As of a problem of the API where it has one for this.
    pub code: String,
    pub why: String,
}

/// A whole file, in the order in which it is posted.
#[derive(Debug, Default)]
pub struct Journal {
    /// Not ISO 4217's: code and decimals.
    pub currencies: BTreeMap<String, u8>,
    pub accounts: Vec<Proposed>,
    pub entries: Vec<Proposed>,
    pub refused: Vec<Refusal>,
    /// Things that the ledger has no place for, by what they are.
    pub left_out: BTreeMap<&'static str, u64>,
    /// The file's own balances that its entries arrive at.
    pub balances_held: u64,
}

impl Journal {
    pub fn refuse(&mut self, place: &str, code: &str, why: impl Into<String>) {
        self.refused.push(Refusal { place: place.to_owned(), code: code.to_owned(), why: why.into() });
    }

    pub fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }
}

/// Makes a row's key of what it says and of how many rows before it say the same, so that it keeps its key when other
/// rows come before it, and two payments of one amount on one day stay two.
#[derive(Debug)]
pub struct Keys {
    prefix: String,
    seen: HashMap<blake3::Hash, u64>,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let prefix = prefix.chars().map(|letter| if allowed(letter) { letter } else { '-' }).take(150).collect();
        Self { prefix, seen: HashMap::new() }
    }

    /// The prefix is the file's name without its ending, unless another is given.
    pub fn of_file(path: &Path, prefix: Option<&str>) -> Self {
        let stem = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::new(prefix.unwrap_or(&stem))
    }

    pub fn key(&mut self, content: &str) -> String {
        let hash = blake3::hash(content.as_bytes());
        let count = self.seen.entry(hash).or_default();
        *count += 1;
        format!("{}-{}-{count}", self.prefix, &hash.to_hex()[..32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_key_whatever_comes_before_it() {
        let keys = |rows: &[&str]| {
            let mut keys = Keys::of_file(Path::new("/some where/bank 1.csv"), None);
            rows.iter().map(|row| keys.key(row)).collect::<Vec<_>>()
        };
        let (short, long) = (keys(&["a", "b", "a"]), keys(&["x", "a", "b", "a"]));
        assert_eq!(short, long[1..]);
        assert_ne!(short[0], short[2], "the same row twice is two rows");
        assert!(short[0].starts_with("bank-1-") && short[0].ends_with("-1") && short[2].ends_with("-2"), "{short:?}");
    }
}
