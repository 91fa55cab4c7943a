//! The commands' HTTP client: typed enough to tell a refusal from a lost connection, and no cleverer.
//! It never sends a write twice by itself; who wants that says for how long ([`Client::post_for`]). Of several nodes
//! it talks to one until that one does not serve, then to the next.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value};

/// One request's bound. The server's own deadline is shorter, so that its answer comes first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The bound of a body that comes in pieces: on the whole, and on the wait for the next piece.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const PIECE_TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A ledger at one URL, or at those of several nodes. Clones turn to another node together.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    bases: Arc<[String]>,
    current: Arc<AtomicUsize>,
}

/// What a request that was not refused came back with.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Whether it is the first answer to this key, given again.
    pub replayed: bool,
    pub body: Bytes,
}

/// A body that is taken piece by piece, so that its length does not matter.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    base: String,
}

/// RFC 9457's problem details.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: String,
    /// Whether it was refused before, and this is the first answer to this key again.
    pub replayed: bool,
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub fields: Map<String, Value>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{url} is not an http:// address of a server")]
    BadUrl { url: String },
    #[error("no answer from {url}")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("{url} answered {status} with a body that is no problem document: {body}")]
    NoProblem { url: String, status: u16, body: String },
    #[error("{url} sent nothing more for {seconds} s")]
    Stalled { url: String, seconds: u64 },
    #[error("{url} answered with a body that is not JSON")]
    NotJson {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether the same request may succeed if it is sent again: nothing is decided, or nobody knows whether it is.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 503 | 504),
            Self::BadUrl { .. } | Self::NoProblem { .. } | Self::NotJson { .. } => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.code,
            self.status,
            if self.detail.is_empty() { &self.title } else { &self.detail }
        )
    }
}

impl Client {
    /// `urls` are the servers' roots, separated by commas: `http://127.0.0.1:7070`.
    pub fn new(urls: &str) -> Result<Self, ClientError> {
        let bases: Arc<[String]> = urls.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).collect();
        if let Some(bad) = bases.iter().find(|base| !base.starts_with("http://") || base.len() == "http://".len()) {
            return Err(ClientError::BadUrl { url: bad.clone() });
        }
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .pool_idle_timeout(None)
            .retry(reqwest::retry::never())
            .build()
            .map_err(|source| ClientError::Unreachable { url: urls.to_owned(), source })?;
        Ok(Self { http, bases, current: Arc::default() })
    }

    /// The node that is talked to.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.bases[self.current.load(Ordering::Relaxed)]
    }

    /// Turns to the node after the one that did not serve, unless somebody did so already.
    fn turn_from(&self, base: &str) {
        let next = |current: usize| (self.bases[current] == base).then_some((current + 1) % self.bases.len());
        // Nobody has to turn where somebody did already.
        let _turned = self.current.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// `query`: pairs whose value is absent are left out.
    /// A read that one node cannot serve is asked of the next.
    pub async fn get(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Answer, ClientError> {
        let mut left = self.bases.len();
        loop {
            let base = self.base();
            let url = format!("{base}{path}{}", query_string(query));
            match self.answer(self.http.get(&url), base, &url).await {
                Err(error) if error.is_passing() && left > 1 => self.turn_from(base),
                answered => return answered,
            }
            left -= 1;
        }
    }

    pub async fn get_json(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Value, ClientError> {
        let answer = self.get(path, query).await?;
        self.json(path, &answer)
    }

    /// One attempt.
    pub async fn post(&self, path: &str, key: &str, body: Bytes) -> Result<Answer, ClientError> {
        let base = self.base();
        let url = format!("{base}{path}");
        let request =
            self.http.post(&url).header(CONTENT_TYPE, "application/json").header("Idempotency-Key", key).body(body);
        let answered = self.answer(request, base, &url).await;
        // Of the next attempt, which the caller decides on.
        if answered.as_ref().is_err_and(ClientError::is_passing) {
            self.turn_from(base);
        }
        answered
    }

    /// A change that has no idempotency key: of the cluster, not of a book. One attempt.
    pub async fn change(&self, method: Method, path: &str, body: &Value) -> Result<Answer, ClientError> {
        let base = self.base();
        let url = format!("{base}{path}");
        let request = self.http.request(method, &url).header(CONTENT_TYPE, "application/json").body(body.to_string());
        self.answer(request, base, &url).await
    }

    /// Sends the same request with the same key again while it may yet succeed, until `patience` has passed since it
    /// first failed.
    pub async fn post_for(
        &self,
        patience: Duration,
        path: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let mut give_up = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.post(path, key, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            let wait = match &error {
                ClientError::Refused(problem) => problem.retry_after.unwrap_or(pause).min(LONGEST_PAUSE),
                ClientError::Unreachable { .. }
                | ClientError::Stalled { .. }
                | ClientError::BadUrl { .. }
                | ClientError::NoProblem { .. }
                | ClientError::NotJson { .. } => pause,
            };
            if Instant::now() + wait > *give_up.get_or_insert_with(|| Instant::now() + patience) {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub fn json(&self, path: &str, answer: &Answer) -> Result<Value, ClientError> {
        serde_json::from_slice(&answer.body)
            .map_err(|source| ClientError::NotJson { url: format!("{}{path}", self.base()), source })
    }

    /// A read whose body may be of any length.
    pub async fn download(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Download, ClientError> {
        let base = self.base();
        let url = format!("{base}{path}{}", query_string(query));
        let response = self.http.get(&url).timeout(DOWNLOAD_TIMEOUT).send().await;
        let response = response.map_err(|source| unreachable(base, source))?;
        if response.status().as_u16() < 400 {
            return Ok(Download { response, base: base.to_owned() });
        }
        Err(refused(response, base, &url).await?)
    }

    async fn answer(&self, request: reqwest::RequestBuilder, base: &str, url: &str) -> Result<Answer, ClientError> {
        let response = request.send().await.map_err(|source| unreachable(base, source))?;
        let status = response.status().as_u16();
        if status >= 400 {
            return Err(refused(response, base, url).await?);
        }
        let replayed = is_true(response.headers(), "Idempotent-Replayed");
        let body = response.bytes().await.map_err(|source| unreachable(base, source))?;
        Ok(Answer { status, replayed, body })
    }
}

impl Download {
    /// The next piece; `None` at the end. An error is not the end: what came before is incomplete.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(PIECE_TIMEOUT, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|source| unreachable(&self.base, source)),
            Err(_elapsed) => Err(ClientError::Stalled { url: self.base.clone(), seconds: PIECE_TIMEOUT.as_secs() }),
        }
    }
}

fn unreachable(base: &str, source: reqwest::Error) -> ClientError {
    // The address is named already.
    ClientError::Unreachable { url: base.to_owned(), source: source.without_url() }
}

/// The error that a response with a status of 400 or more is.
async fn refused(response: reqwest::Response, base: &str, url: &str) -> Result<ClientError, ClientError> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await.map_err(|source| unreachable(base, source))?;
    Ok(problem(status, &headers, &body).map_or_else(
        || ClientError::NoProblem {
            url: url.to_owned(),
            status,
            body: String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
        },
        |problem| ClientError::Refused(Box::new(problem)),
    ))
}

fn is_true(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn problem(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<Problem> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return None };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let code = text("code");
    if code.is_empty() {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    Some(Problem {
        status,
        code,
        title: text("title"),
        detail: text("detail"),
        replayed: is_true(headers, "Idempotent-Replayed"),
        retry_after: seconds.map(Duration::from_secs),
        fields,
    })
}

fn query_string(query: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (name, value) in query.iter().filter_map(|(name, value)| value.map(|value| (name, value))) {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        push_encoded(&mut text, value);
    }
    text
}

/// RFC 3986's percent-encoding of everything outside its unreserved characters.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_nodes_the_next_follows_one_that_does_not_serve() {
        let client = Client::new("http://a:1, http://b:2/,http://c:3").unwrap();
        assert_eq!(client.base(), "http://a:1");
        client.clone().turn_from("http://a:1");
        client.turn_from("http://a:1");
        assert_eq!(client.base(), "http://b:2", "two that failed at once turn once");
        client.turn_from("http://b:2");
        client.turn_from("http://c:3");
        assert_eq!(client.base(), "http://a:1");
        assert!(matches!(Client::new("http://a:1,b:2"), Err(ClientError::BadUrl { url }) if url == "b:2"));
    }

    #[test]
    fn a_query_holds_what_is_present_encoded() {
        let query = [("as_of", Some("2026-01-31")), ("from", None), ("known_at", Some("2026-01-31T00:00:00+01:00 &"))];
        assert_eq!(query_string(&query), "?as_of=2026-01-31&known_at=2026-01-31T00:00:00%2B01:00%20%26");
        assert_eq!(query_string(&[]), "");
    }

    #[test]
    fn a_problem_is_told_from_another_body() {
        let body = br#"{"type":"x/errors/overdraft","title":"t","status":422,"detail":"d","code":"overdraft","available":"0.40"}"#;
        let problem = problem(422, &HeaderMap::new(), body).expect("it has a code");
        assert_eq!(problem.to_string(), "overdraft (422): d");
        assert_eq!(problem.fields["available"], "0.40");
        assert!(super::problem(502, &HeaderMap::new(), b"<html>").is_none());
    }
}
