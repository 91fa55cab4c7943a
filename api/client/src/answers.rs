//! What the ledger answers. Fields that a later ledger adds are not in the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::amount::Amount;
use crate::forms::{Capture, Class, Items, Overdraft, Settle};

#[derive(Clone, Debug, Deserialize)]
pub struct Book {
    pub id: String,
    pub name: String,
    pub functional_currency: String,
    pub time_zone: String,
    pub fiscal_year_start: u8,
    pub position: u64,
    pub recorded_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    pub code: String,
    pub number: Option<String>,
    pub name: String,
    pub class: Class,
    pub contra: bool,
    pub party: Option<String>,
    pub items: Items,
    /// Any, if it is `None`.
    pub currencies: Option<Vec<String>>,
    pub overdraft: Overdraft,
    pub must_zero: bool,
    pub role: Option<String>,
    pub side: Side,
    pub closed: bool,
    pub position: u64,
    pub recorded_at: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Debit,
    Credit,
}

/// An entry as it stands in the journal.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub number: u64,
    pub position: u64,
    pub recorded_at: String,
    pub kind: String,
    pub effective_date: String,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    pub idempotency_key: Option<String>,
    pub posted_by: Option<String>,
    pub reverses: Option<u64>,
    pub reversed_by: Option<u64>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: Side,
    pub amount: Amount,
    pub currency: String,
    /// Of (account, party, currency), positive on the account's normal side.
    pub balance_after: Amount,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    pub id: String,
    pub customer: String,
    /// open, paid, voided
    pub state: String,
    pub currency: String,
    pub amount: Amount,
    pub tax: Amount,
    /// What is still owed of it.
    pub open: Amount,
    pub credited: Amount,
    pub due_date: Option<String>,
    pub effective_date: String,
    pub payments: Vec<String>,
    pub refunds: Vec<String>,
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Payment {
    pub id: String,
    pub customer: String,
    /// authorised, partially_captured, captured, voided, expired
    pub state: String,
    pub processor: Option<String>,
    pub account: String,
    pub currency: String,
    pub amount: Amount,
    pub capture: Capture,
    pub captured: Amount,
    pub pending: Amount,
    pub applied: Amount,
    pub unapplied: Amount,
    pub refunded: Amount,
    pub refundable: Amount,
    pub fees: Amount,
    pub expires_at: Option<String>,
    pub effective_date: String,
    pub refunds: Vec<String>,
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    pub id: String,
    pub payment: String,
    pub customer: String,
    /// pending, succeeded, failed
    pub state: String,
    pub currency: String,
    pub amount: Amount,
    pub settle: Settle,
    pub reason: String,
    pub effective_date: String,
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Hold {
    pub id: String,
    /// pending, partially_captured, captured, voided, expired
    pub state: String,
    pub debit: String,
    pub credit: String,
    pub amount: Amount,
    pub currency: String,
    pub captured: Amount,
    /// What is still reserved.
    pub pending: Amount,
    pub expires_at: Option<String>,
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

/// An account's balances, or those of a party's part of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Balances {
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: Side,
    pub as_of: Option<String>,
    pub known_at: Option<String>,
    /// One per currency.
    pub balances: Vec<Balance>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Balance {
    pub currency: String,
    pub debits: Amount,
    pub credits: Amount,
    /// Positive on the account's normal side.
    pub balance: Amount,
    pub pending_debits: Option<Amount>,
    pub pending_credits: Option<Amount>,
    pub held: Option<Amount>,
    pub available: Option<Amount>,
}

/// One line of a statement.
#[derive(Clone, Debug, Deserialize)]
pub struct Posting {
    pub entry: u64,
    pub position: u64,
    pub recorded_at: String,
    pub kind: String,
    pub effective_date: String,
    pub description: String,
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: Side,
    pub amount: Amount,
    pub currency: String,
    pub balance_after: Amount,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// The next page's cursor; absent on the last.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TrialBalance {
    pub book: String,
    pub as_of: String,
    pub from: Option<String>,
    pub position: u64,
    pub head: String,
    pub rows: Vec<TrialBalanceRow>,
    /// One per currency.
    pub totals: Vec<TrialBalanceTotal>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TrialBalanceRow {
    pub account: String,
    pub number: Option<String>,
    pub name: String,
    pub class: Class,
    pub currency: String,
    pub debits: Amount,
    pub credits: Amount,
    pub debit: Option<Amount>,
    pub credit: Option<Amount>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TrialBalanceTotal {
    pub currency: String,
    pub debits: Amount,
    pub credits: Amount,
    pub debit: Amount,
    pub credit: Amount,
}

/// What was decided for a key.
#[derive(Clone, Debug, Deserialize)]
pub struct Decided {
    pub position: u64,
    pub recorded_at: String,
    /// The first answer's.
    pub status: u16,
    pub operation: String,
    /// The first answer's body.
    pub answer: Value,
}
