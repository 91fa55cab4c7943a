//! The keys of the tables: bytes whose order is the order of what they name.
//!
//! Numbers are big-endian, dates and instants with their sign bit turned over. A text that something follows ends
//! with 0x00, which no identifier contains, so that `a` sorts before `ab` and a scan of one party's records
//! never meets another's; the last text of a key stands bare. An absent party is the empty text: no party is
//! empty. [`prefix`] has the beginnings that are scanned for.

use partita_core::id::{AccountId, BookId, CurrencyId, DocumentId, EntryNumber, Item, Key, Party, Position};
use partita_core::period::PeriodId;
use partita_core::state::{ControlKey, Expiring, Expiry, ItemKey, MovementKey, SubaccountKey};
use partita_core::time::{Date, Timestamp};
use smallvec::SmallVec;

use super::CodecError;

/// The bytes of a key.
pub type KeyBytes = SmallVec<[u8; 64]>;

/// A key of one table, as bytes and back. Where keys are in order (`Ord`), so are their bytes.
pub trait TableKey: Sized {
    /// Without an allocation, nearly always.
    fn bytes(&self) -> KeyBytes;

    fn to_bytes(&self) -> Vec<u8> {
        self.bytes().into_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError>;
}

/// The kinds of documents that can be listed by customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    Charge,
    Payment,
    Refund,
}

/// A row of the customer index: the document exists and is this customer's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerKey {
    pub book: BookId,
    pub customer: Party,
    pub kind: DocumentKind,
    pub id: DocumentId,
}

/// A rate of a pair of currencies from a date on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    pub book: BookId,
    pub base: CurrencyId,
    pub quote: CurrencyId,
    pub date: Date,
}

/// By pair, the newest date first: the order of the bytes.
impl Ord for RateKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pair = |key: &Self| (key.book, key.base, key.quote);
        pair(self).cmp(&pair(other)).then(other.date.cmp(&self.date))
    }
}

impl PartialOrd for RateKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Beginnings of keys, for scans.
pub mod prefix {
    use partita_core::id::{AccountId, BookId, CurrencyId, Item, Party};
    use partita_core::state::ControlKey;

    use super::{DocumentKind, Parts};

    /// All records of a book, in every table whose keys begin with the book.
    #[must_use]
    pub fn book(book: BookId) -> Vec<u8> {
        Parts::new().number(book.0.to_be_bytes()).done().into_vec()
    }

    /// All controls, subaccounts, items or movements of an account.
    #[must_use]
    pub fn account(book: BookId, account: AccountId) -> Vec<u8> {
        Parts::new().number(book.0.to_be_bytes()).number(account.0.to_be_bytes()).done().into_vec()
    }

    /// All subaccounts or items of a party in an account (`None`: those without a party).
    #[must_use]
    pub fn party(book: BookId, account: AccountId, party: Option<&Party>) -> Vec<u8> {
        party_parts(book, account, party).done().into_vec()
    }

    pub(super) fn party_parts(book: BookId, account: AccountId, party: Option<&Party>) -> Parts {
        let text = party.map_or("", Party::as_str);
        Parts::new().number(book.0.to_be_bytes()).number(account.0.to_be_bytes()).text(text)
    }

    /// All movements of an account in a currency, by date.
    #[must_use]
    pub fn movements(control: &ControlKey) -> Vec<u8> {
        super::TableKey::to_bytes(control)
    }

    /// An item in all currencies.
    #[must_use]
    pub fn item(book: BookId, account: AccountId, customer: Option<&Party>, item: &Item) -> Vec<u8> {
        party_parts(book, account, customer).text(item.as_str()).done().into_vec()
    }

    /// All rates of a pair, the newest date first.
    #[must_use]
    pub fn rates(book: BookId, base: CurrencyId, quote: CurrencyId) -> Vec<u8> {
        Parts::new()
            .number(book.0.to_be_bytes())
            .number(base.0.to_be_bytes())
            .number(quote.0.to_be_bytes())
            .done()
            .into_vec()
    }

    /// All documents of a customer, charges before payments before refunds.
    #[must_use]
    pub fn customer(book: BookId, customer: &Party) -> Vec<u8> {
        Parts::new().number(book.0.to_be_bytes()).text(customer.as_str()).done().into_vec()
    }

    /// A customer's documents of one kind, by id.
    #[must_use]
    pub fn customer_kind(book: BookId, customer: &Party, kind: DocumentKind) -> Vec<u8> {
        Parts::new().number(book.0.to_be_bytes()).text(customer.as_str()).number([kind.tag()]).done().into_vec()
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none (all bytes are 0xFF).
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Writes the parts of a key one after the other.
struct Parts(KeyBytes);

impl Parts {
    fn new() -> Self {
        Self(KeyBytes::new())
    }

    fn number<const N: usize>(mut self, big_endian: [u8; N]) -> Self {
        self.0.extend_from_slice(&big_endian);
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    fn last_text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn done(self) -> KeyBytes {
        self.0
    }
}

/// Reads the parts of a key.
struct Taken<'a>(&'a [u8]);

impl<'a> Taken<'a> {
    fn number<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(CodecError::Truncated)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).map_err(|_source| CodecError::Text)
    }

    fn last_text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(std::mem::take(&mut self.0)).map_err(|_source| CodecError::Text)
    }

    fn finish(self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Trailing { bytes: self.0.len() }) }
    }

    fn book(&mut self) -> Result<BookId, CodecError> {
        Ok(BookId(u32::from_be_bytes(self.number()?)))
    }

    fn account(&mut self) -> Result<AccountId, CodecError> {
        Ok(AccountId(u32::from_be_bytes(self.number()?)))
    }

    fn currency(&mut self) -> Result<CurrencyId, CodecError> {
        Ok(CurrencyId(u16::from_be_bytes(self.number()?)))
    }

    fn party(&mut self) -> Result<Option<Party>, CodecError> {
        match self.text()? {
            "" => Ok(None),
            text => party(text).map(Some),
        }
    }
}

fn party(text: &str) -> Result<Party, CodecError> {
    Party::new(text).map_err(|error| CodecError::Invalid { what: "a party", rule: error.rule })
}

fn document(text: &str) -> Result<DocumentId, CodecError> {
    DocumentId::new(text).map_err(|error| CodecError::Invalid { what: "a document's id", rule: error.rule })
}

impl DocumentKind {
    fn tag(self) -> u8 {
        match self {
            Self::Charge => 1,
            Self::Payment => 2,
            Self::Refund => 3,
        }
    }

    fn from_tag(tag: u8) -> Result<Self, CodecError> {
        match tag {
            1 => Ok(Self::Charge),
            2 => Ok(Self::Payment),
            3 => Ok(Self::Refund),
            tag => Err(CodecError::Tag { what: "DocumentKind", tag }),
        }
    }
}

/// Days with the sign bit turned over, so that dates before 1970 come first.
fn date_bytes(date: Date) -> [u8; 4] {
    (date.days() ^ i32::MIN).to_be_bytes()
}

fn instant_bytes(instant: Timestamp) -> [u8; 8] {
    (instant.0 ^ i64::MIN).to_be_bytes()
}

/// Journal blocks, by their first position.
impl TableKey for Position {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let position = Self(u64::from_be_bytes(taken.number()?));
        taken.finish()?;
        Ok(position)
    }
}

/// Books, their calendars, their totals and their hash trees.
impl TableKey for BookId {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let book = taken.book()?;
        taken.finish()?;
        Ok(book)
    }
}

/// Accounts.
impl TableKey for (BookId, AccountId) {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.0.to_be_bytes()).number(self.1.0.to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let key = (taken.book()?, taken.account()?);
        taken.finish()?;
        Ok(key)
    }
}

/// Registered currencies.
impl TableKey for (BookId, CurrencyId) {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.0.to_be_bytes()).number(self.1.0.to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let key = (taken.book()?, taken.currency()?);
        taken.finish()?;
        Ok(key)
    }
}

/// Periods.
impl TableKey for (BookId, PeriodId) {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.0.to_be_bytes()).number(self.1.months().to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let (book, months) = (taken.book()?, u32::from_be_bytes(taken.number()?));
        taken.finish()?;
        let period = PeriodId::from_months(months)
            .ok_or(CodecError::Invalid { what: "a period", rule: "in the years 1 to 9999" })?;
        Ok((book, period))
    }
}

/// Rates. Dates run backwards, so that the last one up to a date is the first from there on.
impl TableKey for RateKey {
    fn bytes(&self) -> KeyBytes {
        let date = date_bytes(self.date).map(|byte| !byte);
        Parts(prefix::rates(self.book, self.base, self.quote).into()).number(date).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let (book, base, quote) = (taken.book()?, taken.currency()?, taken.currency()?);
        let days = i32::from_be_bytes(taken.number()?.map(|byte: u8| !byte)) ^ i32::MIN;
        let date =
            Date::from_days(days).ok_or(CodecError::Invalid { what: "a date", rule: "in the years 1 to 9999" })?;
        taken.finish()?;
        Ok(Self { book, base, quote, date })
    }
}

/// Entry records.
impl TableKey for (BookId, EntryNumber) {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.0.to_be_bytes()).number(self.1.0.to_be_bytes()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let key = (taken.book()?, EntryNumber(u64::from_be_bytes(taken.number()?)));
        taken.finish()?;
        Ok(key)
    }
}

/// Idempotency keys, raw behind their scope, so that time-ordered ones are appended in order.
impl TableKey for (BookId, Key) {
    fn bytes(&self) -> KeyBytes {
        around(self.1.as_str(), self.0.0.to_be_bytes(), [])
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let book = taken.book()?;
        let key = Key::new(taken.last_text()?)
            .map_err(|error| CodecError::Invalid { what: "an idempotency key", rule: error.rule })?;
        Ok((book, key))
    }
}

/// Holds, charges, payments and refunds, each in its own table.
impl TableKey for (BookId, DocumentId) {
    fn bytes(&self) -> KeyBytes {
        Parts::new().number(self.0.0.to_be_bytes()).last_text(self.1.as_str()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        Ok((taken.book()?, document(taken.last_text()?)?))
    }
}

/// The commonest keys are put together at once: `text` between numbers of fixed widths.
fn around<const A: usize, const B: usize>(text: &str, before: [u8; A], behind: [u8; B]) -> KeyBytes {
    let end = A + text.len();
    let mut room = [0; 64];
    let Some(tail) = room.get_mut(end..end + B) else {
        return [&before, text.as_bytes(), &behind].concat().into();
    };
    tail.copy_from_slice(&behind);
    room[..A].copy_from_slice(&before);
    room[A..end].copy_from_slice(text.as_bytes());
    KeyBytes::from_buf_and_len(room, end + B)
}

/// Every line asks for one.
fn control_bytes(key: &ControlKey) -> [u8; 10] {
    let [a, b, c, d] = key.book.0.to_be_bytes();
    let [e, f, g, h] = key.account.0.to_be_bytes();
    let [i, j] = key.currency.0.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j]
}

impl TableKey for ControlKey {
    fn bytes(&self) -> KeyBytes {
        KeyBytes::from_slice(&control_bytes(self))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let key = Self { book: taken.book()?, account: taken.account()?, currency: taken.currency()? };
        taken.finish()?;
        Ok(key)
    }
}

/// The currency comes last: a balance is asked for by account and party, in all its currencies.
impl TableKey for SubaccountKey {
    fn bytes(&self) -> KeyBytes {
        let party = self.party.as_ref().map_or("", Party::as_str);
        let ([a, b, c, d], [e, f, g, h]) = (self.book.0.to_be_bytes(), self.account.0.to_be_bytes());
        let [i, j] = self.currency.0.to_be_bytes();
        around(party, [a, b, c, d, e, f, g, h], [0, i, j])
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let key =
            Self { book: taken.book()?, account: taken.account()?, party: taken.party()?, currency: taken.currency()? };
        taken.finish()?;
        Ok(key)
    }
}

/// The item comes behind the party: open items are listed per customer.
impl TableKey for ItemKey {
    fn bytes(&self) -> KeyBytes {
        prefix::party_parts(self.book, self.account, self.party.as_ref())
            .text(self.item.as_str())
            .number(self.currency.0.to_be_bytes())
            .done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let (book, account, party) = (taken.book()?, taken.account()?, taken.party()?);
        let item =
            Item::new(taken.text()?).map_err(|error| CodecError::Invalid { what: "an item", rule: error.rule })?;
        let key = Self { book, account, party, item, currency: taken.currency()? };
        taken.finish()?;
        Ok(key)
    }
}

impl TableKey for MovementKey {
    fn bytes(&self) -> KeyBytes {
        let mut bytes = [0; 14];
        bytes[..10].copy_from_slice(&control_bytes(&self.control));
        bytes[10..].copy_from_slice(&date_bytes(self.date));
        KeyBytes::from_slice(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let control = ControlKey { book: taken.book()?, account: taken.account()?, currency: taken.currency()? };
        let days = i32::from_be_bytes(taken.number()?) ^ i32::MIN;
        let date =
            Date::from_days(days).ok_or(CodecError::Invalid { what: "a date", rule: "in the years 1 to 9999" })?;
        taken.finish()?;
        Ok(Self { control, date })
    }
}

impl TableKey for CustomerKey {
    fn bytes(&self) -> KeyBytes {
        Parts(prefix::customer_kind(self.book, &self.customer, self.kind).into()).last_text(self.id.as_str()).done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let (book, customer) = (taken.book()?, party(taken.text()?)?);
        let [tag] = taken.number()?;
        Ok(Self { book, customer, kind: DocumentKind::from_tag(tag)?, id: document(taken.last_text()?)? })
    }
}

/// By instant first: what is due is at the beginning of the table. Then core's order: book, holds before payments, id.
impl TableKey for Expiry {
    fn bytes(&self) -> KeyBytes {
        let parts = Parts::new().number(instant_bytes(self.at)).number(self.book.0.to_be_bytes());
        match &self.what {
            Expiring::Hold(id) => parts.number([0]).last_text(id.as_str()),
            Expiring::Payment(id) => parts.number([1]).last_text(id.as_str()),
        }
        .done()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut taken = Taken(bytes);
        let at = Timestamp(i64::from_be_bytes(taken.number()?) ^ i64::MIN);
        let book = taken.book()?;
        let [tag] = taken.number()?;
        let what = match tag {
            0 => Expiring::Hold(document(taken.last_text()?)?),
            1 => Expiring::Payment(document(taken.last_text()?)?),
            tag => return Err(CodecError::Tag { what: "Expiring", tag }),
        };
        Ok(Self { at, book, what })
    }
}

#[cfg(test)]
mod tests {
    use super::around;

    #[test]
    fn parts_are_joined_whether_or_not_they_fit_in_place() {
        for length in 0..=80 {
            let text = "k".repeat(length);
            let expected = [&[1, 2, 3, 4], text.as_bytes(), &[0, 5]].concat();
            assert_eq!(around(&text, [1, 2, 3, 4], [0, 5]).as_slice(), expected, "{length} bytes");
            assert_eq!(around(&text, [], []).as_slice(), text.as_bytes());
        }
    }
}
