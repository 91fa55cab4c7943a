//! What a run's clients do: workloads by name, and the roles that each is made of.

use serde::Serialize;

use super::check::Verdict;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Transfers in closed groups of accounts, and reads of one account and of the whole.
    Bank,
    /// Charges, payments in parts, and refunds that race for what was captured.
    Billing,
    /// Keys sent again: elsewhere, at the same time, long after, in batches, with other content.
    Idempotence,
    /// The bank, and readers of its statements.
    Statement,
    /// The bank and billing, and readers of both trial balances.
    TrialBalance,
    /// The bank, while every node is replaced by the next version; the faults come after.
    Upgrade,
    /// Everything at once on one cluster.
    Mixed,
}

/// What one client does until the load is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Bank,
    Billing,
    Idempotence,
    StatementReader,
    TrialBalanceReader,
}

impl Workload {
    pub const ALL: [Self; 7] =
        [Self::Bank, Self::Billing, Self::Idempotence, Self::Statement, Self::TrialBalance, Self::Upgrade, Self::Mixed];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Billing => "billing",
            Self::Idempotence => "idempotence",
            Self::Statement => "statement",
            Self::TrialBalance => "trial-balance",
            Self::Upgrade => "upgrade",
            Self::Mixed => "mixed",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// How many clients of each role there are on each node: `clients` that write, and readers beside them.
    #[must_use]
    pub fn roles(self, clients: usize) -> Vec<(Role, usize)> {
        let half = clients.div_ceil(2);
        match self {
            Self::Bank => vec![(Role::Bank, clients)],
            Self::Billing => vec![(Role::Billing, clients)],
            Self::Idempotence => vec![(Role::Idempotence, clients)],
            Self::Statement => vec![(Role::Bank, clients), (Role::StatementReader, 1)],
            Self::TrialBalance => {
                vec![(Role::Bank, half), (Role::Billing, half), (Role::TrialBalanceReader, 1)]
            }
            Self::Upgrade => {
                vec![(Role::Bank, half), (Role::Billing, half), (Role::TrialBalanceReader, 1)]
            }
            Self::Mixed => vec![
                (Role::Bank, clients),
                (Role::Billing, half),
                (Role::Idempotence, half),
                (Role::StatementReader, 1),
                (Role::TrialBalanceReader, 1),
            ],
        }
    }
}

/// What a checker has to have counted at least, or the run proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    pub checker: &'static str,
    pub counted: &'static str,
    pub least: u64,
    /// Only where this was counted too: what did not happen to the cluster cannot have been answered after.
    pub given: Option<&'static str>,
}

const fn floor(checker: &'static str, counted: &'static str, least: u64) -> Floor {
    Floor { checker, counted, least, given: None }
}

const fn given(checker: &'static str, counted: &'static str, least: u64, given: &'static str) -> Floor {
    Floor { checker, counted, least, given: Some(given) }
}

const BANK: [Floor; 3] = [
    floor("witness", "decisions of the bank", 200),
    floor("witness", "reads", 100),
    floor("search", "operations decided", 50),
];
const BILLING: [Floor; 7] = [
    floor("witness", "of billing", 200),
    floor("caps", "refunds that raced another of their payment", 30),
    floor("caps", "refused over_refund", 10),
    floor("caps", "over_capture", 2),
    floor("caps", "over_application", 2),
    floor("caps", "payment_not_open", 5),
    floor("caps", "already_exists", 1),
];
const IDEMPOTENCE: [Floor; 8] = [
    floor("replays", "on another node", 100),
    floor("replays", "keys sent to two nodes at the same time", 30),
    floor("replays", "keys twice in one batch", 5),
    floor("replays", "atomic batches replayed", 5),
    floor("replays", "refused for other content", 20),
    given("replays", "replays after a change of leader", 20, "changes of leader"),
    given("replays", "after a restart of the node", 5, "restarts"),
    given("replays", "after a snapshot on the node", 2, "snapshots"),
];
const STATEMENT: [Floor; 3] = [
    floor("statements", "of them under the load", 100),
    floor("statements", "local", 30),
    floor("statements", "going on where another ended", 30),
];
const TRIAL_BALANCE: [Floor; 3] = [
    floor("trial balances", "of them under the load", 100),
    floor("trial balances", "local", 30),
    floor("trial balances", "heads compared between nodes", 3),
];

impl Workload {
    #[must_use]
    pub fn floors(self) -> Vec<Floor> {
        match self {
            Self::Bank => BANK.to_vec(),
            Self::Billing => BILLING.to_vec(),
            Self::Idempotence => IDEMPOTENCE.to_vec(),
            Self::Statement => [&BANK[..], &STATEMENT].concat(),
            Self::TrialBalance => [&BANK[..1], &BILLING[..1], &TRIAL_BALANCE].concat(),
            Self::Upgrade => [&BANK[..1], &BILLING[..1], &TRIAL_BALANCE[..1]].concat(),
            Self::Mixed => [&BANK[..], &BILLING, &IDEMPOTENCE, &STATEMENT, &TRIAL_BALANCE].concat(),
        }
    }

    /// What of it these verdicts do not reach, in words.
    #[must_use]
    pub fn shortfall(self, verdicts: &[Verdict]) -> Vec<String> {
        let counted = |checker: &str, what: &str| {
            let verdict = verdicts.iter().find(|verdict| verdict.checker == checker)?;
            verdict.counted.iter().find(|(name, _)| *name == what).map(|(_, number)| *number)
        };
        let mut short = vec![];
        for Floor { checker, counted: what, least, given } in self.floors() {
            if given.is_some_and(|given| counted(checker, given) == Some(0)) {
                continue;
            }
            match counted(checker, what) {
                None => short.push(format!("{checker} does not count: {what}")),
                Some(number) if number < least => {
                    short.push(format!("{checker}: {what}: {number}, at least {least} were promised"));
                }
                Some(_) => {}
            }
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_has_a_name_of_its_own_and_clients() {
        for workload in Workload::ALL {
            assert_eq!(Workload::from_name(workload.name()), Some(workload));
            assert!(workload.roles(4).iter().map(|(_, clients)| clients).sum::<usize>() >= 4, "{workload:?}");
        }
    }
}
