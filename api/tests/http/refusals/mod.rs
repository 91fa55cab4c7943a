//! Every refusal of the API: the whole problem, and that nothing changed. The snapshots are the list to read.

mod bounds;
mod decided;
mod malformed;
mod protocol;
mod undecided;

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Ledger};

/// One refusal as the snapshot shows it.
pub(super) fn show(text: &mut String, title: &str, request: &str, answer: &Answer) {
    let body = serde_json::to_string_pretty(&answer.body()).unwrap();
    writeln!(
        text,
        "## {title}\n{request}\n→ {} {}\n{body}\n",
        answer.status.as_u16(),
        answer.headers["content-type"].to_str().unwrap()
    )
    .unwrap();
}

pub(super) fn shortened(body: &str) -> String {
    if body.len() <= 300 { body.to_owned() } else { format!("{}… ({} bytes)", &body[..120], body.len()) }
}

/// What is refused before the proposal leaves no trace: no position, the same head.
pub(super) struct Undecided<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) text: String,
    pub(super) count: usize,
}

impl Undecided<'_> {
    pub(super) async fn check(&mut self, title: &str, path: &str, body: impl Into<String>) {
        let body = body.into();
        let (position, head) = (self.ledger.position(), self.ledger.head().await);
        let answer = self.ledger.post_text(path, "undecided", body.clone()).await;
        show(&mut self.text, title, &format!("POST {path} {}", shortened(&body)), &answer);
        self.unchanged(title, &answer, position, &head).await;
    }

    pub(super) async fn send(&mut self, title: &str, request: Request<Body>) {
        let (position, head) = (self.ledger.position(), self.ledger.head().await);
        let line = format!("{} {}", request.method(), request.uri());
        let answer = self.ledger.send(request).await;
        show(&mut self.text, title, &line, &answer);
        self.unchanged(title, &answer, position, &head).await;
    }

    async fn unchanged(&mut self, title: &str, answer: &Answer, position: u64, head: &str) {
        assert!(answer.status.is_client_error(), "{title}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{title}");
        assert_eq!(answer.position(), position, "{title}: the header");
        assert_eq!(self.ledger.position(), position, "{title}: a position was taken");
        assert_eq!(self.ledger.head().await, head, "{title}: the head moved");
        self.count += 1;
    }
}

pub(super) fn line(side: &str, amount: &str) -> Value {
    json!({"account": "assets:bank", "side": side, "amount": amount, "currency": "USD"})
}

pub(super) fn entry(lines: &[Value]) -> String {
    json!({ "lines": lines }).to_string()
}
