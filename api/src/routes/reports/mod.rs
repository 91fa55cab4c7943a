//! The reports, one file each: its query, the pure function of core that makes it, its columns.

pub mod customer_statement;
pub mod deferred_revenue;
pub mod financial_statements;
pub mod general_ledger;
pub mod journal_listing;
pub mod must_zero_ageing;
pub mod receivables_ageing;
pub mod recognition_schedule;
pub mod trial_balance;

use std::fmt;
use std::sync::Arc;

use partita_core::account::Account;
use partita_core::entry::Entry;
use partita_core::id::{CurrencyId, Role};
use partita_core::report::OutOfBalance;
use partita_core::time::Date;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::query::parameter;
use crate::report::{Basis, Cell};
use crate::routes::entries;

/// Whether fiscal years that are over count as closed to retained earnings where no close was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosingForm {
    None,
    Virtual,
}

/// Which document an entry belongs to, in words.
fn document(entry: &Entry) -> Cell {
    Cell::or_empty(entry.document.as_ref().map(entries::link).map(|link| format!("{} {}", link.r#type, link.id)))
}

fn out_of_balance(names: &Names, error: OutOfBalance) -> Problem {
    tracing::error!(book = %names.book.code, %error, "the ledger's data are wrong");
    unequal(names, error.currency)
}

/// The ledger's own data are wrong: there is no report.
fn unequal(names: &Names, currency: CurrencyId) -> Problem {
    let currency = names.currency_code(currency);
    tracing::error!(book = %names.book.code, currency, "a report does not balance");
    let detail = format!("book {}: debits and credits differ in {currency}; run `partita verify`", names.book.code);
    Problem::new(Code::OutOfBalance, detail).with("currency", currency)
}

/// A part of the ledger does not come to what it is a part of: there is no report.
fn untied(names: &Names, currency: CurrencyId, why: &dyn fmt::Display) -> Problem {
    let currency = names.currency_code(currency);
    tracing::error!(book = %names.book.code, currency, %why, "a report does not tie");
    let detail = format!("book {}: {why}; run `partita verify`", names.book.code);
    Problem::new(Code::OutOfBalance, detail).with("currency", currency)
}

/// The accounts that play a role, closed ones included.
fn accounts_of_role(app: &App, names: &Names, role: &str) -> Result<Vec<Arc<Account>>, Problem> {
    let accounts = app.view(|view| view.accounts(names.book.id));
    let plays = |account: &Arc<Account>| account.role.as_ref().map(Role::as_str) == Some(role);
    let found: Vec<_> = accounts.into_iter().filter(plays).collect();
    if found.is_empty() {
        return Err(Problem::not_found(format!("no account of book {} has the role {role}", names.book.code)));
    }
    Ok(found)
}

/// What stands at one moment has no period.
fn no_period(basis: &Basis) -> Result<(), Problem> {
    match basis.from {
        None => Ok(()),
        Some(_) => Err(parameter("from", "is not known: this report is of one day")),
    }
}

/// Days from one date to another; zero if it is not reached.
fn days_between(from: Date, to: Date) -> Cell {
    Cell::Number(u64::try_from(to.days() - from.days()).unwrap_or(0))
}
