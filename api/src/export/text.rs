//! Texts where another program could take a part of them for its own syntax.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A description or a name as plain words on one line. `;` would begin a comment, `|` part payee from note, two spaces
/// end an account name, and a control character end the line: each becomes a single space.
pub(crate) fn words(text: &str) -> String {
    let is_space = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, ';' | '|' | '\u{2028}' | '\u{2029}')
    };
    text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The name of an account, for a comment: nothing in it can be read as a tag or as a date.
pub(crate) fn comment_words(text: &str) -> String {
    words(&text.replace([':', ',', '[', ']', '='], " "))
}

/// A tag's value: percent-encoded but for what no program has a use for. Ids, instants and numbers stay as they are.
pub(crate) fn tag_value(text: &str) -> String {
    encoded(text, b"-._~:/+@")
}

/// Metadata pairs as one tag's value, `name=value&name=value`, percent-encoded: a book has no fixed set of names that
/// could be declared before its entries are read.
pub(crate) fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let pair = |(name, value): (&String, &String)| format!("{}={}", encoded(name, b"-._~"), encoded(value, b"-._~"));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes what is written");
        }
    }
    out
}

/// A currency's code as hledger and ledger take it: in quotes unless it is letters only.
pub(crate) fn commodity(code: &str) -> String {
    if code.bytes().all(|byte| byte.is_ascii_uppercase()) { code.to_owned() } else { format!("\"{code}\"") }
}

/// A string of beancount's.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_syntax() {
        assert_eq!(words("  a;b | c\n\td  e\u{85}\u{2028}f "), "a b c d e f");
        assert_eq!(comment_words("Cash: [2026-01-01] a=b, c"), "Cash 2026-01-01 a b c");
        assert_eq!(tag_value("2026-01-02T03:04:05.6Z"), "2026-01-02T03:04:05.6Z");
        assert_eq!(tag_value("a,b;[c] d%"), "a%2Cb%3B%5Bc%5D%20d%25");
        let metadata = BTreeMap::from([("a b".to_owned(), "x&y=z".to_owned()), ("ref".to_owned(), "w1".to_owned())]);
        assert_eq!(pairs(&metadata), "a%20b=x%26y%3Dz&ref=w1");
        assert_eq!((commodity("USD"), commodity("US-D2")), ("USD".to_owned(), "\"US-D2\"".to_owned()));
        assert_eq!(quoted("say \"\\\""), r#""say \"\\\"""#);
    }
}
