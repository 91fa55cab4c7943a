//! A book: transfers and entries that share requests, and everything else as single requests.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answers::{
    Account, Balances, Book as BookAnswer, Charge, Decided, Entry as EntryAnswer, Hold, Page, Payment, Posting, Refund,
    TrialBalance,
};
use crate::attempts::Nodes;
use crate::client::{Client, Written};
use crate::encoding::BatchFormat;
use crate::error::Error;
use crate::forms::{About, Applications, CaptureOf, NewAccount, NewCharge, NewHold, NewPayment, NewRefund, Nothing};
use crate::items::{Entry, Transfer};
use crate::lane::{Bounds, Lane};
use crate::parse::Posted;

/// What all handles of a book share.
#[derive(Debug)]
pub(crate) struct Lanes {
    transfers: Lane,
    entries: Lane,
}

impl Lanes {
    pub(crate) fn new(nodes: &Arc<Nodes>, book: &str, format: BatchFormat, bounds: Bounds) -> Self {
        let lane = |list, may_be_binary| {
            Lane::new(Arc::clone(nodes), format!("{}/{list}:batch", root(book)), list, may_be_binary, bounds)
        };
        Self { transfers: lane("transfers", format == BatchFormat::Binary), entries: lane("entries", false) }
    }
}

/// A book of a ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Book {
    client: Client,
    root: Arc<str>,
    lanes: Arc<Lanes>,
}

/// Which postings of an account, and which page of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement<'a> {
    pub party: Option<&'a str>,
    pub item: Option<&'a str>,
    pub currency: Option<&'a str>,
    /// Effective dates, both part of it.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    /// The newest come first unless it is said.
    pub oldest_first: bool,
    pub limit: Option<u16>,
    /// [`Page::next`] of the page before.
    pub cursor: Option<&'a str>,
}

/// Which balance of an account: all of it, unless a party or an item is named.
#[derive(Clone, Copy, Debug, Default)]
pub struct BalanceOf<'a> {
    pub party: Option<&'a str>,
    pub item: Option<&'a str>,
    pub currency: Option<&'a str>,
    /// An effective date.
    pub as_of: Option<&'a str>,
    /// When it was recorded.
    pub known_at: Option<&'a str>,
    /// What the node has, without asking the leader.
    pub local: bool,
}

impl Book {
    pub(crate) fn new(client: Client, id: &str, lanes: Arc<Lanes>) -> Self {
        Self { client, root: root(id).into(), lanes }
    }

    /// Posts a transfer, together with what others ask for at the same time. A future that is dropped before it is done
    /// says nothing of the transfer: it may be posted.
    pub async fn transfer(&self, transfer: &Transfer<'_>) -> Result<Posted, Error> {
        self.lanes.transfers.call(transfer).await
    }

    /// Posts an entry, likewise.
    pub async fn entry(&self, entry: &Entry<'_>) -> Result<Posted, Error> {
        self.lanes.entries.call(entry).await
    }

    /// The book itself.
    pub async fn read(&self) -> Result<BookAnswer, Error> {
        self.client.get(&self.root).await
    }

    /// What was decided for a key. That it is not found does not prove that nothing will be: a request may be under way.
    pub async fn key(&self, key: &str) -> Result<Decided, Error> {
        self.get(&format!("/keys/{}", encoded(key)), &[]).await
    }

    pub async fn open_account(&self, account: &NewAccount) -> Result<Written<Account>, Error> {
        self.write("/accounts", None, account).await
    }

    pub async fn account(&self, code: &str) -> Result<Account, Error> {
        self.get(&format!("/accounts/{}", encoded(code)), &[]).await
    }

    pub async fn close_account(&self, code: &str) -> Result<Written<Account>, Error> {
        self.write(&format!("/accounts/{}/close", encoded(code)), None, &Nothing {}).await
    }

    pub async fn balance(&self, account: &str, of: &BalanceOf<'_>) -> Result<Balances, Error> {
        let query = [
            ("party", of.party),
            ("item", of.item),
            ("currency", of.currency),
            ("as_of", of.as_of),
            ("known_at", of.known_at),
            ("consistency", of.local.then_some("local")),
        ];
        self.get(&format!("/accounts/{}/balance", encoded(account)), &query).await
    }

    /// A page of an account's postings, with the balance after each.
    pub async fn statement(&self, account: &str, of: &Statement<'_>) -> Result<Page<Posting>, Error> {
        let limit = of.limit.map(|limit| limit.to_string());
        let query = [
            ("party", of.party),
            ("item", of.item),
            ("currency", of.currency),
            ("from", of.from),
            ("to", of.to),
            ("order", of.oldest_first.then_some("oldest")),
            ("limit", limit.as_deref()),
            ("cursor", of.cursor),
        ];
        self.get(&format!("/accounts/{}/postings", encoded(account)), &query).await
    }

    pub async fn entry_by_number(&self, number: u64) -> Result<EntryAnswer, Error> {
        self.get(&format!("/entries/{number}"), &[]).await
    }

    /// Posts an entry's mirror image.
    pub async fn reverse(&self, number: u64, key: Option<&str>, about: &About) -> Result<Written<EntryAnswer>, Error> {
        self.write(&format!("/entries/{number}/reverse"), key, about).await
    }

    /// As of a date, today if it is left out.
    pub async fn trial_balance(&self, as_of: Option<&str>) -> Result<TrialBalance, Error> {
        self.get("/reports/trial-balance", &[("as_of", as_of)]).await
    }

    pub async fn charge(&self, key: Option<&str>, charge: &NewCharge) -> Result<Written<Charge>, Error> {
        self.write("/charges", key, charge).await
    }

    pub async fn charge_by_id(&self, id: &str) -> Result<Charge, Error> {
        self.get(&format!("/charges/{}", encoded(id)), &[]).await
    }

    pub async fn void_charge(&self, id: &str, key: Option<&str>, about: &About) -> Result<Written<Charge>, Error> {
        self.write(&format!("/charges/{}/void", encoded(id)), key, about).await
    }

    pub async fn payment(&self, key: Option<&str>, payment: &NewPayment) -> Result<Written<Payment>, Error> {
        self.write("/payments", key, payment).await
    }

    pub async fn payment_by_id(&self, id: &str) -> Result<Payment, Error> {
        self.get(&format!("/payments/{}", encoded(id)), &[]).await
    }

    pub async fn capture_payment(
        &self,
        id: &str,
        key: Option<&str>,
        capture: &CaptureOf,
    ) -> Result<Written<Payment>, Error> {
        self.write(&format!("/payments/{}/capture", encoded(id)), key, capture).await
    }

    pub async fn void_payment(&self, id: &str, key: Option<&str>) -> Result<Written<Payment>, Error> {
        self.write(&format!("/payments/{}/void", encoded(id)), key, &Nothing {}).await
    }

    pub async fn apply_payment(
        &self,
        id: &str,
        key: Option<&str>,
        apply: &Applications,
    ) -> Result<Written<Payment>, Error> {
        self.write(&format!("/payments/{}/apply", encoded(id)), key, apply).await
    }

    pub async fn refund(&self, key: Option<&str>, refund: &NewRefund) -> Result<Written<Refund>, Error> {
        self.write("/refunds", key, refund).await
    }

    pub async fn refund_by_id(&self, id: &str) -> Result<Refund, Error> {
        self.get(&format!("/refunds/{}", encoded(id)), &[]).await
    }

    pub async fn settle_refund(&self, id: &str, key: Option<&str>, about: &About) -> Result<Written<Refund>, Error> {
        self.write(&format!("/refunds/{}/settle", encoded(id)), key, about).await
    }

    pub async fn fail_refund(&self, id: &str, key: Option<&str>, about: &About) -> Result<Written<Refund>, Error> {
        self.write(&format!("/refunds/{}/fail", encoded(id)), key, about).await
    }

    pub async fn hold(&self, key: Option<&str>, hold: &NewHold) -> Result<Written<Hold>, Error> {
        self.write("/holds", key, hold).await
    }

    pub async fn hold_by_id(&self, id: &str) -> Result<Hold, Error> {
        self.get(&format!("/holds/{}", encoded(id)), &[]).await
    }

    pub async fn capture_hold(&self, id: &str, key: Option<&str>, capture: &CaptureOf) -> Result<Written<Hold>, Error> {
        self.write(&format!("/holds/{}/capture", encoded(id)), key, capture).await
    }

    pub async fn void_hold(&self, id: &str, key: Option<&str>) -> Result<Written<Hold>, Error> {
        self.write(&format!("/holds/{}/void", encoded(id)), key, &Nothing {}).await
    }

    /// Any read below the book: `path` begins with a slash.
    async fn get<Answer: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Answer, Error> {
        let mut whole = format!("{}{path}", self.root);
        let mut mark = '?';
        for (name, value) in query.iter().filter_map(|(name, value)| value.map(|value| (name, value))) {
            whole.push(mark);
            whole.push_str(name);
            whole.push('=');
            whole.push_str(&encoded(value));
            mark = '&';
        }
        self.client.get(&whole).await
    }

    async fn write<Answer: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        form: &impl Serialize,
    ) -> Result<Written<Answer>, Error> {
        self.client.write(&format!("{}{path}", self.root), key, form).await
    }
}

fn root(book: &str) -> String {
    format!("/v1/books/{}", encoded(book))
}

/// RFC 3986's percent-encoding of everything outside its unreserved characters and the colon.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes what is written");
        }
    }
    encoded
}
