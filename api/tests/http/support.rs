//! A real node in a temporary directory under the real router, called without sockets.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use partita_api::app::App;
use partita_api::router::router;
use partita_consensus::{Node, NodeConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::ServiceExt as _;

/// No answer takes longer than this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Ledger {
    pub(crate) app: App,
    pub(crate) routes: Router,
    /// Kept until the end: dropping it removes the data.
    _directory: TempDir,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON, with every `recorded_at` taken out.
    pub(crate) fn body(&self) -> Value {
        let mut body = serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text));
        without_times(&mut body);
        body
    }

    pub(crate) fn position(&self) -> u64 {
        self.headers["partita-position"].to_str().unwrap().parse().unwrap()
    }

    pub(crate) fn replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body()
    }
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(at)) = members.remove("recorded_at") {
                assert!(at.ends_with('Z') && at.contains('T'), "{at} is no instant");
            }
            members.values_mut().for_each(without_times);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Ledger {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let config = NodeConfig::alone(directory.path().join("data"), 1, 256 << 20);
        Self::over(Node::start(config).await.unwrap(), directory).await
    }

    /// Over a node that was just started in the directory.
    pub(crate) async fn over(node: Node, directory: TempDir) -> Self {
        node.wait_recovered(Instant::now() + PATIENCE).await.unwrap();
        let app = App::new(node);
        Self { routes: router(app.clone()), app, _directory: directory }
    }

    /// RocksDB must be closed when the process ends: its threads do not outlive its globals.
    pub(crate) async fn close(self) {
        self.app.node().shutdown(Instant::now() + PATIENCE).await;
    }

    /// With the book `acme`, in dollars, with the chart that ships.
    pub(crate) async fn with_book() -> Self {
        Self::start().await.with_acme().await
    }

    pub(crate) async fn with_acme(self) -> Self {
        let book = json!({"id": "acme", "name": "Acme Inc", "functional_currency": "USD", "chart": "saas"});
        self.post("/v1/books", "open", &book).await.expect(201);
        self
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = async {
            let response = self.routes.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer within the deadline")
    }

    pub(crate) async fn post_text(&self, path: &str, key: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json").header("idempotency-key", key);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.post_text(path, key, body.to_string()).await
    }

    pub(crate) async fn post_without_key(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// In the book `acme`, accepted.
    #[track_caller]
    pub(crate) fn made<'a>(&'a self, path: &'a str, key: &'a str, body: Value) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.post(&format!("/v1/books/acme/{path}"), key, &body).await;
            assert!(answer.status.is_success(), "{caller}: {}", answer.text);
            answer.body()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Everything that the book shows, positions aside.
    pub(crate) async fn digest(&self) -> Value {
        let mut digest = vec![];
        let trial = self.get("/v1/books/acme/reports/trial-balance?as_of=9999-12-31").await.expect(200);
        digest.push(json!({"rows": trial["rows"], "totals": trial["totals"], "last_entry": trial["last_entry"]}));
        for list in ["accounts", "currencies", "entries", "holds", "charges", "payments", "refunds"] {
            let page = self.get(&format!("/v1/books/acme/{list}?limit=1000")).await;
            let page = if list == "currencies" { self.get("/v1/books/acme/currencies").await } else { page };
            let page = page.expect(200);
            assert_eq!(page["next"], Value::Null, "{list} must fit on a page");
            digest.push(page["data"].clone());
        }
        for account in ["assets:bank", "assets:processor-clearing", "assets:receivable", "liabilities:unapplied-cash"] {
            digest.push(self.get(&format!("/v1/books/acme/accounts/{account}/balance")).await.expect(200));
        }
        Value::Array(digest)
    }

    pub(crate) fn position(&self) -> u64 {
        self.app.node().status().position.0
    }

    /// The head of the hash tree: the same only if nothing at all was decided.
    pub(crate) async fn head(&self) -> String {
        let trial = self.get("/v1/books/acme/reports/trial-balance").await.expect(200);
        trial["head"].as_str().unwrap().to_owned()
    }
}
