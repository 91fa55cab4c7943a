//! Answers written by hand, held against serde's and against each other.

use partita_consensus::{Node, NodeConfig};
use partita_core::entry::{After, Rule};
use partita_core::id::{BookCode, EntryNumber, Key};
use partita_core::money::Amount;
use partita_core::operation::{Chart, OpenBook, Operation};
use partita_core::time::Date;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::time::Instant;

use super::*;
use crate::answer::posted;
use crate::app::App;
use crate::batch::BatchJson;
use crate::values::format_instant;
use crate::write::IdempotencyKey;

/// The chart that ships has that many accounts or more, numbered from 1.
const ACCOUNTS: u32 = 8;
/// USD, JPY without decimals, BHD with three.
const CURRENCIES: [u16; 3] = [840, 392, 48];

fn amounts() -> impl Strategy<Value = i128> {
    (0..=i128::MAX / 4, 0..126_u32).prop_map(|(number, bits)| number >> bits)
}

fn line() -> impl Strategy<Value = Line> {
    let currency = proptest::sample::select(&CURRENCIES[..]);
    (1..=ACCOUNTS, currency, amounts(), amounts()).prop_map(|(account, currency, debits, credits)| Line {
        account: AccountId(account),
        party: None,
        item: None,
        side: Side::Debit,
        amount: Amount::new(1).unwrap(),
        currency: CurrencyId(currency),
        after: After { debits, credits, ordinal: 1, greatest_date: Date::MIN, previous: None, jump: None },
    })
}

fn entry(lines: impl Strategy<Value = Vec<Line>>) -> impl Strategy<Value = (Entry, Position)> {
    (any::<u64>(), any::<u64>(), 0..64_u32, lines).prop_map(|(number, position, shift, lines)| {
        let entry = Entry {
            number: EntryNumber(number >> shift),
            rule: Rule::Transfer,
            effective_date: Date::MIN,
            description: String::new(),
            metadata: partita_core::entry::Metadata::new(),
            reverses: None,
            document: None,
            lines,
        };
        (entry, Position(position >> shift))
    })
}

/// Whatever else became of an item.
fn others() -> impl Strategy<Value = ResultJson> {
    let replayed = (any::<u64>(), any::<u64>()).prop_map(|(number, position)| ResultJson {
        status: "replayed",
        number: Some(number),
        position: Some(position),
        ..ResultJson::default()
    });
    let rejected =
        (proptest::sample::select(&["rejected", "replayed"][..]), any::<u64>()).prop_map(|(status, position)| {
            ResultJson {
                status,
                position: Some(position),
                code: Some("overdraft"),
                fields: [("available".to_owned(), "0.40".into()), ("a \"ü\"".to_owned(), 1.into())]
                    .into_iter()
                    .collect(),
                ..ResultJson::default()
            }
        });
    prop_oneof![replayed, rejected]
}

#[derive(Debug)]
enum Item {
    Posted(Entry, Position),
    Other(ResultJson),
}

fn items(lines: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Item>> {
    let posted =
        entry(proptest::collection::vec(line(), lines)).prop_map(|(entry, position)| Item::Posted(entry, position));
    proptest::collection::vec(prop_oneof![3 => posted, 1 => others().prop_map(Item::Other)], 0..6)
}

fn decided() -> impl Strategy<Value = Option<(Position, Timestamp)>> {
    proptest::option::of((any::<u64>(), 0..i64::MAX).prop_map(|(position, at)| (Position(position), Timestamp(at))))
}

fn write<'a, R: Results<'a>>(names: &'a Names, items: &[Item], decision: Option<(Position, Timestamp)>) -> Vec<u8> {
    let mut results = R::new(names, items.len(), decision);
    for item in items {
        match item {
            Item::Posted(entry, position) => results.posted(entry, *position),
            Item::Other(result) => results.other(result),
        }
    }
    results.finish()
}

fn as_serde_writes_it(names: &Names, items: &[Item], decision: Option<(Position, Timestamp)>) -> String {
    let results = items.iter().map(|item| match item {
        Item::Posted(entry, position) => posted(entry, names, *position),
        Item::Other(ResultJson { status, number, position, balances, code, fields }) => ResultJson {
            status,
            number: *number,
            position: *position,
            balances: balances.clone(),
            code: *code,
            fields: fields.clone(),
        },
    });
    let body = BatchJson {
        position: decision.map(|(position, _)| position.0),
        recorded_at: decision.map(|(_, at)| format_instant(at)),
        results: results.collect(),
    };
    serde_json::to_string(&body).unwrap()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, rest) = bytes.split_first_chunk::<N>().expect("the answer goes on");
    *bytes = rest;
    *head
}

fn number(bytes: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(bytes))
}

/// The binary answer as the JSON answer would say it; a reader of docs/api.md would write this.
fn json_of_binary(mut bytes: &[u8]) -> serde_json::Value {
    let rest = &mut bytes;
    let mut body = serde_json::Map::new();
    if take::<1>(rest) == [1] {
        body.insert("position".into(), number(rest).into());
        let at = Timestamp(i64::from_le_bytes(take(rest)));
        body.insert("recorded_at".into(), format_instant(at).into());
    }
    let count = u32::from_le_bytes(take(rest));
    let result = |rest: &mut &[u8]| match take::<1>(rest) {
        [0] => {
            let (number, position) = (number(rest), number(rest));
            let [decimals] = take(rest);
            let balances = [(); 2].map(|()| {
                let minor = i128::from_le_bytes(take(rest));
                partita_core::money::Formatted { minor, decimals }.to_string()
            });
            serde_json::json!({"status": "posted", "number": number, "position": position, "balances": balances})
        }
        [1] => serde_json::json!({"status": "replayed", "number": number(rest), "position": number(rest)}),
        [status] => {
            let length = usize::try_from(u32::from_le_bytes(take(rest))).unwrap();
            let (text, tail) = rest.split_at(length);
            *rest = tail;
            let result: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(result["status"], if status == 2 { "rejected" } else { "replayed" });
            result
        }
    };
    let results: Vec<_> = (0..count).map(|_| result(rest)).collect();
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    body.insert("results".into(), results.into());
    body.into()
}

async fn with_names(test: impl FnOnce(&Names) + Send + 'static) {
    let directory = tempfile::TempDir::new().unwrap();
    let node = Node::start(NodeConfig::alone(directory.path().join("data"), 1, 64 << 20)).await.unwrap();
    let patience = || Instant::now() + std::time::Duration::from_secs(60);
    node.wait_recovered(patience()).await.unwrap();
    let app = App::new(node);
    let code = BookCode::new("acme").unwrap();
    let open = OpenBook {
        code: code.clone(),
        name: "Acme".to_owned(),
        functional_currency: partita_core::id::CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    };
    let key = IdempotencyKey(Key::new("open").unwrap());
    let opened = app.write(None, key, Operation::OpenBook(open)).await.unwrap();
    assert_eq!(opened.status(), axum::http::StatusCode::CREATED);
    let names = app.directory().find(&code).expect("it was opened");
    tokio::task::spawn_blocking(move || test(&names)).await.unwrap();
    app.node().shutdown(patience()).await;
}

#[tokio::test]
async fn json_is_what_serde_writes() {
    with_names(|names| {
        let tried = TestRunner::default().run(&(items(0..=4), decided()), |(items, decision)| {
            let text = String::from_utf8(write::<JsonResults<'_>>(names, &items, decision)).unwrap();
            prop_assert_eq!(text, as_serde_writes_it(names, &items, decision));
            Ok(())
        });
        tried.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_binary_form_says_what_json_says() {
    with_names(|names| {
        let same_currency = items(2..=2).prop_map(|mut items| {
            for item in &mut items {
                if let Item::Posted(entry, _) = item {
                    entry.lines[1].currency = entry.lines[0].currency;
                }
            }
            items
        });
        let tried = TestRunner::default().run(&(same_currency, decided()), |(items, decision)| {
            let said = json_of_binary(&write::<BinaryResults<'_>>(names, &items, decision));
            let json: serde_json::Value = serde_json::from_str(&as_serde_writes_it(names, &items, decision)).unwrap();
            prop_assert_eq!(said, json);
            Ok(())
        });
        tried.unwrap();
    })
    .await;
}
