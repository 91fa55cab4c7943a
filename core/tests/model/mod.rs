//! A second, independent ledger: written from the documents alone, naive on purpose, and the means to hold the
//! real one against it command by command.
//!
//! It shares only types with the ledger (operations, decisions, ids), none of its rules, sums or chains.

mod arith;
mod charges;
mod chart;
pub(crate) mod compare;
pub(crate) mod coverage;
pub(crate) mod decide;
pub(crate) mod edges;
mod finance;
pub(crate) mod generate;
mod generate_operations;
mod holds;
pub(crate) mod ledger;
mod manual;
mod payments;
pub(crate) mod periods;
pub(crate) mod random;
mod refunds;
mod reports;
pub(crate) mod run;
