//! The bank: accounts in closed groups that never go below zero, and the model that has to reproduce every answer.

use super::history::{Cents, Detail, Item, Outcome};

/// Accounts of a group; money moves only within it.
pub const GROUP: usize = 6;
/// What each account is given at the beginning.
pub const FUNDS: Cents = 100_000;

/// The group that an account belongs to.
#[must_use]
pub fn group_of(account: usize) -> usize {
    account / GROUP
}

/// What the model says of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The balances of `from` and `to` after it.
    Posted(Cents, Cents),
    /// The same of each transfer of an atomic batch in turn.
    AllPosted(Vec<Cents>),
    /// For which transfer of an atomic batch it is.
    Overdraft { available: Cents, element: Option<u64> },
}

/// Balances by account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bank {
    balances: Vec<Cents>,
}

impl Bank {
    /// All accounts, each with its funds.
    #[must_use]
    pub fn funded(accounts: usize) -> Self {
        Self { balances: vec![FUNDS; accounts] }
    }

    #[must_use]
    pub fn balances(&self) -> &[Cents] {
        &self.balances
    }

    pub fn transfer(&mut self, from: usize, to: usize, amount: Cents) -> Decided {
        if self.balances[from] < amount {
            return Decided::Overdraft { available: self.balances[from], element: None };
        }
        self.balances[from] -= amount;
        self.balances[to] += amount;
        Decided::Posted(self.balances[from], self.balances[to])
    }

    /// All of them, or none.
    pub fn atomic(&mut self, items: &[Item]) -> Decided {
        let before = self.balances.clone();
        let mut after = vec![];
        for (item, element) in items.iter().zip(0..) {
            match self.transfer(item.from, item.to, item.amount) {
                Decided::Posted(from, to) => after.extend([from, to]),
                Decided::AllPosted(_) => {}
                Decided::Overdraft { available, .. } => {
                    self.balances = before;
                    return Decided::Overdraft { available, element: Some(element) };
                }
            }
        }
        Decided::AllPosted(after)
    }
}

impl Decided {
    /// Whether an answer says the same.
    #[must_use]
    pub fn agrees(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Posted(from, to) => outcome.code == "posted" && outcome.balances == [*from, *to],
            Self::AllPosted(balances) => outcome.code == "posted" && outcome.balances == *balances,
            Self::Overdraft { available, element } => {
                outcome.code == "overdraft"
                    && outcome.available == Some(*available)
                    && outcome.detail.as_deref() == element.map(Detail::Element).as_ref()
            }
        }
    }
}
