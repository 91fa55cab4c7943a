//! Commands that chance does not reach: a document with a thousand entries, sums at the greatest number.

use partita_core::decision::Command;
use partita_core::document::CaptureMode;
use partita_core::entry::Side;
use partita_core::id::{AccountCode, Actor, BookCode, BookId, CurrencyCode, DocumentId, Key, Party};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, Chart, CreatePayment, Details, ManualKind, OpenBook, Operation, PostEntry, PostPaymentFee,
    RegisterCurrency, WrittenLine, WrittenSource,
};
use partita_core::time::{Date, Timestamp};

use super::generate::Fingerprinter;

fn commands(operations: Vec<Operation>, fingerprint: Fingerprinter) -> Vec<Command> {
    let numbered = operations.into_iter().enumerate();
    let command = |(index, operation): (usize, Operation)| Command {
        book: if index == 0 { BookId::CLUSTER } else { BookId(1) },
        key: Key::new(&format!("edge-{index}")).unwrap(),
        fingerprint: fingerprint(&operation),
        stamp: Timestamp(1_767_225_600_000_000_000),
        today: Date::parse("2026-01-01").unwrap(),
        actor: Actor::new("edge").unwrap(),
        operation,
    };
    numbered.map(command).collect()
}

fn book() -> Operation {
    Operation::OpenBook(OpenBook {
        code: BookCode::new("acme").unwrap(),
        name: "Acme Inc".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Saas,
    })
}

/// A payment that gathers fees until it takes no more.
pub(crate) fn a_full_document(fingerprint: Fingerprinter) -> Vec<Command> {
    let id = DocumentId::new("pay_1").unwrap();
    let amount = |text| WrittenAmount::parse(text).unwrap();
    let mut operations = vec![
        book(),
        Operation::CreatePayment(CreatePayment {
            id: id.clone(),
            customer: Party::new("cus_1").unwrap(),
            source: WrittenSource::Processor(Party::new("stripe").unwrap()),
            amount: amount("108.25"),
            currency: CurrencyCode::new("USD").unwrap(),
            capture: CaptureMode::Automatic,
            apply: vec![],
            fee: None,
            expires_at: None,
            details: Details::default(),
        }),
    ];
    for index in 0..1_005 {
        operations.push(Operation::PostPaymentFee(PostPaymentFee {
            id: id.clone(),
            amount: amount("0.01"),
            returned: index % 2 == 1,
            details: Details::default(),
        }));
    }
    commands(operations, fingerprint)
}

/// Entries of the greatest amounts between ever other accounts, until no sum can grow.
pub(crate) fn the_greatest_sums(fingerprint: Fingerprinter) -> Vec<Command> {
    let currency = CurrencyCode::new("ETH").unwrap();
    let place = |code: &str| AccountRef { code: AccountCode::new(code).unwrap(), party: None, item: None };
    let codes = [
        "assets:bank",
        "equity:capital",
        "assets:fx-position",
        "liabilities:suspense",
        "liabilities:accrued-fees",
        "liabilities:dispute-reserve",
        "assets:cash-in-transit",
        "assets:allowance-for-credit-losses",
    ];
    let mut operations =
        vec![book(), Operation::RegisterCurrency(RegisterCurrency { code: currency.clone(), decimals: 18 })];
    for round in 0..24 {
        let (debit, credit) = (codes[round % codes.len()], codes[(round + 1) % codes.len()]);
        let line = |code, side| WrittenLine {
            account: place(code),
            side,
            amount: WrittenAmount::parse("999999999999999999.999999999999999999").unwrap(),
            currency: currency.clone(),
        };
        let mut lines = vec![line(debit, Side::Debit); 20];
        lines.extend(vec![line(credit, Side::Credit); 20]);
        operations.push(Operation::PostEntry(PostEntry {
            kind: ManualKind::Standard,
            details: Details::default(),
            lines,
        }));
    }
    commands(operations, fingerprint)
}
