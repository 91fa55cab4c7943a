//! Transfers: one, or a batch of them that is not atomic.

use super::batch;
use super::layout::Expected;
use super::scan::Scanner;
use crate::routes::transfers::TransferForm;
use crate::values::FromText;

/// A single transfer's body.
pub(crate) fn transfer(body: &[u8]) -> Option<TransferForm> {
    let mut scanner = Scanner::new(body)?;
    let form = form(&mut scanner)?;
    scanner.end()?;
    Some(form)
}

/// Calls `each` for every transfer of a batch, in order; an atomic or empty batch is not plain.
pub(crate) fn transfers(body: &[u8], each: impl FnMut(TransferForm) -> Option<()>) -> Option<()> {
    let mut expected = Expected::Nothing;
    batch(
        "transfers",
        body,
        |scanner| match expected.read(scanner, &NAMES) {
            Some(values) => form_of(values),
            None => form(scanner),
        },
        each,
    )
}

/// The members that are written as strings.
const NAMES: [&str; 7] = ["idempotency_key", "debit", "credit", "amount", "currency", "effective_date", "description"];

fn form_of(
    [idempotency_key, debit, credit, amount, currency, effective_date, description]: [Option<&str>; 7],
) -> Option<TransferForm> {
    Some(TransferForm {
        debit: value(debit?)?,
        credit: value(credit?)?,
        amount: value(amount?)?,
        currency: value(currency?)?,
        effective_date: optional(effective_date)?,
        description: optional(description)?,
        metadata: None,
        idempotency_key: optional(idempotency_key)?,
    })
}

fn value<T: FromText>(text: &str) -> Option<T> {
    T::from_text(text).ok()
}

fn optional<T: FromText>(text: Option<&str>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| value(text).map(Some))
}

fn form(scanner: &mut Scanner<'_>) -> Option<TransferForm> {
    let (mut debit, mut credit, mut amount, mut currency) = (None, None, None, None);
    let (mut effective_date, mut description, mut metadata, mut idempotency_key) = (None, None, None, None);
    scanner.object(|scanner, name| match name {
        "idempotency_key" => scanner.optional(&mut idempotency_key),
        "debit" => scanner.member(&mut debit),
        "credit" => scanner.member(&mut credit),
        "amount" => scanner.member(&mut amount),
        "currency" => scanner.member(&mut currency),
        "effective_date" => scanner.optional(&mut effective_date),
        "description" => scanner.optional(&mut description),
        "metadata" => scanner.metadata(&mut metadata),
        _ => None,
    })?;
    Some(TransferForm {
        debit: debit?,
        credit: credit?,
        amount: amount?,
        currency: currency?,
        effective_date: effective_date.flatten(),
        description: description.flatten(),
        metadata: metadata.flatten(),
        idempotency_key: idempotency_key.flatten(),
    })
}
