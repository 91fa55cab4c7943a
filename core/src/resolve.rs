//! Looking up what a request names: accounts, roles, currencies, amounts; with the refusals of each, in order.

use std::sync::Arc;

use crate::account::{Account, ItemRule};
use crate::currency::{self, Currency};
use crate::document::{Charge, Hold, MAX_DOCUMENT_ENTRIES, Payment, Refund};
use crate::entry::{DraftLine, Side};
use crate::id::{AccountCode, AccountId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Item, Party, Role};
use crate::money::{Amount, WrittenAmount};
use crate::operation::AccountRef;
use crate::plan::{Context, PlannedLine};
use crate::rejection::{Field, Reason, Rejection};
use crate::state::Read;

/// The roles that posting rules look accounts up by (docs/rules.md, chart).
pub mod role {
    pub const RECEIVABLE: &str = "receivable";
    pub const DEFERRED_REVENUE: &str = "deferred_revenue";
    pub const UNAPPLIED_CASH: &str = "unapplied_cash";
    pub const REFUNDS_PAYABLE: &str = "refunds_payable";
    pub const TAX_PAYABLE: &str = "tax_payable";
    pub const PROCESSOR_CLEARING: &str = "processor_clearing";
    pub const PROCESSING_FEES: &str = "processing_fees";
    pub const CREDITS_AND_REFUNDS: &str = "credits_and_refunds";
    pub const FX_POSITION: &str = "fx_position";
    pub const FX_UNREALISED: &str = "fx_unrealised";
    pub const RETAINED_EARNINGS: &str = "retained_earnings";
    /// Wallets: money that customers paid in and have not used.
    pub const CUSTOMER_PREPAID: &str = "customer_prepaid";
    /// Credits that customers were given and have not used.
    pub const CUSTOMER_CREDIT: &str = "customer_credit";
}

/// ISO 4217 or registered in the book.
pub fn find_currency(state: &impl Read, book: crate::id::BookId, code: &CurrencyCode) -> Option<Currency> {
    currency::iso_by_code(code).or_else(|| state.currency(book, code))
}

/// The currency of an id that the state holds already.
///
/// # Panics
/// If the id belongs to no currency: ids come from resolved codes only.
pub fn known_currency(state: &impl Read, book: crate::id::BookId, id: CurrencyId) -> Currency {
    currency::iso_by_id(id)
        .or_else(|| state.currency_by_id(book, id))
        .unwrap_or_else(|| panic!("currency {id} of book {book} is not registered"))
}

impl<S: Read> Context<'_, S> {
    pub fn currency(&self, code: &CurrencyCode, field: Field) -> Result<Currency, Rejection> {
        find_currency(self.state, self.book.id, code)
            .ok_or_else(|| Rejection::new(Reason::UnknownCurrency { currency: code.clone() }, field))
    }

    /// The book's functional currency.
    #[must_use]
    pub fn functional(&self) -> Currency {
        known_currency(self.state, self.book.id, self.book.functional_currency)
    }

    #[must_use]
    pub fn currency_of(&self, id: CurrencyId) -> Currency {
        known_currency(self.state, self.book.id, id)
    }

    pub fn amount(&self, written: WrittenAmount, currency: &Currency, field: Field) -> Result<Amount, Rejection> {
        let reason = || Reason::TooManyDecimals { currency: currency.code.clone(), decimals: currency.decimals };
        written.to_amount(currency.decimals).ok_or_else(|| Rejection::new(reason(), field))
    }

    /// An account of the chart that is open.
    pub fn account(&self, code: &AccountCode, field: Field) -> Result<Arc<Account>, Rejection> {
        let account = self
            .state
            .account_by_code(self.book.id, code)
            .ok_or_else(|| Rejection::new(Reason::UnknownAccount { account: code.clone() }, field))?;
        open(account, field)
    }

    /// An account that a document remembers, which may have been closed since.
    pub fn account_by_id(&self, id: AccountId, field: Field) -> Result<Arc<Account>, Rejection> {
        let account = self
            .state
            .account(self.book.id, id)
            .unwrap_or_else(|| panic!("account {id} of book {} is missing", self.book.id));
        open(account, field)
    }

    /// The open account that has this role ([`role`]).
    pub fn role(&self, role: &str) -> Result<Arc<Account>, Rejection> {
        let role = Role::new(role).expect("the rules' roles are roles");
        self.state
            .account_by_role(self.book.id, &role)
            .ok_or_else(|| Rejection::new(Reason::RoleMissing { role }, Field::Role))
    }

    /// A line as a caller wrote it: account, then currency and amount, then party and item.
    pub fn written_line(
        &self,
        reference: &AccountRef,
        side: Side,
        written: WrittenAmount,
        currency: &CurrencyCode,
        (account_field, currency_field, amount_field): (Field, Field, Field),
    ) -> Result<PlannedLine, Rejection> {
        let account = self.account(&reference.code, account_field)?;
        let currency = self.currency(currency, currency_field)?;
        currency_allowed(&account, &currency, currency_field)?;
        let amount = self.amount(written, &currency, amount_field)?;
        let (party, item) = (reference.party.clone(), reference.item.clone());
        place_allowed(&account, party.as_ref(), item.as_ref(), account_field)?;
        let line = DraftLine { account: account.id, party, item, side, amount, currency: currency.id };
        Ok(PlannedLine { line, field: account_field })
    }

    pub fn hold(&self, id: &DocumentId) -> Result<Hold, Rejection> {
        self.state.hold(self.book.id, id).ok_or_else(|| unknown(Field::Whole))
    }

    pub fn charge(&self, id: &DocumentId, field: Field) -> Result<Charge, Rejection> {
        self.state.charge(self.book.id, id).ok_or_else(|| unknown(field))
    }

    pub fn payment(&self, id: &DocumentId, field: Field) -> Result<Payment, Rejection> {
        self.state.payment(self.book.id, id).ok_or_else(|| unknown(field))
    }

    pub fn refund(&self, id: &DocumentId) -> Result<Refund, Rejection> {
        self.state.refund(self.book.id, id).ok_or_else(|| unknown(Field::Whole))
    }
}

fn unknown(field: Field) -> Rejection {
    Rejection::new(Reason::UnknownDocument, field)
}

fn open(account: Arc<Account>, field: Field) -> Result<Arc<Account>, Rejection> {
    if account.closed {
        return Err(Rejection::new(Reason::AccountClosed { account: account.code.clone() }, field));
    }
    Ok(account)
}

/// Whether the account takes this currency.
pub(crate) fn currency_allowed(account: &Account, currency: &Currency, field: Field) -> Result<(), Rejection> {
    if account.currencies.allows(currency.id) {
        return Ok(());
    }
    let reason = Reason::CurrencyNotAllowed { account: account.code.clone(), currency: currency.code.clone() };
    Err(Rejection::new(reason, field))
}

/// Whether lines of the account name this party and item.
pub(crate) fn place_allowed(
    account: &Account,
    party: Option<&Party>,
    item: Option<&Item>,
    field: Field,
) -> Result<(), Rejection> {
    let code = || account.code.clone();
    let reason = match (&account.party, party, account.items, item) {
        (Some(_), None, _, _) => Reason::PartyRequired { account: code() },
        (None, Some(_), _, _) => Reason::PartyNotAllowed { account: code() },
        (_, _, ItemRule::Required, None) => Reason::ItemRequired { account: code() },
        (_, _, ItemRule::None, Some(_)) => Reason::ItemNotAllowed { account: code() },
        (Some(_), Some(_), _, _) | (None, None, _, _) => return Ok(()),
    };
    Err(Rejection::new(reason, field))
}

/// Adds entries to a document's list, up to [`MAX_DOCUMENT_ENTRIES`].
pub fn list_entry(entries: &mut Vec<EntryNumber>, number: EntryNumber) -> Result<(), Rejection> {
    if entries.len() >= MAX_DOCUMENT_ENTRIES {
        return Err(Rejection::new(Reason::DocumentFull, Field::Whole));
    }
    entries.push(number);
    Ok(())
}
