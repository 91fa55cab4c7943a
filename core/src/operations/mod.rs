//! The posting rules, one file per operation. Each has a `plan` that reads the state and proposes; none writes.

pub mod account_close;
pub mod account_open;
mod application;
pub mod charge;
pub mod charge_void;
pub mod currency;
pub mod entry;
pub mod hold_capture;
pub mod hold_expire;
pub mod hold_place;
pub mod hold_void;
pub mod open_book;
pub mod payment;
pub mod payment_apply;
pub mod payment_capture;
pub mod payment_expire;
pub mod payment_fee;
pub mod payment_unapply;
pub mod payment_void;
pub mod period_close;
pub mod period_reopen;
pub mod period_soft_close;
pub mod refund;
pub mod refund_fail;
pub mod refund_settle;
pub mod reverse;
pub mod transfer;
