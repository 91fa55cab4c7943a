//! Requests to a node, each sent once, and its answers as JSON values.

use std::time::Duration;

use serde_json::Value;

use crate::HarnessError;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub request: String,
    pub status: u16,
    pub replayed: bool,
    /// Of the header `Partita-Position`.
    pub position: Option<u64>,
    /// Null where the body is not JSON.
    pub body: Value,
}

impl Client {
    /// # Panics
    /// If no HTTP client can be made at all.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self::with_timeout(url, TIMEOUT)
    }

    /// # Panics
    /// As [`Client::new`].
    #[must_use]
    pub fn with_timeout(url: &str, timeout: Duration) -> Self {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .tcp_nodelay(true)
            .retry(reqwest::retry::never())
            .build()
            .expect("a client without TLS needs nothing from the machine");
        Self { http, url: url.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Result<Reply, HarnessError> {
        reply(format!("GET {path}"), self.http.get(format!("{}{path}", self.url))).await
    }

    pub async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<Reply, HarnessError> {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        reply(format!("POST {path}"), request).await
    }

    /// A read that must succeed.
    pub async fn read(&self, path: &str) -> Result<Value, HarnessError> {
        self.get(path).await?.expect(&[200])
    }

    /// A read that must succeed and is no JSON.
    pub async fn text(&self, path: &str) -> Result<String, HarnessError> {
        let request = format!("GET {path}");
        let no_answer = |source| HarnessError::NoAnswer { request: request.clone(), source };
        let response = self.http.get(format!("{}{path}", self.url)).send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let body = response.text().await.map_err(no_answer)?;
        if status == 200 { Ok(body) } else { Err(HarnessError::Unexpected { request, status, body }) }
    }

    /// Has a node make a backup, and forgets it; returns its length.
    pub async fn fetch_backup(self) -> Result<usize, HarnessError> {
        self.download("/v1/cluster/backup").await
    }

    /// Reads an answer to its end and forgets it; returns its length.
    async fn download(&self, path: &str) -> Result<usize, HarnessError> {
        let request = format!("GET {path}");
        let no_answer = |source| HarnessError::NoAnswer { request: request.clone(), source };
        let response = self.http.get(format!("{}{path}", self.url)).send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(no_answer)?;
        if status == 200 {
            return Ok(bytes.len());
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Err(HarnessError::Unexpected { request, status, body })
    }

    /// Every decision so far, of all books.
    pub async fn feed(&self) -> Result<Vec<Value>, HarnessError> {
        self.lines("/v1/journal").await
    }

    /// A read that must succeed and has one JSON value a line.
    pub async fn lines(&self, path: &str) -> Result<Vec<Value>, HarnessError> {
        let request = format!("GET {path}");
        let no_answer = |source| HarnessError::NoAnswer { request: request.clone(), source };
        let response = self.http.get(format!("{}{path}", self.url)).send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(no_answer)?;
        let lines: Result<Vec<Value>, _> =
            text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
        match lines {
            Ok(lines) if status == 200 => Ok(lines),
            _ => Err(HarnessError::Unexpected { request, status, body: text }),
        }
    }

    /// A write that must be answered 201, and whether as a replay.
    pub async fn create(&self, path: &str, key: &str, body: &Value) -> Result<(Value, bool), HarnessError> {
        let reply = self.post(path, Some(key), body).await?;
        let replayed = reply.replayed;
        Ok((reply.expect(&[201])?, replayed))
    }
}

impl Reply {
    pub fn expect(self, statuses: &[u16]) -> Result<Value, HarnessError> {
        if statuses.contains(&self.status) {
            return Ok(self.body);
        }
        Err(HarnessError::Unexpected { request: self.request, status: self.status, body: self.body.to_string() })
    }
}

async fn reply(request: String, builder: reqwest::RequestBuilder) -> Result<Reply, HarnessError> {
    let no_answer = |source| HarnessError::NoAnswer { request: request.clone(), source };
    let response = builder.send().await.map_err(no_answer)?;
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let replayed = header("Idempotent-Replayed").is_some_and(|value| value == "true");
    let position = header("Partita-Position").and_then(|value| value.parse().ok());
    let bytes = response.bytes().await.map_err(no_answer)?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Reply { request, status, replayed, position, body })
}
