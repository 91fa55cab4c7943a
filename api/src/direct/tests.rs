//! Both ways of reading a body, held against each other: whatever is read straight is what serde reads.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::BoxedStrategy;

use super::*;
use crate::routes::entries::{EntriesForm, EntryForm};
use crate::routes::transfers::{TransferForm, TransfersForm};

/// A member's name and its value as JSON.
type Member = (&'static str, String);

fn text(value: &str) -> String {
    serde_json::to_string(value).unwrap()
}

fn one_of(name: &'static str, values: &'static [&'static str]) -> BoxedStrategy<Member> {
    select(values).prop_map(move |value| (name, text(value))).boxed()
}

const ACCOUNTS: &[&str] = &["assets:bank", "liabilities:wallet/cus_1", "a/b/c", "x/Y.z_9:-", "0", "a"];
const CODES: &[&str] = &["assets:bank", "liabilities:customer-prepaid", "a"];
const AMOUNTS: &[&str] = &["1.00", "1", "0.10", "123456789.123456789", "999999999999999999", "0.00000000000000000001"];
const CURRENCIES: &[&str] = &["USD", "EUR", "USDC", "X'Y"];
const KEYS: &[&str] = &["0193f3a4-5b8e-7c3e-9d51-2f6f2f1f3a10", "k", "!~", "[{:,}]"];
const DATES: &[&str] = &["2026-01-31", "0001-01-01", "9999-12-31"];
const TEXTS: &[&str] = &["", "Wire fee", "übergroß €", "null"];
/// What no value is, and what only some are.
const ODD: &[&str] = &[
    "null",
    "1",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\"a/b/c/d\"",
    "\"A\"",
    "\"ü\"",
    "\"a\\u0062\"",
    "\"a\\nb\"",
    "\"-1.00\"",
    "\"0\"",
    "\"01\"",
    "\"1.\"",
    "\"1e3\"",
    "\"1000000000000000000\"",
    "\"usd\"",
    "\"2026-02-30\"",
    "\"with space\"",
    "\"\u{7F}\"",
    "{\"a\":\"b\"}",
    "{\"a\":\"b\",\"a\":\"c\"}",
    "{\"\":\"b\"}",
    "{\"a\":1}",
    "{\"a\":null}",
    "\"standard\"",
    "{\"debit\":null}",
];
const NAMES: &[&str] = &[
    "debit",
    "credit",
    "amount",
    "currency",
    "effective_date",
    "description",
    "metadata",
    "idempotency_key",
    "kind",
    "lines",
    "account",
    "party",
    "item",
    "side",
    "other",
    "",
];

fn metadata() -> BoxedStrategy<Member> {
    proptest::collection::btree_map(select(&["a", "größe", "c d"][..]), select(TEXTS), 0..3)
        .prop_map(|pairs| ("metadata", serde_json::to_string(&pairs).unwrap()))
        .boxed()
}

fn optional() -> BoxedStrategy<Vec<Member>> {
    let null = select(&["effective_date", "description", "metadata"][..]).prop_map(|name| (name, "null".to_owned()));
    let any = prop_oneof![one_of("effective_date", DATES), one_of("description", TEXTS), metadata(), null];
    proptest::collection::vec(any, 0..3)
        .prop_map(|mut members| {
            members.sort();
            members.dedup_by_key(|member| member.0);
            members
        })
        .boxed()
}

/// Members in any order.
fn object(members: Vec<BoxedStrategy<Vec<Member>>>) -> BoxedStrategy<String> {
    let members = members.prop_map(|members| members.concat());
    members.prop_shuffle().prop_map(|members| written(&members)).boxed()
}

fn written(members: &[Member]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn just(member: BoxedStrategy<Member>) -> BoxedStrategy<Vec<Member>> {
    member.prop_map(|member| vec![member]).boxed()
}

/// Now and then one member more that does not belong there, or stands there twice.
fn odd() -> BoxedStrategy<Vec<Member>> {
    let member = (select(NAMES), select(ODD)).prop_map(|(name, value)| (name, value.to_owned()));
    prop_oneof![9 => Just(vec![]), 1 => proptest::collection::vec(member, 1..3)].boxed()
}

fn transfer_text(with_odd: bool) -> BoxedStrategy<String> {
    let mut members = vec![
        just(one_of("idempotency_key", KEYS)),
        just(one_of("debit", ACCOUNTS)),
        just(one_of("credit", ACCOUNTS)),
        just(one_of("amount", AMOUNTS)),
        just(one_of("currency", CURRENCIES)),
        optional(),
    ];
    members.extend(with_odd.then(odd));
    object(members)
}

fn line_text(with_odd: bool) -> BoxedStrategy<String> {
    let party = prop_oneof![one_of("party", &["cus_1", "X.y:z-"]), Just(("party", "null".to_owned()))];
    let mut members = vec![
        just(one_of("account", CODES)),
        just(one_of("side", &["debit", "credit"])),
        just(one_of("amount", AMOUNTS)),
        just(one_of("currency", CURRENCIES)),
        proptest::collection::vec(party, 0..2).boxed(),
        proptest::collection::vec(one_of("item", &["in_1", "x"]), 0..2).boxed(),
    ];
    members.extend(with_odd.then(odd));
    object(members)
}

fn entry_text(with_odd: bool) -> BoxedStrategy<String> {
    let lines = proptest::collection::vec(line_text(with_odd), 0..4)
        .prop_map(|lines| vec![("lines", format!("[{}]", lines.join(",")))]);
    let kind = one_of("kind", &["standard", "opening", "adjusting"]);
    let mut members = vec![
        just(one_of("idempotency_key", KEYS)),
        proptest::collection::vec(kind, 0..2).boxed(),
        lines.boxed(),
        optional(),
    ];
    members.extend(with_odd.then(odd));
    object(members)
}

/// Bytes changed, doubled, taken out and put in.
fn mutated(text: BoxedStrategy<String>) -> BoxedStrategy<Vec<u8>> {
    let bytes = prop_oneof![
        3 => select(b"\"\\{}[],: \n\t".as_slice()),
        1 => any::<u8>(),
    ];
    let change = (any::<Index>(), 0..4_u8, bytes);
    (text, prop_oneof![Just(vec![]).boxed(), proptest::collection::vec(change, 0..4).boxed()])
        .prop_map(|(text, changes)| {
            let mut body = text.into_bytes();
            for (place, how, byte) in changes {
                if body.is_empty() {
                    break;
                }
                let place = place.index(body.len());
                match how {
                    0 => body[place] = byte,
                    1 => body.insert(place, byte),
                    2 => body.truncate(place),
                    _ => {
                        body.remove(place);
                    }
                }
            }
            body
        })
        .boxed()
}

/// A batch with white space anywhere.
fn batch_text(name: &'static str, items: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let atomic = select(&["", "", "", ",\"atomic\":false", ",\"atomic\" : true", ",\"atomic\":null"][..]);
    (proptest::collection::vec(items, 0..4), atomic, select(&["", " ", "\n\t\r"][..]))
        .prop_map(move |(items, atomic, space)| {
            let items = items.join(&format!(",{space}"));
            format!("{space}{{{space}\"{name}\"{space}:{space}[{items}{space}]{atomic}{space}}}{space}")
        })
        .boxed()
}

/// A batch whose items are of one layout, all but some bytes.
fn alike() -> BoxedStrategy<String> {
    let values = (select(KEYS), select(ACCOUNTS), select(ACCOUNTS), select(AMOUNTS), select(CURRENCIES), select(TEXTS));
    let names = Just(["idempotency_key", "debit", "credit", "amount", "currency", "description"]).prop_shuffle();
    let space = select(&["", " ", "\n  "][..]);
    (proptest::collection::vec(values, 1..6), names, space, 5..=6_usize)
        .prop_map(|(items, names, space, count)| {
            let item = |(key, debit, credit, amount, currency, description)| {
                let value = |name: &str| match name {
                    "idempotency_key" => key,
                    "debit" => debit,
                    "credit" => credit,
                    "amount" => amount,
                    "currency" => currency,
                    _ => description,
                };
                let members: Vec<_> = names
                    .iter()
                    .filter(|name| count == 6 || **name != "description")
                    .map(|name| format!("{space}\"{name}\":{space}{}", text(value(name))))
                    .collect();
                format!("{{{}{space}}}", members.join(","))
            };
            let items: Vec<String> = items.into_iter().map(item).collect();
            format!("{{\"transfers\":[{}]}}", items.join(","))
        })
        .boxed()
}

fn read_transfers(body: &[u8]) -> Option<Vec<TransferForm>> {
    let mut forms = Vec::new();
    transfers(body, |form| {
        forms.push(form);
        Some(())
    })?;
    Some(forms)
}

fn read_entries(body: &[u8]) -> Option<Vec<EntryForm>> {
    let mut forms = Vec::new();
    entries(body, |form| {
        forms.push(form);
        Some(())
    })?;
    Some(forms)
}

/// What was read straight, if anything, is what serde reads.
fn agrees<Form: std::fmt::Debug>(straight: Option<Form>, serde: Result<Form, Problem>) -> Result<(), TestCaseError> {
    if let Some(form) = straight {
        let serde = serde.map_err(|problem| TestCaseError::fail(format!("{form:?}, but {problem:?}")))?;
        prop_assert_eq!(format!("{form:?}"), format!("{serde:?}"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_transfer_is_read_as_serde_reads_it(body in mutated(transfer_text(true))) {
        agrees(transfer(&body), parse(&body))?;
    }

    #[test]
    fn a_batch_of_transfers_is_read_as_serde_reads_it(body in mutated(batch_text("transfers", transfer_text(true)))) {
        let serde = parse::<TransfersForm>(&body).map(|form| (form.transfers, form.atomic));
        agrees(read_transfers(&body).map(|forms| (forms, false)), serde)?;
    }

    #[test]
    fn transfers_of_one_layout_are_read_as_serde_reads_them(body in mutated(alike())) {
        let serde = parse::<TransfersForm>(&body).map(|form| (form.transfers, form.atomic));
        agrees(read_transfers(&body).map(|forms| (forms, false)), serde)?;
    }

    #[test]
    fn transfers_of_one_layout_are_read_straight(body in alike()) {
        let serde = parse::<TransfersForm>(body.as_bytes()).map(|form| form.transfers.len()).unwrap();
        prop_assert_eq!(read_transfers(body.as_bytes()).map(|forms| forms.len()), Some(serde));
    }

    #[test]
    fn an_entry_is_read_as_serde_reads_it(body in mutated(entry_text(true))) {
        agrees(entry(&body), parse(&body))?;
    }

    #[test]
    fn a_batch_of_entries_is_read_as_serde_reads_it(body in mutated(batch_text("entries", entry_text(true)))) {
        let serde = parse::<EntriesForm>(&body).map(|form| (form.entries, form.atomic));
        agrees(read_entries(&body).map(|forms| (forms, false)), serde)?;
    }

    #[test]
    fn what_is_plain_is_read_straight(transfer_body in transfer_text(false), entry_body in entry_text(false)) {
        prop_assert!(transfer(transfer_body.as_bytes()).is_some(), "{}", transfer_body);
        prop_assert!(entry(entry_body.as_bytes()).is_some(), "{}", entry_body);
        let body = format!("{{\"transfers\":[{transfer_body},{transfer_body}]}}");
        prop_assert_eq!(read_transfers(body.as_bytes()).map(|forms| forms.len()), Some(2));
        let body = format!("{{\"atomic\": false, \"entries\": [ {entry_body} ]\n}}\n");
        prop_assert_eq!(read_entries(body.as_bytes()).map(|forms| forms.len()), Some(1));
    }
}

#[test]
fn a_batch_of_more_than_10_000_is_left_to_serde() {
    let item = r#"{"idempotency_key":"k","debit":"a","credit":"b","amount":"1","currency":"USD"}"#;
    let body = |count: usize| format!("{{\"transfers\":[{}]}}", vec![item; count].join(","));
    assert_eq!(read_transfers(body(MAX_BATCH).as_bytes()).map(|forms| forms.len()), Some(MAX_BATCH));
    assert!(read_transfers(body(MAX_BATCH + 1).as_bytes()).is_none());
    assert!(read_transfers(body(0).as_bytes()).is_none());
}
