//! Reports as pure functions of what the tables and the journal hold.

pub mod ageing;
pub mod deferred;
pub mod statement;
pub mod trial_balance;
