//! The binary form of a batch of transfers: the same writes as in JSON, the same answers, and clear words for what is wrong.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::Ledger;

const TYPE: &str = "application/vnd.partita.transfers.v1";
const PATH: &str = "/v1/books/acme/transfers:batch";

#[derive(Clone, Debug)]
struct Transfer {
    key: &'static str,
    debit: &'static str,
    credit: &'static str,
    currency: &'static str,
    mantissa: u128,
    scale: u8,
    date: Option<i32>,
    description: Option<&'static str>,
    metadata: Option<Vec<(&'static str, &'static str)>>,
}

const PLAIN: Transfer = Transfer {
    key: "k1",
    debit: "assets:bank",
    credit: "liabilities:customer-prepaid/cus_1",
    currency: "USD",
    mantissa: 100,
    scale: 2,
    date: None,
    description: None,
    metadata: None,
};

fn short(body: &mut Vec<u8>, text: &str) {
    body.push(u8::try_from(text.len()).unwrap());
    body.extend_from_slice(text.as_bytes());
}

fn long(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

impl Transfer {
    fn put(&self, body: &mut Vec<u8>) {
        let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        body.push(bit(self.date.is_some(), 1) | bit(self.description.is_some(), 2) | bit(self.metadata.is_some(), 4));
        for text in [self.key, self.debit, self.credit, self.currency] {
            short(body, text);
        }
        body.push(self.scale);
        body.extend_from_slice(&self.mantissa.to_le_bytes());
        if let Some(days) = self.date {
            body.extend_from_slice(&days.to_le_bytes());
        }
        if let Some(description) = self.description {
            long(body, description);
        }
        if let Some(pairs) = &self.metadata {
            body.push(u8::try_from(pairs.len()).unwrap());
            for (name, value) in pairs {
                short(body, name);
                long(body, value);
            }
        }
    }

    /// As it is written in JSON; the date is one that the test names.
    fn json(&self, date: &str) -> Value {
        let mut json = json!({"debit": self.debit, "credit": self.credit, "currency": self.currency});
        let digits = format!("{:0width$}", self.mantissa, width = usize::from(self.scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        json["amount"] = if self.scale == 0 { whole.into() } else { format!("{whole}.{fraction}").into() };
        if !self.key.is_empty() {
            json["idempotency_key"] = self.key.into();
        }
        if self.date.is_some() {
            json["effective_date"] = date.into();
        }
        if let Some(description) = self.description {
            json["description"] = description.into();
        }
        if let Some(pairs) = &self.metadata {
            json["metadata"] = pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        }
        json
    }
}

fn body(flags: u8, transfers: &[Transfer]) -> Vec<u8> {
    let mut body = vec![flags];
    body.extend_from_slice(&u32::try_from(transfers.len()).unwrap().to_le_bytes());
    transfers.iter().for_each(|transfer| transfer.put(&mut body));
    body
}

/// A day of 2026.
const DAY: (i32, &str) = (20_484, "2026-01-31");

fn samples() -> Vec<Transfer> {
    vec![
        PLAIN,
        Transfer { key: "k2", mantissa: 1, scale: 0, ..PLAIN },
        Transfer { key: "k3", mantissa: 1_500, scale: 3, date: Some(DAY.0), ..PLAIN },
        Transfer { key: "k4", mantissa: 12_345_678_901_234, scale: 2, description: Some("Überweisung"), ..PLAIN },
        Transfer { key: "k5", metadata: Some(vec![("order", "o_1"), ("größe", "")]), description: Some(""), ..PLAIN },
        Transfer { key: "k6", debit: "assets:nothing", ..PLAIN },
    ]
}

async fn send(ledger: &Ledger, request: axum::http::request::Builder, body: Vec<u8>) -> (StatusCode, String, Vec<u8>) {
    let response = ledger.routes.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = response.status();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (status, content_type, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn post(content_type: &str) -> axum::http::request::Builder {
    Request::post(PATH).header("content-type", content_type)
}

async fn json_answer(ledger: &Ledger, request: axum::http::request::Builder, body: Vec<u8>) -> (StatusCode, Value) {
    let (status, content_type, answer) = send(ledger, request, body).await;
    assert_ne!(content_type, TYPE);
    (status, serde_json::from_slice(&answer).unwrap())
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_sent_in_one_form_is_replayed_in_the_other() {
    let ledger = Ledger::with_book().await;
    let transfers = samples();
    let json_body = json!({"transfers": transfers.iter().map(|transfer| transfer.json(DAY.1)).collect::<Vec<_>>()});
    let json_body = json_body.to_string().into_bytes();
    let (status, first) = json_answer(&ledger, post(TYPE), body(0, &transfers)).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(statuses(&first), ["posted", "posted", "posted", "posted", "posted", "rejected"]);
    let position = ledger.position();
    let (_, second) = json_answer(&ledger, post("application/json"), json_body).await;
    assert_eq!(statuses(&second), ["replayed"; 6], "{second}");
    assert_eq!((ledger.position(), &second["results"][5]["code"]), (position, &json!("unknown_account")));

    // And the other way round, with other keys; then with other content.
    let keys = ["l1", "l2", "l3", "l4", "l5", "l6"];
    let renamed: Vec<_> = transfers.iter().zip(keys).map(|(of, key)| Transfer { key, ..of.clone() }).collect();
    let json_body = json!({"transfers": renamed.iter().map(|transfer| transfer.json(DAY.1)).collect::<Vec<_>>()});
    json_answer(&ledger, post("application/json"), json_body.to_string().into_bytes()).await;
    let (_, answer) = json_answer(&ledger, post(TYPE), body(0, &renamed)).await;
    assert_eq!(statuses(&answer), ["replayed"; 6], "{answer}");
    let other = Transfer { key: "l1", mantissa: 101, ..PLAIN };
    let (_, answer) = json_answer(&ledger, post(TYPE), body(0, &[other])).await;
    assert_eq!(answer["results"][0]["code"], "idempotency_key_reused");
    ledger.close().await;
}

#[tokio::test]
async fn the_answer_is_binary_where_it_is_asked_for_whatever_the_body() {
    let ledger = Ledger::with_book().await;
    let asked = |content_type: &str| post(content_type).header("accept", format!("application/json;q=0.5, {TYPE}"));
    let transfers = &samples()[..2];
    let json_body = json!({"transfers": transfers.iter().map(|transfer| transfer.json(DAY.1)).collect::<Vec<_>>()});
    let (status, content_type, answer) = send(&ledger, asked("application/json"), json_body.to_string().into()).await;
    assert_eq!((status, content_type.as_str()), (StatusCode::OK, TYPE));
    let next = ledger.position() - 1;
    let mut expected = vec![0, 2, 0, 0, 0];
    for (number, balance) in [(1_u64, 100_i128), (2, 200)] {
        expected.push(0);
        expected.extend_from_slice(&number.to_le_bytes());
        expected.extend_from_slice(&(next + number - 1).to_le_bytes());
        expected.push(2);
        expected.extend_from_slice(&balance.to_le_bytes());
        expected.extend_from_slice(&balance.to_le_bytes());
    }
    assert_eq!(answer, expected);

    // Atomic: the key is the header's; a refusal is a problem in JSON.
    let all = [Transfer { key: "", ..PLAIN }, Transfer { key: "", mantissa: 7, scale: 0, ..PLAIN }];
    let (status, content_type, answer) =
        send(&ledger, asked(TYPE).header("idempotency-key", "all"), body(1, &all)).await;
    assert_eq!((status, content_type.as_str()), (StatusCode::OK, TYPE));
    assert_eq!(answer[..9], [&[1], ledger.position().to_le_bytes().as_slice()].concat());
    assert_eq!(answer.len(), 1 + 16 + 4 + 2 * 50);
    let (_, _, again) = send(&ledger, asked(TYPE).header("idempotency-key", "all"), body(1, &all)).await;
    assert_eq!(again, answer);
    let bad = [Transfer { key: "", debit: "assets:nothing", ..PLAIN }];
    let (status, content_type, answer) =
        send(&ledger, asked(TYPE).header("idempotency-key", "bad"), body(1, &bad)).await;
    assert_eq!((status.as_u16(), content_type.as_str()), (422, "application/problem+json"));
    let problem: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&problem["code"], &problem["index"]), (&json!("unknown_account"), &json!(0)));
    ledger.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_leaves_no_trace() {
    let ledger = Ledger::with_book().await;
    let position = ledger.position();
    let with = |transfer: Transfer| body(0, &[PLAIN, Transfer { key: "k2", ..transfer }]);
    let whole = body(0, &[PLAIN, PLAIN]);
    let cut = whole[..whole.len() - 1].to_vec();
    let longer = [whole.clone(), vec![0]].concat();
    let mut fields = whole.clone();
    fields[5] = 8;
    let mut not_text = body(0, &[PLAIN]);
    not_text[7] = 0xFF;
    let pairs = |pairs: &[(&'static str, &'static str)]| Transfer { metadata: Some(pairs.to_vec()), ..PLAIN };
    let place = "transfers[1]";
    let cases: Vec<(Vec<u8>, &str, String, &str)> = vec![
        (vec![], "malformed", "the body ends before its first transfer".into(), ""),
        (vec![0, 1, 0], "malformed", "the body ends before its first transfer".into(), ""),
        (body(2, &[PLAIN]), "malformed", "the body has flags that are not known: 2".into(), ""),
        (body(0, &[]), "malformed", "transfers: must have at least 1 element".into(), "/transfers"),
        (
            [&[0], 10_001_u32.to_le_bytes().as_slice()].concat(),
            "malformed",
            "transfers: must have at most 10000 elements".into(),
            "/transfers",
        ),
        (cut, "malformed", format!("{place}: the body ends inside of it"), "/transfers/1"),
        (longer, "malformed", "the body has 1 bytes behind its 2 transfers".into(), ""),
        (
            fields,
            "malformed",
            "transfers[0].fields: must have no bit but 0, 1 and 2, not 8".into(),
            "/transfers/0/fields",
        ),
        (not_text, "malformed", "transfers[0].idempotency_key: must be UTF-8".into(), "/transfers/0/idempotency_key"),
        (
            body(0, &[Transfer { key: "", ..PLAIN }]),
            "idempotency_key_missing",
            "transfers[0]: idempotency_key is missing".into(),
            "/transfers/0",
        ),
        (
            body(1, &[PLAIN]),
            "malformed",
            "transfers[0].idempotency_key: an atomic batch has one key, the header's".into(),
            "/transfers/0/idempotency_key",
        ),
        (
            with(Transfer { debit: "A", ..PLAIN }),
            "malformed",
            format!(
                "{place}.debit: its account must be 1 to 64 characters [a-z0-9:-], starting with a letter or digit"
            ),
            "/transfers/1/debit",
        ),
        (
            with(Transfer { credit: "a/b/c/d", ..PLAIN }),
            "malformed",
            format!("{place}.credit: must be `code`, `code/party` or `code/party/item`"),
            "/transfers/1/credit",
        ),
        (
            with(Transfer { currency: "usd", ..PLAIN }),
            "malformed",
            format!(
                "{place}.currency: must be 2 to 24 characters [A-Z0-9'._-], starting with a letter, ending with a letter or digit"
            ),
            "/transfers/1/currency",
        ),
        (
            with(Transfer { mantissa: 0, ..PLAIN }),
            "amount_not_positive",
            format!("{place}.amount: must be greater than zero"),
            "/transfers/1/amount",
        ),
        (
            with(Transfer { mantissa: 10_u128.pow(18), scale: 0, ..PLAIN }),
            "amount_too_large",
            format!("{place}.amount: must have at most 18 digits before the decimal point"),
            "/transfers/1/amount",
        ),
        (
            with(Transfer { mantissa: u128::MAX, scale: 20, ..PLAIN }),
            "amount_too_large",
            format!("{place}.amount: must have at most 18 digits before the decimal point"),
            "/transfers/1/amount",
        ),
        (
            with(Transfer { scale: 21, ..PLAIN }),
            "malformed",
            format!("{place}.amount: must have at most 20 digits after the decimal point"),
            "/transfers/1/amount",
        ),
        (
            with(Transfer { date: Some(i32::MAX), ..PLAIN }),
            "malformed",
            format!("{place}.effective_date: must be a day of the years 1 to 9999, counted from 1970-01-01"),
            "/transfers/1/effective_date",
        ),
        (
            with(Transfer { description: Some("a\nb"), ..PLAIN }),
            "malformed",
            format!("{place}.description: must have no control characters"),
            "/transfers/1/description",
        ),
        (
            with(pairs(&[("a", "1"), ("a", "2")])),
            "malformed",
            format!("{place}.metadata: has the name a twice"),
            "/transfers/1/metadata",
        ),
        (
            with(pairs(&[("", "1")])),
            "malformed",
            format!("{place}.metadata: a name must have at least 1 character"),
            "/transfers/1/metadata",
        ),
        (
            with(pairs(&[("a", "1"); 51])),
            "malformed",
            format!("{place}.metadata: must have at most 50 pairs"),
            "/transfers/1/metadata",
        ),
    ];
    for (body, code, detail, pointer) in cases {
        let (status, problem) = json_answer(&ledger, post(TYPE).header("idempotency-key", "h"), body).await;
        let expected = (code, detail.as_str(), if pointer.is_empty() { &Value::Null } else { &json!(pointer) });
        let found = (problem["code"].as_str().unwrap(), problem["detail"].as_str().unwrap(), &problem["pointer"]);
        assert_eq!((status.as_u16(), found), (400, expected));
    }
    let (status, problem) = json_answer(&ledger, post("text/plain"), whole).await;
    let detail = format!("the header Content-Type must be application/json or {TYPE}");
    assert_eq!((status.as_u16(), &problem["detail"]), (415, &json!(detail)));
    assert_eq!(ledger.position(), position);
    ledger.close().await;
}

/// Whatever the bytes: a refusal of the whole with its reason, or a batch of as many results as it has transfers.
#[tokio::test]
async fn damaged_bytes_are_refused_or_read() {
    let ledger = Ledger::with_book().await;
    let sound = body(0, &samples());
    let change = (any::<proptest::sample::Index>(), 0..4_u8, any::<u8>());
    let strategy = proptest::collection::vec(change, 1..4);
    let mut runner = TestRunner::new(Config::with_cases(400));
    let mut refused = 0;
    for _ in 0..400 {
        let changes = strategy.new_tree(&mut runner).unwrap().current();
        let mut body = sound.clone();
        for (place, how, byte) in changes {
            let place = place.index(body.len());
            match how {
                0 => body[place] = byte,
                1 => body.insert(place, byte),
                2 => body.truncate(place.max(1)),
                _ => drop(body.remove(place)),
            }
        }
        let position = ledger.position();
        let count = body.get(1..5).map(|count| u32::from_le_bytes(count.try_into().unwrap()));
        let (status, answer) = json_answer(&ledger, post(TYPE), body).await;
        if status == StatusCode::OK {
            assert_eq!(answer["results"].as_array().map(Vec::len), count.map(|count| count.try_into().unwrap()));
        } else {
            assert_eq!((status.as_u16(), ledger.position()), (400, position), "{answer}");
            refused += 1;
        }
    }
    assert!((1..400).contains(&refused), "{refused} of 400 were refused");
    ledger.close().await;
}
