//! Path parameters. A name that cannot be one names nothing: it is not found.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use partita_core::id::{AccountCode, BookCode, DocumentId, EntryNumber, IdError, Key, Party};
use partita_core::period::{FiscalYear, PeriodId};

use crate::app::App;
use crate::problem::Problem;

#[derive(Debug)]
pub struct PathArgs(RawPathParams);

impl FromRequestParts<App> for PathArgs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let args = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_error| Problem::not_found("the path cannot be read"))?;
        Ok(Self(args))
    }
}

impl PathArgs {
    /// What stands in the path, decoded; empty where the route has no such parameter.
    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
    }

    fn parse<T>(&self, name: &str, what: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Problem> {
        let text = self.text(name);
        parse(text).map_err(|error| Problem::not_found(format!("there is no such {what}: its name {error}")))
    }

    pub fn book(&self) -> Result<BookCode, Problem> {
        self.parse("book", "book", BookCode::new)
    }

    pub fn account(&self) -> Result<AccountCode, Problem> {
        self.parse("code", "account", AccountCode::new)
    }

    pub fn document(&self) -> Result<DocumentId, Problem> {
        self.parse("id", "document", DocumentId::new)
    }

    pub fn party(&self) -> Result<Party, Problem> {
        self.parse("party", "party", Party::new)
    }

    pub fn period(&self) -> Result<PeriodId, Problem> {
        let text = self.text("period");
        PeriodId::parse(text)
            .ok_or_else(|| Problem::not_found("there is no such period: its name must be a month such as 2026-01"))
    }

    pub fn year(&self) -> Result<FiscalYear, Problem> {
        let text = self.text("year");
        let number =
            text.parse().ok().filter(|_number| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(FiscalYear::new).ok_or_else(|| {
            Problem::not_found("there is no such fiscal year: its name must be the year that it ends in, such as 2026")
        })
    }

    pub fn key(&self) -> Result<Key, Problem> {
        self.parse("key", "idempotency key", Key::new)
    }

    pub fn member(&self) -> Result<u64, Problem> {
        let text = self.text("id");
        text.parse().map_err(|_error| Problem::not_found("there is no such member: its id must be a whole number"))
    }

    pub fn entry(&self) -> Result<EntryNumber, Problem> {
        let text = self.text("number");
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse()
            .ok()
            .filter(|_number| digits)
            .map(EntryNumber)
            .ok_or_else(|| Problem::not_found("there is no such entry: its number must be a whole number above zero"))
    }
}
