//! Books and the accounts of their charts.

use crate::entry::Side;
use crate::id::{AccountCode, AccountId, BookCode, BookId, CurrencyId, PartyKind, Position, Role};

/// One legal entity's ledger: what never changes after it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    pub id: BookId,
    pub code: BookCode,
    pub name: String,
    pub functional_currency: CurrencyId,
    /// An IANA name such as `Europe/Berlin`; used at the edge, where instants become dates.
    pub time_zone: String,
    /// The decision that left it so.
    pub decided: Position,
}

/// The five classes of accounting, and memo accounts, which stay out of the statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Asset,
    Liability,
    Equity,
    Revenue,
    Expense,
    Memo,
}

impl Class {
    /// Assets and expenses are debit-normal, the rest credit-normal (docs/rules.md, chart).
    #[must_use]
    pub fn normal_side(self) -> Side {
        match self {
            Self::Asset | Self::Expense => Side::Debit,
            Self::Liability | Self::Equity | Self::Revenue | Self::Memo => Side::Credit,
        }
    }
}

/// Whether lines of an account name what they settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemRule {
    None,
    Optional,
    /// Each (account, party, item, currency) has its own balance, never on its abnormal side.
    Required,
}

/// Whether a subaccount may pass to its abnormal side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overdraft {
    Allow,
    Forbid,
}

/// Which currencies an account takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrencyRule {
    Any,
    /// Never empty, sorted.
    Only(Vec<CurrencyId>),
}

impl CurrencyRule {
    #[must_use]
    pub fn allows(&self, currency: CurrencyId) -> bool {
        match self {
            Self::Any => true,
            Self::Only(currencies) => currencies.contains(&currency),
        }
    }
}

/// A row of a chart. Only `closed` ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub code: AccountCode,
    pub number: Option<String>,
    pub name: String,
    pub class: Class,
    /// A contra account has its class's opposite normal side.
    pub contra: bool,
    /// The kind of party that this control account is divided by; `None`: it is no control account.
    pub party: Option<PartyKind>,
    pub items: ItemRule,
    pub currencies: CurrencyRule,
    pub overdraft: Overdraft,
    /// Whatever stays in it is the first sign of an error.
    pub must_zero: bool,
    pub role: Option<Role>,
    pub closed: bool,
    /// The decision that left it so.
    pub decided: Position,
}

/// What a posting has to know of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceRules {
    pub normal: Side,
    pub items: ItemRule,
    /// Whether its balances may not pass to their abnormal side.
    pub guarded: bool,
}

impl Account {
    #[must_use]
    pub fn balance_rules(&self) -> BalanceRules {
        let guarded = self.items == ItemRule::Required || self.overdraft == Overdraft::Forbid;
        BalanceRules { normal: self.normal_side(), items: self.items, guarded }
    }

    #[must_use]
    pub fn normal_side(&self) -> Side {
        let side = self.class.normal_side();
        if self.contra { side.opposite() } else { side }
    }
}
