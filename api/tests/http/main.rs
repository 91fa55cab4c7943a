//! The HTTP interface over a real node: the router called directly and, in `connections`, over sockets.
//!
//! One test binary, a module for each subject: linking it once is what keeps the tests quick to build.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod balances;
mod binary;
mod cluster;
mod connections;
mod export;
mod finance;
mod flows;
mod moments;
mod month_end;
mod periods;
mod refusals;
mod reports;
mod stalled;
mod subledger;
mod support;
