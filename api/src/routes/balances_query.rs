//! Many balances at once, all of one moment: what a thousand requests for one each would cost a thousand times.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::id::CurrencyId;
use partita_core::resolve;
use partita_core::state::{Read as StateRead, Sums};
use partita_storage::state::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::SideJson;
use super::balances::{BalanceJson, BalancesJson, Place, sums_now};
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, Read, ReadQuery};
use crate::values::{AccountRef, CurrencyCode, at_most};

/// The most balances of one request: the applier waits while they are read.
pub const MAX_BALANCES: usize = 1_000;

/// Which balance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BalanceOfForm {
    pub account: AccountRef,
    /// Without it every currency that the account ever had.
    pub currency: Option<CurrencyCode>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BalancesForm {
    #[serde(deserialize_with = "at_most::<_, _, MAX_BALANCES>")]
    #[schema(max_items = 1000)]
    pub balances: Vec<BalanceOfForm>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BalancesOfAll)]
pub struct BalancesOfAllJson {
    /// In the order of the request, all as of the answer's position.
    pub data: Vec<BalancesJson>,
}

/// Up to 1,000 balances as they are now, all of one moment.
#[utoipa::path(post, path = "/v1/books/{book}/balances:query", tag = "accounts",
    params(("book" = String, Path), ReadQuery), request_body = BalancesForm,
    responses((status = 200, body = BalancesOfAllJson), (status = "default", body = ProblemJson)))]
pub async fn query(
    State(app): State<App>,
    path: PathArgs,
    query: Read<Nothing>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let form = body.read(Ok::<BalancesForm, Problem>).await?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let read = |view: &View<'_>| -> Result<Vec<_>, Problem> {
            let found = form
                .balances
                .iter()
                .enumerate()
                .map(|(index, of)| sums_of(view, names, of).map_err(|fault| fault.problem(index, of, names)));
            found.collect()
        };
        let found = app.look(read)?;
        let data = form.balances.iter().zip(found).map(|(of, found)| found.json(of, names));
        Ok(BalancesOfAllJson { data: data.collect() })
    })
    .await
}

/// Sums as they are at one moment; they are written out when the state is no longer held.
struct Found {
    account: Arc<Account>,
    sums: Vec<(CurrencyId, Sums)>,
}

/// Why there is no such balance.
enum Fault {
    UnknownAccount,
    UnknownCurrency,
    /// The account is no control account.
    NoParties,
}

fn sums_of(view: &impl StateRead, names: &Names, of: &BalanceOfForm) -> Result<Found, Fault> {
    let book = names.book.id;
    let account = view.account_by_code(book, &of.account.0.code).ok_or(Fault::UnknownAccount)?;
    let currency = match &of.currency {
        None => None,
        Some(code) => Some(resolve::find_currency(view, book, &code.0).ok_or(Fault::UnknownCurrency)?.id),
    };
    let (party, item) = (of.account.0.party.as_ref(), of.account.0.item.as_ref());
    if party.is_some() && account.party.is_none() {
        return Err(Fault::NoParties);
    }
    let sums = sums_now(view, Place { book, account: &account, party, item }, currency);
    Ok(Found { account, sums })
}

impl Fault {
    fn problem(self, index: usize, of: &BalanceOfForm, names: &Names) -> Problem {
        let code = &of.account.0.code;
        let member = |member: &str, what: String| {
            let detail = format!("balances[{index}].{member}: {what}");
            (detail, format!("/balances/{index}/{member}"))
        };
        match self {
            Self::UnknownAccount => {
                let book = &names.book.code;
                let (detail, pointer) = member("account", format!("there is no account {code} in book {book}"));
                Problem::not_found(detail).at(pointer)
            }
            Self::UnknownCurrency => {
                let currency = of.currency.as_ref().map(|code| code.0.to_string()).unwrap_or_default();
                let (detail, pointer) = member("currency", format!("{currency} is not known in this book"));
                Problem::malformed(detail).at(pointer)
            }
            Self::NoParties => {
                let what = format!("account {code} is no control account: it has no parties");
                let (detail, pointer) = member("account", what);
                Problem::malformed(detail).at(pointer)
            }
        }
    }
}

impl Found {
    fn json(self, of: &BalanceOfForm, names: &Names) -> BalancesJson {
        let side = self.account.normal_side();
        let shown = self.sums.into_iter().map(|(currency, sums)| BalanceJson::now(sums, currency, side, names));
        let mut balances: Vec<_> = shown.collect();
        balances.sort_by(|a, b| a.currency.cmp(&b.currency));
        BalancesJson {
            account: self.account.code.to_string(),
            party: of.account.0.party.as_ref().map(ToString::to_string),
            item: of.account.0.item.as_ref().map(ToString::to_string),
            side: SideJson::of(side),
            as_of: None,
            known_at: None,
            balances,
        }
    }
}
