//! Accounts: open, list, read, close.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::{Account, Class, CurrencyRule, ItemRule, Overdraft};
use partita_core::entry::Side;
use partita_core::id::AccountCode as CoreAccountCode;
use partita_core::operation::{Currencies, OpenAccount, Operation};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Decided;
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::values::{AccountCode, CurrencyCode, Name, PartyKind, Role, Word, some_at_most};
use crate::write::{EmptyForm, IdempotencyHeader, IdempotencyKey, MaybeForm};

/// The most currencies that an account can be limited to.
const MAX_CURRENCIES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Class)]
pub enum ClassJson {
    Asset,
    Liability,
    Equity,
    Revenue,
    Expense,
    Memo,
}

impl ClassJson {
    pub(crate) fn of(class: Class) -> Self {
        match class {
            Class::Asset => Self::Asset,
            Class::Liability => Self::Liability,
            Class::Equity => Self::Equity,
            Class::Revenue => Self::Revenue,
            Class::Expense => Self::Expense,
            Class::Memo => Self::Memo,
        }
    }

    fn class(self) -> Class {
        match self {
            Self::Asset => Class::Asset,
            Self::Liability => Class::Liability,
            Self::Equity => Class::Equity,
            Self::Revenue => Class::Revenue,
            Self::Expense => Class::Expense,
            Self::Memo => Class::Memo,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Liability => "liability",
            Self::Equity => "equity",
            Self::Revenue => "revenue",
            Self::Expense => "expense",
            Self::Memo => "memo",
        }
    }
}

/// Whether lines name what they settle.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ItemRule)]
pub enum ItemRuleJson {
    None,
    Optional,
    Required,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Overdraft)]
pub enum OverdraftJson {
    Allow,
    /// No subaccount passes to its abnormal side.
    Forbid,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Side)]
pub enum SideJson {
    Debit,
    Credit,
}

impl SideJson {
    pub(crate) fn of(side: Side) -> Self {
        match side {
            Side::Debit => Self::Debit,
            Side::Credit => Self::Credit,
        }
    }

    pub(crate) fn side(self) -> Side {
        match self {
            Self::Debit => Side::Debit,
            Self::Credit => Side::Credit,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountForm {
    pub code: AccountCode,
    /// What the controller calls it: `1200`.
    pub number: Option<Word>,
    pub name: Name,
    pub class: ClassJson,
    /// A contra account has its class's opposite normal side.
    #[serde(default)]
    pub contra: bool,
    /// The kind of party that this control account is divided by; left out: it is no control account.
    pub party: Option<PartyKind>,
    /// `none` if left out.
    pub items: Option<ItemRuleJson>,
    /// Left out: any currency.
    #[serde(default, deserialize_with = "some_at_most::<_, _, MAX_CURRENCIES>")]
    #[schema(min_items = 1, max_items = 100)]
    pub currencies: Option<Vec<CurrencyCode>>,
    /// `allow` if left out.
    pub overdraft: Option<OverdraftJson>,
    #[serde(default)]
    pub must_zero: bool,
    /// What the posting rules look it up by.
    pub role: Option<Role>,
}

impl AccountForm {
    pub(crate) fn operation(self) -> Result<Operation, Problem> {
        let currencies = match self.currencies {
            None => Currencies::Any,
            Some(codes) if codes.is_empty() => {
                let problem = Problem::malformed("currencies: must name at least one, or be left out");
                return Err(problem.at("/currencies"));
            }
            Some(codes) => {
                let mut codes: Vec<_> = codes.into_iter().map(|code| code.0).collect();
                codes.sort();
                codes.dedup();
                Currencies::Only(codes)
            }
        };
        Ok(Operation::OpenAccount(OpenAccount {
            code: self.code.0,
            number: self.number.map(|number| number.0),
            name: self.name.0,
            class: self.class.class(),
            contra: self.contra,
            party: self.party.map(|kind| kind.0),
            items: match self.items {
                None | Some(ItemRuleJson::None) => ItemRule::None,
                Some(ItemRuleJson::Optional) => ItemRule::Optional,
                Some(ItemRuleJson::Required) => ItemRule::Required,
            },
            currencies,
            overdraft: match self.overdraft {
                None | Some(OverdraftJson::Allow) => Overdraft::Allow,
                Some(OverdraftJson::Forbid) => Overdraft::Forbid,
            },
            must_zero: self.must_zero,
            role: self.role.map(|role| role.0),
        }))
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountJson {
    pub code: String,
    pub number: Option<String>,
    pub name: String,
    pub class: ClassJson,
    pub contra: bool,
    pub party: Option<String>,
    pub items: ItemRuleJson,
    /// Null: any currency.
    pub currencies: Option<Vec<String>>,
    pub overdraft: OverdraftJson,
    pub must_zero: bool,
    pub role: Option<String>,
    /// The normal side.
    pub side: SideJson,
    pub closed: bool,
    pub position: u64,
    pub recorded_at: String,
}

impl AccountJson {
    pub(crate) fn of(account: &Account, names: &Names, decided: Decided) -> Self {
        Self {
            code: account.code.to_string(),
            number: account.number.clone(),
            name: account.name.clone(),
            class: ClassJson::of(account.class),
            contra: account.contra,
            party: account.party.as_ref().map(ToString::to_string),
            items: match account.items {
                ItemRule::None => ItemRuleJson::None,
                ItemRule::Optional => ItemRuleJson::Optional,
                ItemRule::Required => ItemRuleJson::Required,
            },
            currencies: match &account.currencies {
                CurrencyRule::Any => None,
                CurrencyRule::Only(ids) => Some(ids.iter().map(|id| names.currency_code(*id)).collect()),
            },
            overdraft: match account.overdraft {
                Overdraft::Allow => OverdraftJson::Allow,
                Overdraft::Forbid => OverdraftJson::Forbid,
            },
            must_zero: account.must_zero,
            role: account.role.as_ref().map(ToString::to_string),
            side: SideJson::of(account.normal_side()),
            closed: account.closed,
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AccountFilter {
    #[param(inline)]
    pub class: Option<ClassJson>,
    #[param(value_type = Option<String>)]
    pub role: Option<Role>,
}

/// Open an account.
#[utoipa::path(post, path = "/v1/books/{book}/accounts", tag = "accounts",
    params(("book" = String, Path), IdempotencyHeader), request_body = AccountForm,
    responses((status = 201, body = AccountJson), (status = "default", body = ProblemJson)))]
pub async fn open(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(AccountForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// The chart of accounts, by code.
#[utoipa::path(get, path = "/v1/books/{book}/accounts", tag = "accounts",
    params(("book" = String, Path), AccountFilter, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<AccountJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<AccountFilter>) -> Result<Response, Problem> {
    let after = query.page.cursor.as_deref().map(CoreAccountCode::new).transpose().map_err(|_error| bad_cursor())?;
    let List { fresh, page, own } = query;
    app.read_book(fresh, path.book()?, move |app, names| {
        let accounts = app.view(|view| view.accounts(names.book.id));
        let mut moments = app.moments();
        let shown = accounts
            .iter()
            .filter(|account| after.as_ref().is_none_or(|after| account.code > *after))
            .filter(|account| own.class.is_none_or(|class| ClassJson::of(account.class) == class))
            .filter(|account| own.role.as_ref().is_none_or(|role| account.role.as_ref() == Some(&role.0)))
            .take(page.limit + 1)
            .map(|account| AccountJson::of(account, names, moments.of(account.decided)))
            .collect();
        Ok(ListJson::of(shown, page.limit, |account: &AccountJson| account.code.clone()))
    })
    .await
}

/// One account.
#[utoipa::path(get, path = "/v1/books/{book}/accounts/{code}", tag = "accounts",
    params(("book" = String, Path), ("code" = String, Path), ReadQuery),
    responses((status = 200, body = AccountJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let code = path.account()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let account = find(app, names, &code)?;
        Ok(AccountJson::of(&account, names, app.moments().of(account.decided)))
    })
    .await
}

pub(super) fn find(app: &App, names: &Names, code: &CoreAccountCode) -> Result<Arc<Account>, Problem> {
    app.look(|view| view.account_by_code(names.book.id, code))
        .ok_or_else(|| Problem::not_found(format!("there is no account {code} in book {}", names.book.code)))
}

/// Close an account: it takes no more lines. It must have no balance and nothing pending.
#[utoipa::path(post, path = "/v1/books/{book}/accounts/{code}/close", tag = "accounts",
    params(("book" = String, Path), ("code" = String, Path), IdempotencyHeader), request_body = EmptyForm,
    responses((status = 200, body = AccountJson), (status = "default", body = ProblemJson)))]
pub async fn close(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<EmptyForm>,
) -> Result<Response, Problem> {
    let code = path.account()?;
    body.read(|_empty| Ok(())).await?;
    app.write_in(path.book()?, key, Operation::CloseAccount(code)).await
}
