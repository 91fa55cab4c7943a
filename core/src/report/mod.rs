//! Reports as pure functions of what the tables and the journal hold.

pub mod trial_balance;
