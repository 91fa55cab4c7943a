//! What a run's clients do: workloads by name, and the roles that each is made of.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Transfers in closed groups of accounts, and reads of one account and of the whole.
    Bank,
}

/// What one client does until the load is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Bank,
}

impl Workload {
    pub const ALL: [Self; 1] = [Self::Bank];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// How many clients of each role there are on each node, of `clients` in all.
    #[must_use]
    pub fn roles(self, clients: usize) -> Vec<(Role, usize)> {
        match self {
            Self::Bank => vec![(Role::Bank, clients)],
        }
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
