//! What single writes say. What is `None`, or empty, is left out, and the ledger's default holds (docs/api.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;

/// A chart of accounts to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chart {
    Empty,
    /// Accounts for charges, payments, refunds, wallets and disputes.
    Saas,
}

#[derive(Clone, Debug, Serialize)]
pub struct NewBook {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub functional_currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    pub chart: Chart,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fiscal_year_start: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Asset,
    Liability,
    Equity,
    Revenue,
    Expense,
    Memo,
}

/// Whether lines name what they settle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    #[default]
    None,
    Optional,
    Required,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overdraft {
    #[default]
    Allow,
    /// No subaccount passes to its abnormal side.
    Forbid,
}

#[derive(Clone, Debug, Serialize)]
pub struct NewAccount {
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    pub name: String,
    pub class: Class,
    pub contra: bool,
    /// The kind of party that it is divided by; without one it is no control account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    pub items: Items,
    /// Any, if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
    pub overdraft: Overdraft,
    pub must_zero: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// What any document may say of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Tax {
    pub jurisdiction: String,
    pub amount: Amount,
}

/// Both days are part of it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Defer {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChargeLine {
    pub revenue: String,
    /// Tax included.
    pub amount: Amount,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tax: Vec<Tax>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defer: Option<Defer>,
}

/// What a customer owes.
#[derive(Clone, Debug, Serialize)]
pub struct NewCharge {
    pub id: String,
    pub customer: String,
    pub currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    /// Required when the currency is not the book's functional one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    pub lines: Vec<ChargeLine>,
    #[serde(flatten)]
    pub about: About,
}

/// Part of a payment for a charge.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Application {
    pub charge: String,
    pub amount: Amount,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    #[default]
    Automatic,
    Manual,
}

/// Where a payment's money arrives.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// In a processor's part of the clearing account.
    Processor(String),
    /// In an account without parties, such as the bank.
    Account(String),
}

/// Money received.
#[derive(Clone, Debug, Serialize)]
pub struct NewPayment {
    pub id: String,
    pub customer: String,
    #[serde(flatten)]
    pub source: Source,
    pub amount: Amount,
    pub currency: String,
    pub capture: Capture,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apply: Vec<Application>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(flatten)]
    pub about: About,
}

/// The capture of a payment or a hold: all of it, and the end of it, unless it says otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureOf {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub is_final: Option<bool>,
    #[serde(flatten)]
    pub about: About,
}

#[derive(Clone, Debug, Serialize)]
pub struct Applications {
    pub apply: Vec<Application>,
    #[serde(flatten)]
    pub about: About,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    #[default]
    Automatic,
    Manual,
}

/// What a refund is taken from.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RefundPart {
    Charge { charge: String, amount: Amount },
    Unapplied { unapplied: bool, amount: Amount },
}

#[derive(Clone, Debug, Serialize)]
pub struct NewRefund {
    pub id: String,
    pub payment: String,
    pub amount: Amount,
    pub settle: Settle,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unapplied cash first, then the newest application, if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<RefundPart>,
    #[serde(flatten)]
    pub about: About,
}

/// Money set aside: a transfer that is pending until it is captured, voided or expired.
#[derive(Clone, Debug, Serialize)]
pub struct NewHold {
    pub id: String,
    pub debit: String,
    pub credit: String,
    pub amount: Amount,
    pub currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// An action that says nothing more.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Nothing {}
