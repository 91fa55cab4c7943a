//! A book in which every operation happened, at random but repeatably: what is to be true of any book is tried on it.
//!
//! Most requests make sense, some are refused; [`fill`] says how often each operation was accepted.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::HarnessError;
use crate::client::Client;

/// Opened in the book beside the `saas` chart. Names and codes as unkind to other programs as ours allow.
const ACCOUNTS: [(&str, &str, &str); 6] = [
    ("1000-cash", "asset", "Cash; petty | [2020-01-01] (x) a:b"),
    ("assets:bank:savings", "asset", "Savings, below the bank's account"),
    ("assets::-odd:", "asset", "Empty components: =1+1 @ {x}"),
    ("assets", "asset", "\"Quoted\" \\ and ünïcödé"),
    ("memo:seats", "memo", "Seats sold"),
    ("memo:seats-sold", "memo", "Against seats sold"),
];
const CURRENCIES: [(&str, u8); 3] = [("US-D2", 3), ("A'B.C_9", 0), ("GWEI", 18)];
const DESCRIPTIONS: [&str; 8] = [
    "",
    "plain",
    "semi;colon | bar  two spaces",
    "* (code) = not a status [2020-01-01]",
    "\"quotes\" and \\backslashes\\ {braces} @ 3 EUR",
    "tag:value, :tag: #tag ^link",
    "ünïcödé — 日本",
    "; begins with a comment",
];
const CUSTOMERS: u32 = 12;
const ROUNDS: u32 = 10;

/// Everything that a caller can ask of one book.
pub const OPERATIONS: [&str; 30] = [
    "register_currency",
    "open_account",
    "close_account",
    "post_entry",
    "post_entries",
    "transfer",
    "transfers",
    "reverse_entry",
    "place_hold",
    "capture_hold",
    "void_hold",
    "create_charge",
    "void_charge",
    "create_payment",
    "capture_payment",
    "void_payment",
    "apply_payment",
    "unapply_payment",
    "post_payment_fee",
    "create_refund",
    "settle_refund",
    "fail_refund",
    "soft_close_period",
    "close_period",
    "reopen_period",
    "record_rate",
    "convert",
    "revalue",
    "recognise",
    "close_year",
];

struct Filling<'a> {
    client: &'a Client,
    book: &'a str,
    random: StdRng,
    keys: u64,
    charges: Vec<(String, String, &'static str)>,
    /// Captured and authorised payments: id, customer, currency.
    payments: Vec<(String, String, &'static str)>,
    refunds: Vec<String>,
    holds: Vec<String>,
    entries: u64,
}

/// Opens the book and sends `requests` writes, and as many again until every operation was accepted at least once.
/// How often each was, by its name in the feed.
///
/// # Panics
/// If some operation is never accepted.
pub async fn fill(
    client: &Client,
    book: &str,
    seed: u64,
    requests: usize,
) -> Result<BTreeMap<String, u64>, HarnessError> {
    let body = json!({"id": book, "name": "Every operation", "functional_currency": "USD", "chart": "saas"});
    client.create("/v1/books", &format!("open-{book}"), &body).await?;
    let random = StdRng::seed_from_u64(seed);
    let mut filling = Filling {
        client,
        book,
        random,
        keys: 0,
        charges: vec![],
        payments: vec![],
        refunds: vec![],
        holds: vec![],
        entries: 0,
    };
    for (code, decimals) in CURRENCIES {
        filling.accepted("/currencies", json!({"code": code, "decimals": decimals})).await?;
    }
    for (code, class, name) in ACCOUNTS {
        filling.accepted("/accounts", json!({"code": code, "class": class, "name": name})).await?;
    }
    filling.accepted("/accounts", json!({"code": "assets:closed", "class": "asset", "name": "Closed"})).await?;
    filling.accepted("/accounts/assets:closed/close", json!({})).await?;
    let mut accepted = BTreeMap::new();
    for _ in 0..ROUNDS {
        for _ in 0..requests {
            filling.one().await?;
        }
        filling.close_and_reopen().await?;
        accepted = accepted_operations(client, book).await?;
        if OPERATIONS.iter().all(|operation| accepted.contains_key(*operation)) {
            return Ok(accepted);
        }
    }
    panic!("seed {seed}: of {OPERATIONS:?} only {accepted:?} happened")
}

/// Of one book, from the feed.
async fn accepted_operations(client: &Client, book: &str) -> Result<BTreeMap<String, u64>, HarnessError> {
    let mut counts = BTreeMap::new();
    for decision in client.feed().await? {
        if decision["book"] == book && decision["outcome"] == "accepted" {
            let operation = decision["operation"].as_str().expect("a name").to_owned();
            *counts.entry(operation).or_default() += 1;
        }
    }
    Ok(counts)
}

impl Filling<'_> {
    async fn send(&mut self, path: &str, body: &Value) -> Result<(bool, Value), HarnessError> {
        self.keys += 1;
        let key = format!("every;op,[{}]|{}", self.book, self.keys);
        let reply = self.client.post(&format!("/v1/books/{}{path}", self.book), Some(&key), body).await?;
        assert!(reply.status < 500 && reply.status != 400 && reply.status != 404, "{path} {body}: {}", reply.body);
        Ok((reply.status < 300, reply.body))
    }

    async fn accepted(&mut self, path: &str, body: Value) -> Result<(), HarnessError> {
        let (accepted, answer) = self.send(path, &body).await?;
        assert!(accepted, "{path} {body}: {answer}");
        Ok(())
    }

    fn cents(&mut self, most: u64) -> String {
        let cents = self.random.random_range(1..=most);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    fn date(&mut self) -> String {
        format!(
            "20{}-{:02}-{:02}",
            self.random.random_range(24..=27),
            self.random.random_range(1..=12),
            self.random.random_range(1..=28)
        )
    }

    fn description(&mut self) -> &'static str {
        DESCRIPTIONS[self.random.random_range(0..DESCRIPTIONS.len())]
    }

    fn metadata(&mut self) -> Value {
        match self.random.random_range(0..3) {
            0 => json!({}),
            1 => json!({"ref": "w1; |,[2020-01-01]"}),
            _ => json!({"note 1": "a=b&c \"d\" \\", "date": "2020-01-01"}),
        }
    }

    fn customer(&mut self) -> String {
        format!("cus:{}._-", self.random.random_range(0..CUSTOMERS))
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.random.random_range(0..from.len())].clone())
    }

    fn id(&mut self, kind: &str) -> String {
        format!("{kind}_{}", self.keys + 1)
    }

    async fn one(&mut self) -> Result<(), HarnessError> {
        match self.random.random_range(0..100) {
            0..18 => self.charge().await,
            18..34 => self.payment().await,
            34..55 => self.on_a_payment().await,
            55..68 => self.refund().await,
            68..74 => self.hold().await,
            74..84 => self.entry().await,
            84..90 => self.transfer().await,
            90..94 => self.batch().await,
            94..96 => self.finance().await,
            96..98 => {
                let number = self.random.random_range(1..=self.entries.max(1));
                let body = json!({"effective_date": self.date(), "description": self.description()});
                self.send(&format!("/entries/{number}/reverse"), &body).await.map(drop)
            }
            _ => match self.charges.clone() {
                charges if charges.is_empty() => Ok(()),
                charges => {
                    let (id, ..) = self.pick(&charges).expect("there is one");
                    self.send(&format!("/charges/{id}/void"), &json!({})).await.map(drop)
                }
            },
        }
    }

    /// The first year is closed and opened again, so that what is dated in it can be posted in the next round.
    async fn close_and_reopen(&mut self) -> Result<(), HarnessError> {
        let period = |month: u32, action: &str| format!("/periods/2024-{month:02}/{action}");
        for month in 1..=12 {
            self.send(&period(month, "soft-close"), &json!({})).await?;
        }
        self.send("/years/2024/close", &json!({})).await?;
        self.send(&period(1, "close"), &json!({"accept": ["must_zero", "unapplied_cash", "fx_position"]})).await?;
        for month in (1..=12).rev() {
            self.send(&period(month, "reopen"), &json!({"reason": "a late invoice"})).await?;
        }
        Ok(())
    }

    async fn finance(&mut self) -> Result<(), HarnessError> {
        let (path, body) = match self.random.random_range(0..4) {
            // One early enough for every revaluation.
            0 => (
                "/rates",
                json!({"base": "EUR", "quote": "USD", "rate": "1.0911", "date": "2020-01-01", "source": "ecb"}),
            ),
            1 => ("/revaluations", json!({"date": self.date()})),
            2 => ("/recognitions", json!({"through": self.date()})),
            _ => (
                "/conversions",
                json!({"from": "assets:bank", "amount": self.cents(20_000), "currency": "EUR", "to": "assets:bank",
                    "received": self.cents(20_000), "received_currency": "USD", "fee": "0.07",
                    "effective_date": self.date()}),
            ),
        };
        self.send(path, &body).await.map(drop)
    }

    async fn charge(&mut self) -> Result<(), HarnessError> {
        let (id, customer) = (self.id("in"), self.customer());
        let currency = if self.random.random_bool(0.25) { "EUR" } else { "USD" };
        let tax =
            if self.random.random_bool(0.5) { json!([{"jurisdiction": "us-ca", "amount": "0.01"}]) } else { json!([]) };
        let mut line = json!({"revenue": "revenue:subscription", "amount": self.cents(50_000), "tax": tax});
        if self.random.random_bool(0.3) {
            line["defer"] = json!({"from": "2026-01-01", "to": "2026-12-31"});
        }
        let mut body = json!({"id": id, "customer": customer, "currency": currency, "due_date": self.date(),
            "lines": [line], "effective_date": self.date(), "metadata": self.metadata()});
        if currency == "EUR" {
            body["rate"] = "1.0873".into();
        }
        if self.send("/charges", &body).await?.0 {
            self.charges.push((id, customer, currency));
        }
        Ok(())
    }

    async fn payment(&mut self) -> Result<(), HarnessError> {
        let id = self.id("pay");
        let charges = self.charges.clone();
        let charge = self.pick(&charges);
        let (customer, currency) = match &charge {
            Some((_, customer, currency)) => (customer.clone(), *currency),
            None => (self.customer(), "USD"),
        };
        let amount = self.cents(60_000);
        let mut body = json!({"id": id, "customer": customer, "amount": amount, "currency": currency,
            "effective_date": self.date()});
        if self.random.random_bool(0.5) {
            body["processor"] = "stripe".into();
        } else {
            body["account"] = "assets:bank".into();
        }
        match self.random.random_range(0..10) {
            0..4 => {
                body["processor"] = "stripe".into();
                body["capture"] = "manual".into();
                body.as_object_mut().expect("an object").remove("account");
            }
            _ => {
                if let Some((charge, ..)) = charge {
                    body["apply"] = json!([{"charge": charge, "amount": amount}]);
                }
            }
        }
        if self.send("/payments", &body).await?.0 {
            self.payments.push((id, customer, currency));
        }
        Ok(())
    }

    async fn on_a_payment(&mut self) -> Result<(), HarnessError> {
        let payments = self.payments.clone();
        let Some((id, customer, currency)) = self.pick(&payments) else { return Ok(()) };
        let own: Vec<_> =
            self.charges.iter().filter(|charge| charge.1 == customer && charge.2 == currency).cloned().collect();
        let charge = self.pick(&own).map(|charge| charge.0);
        let amount = self.cents(5_000);
        let apply = charge.map(|charge| json!([{"charge": charge, "amount": amount}]));
        let (action, body) = match self.random.random_range(0..6) {
            0 => ("capture", json!({"amount": amount, "final": self.random.random_bool(0.5)})),
            1 => ("void", json!({})),
            2 => ("fees", json!({"amount": self.cents(300), "returned": self.random.random_bool(0.2)})),
            3 | 4 if apply.is_some() => ("apply", json!({"apply": apply})),
            _ if apply.is_some() => ("unapply", json!({"apply": apply})),
            _ => return Ok(()),
        };
        self.send(&format!("/payments/{id}/{action}"), &body).await.map(drop)
    }

    async fn refund(&mut self) -> Result<(), HarnessError> {
        if let Some(id) = self.refunds.pop() {
            let action = if self.random.random_bool(0.6) { "settle" } else { "fail" };
            return self.send(&format!("/refunds/{id}/{action}"), &json!({})).await.map(drop);
        }
        let payments = self.payments.clone();
        let Some((payment, ..)) = self.pick(&payments) else { return Ok(()) };
        let id = self.id("re");
        let settle = if self.random.random_bool(0.7) { "manual" } else { "automatic" };
        let body = json!({"id": id, "payment": payment, "amount": self.cents(900), "settle": settle});
        if self.send("/refunds", &body).await?.0 {
            self.refunds.push(id);
        }
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), HarnessError> {
        let holds = self.holds.clone();
        if let (Some(id), true) = (self.pick(&holds), self.random.random_bool(0.6)) {
            let (action, body) =
                if self.random.random_bool(0.6) { ("capture", json!({"amount": "0.01"})) } else { ("void", json!({})) };
            return self.send(&format!("/holds/{id}/{action}"), &body).await.map(drop);
        }
        let id = self.id("h");
        let body = json!({"id": id, "debit": "assets:bank:savings", "credit": "equity:capital", "amount": self.cents(900),
            "currency": "USD"});
        if self.send("/holds", &body).await?.0 {
            self.holds.push(id);
        }
        Ok(())
    }

    /// An entry in several currencies, on the oddest accounts.
    fn manual(&mut self) -> Value {
        let kind = ["standard", "opening", "adjusting"][self.random.random_range(0..3)];
        let mut lines = vec![];
        for (debit, credit, currency, amount) in [
            ("1000-cash", "equity:capital", "USD", self.cents(1_000_000)),
            ("assets::-odd:", "assets", "US-D2", "0.004".to_owned()),
            ("assets:bank", "assets:bank:savings", "A'B.C_9", "7".to_owned()),
            ("memo:seats", "memo:seats-sold", "A'B.C_9", "123456".to_owned()),
            ("assets:bank:savings", "equity:capital", "GWEI", "0.000000000000000001".to_owned()),
            ("assets:bank:savings", "equity:capital", "JPY", "1000".to_owned()),
        ] {
            if lines.is_empty() || self.random.random_bool(0.4) {
                let (debit, credit) = if self.random.random_bool(0.3) { (credit, debit) } else { (debit, credit) };
                lines.push(json!({"account": debit, "side": "debit", "amount": amount, "currency": currency}));
                lines.push(json!({"account": credit, "side": "credit", "amount": amount, "currency": currency}));
            }
        }
        json!({"kind": kind, "effective_date": self.date(), "description": self.description(),
            "metadata": self.metadata(), "lines": lines})
    }

    async fn entry(&mut self) -> Result<(), HarnessError> {
        let body = self.manual();
        let (accepted, answer) = self.send("/entries", &body).await?;
        // From the second round on some periods are closed.
        assert!(accepted || answer["code"] == "period_closed", "{body}: {answer}");
        if accepted {
            self.entries = answer["number"].as_u64().expect("a number");
        }
        Ok(())
    }

    async fn transfer(&mut self) -> Result<(), HarnessError> {
        let body = json!({"debit": "assets:bank", "credit": "1000-cash", "amount": self.cents(90_000),
            "currency": "USD", "description": self.description()});
        self.send("/transfers", &body).await.map(drop)
    }

    async fn batch(&mut self) -> Result<(), HarnessError> {
        let atomic = self.random.random_bool(0.5);
        let mut items = vec![self.manual(), self.manual()];
        let (path, name) = if self.random.random_bool(0.5) {
            items =
                vec![json!({"debit": "1000-cash", "credit": "assets:bank", "amount": "1.00", "currency": "USD"}); 2];
            ("/transfers:batch", "transfers")
        } else {
            ("/entries:batch", "entries")
        };
        if !atomic {
            for (index, item) in items.iter_mut().enumerate() {
                item["idempotency_key"] = format!("batch-{}-{index}", self.keys).into();
            }
        }
        let mut body = json!({"atomic": atomic});
        body[name] = items.into();
        self.send(path, &body).await.map(drop)
    }
}
