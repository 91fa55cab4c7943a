//! Requests and answers of the billing book.

use serde_json::{Value, json};

use super::{answers, cents, money};
use crate::chaos::billing::{Application, Document, DocumentKind, Request};
use crate::chaos::history::{Detail, Outcome};
use crate::client::Reply;

/// How its keys begin.
pub(super) const KEYS: &str = "billing-";

fn charge(id: u64) -> String {
    format!("in_{id}")
}

fn payment(id: u64) -> String {
    format!("pay_{id}")
}

fn refund(id: u64) -> String {
    format!("re_{id}")
}

fn apply(application: &Application) -> Value {
    json!([{"charge": charge(application.charge), "amount": money(application.amount)}])
}

/// Path, within the book, and body.
pub(super) fn request(request: &Request) -> (String, Value) {
    match request {
        Request::Charge { id, customer, amount, tax } => {
            let mut body = json!({"id": charge(*id), "customer": format!("cus_{customer}"), "currency": "USD",
                "revenue": "revenue:subscription", "amount": money(*amount)});
            if *tax > 0 {
                body["tax"] = json!([{"jurisdiction": "us-ca", "amount": money(*tax)}]);
            }
            ("charges".to_owned(), body)
        }
        Request::VoidCharge { id } => (format!("charges/{}/void", charge(*id)), json!({})),
        Request::Pay { id, customer, amount, authorise, apply: asked } => {
            let capture = if *authorise { "manual" } else { "automatic" };
            let mut body = json!({"id": payment(*id), "customer": format!("cus_{customer}"), "processor": "stripe",
                "currency": "USD", "amount": money(*amount), "capture": capture});
            if let Some(asked) = asked {
                body["apply"] = apply(asked);
            }
            ("payments".to_owned(), body)
        }
        Request::Capture { id, amount, last } => {
            (format!("payments/{}/capture", payment(*id)), json!({"amount": money(*amount), "final": last}))
        }
        Request::VoidPayment { id } => (format!("payments/{}/void", payment(*id)), json!({})),
        Request::Apply { id, apply: asked } => {
            (format!("payments/{}/apply", payment(*id)), json!({"apply": apply(asked)}))
        }
        Request::Unapply { id, apply: asked } => {
            (format!("payments/{}/unapply", payment(*id)), json!({"apply": apply(asked)}))
        }
        Request::Refund { id, payment: of, amount, manual } => {
            let settle = if *manual { "manual" } else { "automatic" };
            let body = json!({"id": refund(*id), "payment": payment(*of), "amount": money(*amount), "settle": settle});
            ("refunds".to_owned(), body)
        }
        Request::Settle { id } => (format!("refunds/{}/settle", refund(*id)), json!({})),
        Request::Fail { id } => (format!("refunds/{}/fail", refund(*id)), json!({})),
    }
}

pub(super) fn document_path(kind: DocumentKind, id: u64) -> String {
    match kind {
        DocumentKind::Charge => format!("charges/{}", charge(id)),
        DocumentKind::Payment => format!("payments/{}", payment(id)),
        DocumentKind::Refund => format!("refunds/{}", refund(id)),
    }
}

/// What a request's answer shows, and the status it has when it was accepted.
fn shows(request: &Request) -> (DocumentKind, u16) {
    match request {
        Request::Charge { .. } => (DocumentKind::Charge, 201),
        Request::VoidCharge { .. } => (DocumentKind::Charge, 200),
        Request::Pay { .. } => (DocumentKind::Payment, 201),
        Request::Capture { .. } | Request::VoidPayment { .. } | Request::Apply { .. } | Request::Unapply { .. } => {
            (DocumentKind::Payment, 200)
        }
        Request::Refund { .. } => (DocumentKind::Refund, 201),
        Request::Settle { .. } | Request::Fail { .. } => (DocumentKind::Refund, 200),
    }
}

pub(super) fn decided(request: &Request, body: &Value, status: u16) -> Option<Outcome> {
    let (kind, accepted) = shows(request);
    match status {
        _ if status == accepted => shown(kind, body),
        409 | 422 => answers::refused(body),
        _ => None,
    }
}

fn shown(kind: DocumentKind, body: &Value) -> Option<Outcome> {
    Some(Outcome {
        code: "posted".into(),
        position: Some(body["position"].as_u64()?),
        detail: Some(Box::new(Detail::Document(document(kind, body)?))),
        ..Outcome::default()
    })
}

/// The answer that a look-up repeats; the operation's name says what it shows.
pub(super) fn first_answer(operation: &str, answer: &Value) -> Option<Outcome> {
    let kind = match operation {
        name if name.contains("refund") => DocumentKind::Refund,
        name if name.contains("payment") => DocumentKind::Payment,
        name if name.contains("charge") => DocumentKind::Charge,
        _ => return None,
    };
    shown(kind, answer)
}

/// A document that is read; its position is that of the last decision that changed it.
pub(super) fn looked_at(kind: DocumentKind, reply: &Reply) -> Option<Outcome> {
    match reply.status {
        200 => shown(kind, &reply.body).map(|outcome| Outcome { code: "read".into(), position: None, ..outcome }),
        404 if reply.body["code"] == "not_found" => Some(Outcome { code: "not_found".into(), ..Outcome::default() }),
        _ => None,
    }
}

fn document(kind: DocumentKind, body: &Value) -> Option<Document> {
    let money = |field: &str| cents(&body[field]);
    Some(match kind {
        DocumentKind::Charge => {
            Document::Charge { state: state(body)?, open: money("open")?, credited: money("credited")? }
        }
        DocumentKind::Payment => Document::Payment {
            state: state(body)?,
            captured: money("captured")?,
            pending: money("pending")?,
            applied: money("applied")?,
            unapplied: money("unapplied")?,
            refunded: money("refunded")?,
            refundable: money("refundable")?,
        },
        DocumentKind::Refund => {
            let parts = body["from"].as_array()?;
            let mut unapplied = 0;
            let mut tax = 0;
            for part in parts {
                if part["unapplied"] == true {
                    unapplied += cents(&part["amount"])?;
                }
                tax += cents(&part["tax"])?;
            }
            Document::Refund { state: state(body)?, amount: money("amount")?, unapplied, tax }
        }
    })
}

/// The states have the names that the history gives them.
fn state<S: serde::de::DeserializeOwned>(body: &Value) -> Option<S> {
    serde_json::from_value(body["state"].clone()).ok()
}
