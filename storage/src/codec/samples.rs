//! One value of every stored type, for the golden bytes and for the tests of what reads them.

use partita_core::account::{Account, Book, Class, CurrencyRule, ItemRule, Overdraft};
use partita_core::chain::{Chain, PostingRef};
use partita_core::currency::Currency;
use partita_core::decision::{Command, Decision, Effects, Origin, Outcome};
use partita_core::document::{
    Application, CaptureMode, Charge, ChargeLine, Deferral, Endpoint, Hold, HoldState, Payment, PaymentState, Refund,
    RefundPart, RefundState, SettleMode, Snapshot, Source, TaxLine,
};
use partita_core::entry::{After, DocumentRef, Entry, Line, Metadata, Rule, Side};
use partita_core::fx::{Rate, Valuation, Valued};
use partita_core::id::{
    AccountCode, AccountId, Actor, BookCode, BookId, CurrencyCode, CurrencyId, DocumentId, EntryNumber, Fingerprint,
    Item, Key, Party, PartyKind, Position, Role,
};
use partita_core::money::{Amount, WrittenAmount};
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, Chart, ClosePeriod, CloseYear, Convert, CreateCharge,
    CreatePayment, CreateRefund, Currencies, Details, ManualKind, MovePeriod, MoveRefund, OpenAccount, OpenBook,
    OpenFiscalBook, Operation, OperationKind, PlaceHold, PostEntry, PostPaymentFee, Recognise, RecordRate,
    RegisterCurrency, Revalue, ReverseEntry, Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication,
    WrittenChargeLine, WrittenLine, WrittenRefundPart, WrittenSource, WrittenTax,
};
use partita_core::period::{
    Blocker, BlockerKind, Calendar, Digest, FiscalYear, JournalHead, Month, Period, PeriodId, PeriodState, Seal,
    SealedBalance, YearClose,
};
use partita_core::recognition::{Recognised, RecognisedUpTo, RecognitionRun};
use partita_core::rejection::{Existing, Field, Reason, Rejection};
use partita_core::time::{Date, Timestamp};
use rust_decimal::Decimal;

use super::fingerprint;

pub(crate) const STAMP: Timestamp = Timestamp(1_767_312_000_123_456_789);

pub(crate) fn code(text: &str) -> AccountCode {
    AccountCode::new(text).unwrap()
}

pub(crate) fn party(text: &str) -> Party {
    Party::new(text).unwrap()
}

pub(crate) fn item(text: &str) -> Item {
    Item::new(text).unwrap()
}

pub(crate) fn id(text: &str) -> DocumentId {
    DocumentId::new(text).unwrap()
}

pub(crate) fn amount(minor: i128) -> Amount {
    Amount::new(minor).unwrap()
}

pub(crate) fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn written(text: &str) -> WrittenAmount {
    WrittenAmount::parse(text).unwrap()
}

fn currency(text: &str) -> CurrencyCode {
    CurrencyCode::new(text).unwrap()
}

fn account_ref(text: &str) -> AccountRef {
    let mut parts = text.split('/');
    AccountRef { code: code(parts.next().unwrap()), party: parts.next().map(party), item: parts.next().map(item) }
}

fn metadata() -> Metadata {
    [("order", "o-1"), ("ref", "Überweisung")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn details() -> Details {
    Details { effective_date: Some(date("2026-01-02")), description: "Wire fee".to_owned(), metadata: metadata() }
}

fn transfer() -> Transfer {
    Transfer {
        debit: account_ref("assets:bank"),
        credit: account_ref("liabilities:customer-prepaid/cus_1/top_1"),
        amount: written("1.5"),
        currency: currency("USD"),
        details: Details::default(),
    }
}

fn post_entry(kind: ManualKind) -> PostEntry {
    let line = |account, side, amount, currency_code| WrittenLine {
        account: account_ref(account),
        side,
        amount: written(amount),
        currency: currency(currency_code),
    };
    PostEntry {
        kind,
        details: details(),
        lines: vec![
            line("expenses:processing-fees", Side::Debit, "15.00", "USD"),
            line("assets:receivable/cus_1/ch_1", Side::Credit, "14.75", "USD"),
            line("assets:bank", Side::Credit, "0.25", "USD"),
            line("assets:wallet", Side::Debit, "999999999999999999.00000000000000000001", "ETH"),
            line("assets:wallet", Side::Credit, "999999999999999999.00000000000000000001", "ETH"),
        ],
    }
}

fn application() -> WrittenApplication {
    WrittenApplication { charge: id("in_1"), amount: written("108.25") }
}

/// One of each operation, in the order of their tags.
#[allow(clippy::too_many_lines, reason = "a list")]
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::OpenBook(OpenBook {
            code: BookCode::new("acme").unwrap(),
            name: "Acme Inc".to_owned(),
            functional_currency: currency("USD"),
            time_zone: "Europe/Berlin".to_owned(),
            chart: Chart::Saas,
        }),
        Operation::RegisterCurrency(RegisterCurrency { code: currency("USDC"), decimals: 6 }),
        Operation::OpenAccount(OpenAccount {
            code: code("assets:receivable"),
            number: Some("1200".to_owned()),
            name: "Accounts receivable".to_owned(),
            class: Class::Asset,
            contra: false,
            party: Some(PartyKind::new("customer").unwrap()),
            items: ItemRule::Required,
            currencies: Currencies::Only(vec![currency("EUR"), currency("USD")]),
            overdraft: Overdraft::Forbid,
            must_zero: true,
            role: Some(Role::new("receivable").unwrap()),
        }),
        Operation::CloseAccount(code("assets:receivable")),
        Operation::PostEntry(post_entry(ManualKind::Standard)),
        Operation::PostEntries(vec![post_entry(ManualKind::Opening), post_entry(ManualKind::Adjusting)]),
        Operation::Transfer(transfer()),
        Operation::Transfers(vec![transfer(), Transfer { details: details(), ..transfer() }]),
        Operation::ReverseEntry(ReverseEntry { number: EntryNumber(3), details: details() }),
        Operation::PlaceHold(PlaceHold {
            id: id("h_1"),
            debit: account_ref("assets:bank"),
            credit: account_ref("liabilities:customer-prepaid/cus_1"),
            amount: written("20"),
            currency: currency("USD"),
            expires_at: Some(STAMP),
            description: "Deposit".to_owned(),
            metadata: metadata(),
        }),
        Operation::CaptureHold(CaptureHold {
            id: id("h_1"),
            amount: Some(written("5")),
            is_final: false,
            details: details(),
        }),
        Operation::VoidHold(VoidHold { id: id("h_1") }),
        Operation::CreateCharge(CreateCharge {
            id: id("in_1"),
            customer: party("cus_1"),
            currency: currency("EUR"),
            due_date: Some(date("2026-02-01")),
            rate: Some(Decimal::new(11, 1)),
            lines: vec![WrittenChargeLine {
                revenue: code("revenue:subscription"),
                amount: written("108.25"),
                tax: vec![WrittenTax { jurisdiction: party("us-ca"), amount: written("8.25") }],
                defer: Some(Deferral { from: date("2026-01-01"), to: date("2026-12-31") }),
            }],
            details: details(),
        }),
        Operation::VoidCharge(VoidCharge { id: id("in_1"), details: Details::default() }),
        Operation::CreatePayment(CreatePayment {
            id: id("pay_1"),
            customer: party("cus_1"),
            source: WrittenSource::Processor(party("stripe")),
            amount: written("108.25"),
            currency: currency("USD"),
            capture: CaptureMode::Manual,
            apply: vec![application()],
            fee: Some(written("3.44")),
            expires_at: Some(STAMP),
            details: details(),
        }),
        Operation::CapturePayment(CapturePayment {
            id: id("pay_1"),
            amount: Some(written("100")),
            is_final: true,
            apply: Some(vec![application()]),
            fee: None,
            details: Details::default(),
        }),
        Operation::VoidPayment(VoidPayment { id: id("pay_1") }),
        Operation::ApplyPayment(ApplyPayment { id: id("pay_1"), apply: vec![application()], details: details() }),
        Operation::UnapplyPayment(ApplyPayment {
            id: id("pay_1"),
            apply: vec![application()],
            details: Details::default(),
        }),
        Operation::PostPaymentFee(PostPaymentFee {
            id: id("pay_1"),
            amount: written("0.30"),
            returned: true,
            details: details(),
        }),
        Operation::CreateRefund(CreateRefund {
            id: id("re_1"),
            payment: id("pay_1"),
            amount: written("54.13"),
            settle: SettleMode::Manual,
            reason: "requested_by_customer".to_owned(),
            from: Some(vec![
                WrittenRefundPart::Charge { charge: id("in_1"), amount: written("44.13") },
                WrittenRefundPart::Unapplied { amount: written("10") },
            ]),
            details: details(),
        }),
        Operation::SettleRefund(MoveRefund { id: id("re_1"), details: details() }),
        Operation::FailRefund(MoveRefund { id: id("re_1"), details: Details::default() }),
        Operation::OpenFiscalBook(OpenFiscalBook {
            book: OpenBook {
                code: BookCode::new("acme-uk").unwrap(),
                name: "Acme Ltd".to_owned(),
                functional_currency: currency("GBP"),
                time_zone: "Europe/London".to_owned(),
                chart: Chart::Empty,
            },
            first_month: Month::new(4).unwrap(),
        }),
        Operation::SoftClosePeriod(MovePeriod { period: period_id(), reason: String::new() }),
        Operation::ClosePeriod(ClosePeriod {
            period: period_id(),
            accept: vec![BlockerKind::MustZero, BlockerKind::UnappliedCash],
            reason: "January".to_owned(),
        }),
        Operation::ReopenPeriod(MovePeriod { period: period_id(), reason: "A late invoice".to_owned() }),
        Operation::Recognise(Recognise { through: date("2026-01-31"), after: Some(up_to()), metadata: metadata() }),
        Operation::RecordRate(RecordRate {
            base: currency("EUR"),
            quote: currency("USD"),
            date: date("2026-01-30"),
            rate: Decimal::new(112, 2),
            source: "ECB".to_owned(),
        }),
        Operation::Convert(Convert {
            from: account_ref("assets:processor-clearing/stripe/pay_1"),
            amount: written("120.00"),
            currency: currency("EUR"),
            to: account_ref("assets:bank"),
            received: written("134.24"),
            received_currency: currency("USD"),
            fee: Some(written("1.36")),
            details: details(),
        }),
        Operation::Revalue(Revalue { date: date("2026-01-31") }),
        Operation::CloseYear(CloseYear { year: FiscalYear::new(2026).unwrap(), metadata: Metadata::new() }),
    ]
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn command(operation: Operation) -> Command {
    Command {
        book: BookId(1),
        key: key("01890a5d-ac96-774b-bcce-b302099a8057"),
        fingerprint: fingerprint(&operation),
        stamp: STAMP,
        today: date("2026-01-02"),
        actor: Actor::new("billing").unwrap(),
        operation,
    }
}

/// One of each reason, in the order of their tags.
pub(crate) fn reasons() -> Vec<Reason> {
    let account = || code("assets:bank");
    vec![
        Reason::AlreadyExists { what: Existing::Charge(id("in_1")), decided_at: Position(4) },
        Reason::AlreadyReversed { by: EntryNumber(9) },
        Reason::NotReversible,
        Reason::UnknownDocument,
        Reason::ChargeNotOpen,
        Reason::PaymentNotOpen,
        Reason::HoldNotOpen,
        Reason::UnknownAccount { account: account() },
        Reason::AccountClosed { account: account() },
        Reason::AccountNotEmpty { account: account() },
        Reason::RoleMissing { role: Role::new("refunds_payable").unwrap() },
        Reason::UnknownCurrency { currency: currency("XYZ") },
        Reason::CurrencyNotAllowed { account: account(), currency: currency("EUR") },
        Reason::TooManyDecimals { currency: currency("JPY"), decimals: 0 },
        Reason::PartyRequired { account: account() },
        Reason::PartyNotAllowed { account: account() },
        Reason::ItemRequired { account: account() },
        Reason::ItemNotAllowed { account: account() },
        Reason::CustomerMismatch,
        Reason::CurrencyMismatch,
        Reason::RateRequired,
        Reason::OverCapture { available: 10_825, decimals: 2 },
        Reason::OverApplication { available: 0, decimals: 2 },
        Reason::OverRefund { available: 1, decimals: 3 },
        Reason::Overdraft { account: account(), available: -40, decimals: 2 },
        Reason::BalanceTooLarge { account: account() },
        Reason::DocumentFull,
        Reason::TooManyCurrencies,
        Reason::PeriodClosed { period: period_id(), state: PeriodState::SoftClosed, date: date("2026-01-31") },
        Reason::PeriodOutOfOrder { first: period_id() },
        Reason::PeriodState { state: PeriodState::Open },
        Reason::PeriodNotReady { blockers: blockers()[..2].to_vec() },
        Reason::RateMissing { base: currency("EUR"), quote: currency("USD"), date: date("2026-01-31") },
    ]
}

/// One of each field, in the order of their tags.
pub(crate) fn fields() -> Vec<Field> {
    vec![
        Field::Whole,
        Field::Id,
        Field::Currency,
        Field::FunctionalCurrency,
        Field::Currencies,
        Field::Amount,
        Field::Fee,
        Field::Rate,
        Field::Debit,
        Field::Credit,
        Field::Source,
        Field::Payment,
        Field::Role,
        Field::Line(999),
        Field::Tax(99, 9),
        Field::Apply(7),
        Field::From(300),
        Field::EffectiveDate,
        Field::Base,
        Field::Quote,
        Field::Received,
        Field::ReceivedCurrency,
    ]
}

/// One of each thing that can exist already, in the order of their tags.
pub(crate) fn existing() -> Vec<Existing> {
    vec![
        Existing::Book(BookCode::new("acme").unwrap()),
        Existing::Currency(currency("USDC")),
        Existing::Account(code("assets:bank")),
        Existing::Hold(id("h_1")),
        Existing::Charge(id("in_1")),
        Existing::Payment(id("pay_1")),
        Existing::Refund(id("re_1")),
    ]
}

pub(crate) fn book() -> Book {
    Book {
        id: BookId(1),
        code: BookCode::new("acme").unwrap(),
        name: "Acme Inc".to_owned(),
        functional_currency: CurrencyId(840),
        time_zone: "UTC".to_owned(),
        decided: Position(1),
    }
}

pub(crate) fn period_id() -> PeriodId {
    PeriodId::parse("2026-01").unwrap()
}

pub(crate) fn calendar() -> Calendar {
    Calendar {
        first_month: Month::new(4).unwrap(),
        soft_closed_through: period_id().next(),
        closed_through: Some(period_id()),
        decided: Position(70_000),
    }
}

/// One of each blocker, in the order of their tags.
pub(crate) fn blockers() -> Vec<Blocker> {
    let (account, usd) = (code("assets:cash-in-transit"), currency("USD"));
    vec![
        Blocker::MustZero { account: account.clone(), currency: usd.clone(), balance: -300, decimals: 2 },
        Blocker::UnappliedCash { account: account.clone(), currency: usd.clone(), balance: 5_100, decimals: 2 },
        Blocker::FxPosition { account: account.clone(), currency: usd, balance: -200, decimals: 2 },
        Blocker::RateMissing { account, currency: currency("EUR") },
    ]
}

fn up_to() -> RecognisedUpTo {
    RecognisedUpTo { customer: Some(party("cus_1")), item: item("in_1") }
}

pub(crate) fn rate() -> Rate {
    Rate {
        base: CurrencyId(978),
        quote: CurrencyId(840),
        date: date("2026-01-30"),
        rate: Decimal::new(112, 2),
        source: "ECB".to_owned(),
        decided: Position(70_000),
    }
}

pub(crate) fn recognised() -> Recognised {
    Recognised {
        charge: id("in_1"),
        customer: party("cus_1"),
        lines: vec![10_192, 0],
        through: date("2026-01-31"),
        last_entry: EntryNumber(300),
        decided: Position(70_000),
    }
}

/// A closed one.
pub(crate) fn period() -> Period {
    let balance = |account, debits, credits| SealedBalance {
        account: AccountId(account),
        currency: CurrencyId(840),
        debits,
        credits,
    };
    Period {
        id: period_id(),
        state: PeriodState::Closed,
        seal: Some(Seal {
            as_of: date("2026-01-31"),
            journal: JournalHead { position: Position(69_999), hash: Digest(*b"0123456789abcdef0123456789ABCDEF") },
            last_entry: EntryNumber(300),
            balances: vec![balance(1, 135_000, 300), balance(19, 0, 134_700)],
            hash: Digest([7; 32]),
        }),
        accepted: vec![BlockerKind::MustZero],
        reopened: 1,
        reason: "January".to_owned(),
        decided: Position(70_000),
    }
}

pub(crate) fn registered() -> Currency {
    Currency { id: CurrencyId(1000), code: currency("USDC"), decimals: 6, decided: Position(2) }
}

pub(crate) fn account() -> Account {
    Account {
        id: AccountId(7),
        code: code("assets:receivable"),
        number: Some("1200".to_owned()),
        name: "Accounts receivable".to_owned(),
        class: Class::Asset,
        contra: true,
        party: Some(PartyKind::new("customer").unwrap()),
        items: ItemRule::Required,
        currencies: CurrencyRule::Only(vec![CurrencyId(840), CurrencyId(978)]),
        overdraft: Overdraft::Forbid,
        must_zero: false,
        role: Some(Role::new("receivable").unwrap()),
        closed: false,
        decided: Position(3),
    }
}

pub(crate) fn hold() -> Hold {
    Hold {
        id: id("h_1"),
        debit: Endpoint { account: AccountId(1), party: None, item: None },
        credit: Endpoint { account: AccountId(2), party: Some(party("cus_1")), item: Some(item("top_1")) },
        currency: CurrencyId(840),
        amount: amount(2_000),
        captured: 500,
        pending: 1_500,
        state: HoldState::PartiallyCaptured,
        expires_at: Some(STAMP),
        description: "Deposit".to_owned(),
        metadata: metadata(),
        entries: vec![EntryNumber(3)],
        decided: Position(12),
    }
}

pub(crate) fn charge() -> Charge {
    Charge {
        id: id("in_1"),
        customer: party("cus_1"),
        receivable: AccountId(7),
        deferred: Some(AccountId(8)),
        currency: CurrencyId(978),
        due_date: Some(date("2026-02-01")),
        rate: Some(Decimal::new(11, 1)),
        lines: vec![ChargeLine {
            revenue: AccountId(20),
            amount: amount(10_825),
            tax: vec![TaxLine { jurisdiction: party("us-ca"), amount: amount(825), refunded: 413 }],
            defer: Some(Deferral { from: date("2026-01-01"), to: date("2026-12-31") }),
            functional_net: 11_000,
        }],
        amount: amount(10_825),
        voided: false,
        credited: 5_413,
        credited_functional_net: 5_500,
        description: "January".to_owned(),
        metadata: metadata(),
        effective_date: date("2026-01-02"),
        payments: vec![id("pay_1")],
        refunds: vec![id("re_1")],
        entries: vec![EntryNumber(1), EntryNumber(4)],
        decided: Position(11),
    }
}

pub(crate) fn payment() -> Payment {
    Payment {
        id: id("pay_1"),
        customer: party("cus_1"),
        source: Source::Processor { account: AccountId(4), processor: party("stripe") },
        unapplied: AccountId(9),
        currency: CurrencyId(978),
        amount: amount(10_825),
        capture: CaptureMode::Manual,
        state: PaymentState::Captured,
        captured: 10_825,
        pending: 0,
        expires_at: Some(STAMP),
        requested: vec![(id("in_1"), amount(10_825))],
        applications: vec![Application { charge: id("in_1"), amount: 10_825, refunded: 5_413 }],
        refunded: 5_413,
        refunded_unapplied: 0,
        fees: -30,
        description: String::new(),
        metadata: Metadata::new(),
        effective_date: date("2026-01-03"),
        refunds: vec![id("re_1")],
        entries: vec![EntryNumber(2)],
        decided: Position(11),
    }
}

pub(crate) fn refund() -> Refund {
    Refund {
        id: id("re_1"),
        payment: id("pay_1"),
        customer: party("cus_1"),
        currency: CurrencyId(978),
        amount: amount(5_413),
        payable: AccountId(10),
        settle: SettleMode::Manual,
        state: RefundState::Pending,
        reason: "requested_by_customer".to_owned(),
        unapplied: 0,
        parts: vec![RefundPart {
            charge: id("in_1"),
            amount: amount(5_413),
            tax: vec![vec![413], vec![]],
            functional_net: 5_500,
        }],
        description: "Half of it".to_owned(),
        metadata: Metadata::new(),
        effective_date: date("2026-01-09"),
        entries: vec![EntryNumber(4)],
        decided: Position(11),
    }
}

/// One of each snapshot, in the order of their tags.
pub(crate) fn snapshots() -> Vec<Snapshot> {
    vec![
        Snapshot::Hold(hold()),
        Snapshot::Charge { charge: charge(), open: 0 },
        Snapshot::Payment { payment: payment(), unapplied: -1 },
        Snapshot::Refund(refund()),
        Snapshot::Book(book()),
        Snapshot::Currency(registered()),
        Snapshot::Account(account()),
        Snapshot::Calendar(calendar()),
        Snapshot::Period(period()),
        Snapshot::Rate(rate()),
        Snapshot::Recognised(recognised()),
        Snapshot::RecognitionRun(RecognitionRun {
            through: date("2026-01-31"),
            charges: 250,
            amount: 70_000,
            next: Some(up_to()),
        }),
        Snapshot::Valuation(Valuation {
            date: date("2026-01-31"),
            currencies: vec![Valued {
                currency: CurrencyId(978),
                balance: -10_000,
                rate: Decimal::new(112, 2),
                rate_date: date("2026-01-30"),
                value: -11_200,
            }],
            functional: 11_000,
            difference: -200,
        }),
        Snapshot::YearClose(YearClose {
            year: FiscalYear::new(2026).unwrap(),
            as_of: date("2026-12-31"),
            earnings: vec![(CurrencyId(840), -51_513)],
        }),
    ]
}

fn line(account: u32, party_text: Option<&str>, side: Side, minor: i128, after: After) -> Line {
    Line {
        account: AccountId(account),
        party: party_text.map(party),
        item: party_text.map(|_| item("in_1")),
        side,
        amount: amount(minor),
        currency: CurrencyId(840),
        after,
    }
}

/// The `ordinal`th posting of a subaccount, the one before it at position 5.
fn after(side: Side, minor: i128, ordinal: u64) -> After {
    let before = (ordinal > 1).then_some(PostingRef { position: Position(5), line: 1 });
    let (debits, credits) = match side {
        Side::Debit => (minor, 0),
        Side::Credit => (0, minor),
    };
    After { debits, credits, ordinal, greatest_date: date("2026-01-02"), previous: before, jump: before }
}

pub(crate) fn entry(number: u64) -> Entry {
    Entry {
        number: EntryNumber(number),
        rule: Rule::Charge,
        effective_date: date("2026-01-02"),
        description: "January".to_owned(),
        metadata: metadata(),
        reverses: None,
        document: Some(DocumentRef::Charge(id("in_1"))),
        lines: vec![
            line(7, Some("cus_1"), Side::Debit, 10_825, after(Side::Debit, 21_650, 2)),
            line(20, None, Side::Credit, 10_000, after(Side::Credit, 10_000, 1)),
            line(11, None, Side::Credit, 825, after(Side::Credit, 825, 1)),
        ],
    }
}

pub(crate) fn decision(position: u64, operation: OperationKind, outcome: Outcome) -> Decision {
    Decision {
        position: Position(position),
        recorded_at: Timestamp(STAMP.0 + i64::try_from(position).unwrap()),
        book: BookId(1),
        origin: Origin::Request {
            key: key("01890a5d-ac96-774b-bcce-b302099a8057"),
            fingerprint: Fingerprint(*b"0123456789abcdef"),
            actor: Actor::new("billing").unwrap(),
        },
        operation,
        outcome,
    }
}

pub(crate) fn refused(position: u64) -> Decision {
    let rejection = Rejection { reason: Reason::UnknownDocument, field: Field::Payment, index: Some(3) };
    decision(position, OperationKind::CreateRefund, Outcome::Refused(rejection))
}

/// A charge, a refusal, an expiry and a reversal: what one block may hold.
pub(crate) fn block_decisions() -> Vec<Decision> {
    let charge =
        Effects { entries: vec![entry(1)], snapshots: vec![Snapshot::Charge { charge: charge(), open: 10_825 }] };
    let expired = Effects { entries: vec![], snapshots: vec![Snapshot::Hold(hold())] };
    let reversal = Entry { rule: Rule::Reversal, reverses: Some(EntryNumber(1)), document: None, ..entry(2) };
    vec![
        decision(40, OperationKind::CreateCharge, Outcome::Accepted(charge)),
        refused(41),
        Decision { origin: Origin::Internal, ..decision(42, OperationKind::ExpireHold, Outcome::Accepted(expired)) },
        decision(
            43,
            OperationKind::ReverseEntry,
            Outcome::Accepted(Effects { entries: vec![reversal], snapshots: vec![] }),
        ),
    ]
}

pub(crate) fn chain(postings: u64) -> Chain {
    let mut chain = Chain::default();
    for ordinal in 1..=postings {
        chain.append(PostingRef { position: Position(ordinal * 300), line: 1 });
    }
    chain
}
