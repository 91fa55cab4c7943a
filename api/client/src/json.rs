//! Batch items as JSON, written by hand into the request's buffer: no value in between, no allocation.

use crate::amount::Amount;
use crate::items::{Details, Entry, EntryKind, Side, Transfer};

/// Every item begins so; its key can be found again by it.
const KEY: &[u8] = b"{\"idempotency_key\":";
/// What a body ends with.
pub(crate) const CLOSE: &[u8] = b"]}";

/// The body's beginning: an object with one list of this name.
pub(crate) fn open(list: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(list.as_bytes());
    out.extend_from_slice(b"\":[");
}

pub(crate) fn transfer(transfer: &Transfer<'_>, key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(KEY);
    push_text(key, out);
    out.extend_from_slice(b",\"debit\":");
    push_text(transfer.debit.as_bytes(), out);
    out.extend_from_slice(b",\"credit\":");
    push_text(transfer.credit.as_bytes(), out);
    push_money(transfer.amount, transfer.currency, out);
    push_details(&transfer.details, out);
    out.push(b'}');
}

pub(crate) fn entry(entry: &Entry<'_>, key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(KEY);
    push_text(key, out);
    match entry.kind {
        EntryKind::Standard => {}
        EntryKind::Opening => out.extend_from_slice(b",\"kind\":\"opening\""),
        EntryKind::Adjusting => out.extend_from_slice(b",\"kind\":\"adjusting\""),
    }
    push_details(&entry.details, out);
    out.extend_from_slice(b",\"lines\":[");
    for (index, line) in entry.lines.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"account\":");
        push_text(line.account.as_bytes(), out);
        push_optional(b",\"party\":", line.party, out);
        push_optional(b",\"item\":", line.item, out);
        let side: &[u8] = match line.side {
            Side::Debit => b",\"side\":\"debit\"",
            Side::Credit => b",\"side\":\"credit\"",
        };
        out.extend_from_slice(side);
        push_money(line.amount, line.currency, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn push_details(details: &Details<'_>, out: &mut Vec<u8>) {
    push_optional(b",\"effective_date\":", details.effective_date, out);
    push_optional(b",\"description\":", details.description, out);
    if details.metadata.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"metadata\":{");
    for (index, (name, value)) in details.metadata.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_text(name.as_bytes(), out);
        out.push(b':');
        push_text(value.as_bytes(), out);
    }
    out.push(b'}');
}

fn push_money(amount: Amount, currency: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"amount\":\"");
    amount.write(out);
    out.extend_from_slice(b"\",\"currency\":");
    push_text(currency.as_bytes(), out);
}

fn push_optional(name: &[u8], value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        push_text(value.as_bytes(), out);
    }
}

/// UTF-8 as a JSON string; what it is made of never needs more than these escapes.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let needs_escape = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let mut rest = text;
    while let Some(at) = rest.iter().position(needs_escape) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The key of an item that was written.
pub(crate) fn key_of(item: &[u8]) -> String {
    let rest = item.strip_prefix(KEY).unwrap_or_default();
    let mut texts = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
    texts.next().and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::items::{Item, Line};

    fn written(item: &impl Item, key: &str) -> Value {
        let mut out = Vec::new();
        item.write_json(key.as_bytes(), &mut out);
        assert_eq!(key_of(&out), key);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_transfer_is_the_json_that_it_should_be() {
        let mut transfer = Transfer::new("assets:bank", "liabilities:wallet/a", Amount::new(100, 2), "USD");
        let plain = json!({"idempotency_key": "k", "debit": "assets:bank", "credit": "liabilities:wallet/a",
            "amount": "1.00", "currency": "USD"});
        assert_eq!(written(&transfer, "k"), plain);
        transfer.details = Details {
            effective_date: Some("2026-01-31"),
            description: Some("a \"quoted\" \\ line\nand a bell \u{7}, é"),
            metadata: &[("a", "1"), ("b\"", "")],
        };
        let mut full = plain;
        full["effective_date"] = "2026-01-31".into();
        full["description"] = "a \"quoted\" \\ line\nand a bell \u{7}, é".into();
        full["metadata"] = json!({"a": "1", "b\"": ""});
        full["idempotency_key"] = "k\"\\".into();
        assert_eq!(written(&transfer, "k\"\\"), full);
    }

    #[test]
    fn an_entry_is_the_json_that_it_should_be() {
        let fee = Line::debit("expenses:fees", Amount::new(15, 0), "EUR");
        let receivable =
            Line { party: Some("c"), item: Some("i"), ..Line::credit("assets:receivable", fee.amount, "EUR") };
        let entry =
            Entry { key: None, kind: EntryKind::Adjusting, lines: &[fee, receivable], details: Details::default() };
        let expected = json!({"idempotency_key": "k", "kind": "adjusting", "lines": [
            {"account": "expenses:fees", "side": "debit", "amount": "15", "currency": "EUR"},
            {"account": "assets:receivable", "party": "c", "item": "i", "side": "credit", "amount": "15", "currency": "EUR"},
        ]});
        assert_eq!(written(&entry, "k"), expected);
    }
}
