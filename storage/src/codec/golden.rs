//! Golden bytes: no stored byte moves unnoticed, every sample comes back as it was, and no bytes make decoding panic.
//!
//! `PARTITA_WRITE_GOLDEN=1 cargo test -p partita-storage golden` writes the file anew; the commit's subject then
//! begins with `Format:` and says what happens to data that is stored already.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::PathBuf;

use partita_core::decision::{Command, Decision, Effects, Origin, Outcome};
use partita_core::document::{HoldState, PaymentState, RefundState, SettleMode};
use partita_core::entry::{DocumentRef, Rule};
use partita_core::id::{AccountId, BookId, CurrencyId, EntryNumber, Fingerprint, Position};
use partita_core::operation::{Operation, OperationKind};
use partita_core::period::{BlockerKind, PeriodState};
use partita_core::rejection::{Field, Rejection};
use partita_core::state::{
    BookTotals, ControlKey, EntryRecord, Expiring, Expiry, Head, ItemKey, KeyRecord, Movement, MovementKey, OpenItem,
    Subaccount, SubaccountKey, Sums,
};
use partita_core::time::{Date, Timestamp};
use proptest::prelude::*;

use super::keys::{CustomerKey, DocumentKind, RateKey, TableKey, after_prefix, prefix};
use super::samples::{self, amount, date, id, item, key, party};
use super::{
    Batch, CodecError, EntryPage, Level, LevelError, Levels, Reader, Stored, Writer, decode_commands, decode_decision,
    decode_record, encode_commands, encode_decision, encode_record, fingerprint,
};
use crate::journal::block::{Block, BlockBuilder};
use crate::state::{
    Applied, HeadRecord, Horizon, KeyClass, STATE_FORMAT, horizon_key, horizon_sample, parse_horizon_key,
};
use crate::tree::{Frontier, leaf};

type Decodes = Box<dyn Fn(&[u8]) -> bool>;

/// A named value's bytes, and whether bytes decode to that value again.
struct Sample {
    name: String,
    bytes: Vec<u8>,
    decodes: Decodes,
}

fn record<T: Stored + PartialEq + Debug + 'static>(name: &str, value: T) -> Sample {
    Sample {
        name: format!("record/{name}"),
        bytes: encode_record(&value),
        decodes: Box::new(move |bytes| decode_record::<T>(bytes).as_ref() == Ok(&value)),
    }
}

fn table_key<T: TableKey + PartialEq + Debug + 'static>(name: &str, value: T) -> Sample {
    Sample {
        name: format!("key/{name}"),
        bytes: value.to_bytes(),
        decodes: Box::new(move |bytes| T::from_bytes(bytes).as_ref() == Ok(&value)),
    }
}

fn batch(name: &str, commands: Vec<Command>) -> Sample {
    Sample {
        name: format!("batch/{name}"),
        bytes: encode_commands(&commands, Level::FIRST),
        decodes: Box::new(move |bytes| {
            decode_commands(bytes, Levels::OWN)
                .is_ok_and(|batch| batch.level == Level::FIRST && batch.commands == commands)
        }),
    }
}

fn decision(name: &str, decision: Decision) -> Sample {
    Sample {
        name: format!("decision/{name}"),
        bytes: encode_decision(&decision),
        decodes: Box::new(move |bytes| decode_decision(bytes).as_ref() == Ok(&decision)),
    }
}

fn value<T: Stored + PartialEq + Debug + 'static>(name: String, value: T) -> Sample {
    let bytes = put(&value);
    Sample { name, bytes, decodes: Box::new(move |bytes| take::<T>(bytes).as_ref() == Ok(&value)) }
}

fn put<T: Stored>(value: &T) -> Vec<u8> {
    let mut writer = Writer::new();
    value.put(&mut writer);
    writer.into_vec()
}

fn take<T: Stored>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = Reader::new(bytes);
    let value = T::take(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn frontier(leaves: u8) -> Frontier {
    let mut frontier = Frontier::default();
    for number in 0..leaves {
        frontier.push(leaf(&[number]));
    }
    frontier
}

fn control() -> ControlKey {
    ControlKey { book: BookId(1), account: AccountId(7), currency: CurrencyId(840) }
}

fn records() -> Vec<Sample> {
    let sums = Sums { debits: 10_825, credits: i128::MAX / 2, pending_debits: 0, pending_credits: 300 };
    let movement = Movement { debits: 70_000, credits: 5_000_000_000 };
    vec![
        record("book", samples::book()),
        record("currency", samples::registered()),
        record("account", samples::account()),
        record("sums", sums),
        record("open-item", OpenItem { sums, since: date("2026-01-31") }),
        record("subaccount/unused", Subaccount::default()),
        record(
            "subaccount/used",
            Subaccount { sums, chain: samples::chain(12), greatest_date: Some(date("2026-01-31")) },
        ),
        record("movement", movement),
        record("key", KeyRecord { position: Position(70_000), fingerprint: Fingerprint([7; 16]) }),
        record(
            "entries",
            EntryPage {
                records: vec![
                    EntryRecord { position: Position(70_000), index: 0, reversed_by: None },
                    EntryRecord { position: Position(70_000), index: 1, reversed_by: Some(EntryNumber(300)) },
                    EntryRecord { position: Position(70_003), index: 0, reversed_by: None },
                ],
            },
        ),
        record(
            "totals",
            BookTotals {
                last_entry: EntryNumber(70_000),
                last_account: AccountId(30),
                registered_currencies: 1,
                sums: vec![(CurrencyId(840), movement), (CurrencyId(1000), Movement::default())],
            },
        ),
        record("head", Head { position: Position(1 << 40), time: samples::STAMP, last_book: BookId(3) }),
        record("hold", samples::hold()),
        record("charge", samples::charge()),
        record("payment", samples::payment()),
        record("refund", samples::refund()),
        record("calendar", samples::calendar()),
        record("period", samples::period()),
        record("rate", samples::rate()),
        record("recognised", samples::recognised()),
        record("nothing", ()),
        record("frontier/empty", frontier(0)),
        record("frontier/eleven", frontier(11)),
    ]
}

/// What a checkpoint writes beside the tables.
fn meta() -> Vec<Sample> {
    let head = HeadRecord {
        format: STATE_FORMAT,
        head: Head { position: Position(70_000), time: samples::STAMP, last_book: BookId(3) },
        applied: Applied { index: 1 << 33, level: Some(Level::FIRST), raft: vec![1, 2, 255] },
        tree: frontier(11),
    };
    vec![
        record("state_head", head),
        record("horizon/empty", Horizon::default()),
        record("horizon/with_clocks_ahead", horizon_sample()),
        Sample {
            name: "key/horizon".to_owned(),
            bytes: horizon_key(BookId(0x0102_0304), KeyClass::Ulid),
            decodes: Box::new(|bytes| parse_horizon_key(bytes) == Some((BookId(0x0102_0304), KeyClass::Ulid))),
        },
    ]
}

fn keys() -> Vec<Sample> {
    let customer = |kind, text| CustomerKey { book: BookId(1), customer: party("cus_1"), kind, id: id(text) };
    let expiry = |what| Expiry { at: samples::STAMP, book: BookId(1), what };
    let subaccount = |party| SubaccountKey { book: BookId(1), account: AccountId(7), party, currency: CurrencyId(840) };
    let items = |party| ItemKey {
        book: BookId(1),
        account: AccountId(7),
        party,
        item: item("in_1"),
        currency: CurrencyId(840),
    };
    vec![
        table_key("journal", Position(70_000)),
        table_key("book", BookId(258)),
        table_key("account", (BookId(1), AccountId(258))),
        table_key("currency", (BookId(1), CurrencyId(1000))),
        table_key("entry", (BookId(1), EntryNumber(70_000))),
        table_key("period", (BookId(1), samples::period_id())),
        table_key(
            "rate",
            RateKey { book: BookId(1), base: CurrencyId(978), quote: CurrencyId(840), date: date("2026-01-30") },
        ),
        table_key("idempotency", (BookId::CLUSTER, key("!~"))),
        table_key("document", (BookId(1), id("in_1"))),
        table_key("control", control()),
        table_key("subaccount/without-party", subaccount(None)),
        table_key("subaccount/of-party", subaccount(Some(party("cus_1")))),
        table_key("item/without-party", items(None)),
        table_key("item/of-party", items(Some(party("cus_1")))),
        table_key("movement/before-1970", MovementKey { control: control(), date: date("1969-12-31") }),
        table_key("movement", MovementKey { control: control(), date: date("2026-01-31") }),
        table_key("customer/charge", customer(DocumentKind::Charge, "in_1")),
        table_key("customer/payment", customer(DocumentKind::Payment, "pay_1")),
        table_key("customer/refund", customer(DocumentKind::Refund, "re_1")),
        table_key("expiry/hold", expiry(Expiring::Hold(id("h_1")))),
        table_key("expiry/payment", expiry(Expiring::Payment(id("pay_1")))),
    ]
}

fn rules() -> Vec<Rule> {
    vec![
        Rule::Standard,
        Rule::Opening,
        Rule::Adjusting,
        Rule::Transfer,
        Rule::Reversal,
        Rule::HoldCapture,
        Rule::Charge,
        Rule::ChargeVoid,
        Rule::PaymentCapture,
        Rule::PaymentApply,
        Rule::PaymentUnapply,
        Rule::PaymentFee,
        Rule::PaymentFeeReturn,
        Rule::Refund,
        Rule::RefundSettle,
        Rule::RefundFail,
        Rule::Recognition,
        Rule::Conversion,
        Rule::Revaluation,
        Rule::Closing,
    ]
}

fn kinds() -> Vec<OperationKind> {
    let mut kinds: Vec<OperationKind> = samples::operations().iter().map(Operation::kind).collect();
    // Of the same kind as the first.
    kinds.retain({
        let mut is_first = true;
        move |kind| *kind != OperationKind::OpenBook || std::mem::take(&mut is_first)
    });
    // In the order of their tags, which the ledger's own two stand in the middle of.
    let later = kinds.iter().position(|kind| *kind == OperationKind::SoftClosePeriod).expect("a sample of each");
    kinds.splice(later..later, [OperationKind::ExpireHold, OperationKind::ExpirePayment]);
    kinds
}

fn documents() -> Vec<DocumentRef> {
    vec![
        DocumentRef::Hold(id("h_1")),
        DocumentRef::Charge(id("in_1")),
        DocumentRef::Payment(id("pay_1")),
        DocumentRef::Refund(id("re_1")),
    ]
}

fn numbered<T: Stored + PartialEq + Debug + 'static>(name: &str, values: Vec<T>) -> Vec<Sample> {
    values.into_iter().enumerate().map(|(index, one)| value(format!("value/{name}/{index:02}"), one)).collect()
}

fn all() -> Vec<Sample> {
    let mut all: Vec<Sample> = Vec::new();
    for operation in samples::operations() {
        // Both open a book.
        let is_fiscal = matches!(operation, Operation::OpenFiscalBook(_));
        let name = if is_fiscal { "OpenFiscalBook".to_owned() } else { format!("{:?}", operation.kind()) };
        all.push(batch(&name, vec![samples::command(operation)]));
    }
    let two = samples::operations().into_iter().take(2).map(samples::command).collect();
    all.extend([batch("empty", vec![]), batch("two", two)]);
    for reason in samples::reasons() {
        let name = format!("refused/{}", reason.code());
        let rejection = Rejection { reason, field: Field::Tax(1, 2), index: Some(9_999) };
        all.push(decision(&name, samples::decision(1, OperationKind::Transfers, Outcome::Refused(rejection))));
    }
    for (index, snapshot) in samples::snapshots().into_iter().enumerate() {
        let effects = Effects { entries: vec![], snapshots: vec![snapshot] };
        let accepted = samples::decision(70_000, OperationKind::CreateCharge, Outcome::Accepted(effects));
        all.push(decision(&format!("snapshot/{index}"), accepted));
    }
    for one in samples::block_decisions() {
        all.push(decision(&format!("block/{}", one.position), one));
    }
    all.extend(records());
    all.extend(meta());
    all.extend(keys());
    all.extend(numbered("rule", rules()));
    all.extend(numbered("kind", kinds()));
    all.extend(numbered("field", samples::fields()));
    all.extend(numbered("existing", samples::existing()));
    all.extend(numbered("document", documents()));
    all.extend(numbered("blocker", samples::blockers()));
    all.extend(numbered("number", vec![0, 1, -1, 125, 126, -126, 70_000, 1 << 40, i128::MAX, i128::MIN]));
    all.push(block());
    all
}

fn block() -> Sample {
    let decisions = samples::block_decisions();
    let mut builder = BlockBuilder::new(77);
    for decision in &decisions {
        builder.push(decision, &encode_decision(decision));
    }
    let decodes = move |bytes: &[u8]| {
        let Ok(block) = Block::open(bytes) else { return false };
        let read: Result<Vec<Decision>, _> = block.iter().map(|(position, _)| block.decision(position)).collect();
        read.as_ref() == Ok(&decisions) && block.totals().is_ok()
    };
    Sample { name: "journal/block".to_owned(), bytes: builder.finish(), decodes: Box::new(decodes) }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/golden/stored.hex")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn golden_bytes_stay_and_still_decode() {
    let samples = all();
    let mut text = String::new();
    for sample in &samples {
        writeln!(text, "{} {}", sample.name, hex(&sample.bytes)).unwrap();
    }
    if std::env::var_os("PARTITA_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        std::fs::write(path(), &text).unwrap();
    }
    let golden = std::fs::read_to_string(path()).unwrap();
    let stored: BTreeMap<&str, Vec<u8>> = golden
        .lines()
        .map(|line| line.split_once(' ').expect("a name and its bytes"))
        .map(|(name, bytes)| (name, unhex(bytes)))
        .collect();
    for sample in &samples {
        let bytes = stored.get(sample.name.as_str()).unwrap_or_else(|| panic!("no golden bytes of {}", sample.name));
        assert_eq!(hex(bytes), hex(&sample.bytes), "{} is written in another way", sample.name);
        assert!((sample.decodes)(bytes), "{} does not come back as it was", sample.name);
    }
    assert_eq!(stored.len(), samples.len(), "golden bytes without a sample, or two samples of one name");
    assert!(samples.len() > 150, "{} samples", samples.len());
}

/// Every variant of the enum has a sample: their tags are 0, 1, … and the next one is unknown.
fn covers<T: Stored + Debug>(values: &[T]) {
    let tags: Vec<usize> = values.iter().map(|value| usize::from(put(value)[0])).collect();
    assert_eq!(tags, (0..values.len()).collect::<Vec<_>>());
    let mut next = vec![u8::try_from(values.len()).unwrap()];
    next.extend([0; 64]);
    let mut reader = Reader::new(&next);
    assert!(matches!(T::take(&mut reader), Err(CodecError::Tag { .. })), "a variant has no sample");
}

#[test]
fn every_variant_has_golden_bytes() {
    covers(&samples::operations());
    covers(&samples::reasons());
    covers(&samples::fields());
    covers(&samples::existing());
    covers(&samples::snapshots());
    covers(&samples::blockers());
    covers(&BlockerKind::ALL);
    covers(&[PeriodState::Open, PeriodState::SoftClosed, PeriodState::Closed]);
    covers(&rules());
    covers(&kinds());
    covers(&documents());
    covers(&[
        Origin::Request {
            key: key("k"),
            fingerprint: Fingerprint([0; 16]),
            actor: samples::command(samples::operations().remove(0)).actor,
        },
        Origin::Internal,
    ]);
    covers(&[
        HoldState::Pending,
        HoldState::PartiallyCaptured,
        HoldState::Captured,
        HoldState::Voided,
        HoldState::Expired,
    ]);
    covers(&[
        PaymentState::Authorised,
        PaymentState::PartiallyCaptured,
        PaymentState::Captured,
        PaymentState::Voided,
        PaymentState::Expired,
    ]);
    covers(&[RefundState::Pending, RefundState::Succeeded, RefundState::Failed]);
    covers(&[SettleMode::Automatic, SettleMode::Manual]);
}

#[test]
fn what_breaks_an_invariant_does_not_decode() {
    let mut unbalanced = samples::entry(1);
    unbalanced.lines[0].amount = amount(1);
    assert!(matches!(take::<partita_core::entry::Entry>(&put(&unbalanced)), Err(CodecError::Invalid { .. })));
    let Operation::PostEntry(mut entry) = samples::operations().remove(4) else { panic!("the fifth operation") };
    entry.lines.pop();
    assert!(matches!(take::<partita_core::operation::PostEntry>(&put(&entry)), Err(CodecError::Invalid { .. })));
    assert!(matches!(take::<partita_core::money::Amount>(&put(&0i128)), Err(CodecError::Invalid { .. })));
    assert!(matches!(
        take::<partita_core::chain::Chain>(&put(&(2u64, Vec::<partita_core::chain::PostingRef>::new()))),
        Err(CodecError::Invalid { .. })
    ));
    assert_eq!(take::<u8>(&[1, 2]), Err(CodecError::Trailing { bytes: 1 }));
    assert_eq!(take::<Vec<u8>>(&[250, 1]), Err(CodecError::Truncated));
}

#[test]
fn a_batch_of_another_level_is_refused() {
    let body = super::seal(super::BATCH_VERSION, |writer| {
        writer.byte(2);
        writer.length(0);
    });
    let (first, second) = (Level::FIRST, Level::FIRST.next());
    let unknown = LevelError::Unknown { found: second, known: Levels::upto(first) };
    assert_eq!(decode_commands(&body, Levels::upto(first)), Err(CodecError::Level(unknown)));
    // The program after it knows both, and writes the first as this one does.
    let next = Levels::upto(second);
    assert_eq!(decode_commands(&body, next), Ok(Batch { level: second, commands: vec![] }));
    let body = encode_commands(&[], first);
    assert_eq!(decode_commands(&body, next), Ok(Batch { level: first, commands: vec![] }));
    let after_next = Levels::upto(second.next());
    let forgotten = LevelError::Forgotten { found: first, known: after_next };
    assert_eq!(decode_commands(&body, after_next), Err(CodecError::Level(forgotten)));
    assert!(matches!(
        decode_commands(&super::seal(super::BATCH_VERSION, |writer| writer.byte(0)), next),
        Err(CodecError::Invalid { .. })
    ));
}

#[test]
fn sealed_records_find_any_flipped_bit() {
    let record = encode_record(&samples::payment());
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut flipped = record.clone();
            flipped[at] ^= 1 << bit;
            assert!(decode_record::<partita_core::document::Payment>(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// The fingerprint tells values apart and forgets how they were written.
#[test]
fn fingerprints_are_of_values() {
    let mut all: Vec<Fingerprint> = samples::operations().iter().map(fingerprint).collect();
    let count = all.len();
    all.sort_by_key(|fingerprint| fingerprint.0);
    all.dedup();
    assert_eq!(all.len(), count);
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!['-', '.', '0', '9', 'A', 'a', 'b', 'z']), 1..6)
        .prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #[test]
    fn item_keys_sort_as_their_values(
        rows in prop::collection::vec((0u32..3, 0u32..300, prop::option::of(words()), words(), 0u16..3), 2..20)
    ) {
        let keys: Vec<ItemKey> = rows.into_iter().map(|(book, account, party_text, item_text, currency)| ItemKey {
            book: BookId(book),
            account: AccountId(account),
            party: party_text.as_deref().map(party),
            item: item(&item_text),
            currency: CurrencyId(currency),
        }).collect();
        let mut by_value = keys.clone();
        by_value.sort();
        let mut by_bytes = keys.clone();
        by_bytes.sort_by_key(TableKey::to_bytes);
        prop_assert_eq!(by_value, by_bytes);
        for key in &keys {
            let begin = prefix::party(key.book, key.account, key.party.as_ref());
            let end = after_prefix(&begin).unwrap();
            for other in &keys {
                let bytes = other.to_bytes();
                let inside = begin <= bytes && bytes < end;
                let same = (other.book, other.account, &other.party) == (key.book, key.account, &key.party);
                prop_assert_eq!(inside, same);
            }
        }
    }

    #[test]
    fn rates_sort_with_the_newest_date_first(
        pairs in ((0u32..3, 0u16..300, 0u16..3), (0u32..3, 0u16..300, 0u16..3)),
        days in (-719_162i32..=2_932_896, -719_162i32..=2_932_896),
    ) {
        let key = |(book, base, quote): (u32, u16, u16), days| RateKey {
            book: BookId(book),
            base: CurrencyId(base),
            quote: CurrencyId(quote),
            date: Date::from_days(days).unwrap(),
        };
        let (left, right) = (key(pairs.0, days.0), key(pairs.1, days.1));
        prop_assert_eq!(left.cmp(&right), left.to_bytes().cmp(&right.to_bytes()));
        let newer = key(pairs.0, days.0.max(days.1));
        prop_assert!(newer.to_bytes() <= key(pairs.0, days.0.min(days.1)).to_bytes());
    }

    #[test]
    fn expiries_and_movements_sort_as_their_values(
        left in (any::<i64>(), 0u32..3, any::<bool>(), words()), right in (any::<i64>(), 0u32..3, any::<bool>(), words()),
        days in (-719_162i32..=2_932_896, -719_162i32..=2_932_896),
    ) {
        let expiry = |(at, book, hold, text): (i64, u32, bool, String)| Expiry {
            at: Timestamp(at),
            book: BookId(book),
            what: if hold { Expiring::Hold(id(&text)) } else { Expiring::Payment(id(&text)) },
        };
        let (left, right) = (expiry(left), expiry(right));
        prop_assert_eq!(left.cmp(&right), left.to_bytes().cmp(&right.to_bytes()));
        let movement = |days| MovementKey { control: control(), date: Date::from_days(days).unwrap() };
        let (left, right) = (movement(days.0), movement(days.1));
        prop_assert_eq!(left.cmp(&right), left.to_bytes().cmp(&right.to_bytes()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop::<Result<Decision, _>>(decode_decision(&bytes));
        drop::<Result<Command, _>>(take(&bytes));
        drop::<Result<Subaccount, _>>(take(&bytes));
        drop::<Result<Frontier, _>>(take(&bytes));
        drop::<Result<ItemKey, _>>(TableKey::from_bytes(&bytes));
        drop::<Result<Expiry, _>>(TableKey::from_bytes(&bytes));
        drop::<Result<CustomerKey, _>>(TableKey::from_bytes(&bytes));
        drop::<Result<Block<'_>, _>>(Block::open(&bytes));
    }

    /// Damage that a checksum would have found before, so that the decoder alone stands up to it.
    #[test]
    fn damaged_values_never_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let decisions = [samples::block_decisions(), vec![samples::refused(1)]].concat();
        let mut bytes = encode_decision(&decisions[which.index(decisions.len())]);
        let place = at.index(bytes.len());
        bytes[place] = with;
        drop::<Result<Decision, _>>(decode_decision(&bytes));
        let commands: Vec<Command> = samples::operations().into_iter().map(samples::command).collect();
        let mut bytes = put(&commands[which.index(commands.len())]);
        let place = at.index(bytes.len());
        bytes[place] = with;
        drop::<Result<Command, _>>(take(&bytes));
    }

    /// A block whose checksum was made to fit its damage: structure alone must not panic.
    #[test]
    fn a_resealed_damaged_block_never_panics(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = block().bytes;
        bytes.truncate(bytes.len() - 4);
        let place = at.index(bytes.len());
        bytes[place] = with;
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        if let Ok(block) = Block::open(&bytes) {
            for (position, _) in block.iter() {
                drop::<Result<Decision, _>>(block.decision(position));
            }
            drop::<Result<Vec<_>, _>>(block.totals());
        }
    }
}
