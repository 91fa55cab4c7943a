//! Query parameters: how fresh a read is to be, where a list goes on, and each route's own; unknown ones are refused.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_core::id::Position;
use serde::de::value::{Error as ValueError, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use utoipa::IntoParams;

use crate::app::App;
use crate::problem::{Code, Problem};

/// Elements of a page unless the caller says how many.
const DEFAULT_LIMIT: usize = 100;
/// The most elements of a page.
pub const MAX_LIMIT: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    Linearizable,
    Local,
}

/// What a read must reflect at least.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    pub consistency: Consistency,
    pub min_position: Option<Position>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    pub limit: usize,
    /// What the cursor holds: whatever the route put into it.
    pub cursor: Option<String>,
}

/// The query of every read.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the parameters that Freshness is read from")]
pub struct ReadQuery {
    /// `linearizable` (default): all that was acknowledged before the request. `local`: what this node has.
    #[param(inline, required = false)]
    consistency: Option<String>,
    /// Wait until the node has reached this position; 503 `position_not_reached` if it does not come in time.
    #[param(required = false)]
    min_position: Option<u64>,
}

/// The query of every list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the parameters that Page is read from")]
pub struct PageQuery {
    /// Elements a page, 1 to 1,000; 100 if left out.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// `next` of the page before.
    #[param(required = false)]
    cursor: Option<String>,
}

/// A read's query: freshness and the route's own parameters, all of them texts.
#[derive(Debug)]
pub struct Read<T> {
    pub fresh: Freshness,
    pub own: T,
}

/// A list's query.
#[derive(Debug)]
pub struct List<T> {
    pub fresh: Freshness,
    pub page: Page,
    pub own: T,
}

/// A route without parameters of its own.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Read<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let mut pairs = Pairs::<T>::parse(parts)?;
        Ok(Self { fresh: pairs.freshness()?, own: pairs.rest()? })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for List<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let mut pairs = Pairs::<T>::parse(parts)?;
        Ok(Self { fresh: pairs.freshness()?, page: pairs.page()?, own: pairs.rest()? })
    }
}

pub(crate) struct Pairs<T> {
    pairs: Vec<(String, String)>,
    rest: PhantomData<T>,
}

impl<T: DeserializeOwned> Pairs<T> {
    pub(crate) fn parse(parts: &Parts) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_error| Problem::malformed("the query cannot be read"))?;
        if pairs.iter().any(|(name, value)| name.chars().chain(value.chars()).any(char::is_control)) {
            return Err(Problem::malformed("the query must have no control characters"));
        }
        Ok(Self { pairs, rest: PhantomData })
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(index) = self.pairs.iter().position(|pair| pair.0 == name) else { return Ok(None) };
        let value = self.pairs.remove(index).1;
        if self.pairs.iter().any(|pair| pair.0 == name) {
            return Err(parameter(name, "stands there twice"));
        }
        Ok(Some(value))
    }

    /// Those of these names, for a form of their own.
    pub(crate) fn take_all<U: DeserializeOwned>(&mut self, names: &[&str]) -> Pairs<U> {
        let taken = self.pairs.extract_if(.., |pair| names.contains(&pair.0.as_str())).collect();
        Pairs { pairs: taken, rest: PhantomData }
    }

    pub(crate) fn freshness(&mut self) -> Result<Freshness, Problem> {
        let consistency = match self.take("consistency")?.as_deref() {
            None | Some("linearizable") => Consistency::Linearizable,
            Some("local") => Consistency::Local,
            Some(_) => return Err(parameter("consistency", "must be linearizable or local")),
        };
        let min_position = match self.take("min_position")? {
            None => None,
            Some(text) => Some(Position(
                text.parse().map_err(|_error| parameter("min_position", "must be a position, a whole number"))?,
            )),
        };
        Ok(Freshness { consistency, min_position })
    }

    fn page(&mut self) -> Result<Page, Problem> {
        let limit = match self.take("limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| parameter("limit", "must be a number from 1 to 1000"))?,
        };
        let cursor = match self.take("cursor")? {
            None => None,
            Some(text) => Some(
                URL_SAFE_NO_PAD
                    .decode(&text)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(bad_cursor)?,
            ),
        };
        Ok(Page { limit, cursor })
    }

    pub(crate) fn rest(self) -> Result<T, Problem> {
        let names: Vec<String> = self.pairs.iter().map(|pair| pair.0.clone()).collect();
        let deserializer = MapDeserializer::new(self.pairs.into_iter().map(|(name, value)| (name, Value(value))));
        let read: Result<T, serde_path_to_error::Error<ValueError>> = serde_path_to_error::deserialize(deserializer);
        read.map_err(|error| {
            let name = error.path().to_string();
            let name = names.iter().find(|known| **known == name).map_or("the query", String::as_str);
            let text = error.inner().to_string();
            if text.starts_with("unknown field") {
                return Problem::new(Code::UnknownField, format!("the query has an {text}"));
            }
            let mark = crate::values::FAULT_MARK;
            let what = text.split(mark).nth(2).unwrap_or(&text);
            parameter(name, what)
        })
    }
}

/// A parameter's value: a text that is there, where a form says that it may be left out.
struct Value(String);

impl<'de> IntoDeserializer<'de> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A malformed query parameter.
pub(crate) fn parameter(name: &str, what: &str) -> Problem {
    Problem::malformed(format!("the query's {name}: {what}"))
}

pub(crate) fn bad_cursor() -> Problem {
    parameter("cursor", "must be `next` of a page of this list")
}

/// The cursor that goes on after `key`.
pub(crate) fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// A page as it is answered.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ListJson<T> {
    pub data: Vec<T>,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> ListJson<T> {
    /// Of one element more than the page takes: what is too much says that there is a next page.
    pub(crate) fn of(mut data: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let more = data.len() > limit;
        data.truncate(limit);
        let next = if more { data.last().map(|last| cursor(&key(last))) } else { None };
        Self { data, next }
    }
}
