//! What every report is asked for and read from: dates, an instant that becomes a position, and a format.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use partita_core::account::Account;
use partita_core::decision::Outcome;
use partita_core::entry::Entry;
use partita_core::id::{BookCode, EntryNumber, Position};
use partita_core::operation::OperationKind;
use partita_core::period::{FiscalYear, Month, PeriodId};
use partita_core::report::Posted;
use partita_core::state::Read as _;
use partita_core::time::{Date, Timestamp};
use partita_storage::state::{EntriesOf, MovementsOf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{FormatForm, Header};
use crate::app::{App, unknown_book};
use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::query::{Freshness, Pairs, parameter};
use crate::stamp;
use crate::values::{Day, Instant};

/// Bytes of decisions that one step through the journal decodes.
pub(crate) const STEP_BYTES: usize = 256 << 10;

/// What every report is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// The last effective date; today in the book's time zone if left out.
    #[param(value_type = Option<String>)]
    pub as_of: Option<Day>,
    /// The first effective date of the period; what is before is the opening. Since inception if left out.
    #[param(value_type = Option<String>)]
    pub from: Option<Day>,
    /// What was recorded at this instant or before. It resolves to a position, which the report says.
    #[param(value_type = Option<String>)]
    pub known_at: Option<Instant>,
    /// `json` if left out.
    #[param(inline)]
    pub format: Option<FormatForm>,
}

impl ReportQuery {
    const NAMES: [&'static str; 4] = ["as_of", "from", "known_at", "format"];
}

/// A report's query: what all of them take, and its own parameters.
#[derive(Debug)]
pub struct Reporting<T> {
    pub fresh: Freshness,
    pub common: ReportQuery,
    pub own: T,
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Reporting<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let mut pairs = Pairs::<T>::parse(parts)?;
        let fresh = pairs.freshness()?;
        let common = pairs.take_all::<ReportQuery>(&ReportQuery::NAMES).rest()?;
        Ok(Self { fresh, common, own: pairs.rest()? })
    }
}

/// What a report is read from. All of its reads are of the one position, so that it is of one moment however long it
/// takes, and the same whenever it is asked for again.
#[derive(Clone, Debug)]
pub struct Basis {
    pub names: Arc<Names>,
    pub as_of: Date,
    pub from: Option<Date>,
    pub known_at: Option<Timestamp>,
    /// The last decision that counts.
    pub position: Position,
    pub last_entry: EntryNumber,
    pub is_final: bool,
    pub head: [u8; 32],
    pub head_position: Position,
    /// Fiscal years begin with it.
    pub first_month: Month,
}

/// Fiscal years that have a number (`partita_core::period`).
const FIRST_YEAR: u16 = 2;
const LAST_YEAR: u16 = 9_999;

/// How long a report may read what came since a position far back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asked now and then whether to go on.
fn patience() -> impl Fn() -> bool {
    let started = std::time::Instant::now();
    move || started.elapsed() < PATIENCE
}

fn impatient() -> Problem {
    let detail = "too much was posted for one request to go through; ask for a later known_at";
    Problem::new(Code::Overloaded, detail)
}

impl Basis {
    /// Resolves the query; the state must be fresh enough by now.
    pub fn resolve(app: &App, book: &BookCode, query: &ReportQuery) -> Result<Self, Problem> {
        let names = app.directory().find(book).ok_or_else(|| unknown_book(book))?;
        let as_of = query.as_of.as_ref().map_or_else(|| stamp::today(&names), |day| day.0);
        let from = query.from.as_ref().map(|day| day.0);
        if from.is_some_and(|from| from > as_of) {
            return Err(parameter("from", "must not be after as_of"));
        }
        let known_at = query.known_at.as_ref().map(|instant| instant.0);
        let first_month = app.look(|view| view.calendar(names.book.id)).first_month;
        let (head_position, time, head, last) =
            app.look(|view| (view.position(), view.time(), view.head_hash(), view.totals(names.book.id).last_entry));
        // The header of the answer tells a caller where this node stands, not what the report was asked to know.
        app.reflect(head_position);
        let (position, last_entry) = match known_at {
            None => (head_position, last),
            Some(instant) => {
                let position = app.past(|reader| reader.position_at(instant)).min(head_position);
                (position, app.past(|reader| reader.last_entry_at(names.book.id, position)))
            }
        };
        let is_final = known_at.is_some_and(|instant| instant <= time);
        Ok(Self { names, as_of, from, known_at, position, last_entry, is_final, head, head_position, first_month })
    }

    /// The chart, in the order of codes. Accounts that were opened later have no sums at the position.
    pub(crate) fn accounts(&self, app: &App) -> Vec<Arc<Account>> {
        app.view(|view| view.accounts(self.names.book.id))
    }

    /// What was posted as known at the position, summed over the stretches of dates that end with `cuts`.
    pub(crate) fn posted(&self, app: &App, cuts: impl IntoIterator<Item = Date>) -> Result<Vec<Posted>, Problem> {
        let cuts: BTreeSet<Date> = cuts.into_iter().collect();
        let cuts: Vec<Date> = cuts.into_iter().collect();
        let book = MovementsOf::Book(self.names.book.id);
        app.past(|reader| reader.posted(book, &cuts, Some(self.position), patience())).ok_or_else(impatient)
    }

    /// The entries of one kind with effective dates in the report's period, in order. The journal is gone through;
    /// only what the given operations decided is decoded.
    pub(crate) fn each_entry(
        &self,
        app: &App,
        operations: &'static [OperationKind],
        mut each: impl FnMut(&Entry),
    ) -> Result<(), Problem> {
        let of =
            EntriesOf { book: self.names.book.id, control: None, from: self.from, until: Some(self.as_of), operations };
        let (mut next, go_on) = (Position(1), patience());
        while next <= self.position {
            if !go_on() {
                return Err(impatient());
            }
            let step = app.past(|reader| reader.entries(&of, next, self.position, STEP_BYTES));
            next = step.next;
            for decision in step.decisions {
                let Outcome::Accepted(effects) = decision.outcome else { continue };
                effects.entries.iter().filter(|entry| self.holds(entry.effective_date)).for_each(&mut each);
            }
        }
        Ok(())
    }

    /// The entries that closed fiscal years, as known at the position, and those that reversed them.
    pub(crate) fn closings(&self, app: &App) -> Result<Vec<Entry>, Problem> {
        app.closings().until(app, self.names.book.id, self.position, patience()).ok_or_else(impatient)
    }

    /// Whether a date lies in the report's period.
    pub(crate) fn holds(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && date <= self.as_of
    }

    /// The day before the period, where something lies before it.
    pub(crate) fn before(&self) -> Option<Date> {
        self.from.and_then(Date::previous)
    }

    /// The first and the last day of the fiscal year that a date lies in; at the ends of time, of what is left of it.
    pub(crate) fn fiscal_year(&self, date: Date) -> (Date, Date) {
        let days = |year: FiscalYear| {
            let (first, last) = year.periods(self.first_month);
            (first.first_day(), last.last_day())
        };
        let first = FiscalYear::new(FIRST_YEAR).map(days);
        match (FiscalYear::of(PeriodId::of(date), self.first_month).map(days), first) {
            (Some(days), _) => days,
            (None, Some((first, _))) if date < first => (Date::MIN, first.previous().unwrap_or(Date::MIN)),
            (None, _) => {
                let (_, last) = FiscalYear::new(LAST_YEAR).map_or((Date::MIN, Date::MIN), days);
                (last.next().unwrap_or(Date::MAX), Date::MAX)
            }
        }
    }

    /// What the report says about itself.
    #[must_use]
    pub fn header(&self, report: &'static str, title: impl Into<String>) -> Header {
        Header {
            report,
            title: title.into(),
            book: self.names.book.code.to_string(),
            as_of: self.as_of,
            from: self.from,
            known_at: self.known_at,
            is_final: self.is_final,
            position: self.position,
            last_entry: self.last_entry,
            head: self.head,
            head_position: self.head_position,
            options: vec![],
        }
    }
}

/// Documents what every report is in JSON: its own options stand among the first members, its own columns in the rows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Report)]
pub struct ReportJson {
    /// Its name in the route.
    pub report: String,
    pub title: String,
    pub book: String,
    pub as_of: String,
    pub from: Option<String>,
    pub known_at: Option<String>,
    /// True if no decision to come can change it: `known_at` was given and ledger time has passed it.
    pub r#final: bool,
    /// The last decision that counts.
    pub position: u64,
    /// The book's last entry that counts.
    pub last_entry: u64,
    /// The head of the hash tree over all decisions up to `head_position`, which the report was read from.
    pub head: String,
    pub head_position: u64,
    /// Or `rows`, where the report has no sections.
    pub sections: Vec<SectionJson>,
    /// Of the whole report, per currency.
    pub totals: Vec<std::collections::BTreeMap<String, Option<String>>>,
}

/// Rows under one heading. Each has a member for each column; numbers of entries are JSON numbers, all else texts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportSection)]
pub struct SectionJson {
    pub name: String,
    pub title: String,
    pub rows: Vec<std::collections::BTreeMap<String, Option<String>>>,
    /// Per currency.
    pub totals: Vec<std::collections::BTreeMap<String, Option<String>>>,
}
