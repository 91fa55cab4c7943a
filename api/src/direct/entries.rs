//! Entries: one, or a batch of them that is not atomic.

use partita_core::entry::MAX_LINES;

use super::batch;
use super::scan::Scanner;
use crate::routes::accounts::SideJson;
use crate::routes::entries::{EntryForm, LineForm, ManualKindForm};

/// A single entry's body.
pub(crate) fn entry(body: &[u8]) -> Option<EntryForm> {
    let mut scanner = Scanner::new(body)?;
    let form = form(&mut scanner)?;
    scanner.end()?;
    Some(form)
}

/// Calls `each` for every entry of a batch, in order; an atomic or empty batch is not plain.
pub(crate) fn entries(body: &[u8], each: impl FnMut(EntryForm) -> Option<()>) -> Option<()> {
    batch("entries", body, form, each)
}

fn form(scanner: &mut Scanner<'_>) -> Option<EntryForm> {
    let (mut kind, mut effective_date, mut description, mut metadata) = (None, None, None, None);
    let (mut lines, mut idempotency_key) = (None, None);
    scanner.object(|scanner, name| match name {
        "idempotency_key" => scanner.optional(&mut idempotency_key),
        "kind" if kind.is_none() => {
            kind = Some(manual_kind(scanner.text()?)?);
            Some(())
        }
        "effective_date" => scanner.optional(&mut effective_date),
        "description" => scanner.optional(&mut description),
        "metadata" => scanner.metadata(&mut metadata),
        "lines" if lines.is_none() => {
            let mut read = Vec::with_capacity(2);
            scanner.array(MAX_LINES, |scanner| {
                read.push(line(scanner)?);
                Some(())
            })?;
            lines = Some(read);
            Some(())
        }
        _ => None,
    })?;
    Some(EntryForm {
        kind,
        effective_date: effective_date.flatten(),
        description: description.flatten(),
        metadata: metadata.flatten(),
        lines: lines?,
        idempotency_key: idempotency_key.flatten(),
    })
}

fn line(scanner: &mut Scanner<'_>) -> Option<LineForm> {
    let (mut account, mut party, mut item) = (None, None, None);
    let (mut side, mut amount, mut currency) = (None, None, None);
    scanner.object(|scanner, name| match name {
        "account" => scanner.member(&mut account),
        "party" => scanner.optional(&mut party),
        "item" => scanner.optional(&mut item),
        "side" if side.is_none() => {
            side = match scanner.text()? {
                "debit" => Some(SideJson::Debit),
                "credit" => Some(SideJson::Credit),
                _ => None,
            };
            side.map(|_side| ())
        }
        "amount" => scanner.member(&mut amount),
        "currency" => scanner.member(&mut currency),
        _ => None,
    })?;
    Some(LineForm {
        account: account?,
        party: party.flatten(),
        item: item.flatten(),
        side: side?,
        amount: amount?,
        currency: currency?,
    })
}

fn manual_kind(text: &str) -> Option<ManualKindForm> {
    match text {
        "standard" => Some(ManualKindForm::Standard),
        "opening" => Some(ManualKindForm::Opening),
        "adjusting" => Some(ManualKindForm::Adjusting),
        _ => None,
    }
}
