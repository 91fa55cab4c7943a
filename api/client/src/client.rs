//! A ledger at the addresses of its nodes, and how single requests go there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::answers::Book as BookAnswer;
use crate::attempts::{Attempts, Line, Nodes};
use crate::book::{Book, Lanes};
use crate::connection::Request;
use crate::encoding::BatchFormat;
use crate::error::Error;
use crate::forms::NewBook;
use crate::key::Keys;
use crate::lane::Bounds;
use crate::parse::{read_problem, said};

/// Connections of single requests that are kept for the next ones.
const MOST_KEPT: usize = 64;

/// How a client behaves; the default suits a service beside its ledger.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a call goes on before it ends with [`Error::OutcomeUnknown`] or [`Error::Unavailable`]. A call that
    /// joins others ends with the first of them, up to a second earlier.
    pub deadline: Duration,
    /// How long one attempt may take before another node is asked. The ledger's own deadline is 10 s.
    pub attempt: Duration,
    /// The most transfers, or entries, of one request; at most 10,000.
    pub batch_items: usize,
    /// The most requests of one book's transfers, or entries, under way at one time.
    pub requests: usize,
    /// How batches of transfers are written.
    pub format: BatchFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            attempt: Duration::from_secs(12),
            batch_items: 8_000,
            requests: 2,
            format: BatchFormat::default(),
        }
    }
}

/// A ledger. Clones are the same client; what they do goes together in requests.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nodes: Arc<Nodes>,
    config: Config,
    books: Mutex<HashMap<String, Arc<Lanes>>>,
    kept: Mutex<Vec<Line>>,
    keys: Mutex<Keys>,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not an http:// address of a node")]
pub struct BadUrl {
    pub url: String,
}

impl Client {
    /// `urls` are the nodes' roots, separated by commas: `http://127.0.0.1:7070,http://127.0.0.1:7071`. Nothing is
    /// connected to yet. Any node takes any request; one that does not serve is left for the next.
    pub fn new(urls: &str) -> Result<Self, BadUrl> {
        Self::with(urls, Config::default())
    }

    pub fn with(urls: &str, config: Config) -> Result<Self, BadUrl> {
        let hosts = urls.split(',').map(|url| host(url.trim())).collect::<Result<Vec<_>, _>>()?;
        let config =
            Config { batch_items: config.batch_items.clamp(1, 10_000), requests: config.requests.max(1), ..config };
        Ok(Self(Arc::new(Inner {
            nodes: Arc::new(Nodes::new(hosts, config.attempt)),
            config,
            books: Mutex::default(),
            kept: Mutex::default(),
            keys: Mutex::new(Keys::new()),
        })))
    }

    /// A book by its id; nothing is asked yet. All handles of a book share its requests.
    #[must_use]
    pub fn book(&self, id: &str) -> Book {
        let mut books = self.0.books.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = books.entry(id.to_owned()).or_insert_with(|| {
            let config = &self.0.config;
            let bounds = Bounds {
                items: config.batch_items,
                bytes: 4 << 20,
                requests: config.requests,
                deadline: config.deadline,
            };
            Arc::new(Lanes::new(&self.0.nodes, id, config.format, bounds))
        });
        Book::new(self.clone(), id, Arc::clone(lanes))
    }

    /// Opens a book.
    pub async fn open_book(&self, book: &NewBook) -> Result<Written<BookAnswer>, Error> {
        self.write("/v1/books", None, book).await
    }

    /// A key for a write whose outcome is to be asked for, or that is to be done again, by the caller itself.
    #[must_use]
    pub fn new_key(&self) -> String {
        let key = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).next();
        String::from_utf8_lossy(&key.text()).into_owned()
    }

    /// Any read, by its path with its encoded query: `/v1/books/acme/periods?limit=10`.
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, Error> {
        let request = Request { method: "GET", path, key: None, content_type: None, accept: None };
        let (answer, _is_replayed) = self.send(&request, b"").await?;
        Ok(answer)
    }

    /// Any single write, by its path; a key is made where there is none.
    pub async fn write<Answer: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        form: &impl Serialize,
    ) -> Result<Written<Answer>, Error> {
        let key = key.map_or_else(|| self.new_key(), str::to_owned);
        let body = serde_json::to_vec(form).expect("forms are maps with texts for names");
        let content_type = Some("application/json");
        let request = Request { method: "POST", path, key: Some(&key), content_type, accept: None };
        let (answer, is_replayed) = self.send(&request, &body).await?;
        Ok(Written { answer, is_replayed, key })
    }

    async fn send<Answer: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        body: &[u8],
    ) -> Result<(Answer, bool), Error> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut line = kept.unwrap_or_default();
        let mut attempts = Attempts::new(Instant::now() + self.0.config.deadline);
        let is_write = request.key.is_some();
        let unknown = |last| Error::OutcomeUnknown { key: request.key.unwrap_or_default().to_owned(), last };
        let answer = match attempts.exchange(&self.0.nodes, &mut line, request, body).await {
            Ok(response) if response.status < 300 => match serde_json::from_slice(response.body) {
                Ok(answer) => Ok((answer, response.is_replayed)),
                Err(_other_shape) if is_write => Err(unknown(attempts.unreadable(response.status, response.body).last)),
                Err(_other_shape) => Err(bad_answer(response.body)),
            },
            Ok(response) => match read_problem(response.body, response.is_replayed) {
                Some(refusal) if !attempts.is_uncertain() || refusal.position.is_some() => {
                    Err(Error::Refused(Arc::new(refusal)))
                }
                Some(_) | None if is_write => Err(unknown(attempts.unreadable(response.status, response.body).last)),
                Some(refusal) => Err(Error::Refused(Arc::new(refusal))),
                None => Err(bad_answer(response.body)),
            },
            Err(gave_up) if gave_up.is_uncertain && is_write => Err(unknown(gave_up.last)),
            Err(gave_up) => Err(Error::Unavailable { last: gave_up.last }),
        };
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(line);
        }
        answer
    }
}

/// What a single write came back with.
#[derive(Clone, Debug)]
pub struct Written<Answer> {
    pub answer: Answer,
    /// Whether the key was decided before, with the same content: it was done once, then.
    pub is_replayed: bool,
    /// Under which it was done.
    pub key: String,
}

fn bad_answer(body: &[u8]) -> Error {
    Error::BadAnswer { what: "the answer is not of the expected shape", answer: said(body) }
}

/// `host:port` of `http://host:port/`.
fn host(url: &str) -> Result<String, BadUrl> {
    let bad = || BadUrl { url: url.to_owned() };
    let host = url.strip_prefix("http://").ok_or_else(bad)?.trim_end_matches('/');
    if host.is_empty() || host.contains(['/', '?', '#', '@']) || host.bytes().any(|byte| byte <= b' ') {
        return Err(bad());
    }
    // An IPv6 address has colons of its own, and brackets around it.
    let has_port = host.rsplit_once(':').is_some_and(|(before, _)| !before.contains(':') || before.ends_with(']'));
    Ok(if has_port { host.to_owned() } else { format!("{host}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_nodes() {
        assert_eq!(host("http://127.0.0.1:7070/"), Ok("127.0.0.1:7070".to_owned()));
        assert_eq!(host("http://ledger"), Ok("ledger:80".to_owned()));
        assert_eq!(host("http://[::1]:7070"), Ok("[::1]:7070".to_owned()));
        assert_eq!(host("http://[::1]"), Ok("[::1]:80".to_owned()));
        for bad in ["", "ledger:7070", "https://ledger", "http://", "http://a/b", "http://a b", "http://u@h"] {
            assert_eq!(host(bad), Err(BadUrl { url: bad.to_owned() }));
        }
        assert_eq!(Client::new("http://a:1, b:2").unwrap_err(), BadUrl { url: "b:2".to_owned() });
    }
}
