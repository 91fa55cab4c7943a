//! Partita's Rust client: typed, asynchronous, and batching by itself.
//!
//! Many callers of one process share requests: what is asked for while a request is under way goes together in the
//! next one ([`Book::transfer`], [`Book::entry`]). Nobody waits for company, so that a lone call costs one round trip,
//! and a thousand callers cost a few. Every write has an idempotency key, made here unless the caller has one; a call
//! that finds no answer sends the same again, on another node where there is one, until its deadline. What it then ends
//! with says what is known: [`Error::Refused`], [`Error::Unavailable`] (nothing was decided) or
//! [`Error::OutcomeUnknown`], which has the key to ask for or to call again with.
//!
//! ```no_run
//! use partita_client::{Amount, Client, Error, Transfer};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Client::new("http://127.0.0.1:7070,http://127.0.0.1:7071")?;
//! let book = ledger.book("acme");
//! let transfer = Transfer::new("assets:bank", "liabilities:customer-prepaid/cus_1", Amount::new(10_825, 2), "USD");
//! match book.transfer(&transfer).await {
//!     Ok(posted) => println!("entry {} at position {}", posted.number, posted.position),
//!     Err(Error::Refused(refusal)) => println!("{}: {:?}", refusal.code, refusal.text("available")),
//!     Err(Error::OutcomeUnknown { key, .. }) => {
//!         // The same again, whenever: it is posted once.
//!         book.transfer(&Transfer { key: Some(&key), ..transfer }).await?;
//!     }
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The crate's tests run this and the rest against real servers. It knows the HTTP interface (docs/api.md) and none of
//! the ledger's own crates.

mod amount;
pub mod answers;
mod attempts;
mod batch;
mod binary;
mod book;
mod client;
pub mod connection;
mod encoding;
mod error;
pub mod forms;
mod items;
mod json;
pub mod key;
mod lane;
mod parse;

pub use amount::{Amount, AmountError};
pub use book::{BalanceOf, Book, Statement};
pub use client::{BadUrl, Client, Config, Written};
pub use encoding::BatchFormat;
pub use error::{Code, Error, Failure, Refusal};
pub use items::{Details, Entry, EntryKind, Line, Side, Transfer};
pub use parse::Posted;
