//! What a batch consists of: transfers, and entries of any number of lines. They borrow everything, so that a call
//! copies nothing but into its request.

use crate::amount::Amount;
use crate::{binary, json};

/// One transfer: an amount from one account to another.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// The idempotency key; one is made where there is none.
    pub key: Option<&'a str>,
    /// `code`, `code/party` or `code/party/item`.
    pub debit: &'a str,
    pub credit: &'a str,
    pub amount: Amount,
    pub currency: &'a str,
    pub details: Details<'a>,
}

/// A journal entry of two lines or more.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub key: Option<&'a str>,
    pub kind: EntryKind,
    pub lines: &'a [Line<'a>],
    pub details: Details<'a>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    #[default]
    Standard,
    Opening,
    Adjusting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Debit,
    Credit,
}

#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub account: &'a str,
    pub party: Option<&'a str>,
    pub item: Option<&'a str>,
    pub side: Side,
    pub amount: Amount,
    pub currency: &'a str,
}

/// What any entry may say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// The date of the request in the book's time zone if left out.
    pub effective_date: Option<&'a str>,
    pub description: Option<&'a str>,
    pub metadata: &'a [(&'a str, &'a str)],
}

impl<'a> Transfer<'a> {
    #[must_use]
    pub fn new(debit: &'a str, credit: &'a str, amount: Amount, currency: &'a str) -> Self {
        Self { key: None, debit, credit, amount, currency, details: Details::default() }
    }
}

impl<'a> Line<'a> {
    #[must_use]
    pub fn debit(account: &'a str, amount: Amount, currency: &'a str) -> Self {
        Self { account, party: None, item: None, side: Side::Debit, amount, currency }
    }

    #[must_use]
    pub fn credit(account: &'a str, amount: Amount, currency: &'a str) -> Self {
        Self { side: Side::Credit, ..Self::debit(account, amount, currency) }
    }
}

/// What a batch consists of.
pub(crate) trait Item {
    fn own_key(&self) -> Option<&str>;
    fn write_json(&self, key: &[u8], out: &mut Vec<u8>);
    /// What cannot be written, and why: the ledger would refuse it as malformed.
    fn write_binary(&self, key: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str>;
}

impl Item for Transfer<'_> {
    fn own_key(&self) -> Option<&str> {
        self.key
    }

    fn write_json(&self, key: &[u8], out: &mut Vec<u8>) {
        json::transfer(self, key, out);
    }

    fn write_binary(&self, key: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        binary::transfer(self, key, out)
    }
}

impl Item for Entry<'_> {
    fn own_key(&self) -> Option<&str> {
        self.key
    }

    fn write_json(&self, key: &[u8], out: &mut Vec<u8>) {
        json::entry(self, key, out);
    }

    fn write_binary(&self, _key: &[u8], _out: &mut Vec<u8>) -> Result<(), &'static str> {
        Err("entries have no binary form")
    }
}
