//! Where a posting rule's lines go, and the lines themselves: checked once, used for as many lines as the rule needs.

use crate::account::Account;
use crate::currency::Currency;
use crate::document::Charge;
use crate::entry::{DocumentRef, DraftLine, MAX_LINES, Rule, Side};
use crate::id::{AccountId, CurrencyId, Item, Party};
use crate::money::Amount;
use crate::operation::Details;
use crate::plan::{Context, PlannedEntry, PlannedLine, Reservation};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::{currency_allowed, place_allowed};
use crate::state::Read;

/// An (account, party, item) in one currency that the account takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    account: AccountId,
    party: Option<Party>,
    item: Option<Item>,
    currency: CurrencyId,
    /// What of the request is to blame for its overdraft.
    field: Field,
}

impl Place {
    /// Refuses what the account does not take. `at` is to blame for the party and the item, `currency_at` for the currency.
    pub fn new(
        account: &Account,
        party: Option<&Party>,
        item: Option<&Item>,
        currency: &Currency,
        (at, currency_at): (Field, Field),
    ) -> Result<Self, Rejection> {
        currency_allowed(account, currency, currency_at)?;
        place_allowed(account, party, item, at)?;
        Ok(Self { account: account.id, party: party.cloned(), item: item.cloned(), currency: currency.id, field: at })
    }

    /// A charge's receivable item, which took a line when the charge was made.
    #[must_use]
    pub fn receivable(charge: &Charge, field: Field) -> Self {
        let item = Some(Item::from(&charge.id));
        Self {
            account: charge.receivable,
            party: Some(charge.customer.clone()),
            item,
            currency: charge.currency,
            field,
        }
    }

    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// A pending amount here that rises or falls by `delta`.
    #[must_use]
    pub fn reserve(&self, side: Side, delta: i128) -> Reservation {
        Reservation {
            account: self.account,
            party: self.party.clone(),
            item: self.item.clone(),
            currency: self.currency,
            side,
            delta,
            field: self.field,
        }
    }
}

/// The lines of one entry, as a rule writes them.
#[derive(Debug, Default)]
pub struct Lines(Vec<PlannedLine>);

impl Lines {
    /// Zero is left out; an amount below zero is written on the other side.
    pub fn debit(&mut self, place: &Place, minor: i128) {
        let side = if minor < 0 { Side::Credit } else { Side::Debit };
        if let Some(amount) = Amount::new(minor.abs()) {
            let line = DraftLine {
                account: place.account,
                party: place.party.clone(),
                item: place.item.clone(),
                side,
                amount,
                currency: place.currency,
            };
            self.0.push(PlannedLine { line, field: place.field });
        }
    }

    /// Zero is left out; an amount below zero is written on the other side.
    pub fn credit(&mut self, place: &Place, minor: i128) {
        self.debit(place, -minor);
    }

    #[must_use]
    pub fn into_lines(self) -> Vec<PlannedLine> {
        self.0
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// # Panics
    /// If the lines do not balance: a rule that writes such lines is wrong.
    pub fn into_entry<S: Read>(
        self,
        context: &Context<'_, S>,
        rule: Rule,
        details: &Details,
        document: DocumentRef,
    ) -> Result<PlannedEntry, Rejection> {
        if self.0.len() > MAX_LINES {
            return Err(Rejection::new(Reason::DocumentFull, Field::Whole));
        }
        let entry = PlannedEntry::new(rule, context.effective_date(details), details, self.0);
        Ok(entry.expect("a posting rule's lines balance").of(document))
    }
}

impl From<Vec<PlannedLine>> for Lines {
    fn from(lines: Vec<PlannedLine>) -> Self {
        Self(lines)
    }
}
