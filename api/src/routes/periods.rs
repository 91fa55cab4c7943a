//! Fiscal periods: list them, soft-close, close with a seal, reopen; and a dry run that says what stands in the way.

use axum::extract::State;
use axum::response::Response;
use partita_core::id::AccountId;
use partita_core::operation::{ClosePeriod, MovePeriod, Operation};
use partita_core::operations::period_close::{blockers, check_turn};
use partita_core::period::{
    Blocker, BlockerKind, Calendar, FiscalYear, Month, Period, PeriodId, PeriodState, Seal, SealedBalance,
};
use partita_core::rejection::Reason;
use partita_core::seal;
use partita_core::state::Read as _;
use partita_storage::state::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Decided, description_text};
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Consistency, Freshness, List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::stamp::today;
use crate::values::Description;
use crate::write::{IdempotencyHeader, IdempotencyKey, MaybeForm, key_missing};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PeriodState)]
pub enum PeriodStateJson {
    Open,
    /// Only finance's entries are accepted: adjusting, reversal, recognition, revaluation, closing.
    SoftClosed,
    Closed,
}

impl PeriodStateJson {
    pub(crate) fn of(state: PeriodState) -> Self {
        match state {
            PeriodState::Open => Self::Open,
            PeriodState::SoftClosed => Self::SoftClosed,
            PeriodState::Closed => Self::Closed,
        }
    }
}

/// What a close can go over consciously.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BlockerKind)]
pub enum BlockerKindJson {
    MustZero,
    UnappliedCash,
    /// The FX position is not zero at the rates of the last day, or cannot be valued.
    FxPosition,
}

impl BlockerKindJson {
    fn of(kind: BlockerKind) -> Self {
        match kind {
            BlockerKind::MustZero => Self::MustZero,
            BlockerKind::UnappliedCash => Self::UnappliedCash,
            BlockerKind::FxPosition => Self::FxPosition,
        }
    }

    fn kind(self) -> BlockerKind {
        match self {
            Self::MustZero => BlockerKind::MustZero,
            Self::UnappliedCash => BlockerKind::UnappliedCash,
            Self::FxPosition => BlockerKind::FxPosition,
        }
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftCloseForm {
    pub reason: Option<Description>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseForm {
    /// What may stand in the way all the same.
    #[serde(default)]
    pub accept: Vec<BlockerKindJson>,
    pub reason: Option<Description>,
    /// Only says what stands in the way: takes no position and needs no key.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenForm {
    pub reason: Description,
}

/// One thing that stands in the way of a close.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Blocker)]
pub struct BlockerJson {
    /// must_zero, unapplied_cash, fx_position: can be accepted. earlier_period, period_state, control_differs: cannot.
    pub kind: &'static str,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Positive on the account's normal side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// The period whose turn it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
}

impl BlockerJson {
    fn new(kind: &'static str, detail: String) -> Self {
        Self { kind, detail, account: None, currency: None, balance: None, period: None }
    }

    pub(crate) fn of(blocker: &Blocker) -> Self {
        let (what, account, currency, balance) = match blocker {
            Blocker::MustZero { account, currency, balance, decimals } => {
                ("an account that must come to zero has a balance", account, currency, Some((*balance, *decimals)))
            }
            Blocker::UnappliedCash { account, currency, balance, decimals } => {
                ("money of customers is not applied to anything", account, currency, Some((*balance, *decimals)))
            }
            Blocker::FxPosition { account, currency, balance, decimals } => {
                ("the FX position is to be revalued at the rates", account, currency, Some((*balance, *decimals)))
            }
            Blocker::RateMissing { account, currency } => {
                ("the FX position cannot be valued: a rate of the currency is missing", account, currency, None)
            }
        };
        let money = |(minor, decimals)| partita_core::money::Formatted { minor, decimals }.to_string();
        Self {
            account: Some(account.to_string()),
            currency: Some(currency.to_string()),
            balance: balance.map(money),
            ..Self::new(blocker.kind().name(), what.to_owned())
        }
    }
}

/// What a close of the period would meet now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeriodDryRun)]
pub struct DryRunJson {
    pub dry_run: bool,
    pub period: String,
    pub state: PeriodStateJson,
    /// Whether a close that accepts what this request accepts would go through.
    pub ready: bool,
    /// All that stands in the way, accepted or not.
    pub blockers: Vec<BlockerJson>,
}

/// What `close` answers: the closed period or, with `dry_run`, what stands in the way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PeriodClose)]
#[allow(dead_code, reason = "documents the two answers of one route")]
pub enum CloseJson {
    Closed(Box<PeriodJson>),
    DryRun(DryRunJson),
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SealedBalance)]
pub struct SealedBalanceJson {
    pub account: String,
    pub currency: String,
    /// All debits since inception up to the seal's date.
    pub debits: String,
    pub credits: String,
}

/// What a close leaves, so that a later reader can prove that nothing before it moved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Seal)]
pub struct SealJson {
    pub as_of: String,
    /// `blake3:` and the hash of the sealed trial balance as text (docs/accounting.md, "Periods").
    pub hash: String,
    /// The last decision before the close, and the head of the journal's hash tree after it.
    pub journal_position: u64,
    pub journal_head: String,
    pub last_entry: u64,
    pub balances: Vec<SealedBalanceJson>,
    /// Whether the same trial balance, made again now, still has this hash. Only where one period is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}

impl SealJson {
    fn of(seal: &Seal, names: &Names) -> Self {
        let balance = |row: &SealedBalance| SealedBalanceJson {
            account: names.account_code(row.account),
            currency: names.currency_code(row.currency),
            debits: names.money(row.debits, row.currency),
            credits: names.money(row.credits, row.currency),
        };
        Self {
            as_of: seal.as_of.to_string(),
            hash: format!("blake3:{}", seal.hash),
            journal_position: seal.journal.position.0,
            journal_head: format!("blake3:{}", seal.journal.hash),
            last_entry: seal.last_entry.0,
            balances: seal.balances.iter().map(balance).collect(),
            holds: None,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Period)]
pub struct PeriodJson {
    pub period: String,
    pub state: PeriodStateJson,
    pub from: String,
    pub to: String,
    /// Named by the calendar year that it ends in.
    pub fiscal_year: Option<u16>,
    /// How often it was reopened.
    pub reopened: u32,
    /// What its close accepted.
    pub accepted: Vec<BlockerKindJson>,
    /// Why the last act was done.
    pub reason: Option<String>,
    pub seal: Option<SealJson>,
    /// The last act; null where nothing was done to it.
    pub position: Option<u64>,
    pub recorded_at: Option<String>,
}

impl PeriodJson {
    fn untouched(id: PeriodId, state: PeriodState, first_month: Month) -> Self {
        Self {
            period: id.to_string(),
            state: PeriodStateJson::of(state),
            from: id.first_day().to_string(),
            to: id.last_day().to_string(),
            fiscal_year: FiscalYear::of(id, first_month).map(FiscalYear::number),
            reopened: 0,
            accepted: vec![],
            reason: None,
            seal: None,
            position: None,
            recorded_at: None,
        }
    }

    pub(crate) fn of(period: &Period, first_month: Month, names: &Names, decided: Decided) -> Self {
        Self {
            reopened: period.reopened,
            accepted: period.accepted.iter().map(|kind| BlockerKindJson::of(*kind)).collect(),
            reason: (!period.reason.is_empty()).then(|| period.reason.clone()),
            seal: period.seal.as_ref().map(|seal| SealJson::of(seal, names)),
            position: Some(decided.position.0),
            recorded_at: Some(decided.recorded_at()),
            ..Self::untouched(period.id, period.state, first_month)
        }
    }
}

/// A book's fiscal calendar and how far it is closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Calendar)]
pub struct CalendarJson {
    pub fiscal_year_start: u8,
    pub soft_closed_through: Option<String>,
    pub closed_through: Option<String>,
}

impl CalendarJson {
    pub(crate) fn of(calendar: &Calendar) -> Self {
        Self {
            fiscal_year_start: calendar.first_month.number(),
            soft_closed_through: calendar.soft_closed_through.map(|period| period.to_string()),
            closed_through: calendar.closed_through.map(|period| period.to_string()),
        }
    }
}

/// Soft-close a period: from now on it takes finance's entries only.
#[utoipa::path(post, path = "/v1/books/{book}/periods/{period}/soft-close", tag = "periods",
    params(("book" = String, Path), ("period" = String, Path), IdempotencyHeader), request_body = SoftCloseForm,
    responses((status = 200, body = PeriodJson), (status = "default", body = ProblemJson)))]
pub async fn soft_close(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<SoftCloseForm>,
) -> Result<Response, Problem> {
    let period = path.period()?;
    let reason = body.read(|form| Ok(description_text(form.reason))).await?;
    app.write_in(path.book()?, key, Operation::SoftClosePeriod(MovePeriod { period, reason })).await
}

/// Close a soft-closed period and seal its trial balance. With `dry_run`, only say what stands in the way.
#[utoipa::path(post, path = "/v1/books/{book}/periods/{period}/close", tag = "periods",
    params(("book" = String, Path), ("period" = String, Path), IdempotencyHeader), request_body = CloseForm,
    responses((status = 200, body = CloseJson), (status = "default", body = ProblemJson)))]
pub async fn close(
    State(app): State<App>,
    path: PathArgs,
    key: Option<IdempotencyKey>,
    body: MaybeForm<CloseForm>,
) -> Result<Response, Problem> {
    let period = path.period()?;
    let form = body.read(Ok).await?;
    let mut accept: Vec<BlockerKind> = form.accept.into_iter().map(BlockerKindJson::kind).collect();
    accept.sort_unstable();
    accept.dedup();
    if form.dry_run {
        let fresh = Freshness { consistency: Consistency::Linearizable, min_position: None };
        return app.read_book(fresh, path.book()?, move |app, names| Ok(dry_run(app, names, period, &accept))).await;
    }
    let key = key.ok_or_else(key_missing)?;
    let close = ClosePeriod { period, accept, reason: description_text(form.reason) };
    app.write_in(path.book()?, key, Operation::ClosePeriod(close)).await
}

/// Reopen the last closed period, one step back: from closed to soft-closed, from soft-closed to open.
#[utoipa::path(post, path = "/v1/books/{book}/periods/{period}/reopen", tag = "periods",
    params(("book" = String, Path), ("period" = String, Path), IdempotencyHeader), request_body = ReopenForm,
    responses((status = 200, body = PeriodJson), (status = "default", body = ProblemJson)))]
pub async fn reopen(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let period = path.period()?;
    let reason = body
        .read(|form: ReopenForm| match form.reason.0 {
            empty if empty.trim().is_empty() => Err(Problem::malformed("reason: must not be empty").at("/reason")),
            reason => Ok(reason),
        })
        .await?;
    app.write_in(path.book()?, key, Operation::ReopenPeriod(MovePeriod { period, reason })).await
}

/// What a close would be refused for, and what it does not look at because it holds by construction.
fn dry_run(app: &App, names: &Names, period: PeriodId, accept: &[BlockerKind]) -> DryRunJson {
    app.look(|view| {
        let calendar = view.calendar(names.book.id);
        let turn = check_turn(&calendar, period).err().map(|rejection| rejection.reason);
        let mut found: Vec<BlockerJson> = turn.iter().filter_map(turn_blocker).collect();
        let balances = seal::trial_balance(view, names.book.id, period.last_day());
        let blockers = blockers(view, &names.book, period, &balances);
        let differing = differing_controls(view, names);
        let accepted = blockers.iter().all(|blocker| accept.contains(&blocker.kind()));
        let ready = turn.is_none() && differing.is_empty() && accepted;
        found.extend(differing);
        found.extend(blockers.iter().map(BlockerJson::of));
        DryRunJson {
            dry_run: true,
            period: period.to_string(),
            state: PeriodStateJson::of(calendar.state(period)),
            ready,
            blockers: found,
        }
    })
}

fn turn_blocker(reason: &Reason) -> Option<BlockerJson> {
    if let Reason::PeriodState { state } = reason {
        let detail = format!("the period is {state}; it is soft-closed before it is closed");
        return Some(BlockerJson::new("period_state", detail));
    }
    let Reason::PeriodOutOfOrder { first } = reason else { return None };
    let detail = format!("period {first} is to be closed first");
    Some(BlockerJson { period: Some(first.to_string()), ..BlockerJson::new("earlier_period", detail) })
}

/// Control accounts that are not the sum of their subaccounts, which no posting can bring about.
fn differing_controls(view: &View<'_>, names: &Names) -> Vec<BlockerJson> {
    let book = names.book.id;
    let accounts = (1..=view.totals(book).last_account.0).map(AccountId);
    let differing = accounts.filter(|account| {
        let (mut debits, mut credits) = (0i128, 0i128);
        for (_, sums) in view.controls_of(book, *account) {
            debits += sums.debits;
            credits += sums.credits;
        }
        view.every_subaccount(book, *account, &mut |sums| {
            debits -= sums.debits;
            credits -= sums.credits;
            true
        });
        debits != 0 || credits != 0
    });
    let blocker = |account: AccountId| BlockerJson {
        account: Some(names.account_code(account)),
        ..BlockerJson::new(
            "control_differs",
            "the account is not the sum of its subaccounts; run partita verify".to_owned(),
        )
    };
    differing.map(blocker).collect()
}

/// One period; a sealed one with whether its seal still holds.
#[utoipa::path(get, path = "/v1/books/{book}/periods/{period}", tag = "periods",
    params(("book" = String, Path), ("period" = String, Path), ReadQuery),
    responses((status = 200, body = PeriodJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.period()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let (calendar, period, holds) = app.look(|view| {
            let period = view.period(names.book.id, id);
            let holds = period.as_ref().and_then(|period| period.seal.as_ref()).map(|sealed| {
                let balances = seal::trial_balance(view, names.book.id, sealed.as_of);
                seal::hash(&seal::text(view, &names.book, sealed.as_of, &balances)) == sealed.hash
            });
            (view.calendar(names.book.id), period, holds)
        });
        let mut shown = shown(app, names, &calendar, id, period.as_ref());
        if let Some(seal) = &mut shown.seal {
            seal.holds = holds;
        }
        Ok(shown)
    })
    .await
}

fn shown(app: &App, names: &Names, calendar: &Calendar, id: PeriodId, period: Option<&Period>) -> PeriodJson {
    match period {
        Some(period) => PeriodJson::of(period, calendar.first_month, names, app.moments().of(period.decided)),
        None => PeriodJson::untouched(id, calendar.state(id), calendar.first_month),
    }
}

/// The periods of a book, newest first: from today's, or the last that something was done to, back to the first one.
#[utoipa::path(get, path = "/v1/books/{book}/periods", tag = "periods",
    params(("book" = String, Path), ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<PeriodJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<Nothing>) -> Result<Response, Problem> {
    let List { fresh, page, own: _ } = query;
    let before = match page.cursor.as_deref() {
        None => None,
        Some(text) => Some(PeriodId::parse(text).ok_or_else(bad_cursor)?),
    };
    app.read_book(fresh, path.book()?, move |app, names| {
        let current = PeriodId::of(today(names));
        let (calendar, touched, first_posted) = app.view(|view| {
            let touched = view.periods(names.book.id)?;
            Ok((view.calendar(names.book.id), touched, first_posted(view, names)))
        });
        let ids = || touched.iter().map(|period| period.id).chain(first_posted).chain([current]);
        let first = ids().min().expect("today's period is one");
        let mut next = match before {
            Some(before) => before.previous(),
            None => ids().max(),
        };
        let mut found = vec![];
        while let Some(id) = next.filter(|id| *id >= first && found.len() <= page.limit) {
            let period = touched.iter().find(|period| period.id == id);
            found.push(shown(app, names, &calendar, id, period));
            next = id.previous();
        }
        Ok(ListJson::of(found, page.limit, |period: &PeriodJson| period.period.clone()))
    })
    .await
}

fn first_posted(view: &View<'_>, names: &Names) -> Option<PeriodId> {
    // Without a calendar's say the first open period is the first one with a posting.
    let untouched = Calendar::default();
    partita_core::operations::period_soft_close::first_open(view, names.book.id, &untouched)
}
