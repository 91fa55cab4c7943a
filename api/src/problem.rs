//! Problem details (RFC 9457): the one shape of every error, and the codes that are not the state machine's.
//!
//! What the state machine refuses is rendered in [`crate::answer`]; both end in a [`Problem`].

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

/// Says which position an answer reflects.
pub const POSITION: HeaderName = HeaderName::from_static("partita-position");

/// What is refused before the state machine sees it, or could not be decided. docs/api.md, errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Malformed,
    UnknownField,
    Unbalanced,
    AmountNotPositive,
    AmountTooLarge,
    IdempotencyKeyMissing,
    TaxExceedsAmount,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    NotRepresentable,
    Internal,
    OutOfBalance,
    NoLeader,
    Overloaded,
    ShuttingDown,
    PositionNotReached,
    NotClustered,
    MembershipRefused,
    ChangeInProgress,
    OutcomeUnknown,
}

impl Code {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownField => "unknown_field",
            Self::Unbalanced => "unbalanced",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountTooLarge => "amount_too_large",
            Self::IdempotencyKeyMissing => "idempotency_key_missing",
            Self::TaxExceedsAmount => "tax_exceeds_amount",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::NotRepresentable => "not_representable",
            Self::Internal => "internal",
            Self::OutOfBalance => "out_of_balance",
            Self::NoLeader => "no_leader",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting_down",
            Self::PositionNotReached => "position_not_reached",
            Self::NotClustered => "not_clustered",
            Self::MembershipRefused => "membership_refused",
            Self::ChangeInProgress => "change_in_progress",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Malformed
            | Self::UnknownField
            | Self::Unbalanced
            | Self::AmountNotPositive
            | Self::AmountTooLarge
            | Self::IdempotencyKeyMissing
            | Self::TaxExceedsAmount => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused | Self::NotRepresentable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal | Self::OutOfBalance => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotClustered | Self::MembershipRefused => StatusCode::CONFLICT,
            Self::NoLeader
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::PositionNotReached
            | Self::ChangeInProgress => StatusCode::SERVICE_UNAVAILABLE,
            Self::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is malformed",
            Self::UnknownField => "The request has a field that is not known",
            Self::Unbalanced => "Debits and credits differ",
            Self::AmountNotPositive => "The amount is not above zero",
            Self::AmountTooLarge => "The amount is too large",
            Self::IdempotencyKeyMissing => "The request has no idempotency key",
            Self::TaxExceedsAmount => "The tax is more than the gross amount",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::RequestTimeout => "The request did not come in time",
            Self::TooLarge => "The request is too large",
            Self::UnsupportedMediaType => "The content type is not supported",
            Self::IdempotencyKeyReused => "The idempotency key was used for another request",
            Self::NotRepresentable => "The format cannot hold the book",
            Self::Internal => "The server failed",
            Self::OutOfBalance => "The report does not balance",
            Self::NoLeader => "The cluster has no leader at the moment",
            Self::Overloaded => "The server is overloaded",
            Self::ShuttingDown => "The server is shutting down",
            Self::PositionNotReached => "The position was not reached in time",
            Self::NotClustered => "The node runs alone",
            Self::MembershipRefused => "The cluster cannot be changed so",
            Self::ChangeInProgress => "Another change of the cluster is under way",
            Self::OutcomeUnknown => "The outcome is unknown",
        }
    }

    /// Seconds after which trying again makes sense.
    fn retry_after(self) -> Option<u32> {
        match self {
            Self::NoLeader
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::PositionNotReached
            | Self::ChangeInProgress => Some(1),
            Self::Malformed
            | Self::UnknownField
            | Self::Unbalanced
            | Self::AmountNotPositive
            | Self::AmountTooLarge
            | Self::IdempotencyKeyMissing
            | Self::TaxExceedsAmount
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::IdempotencyKeyReused
            | Self::NotRepresentable
            | Self::Internal
            | Self::OutOfBalance
            | Self::NotClustered
            | Self::MembershipRefused
            | Self::OutcomeUnknown => None,
        }
    }
}

/// One error on its way to the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Content>);

#[derive(Clone, Debug, PartialEq)]
struct Content {
    status: StatusCode,
    title: String,
    code: &'static str,
    detail: String,
    pointer: Option<String>,
    fields: Map<String, Value>,
    retry_after: Option<u32>,
}

/// RFC 9457's shape, with the members that every problem of ours has. Some codes have more.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem, title = "Problem details (RFC 9457)")]
pub struct ProblemJson {
    /// `/errors/` and the code.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// Names the field and the bound.
    pub detail: String,
    pub code: String,
    /// JSON pointer (RFC 6901) to the value in the request, where there is one.
    pub pointer: Option<String>,
    /// The decision that refused it: present if the state machine did.
    pub position: Option<u64>,
    pub recorded_at: Option<String>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            status: code.status(),
            title: code.title().to_owned(),
            code: code.as_str(),
            detail: detail.into(),
            pointer: None,
            fields: Map::new(),
            retry_after: code.retry_after(),
        }))
    }

    /// What the state machine refused, by core's code.
    pub(crate) fn refused(status: StatusCode, code: &'static str, title: String, detail: String) -> Self {
        let fields = Map::new();
        Self(Box::new(Content { status, title, code, detail, pointer: None, fields, retry_after: None }))
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// The same problem, where the value stands under `prefix` in the request.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        let inner = self.0.pointer.take().unwrap_or_default();
        self.0.pointer = Some(format!("{prefix}{inner}"));
        self
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The fields that this code has beside those of every problem.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0.fields
    }

    #[must_use]
    pub fn body(&self) -> Map<String, Value> {
        let content = &self.0;
        let mut body = Map::new();
        body.insert("type".into(), format!("/errors/{}", content.code).into());
        body.insert("title".into(), content.title.clone().into());
        body.insert("status".into(), content.status.as_u16().into());
        body.insert("detail".into(), content.detail.clone().into());
        body.insert("code".into(), content.code.into());
        if let Some(pointer) = &content.pointer {
            body.insert("pointer".into(), pointer.clone().into());
        }
        body.extend(content.fields.clone());
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("a map of JSON values is JSON");
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (self.0.status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        if let Some(seconds) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
