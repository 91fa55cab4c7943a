//! The scenarios' commands:
//!
//! ```text
//! clock SECONDS                 the next stamps are after this many seconds
//! today DATE
//! book CODE CURRENCY saas|empty [year=MONTH]
//! soft-close PERIOD        close-period PERIOD [accept=must_zero,unapplied_cash]        reopen PERIOD WORDS …
//! blockers PERIOD               what stands in the way of its close        seal PERIOD    the text that it sealed
//! currency CODE DECIMALS
//! account CODE CLASS [contra] [must-zero] [party=KIND] [items=optional|required] [currencies=USD,EUR] [forbid] [role=ROLE]
//! close CODE
//! entry [kind=opening|adjusting] dr PLACE AMOUNT CURRENCY cr PLACE AMOUNT CURRENCY …
//! transfer DEBIT CREDIT AMOUNT CURRENCY
//! reverse NUMBER
//! hold ID DEBIT CREDIT AMOUNT CURRENCY [expires=SECONDS]    capture-hold ID [AMOUNT] [more]    void-hold ID
//! charge ID CUSTOMER CURRENCY [rate=1.10] [due=DATE] LINE …    LINE: revenue=CODE:AMOUNT[+JURISDICTION:TAX …][@FROM..TO]
//! void-charge ID
//! pay ID CUSTOMER processor=NAME|account=CODE AMOUNT CURRENCY [manual] [apply=CHARGE:AMOUNT,…] [fee=AMOUNT] [expires=SECONDS]
//! capture ID [AMOUNT] [more] [apply=…|apply=] [fee=AMOUNT]        void ID
//! apply|unapply ID CHARGE:AMOUNT,…        fee ID AMOUNT [returned]
//! refund ID PAYMENT AMOUNT [manual] [from=unapplied:AMOUNT,CHARGE:AMOUNT]        settle ID        fail ID
//! recognise THROUGH [after=CUSTOMER/ITEM]        close-year YEAR
//! rate BASE QUOTE DATE RATE        revalue DATE        value DATE    the FX position at its rates
//! convert FROM AMOUNT CURRENCY TO AMOUNT CURRENCY [fee=AMOUNT]
//! trial-balance        balance PLACE CURRENCY        show charge|payment|refund|hold ID
//! ```
//!
//! Every operation takes `key=KEY` and `date=DATE` too; places are `code`, `code/party` or `code/party/item`.

use partita_core::account::{Class, ItemRule, Overdraft};
use partita_core::document::{CaptureMode, Deferral, SettleMode};
use partita_core::entry::{DocumentRef, Side};
use partita_core::id::{
    AccountCode, BookCode, CurrencyCode, DocumentId, EntryNumber, Item, Key, Party, PartyKind, Role,
};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, Chart, ClosePeriod, CloseYear, Convert, CreateCharge,
    CreatePayment, CreateRefund, Currencies, Details, ManualKind, MovePeriod, MoveRefund, OpenAccount, OpenBook,
    OpenFiscalBook, Operation, PlaceHold, PostEntry, PostPaymentFee, Recognise, RecordRate, RegisterCurrency, Revalue,
    ReverseEntry, Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication, WrittenChargeLine, WrittenLine,
    WrittenRefundPart, WrittenSource, WrittenTax,
};
use partita_core::period::{BlockerKind, FiscalYear, Month, PeriodId};
use partita_core::recognition::RecognisedUpTo;
use partita_core::time::{Date, Timestamp};
use rust_decimal::Decimal;

/// What one line asks for.
#[derive(Debug)]
pub(crate) enum Line {
    Clock(Timestamp),
    Today(Date),
    TrialBalance,
    Balance((AccountRef, CurrencyCode)),
    Show(DocumentRef),
    Blockers(PeriodId),
    Seal(PeriodId),
    Value(Date),
    Operation { key: Option<Key>, operation: Box<Operation> },
}

/// The words of a line: options (`name=value`) apart from the rest, which is taken in order.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    line: &'a str,
    rest: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        let (options, rest): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(|word| word.contains('='));
        let options = options.into_iter().map(|option| option.split_once('=').unwrap()).collect();
        Self { line, rest, options }
    }

    fn next(&mut self) -> &'a str {
        assert!(!self.rest.is_empty(), "a word is missing: {}", self.line);
        self.rest.remove(0)
    }

    fn next_if_any(&mut self) -> Option<&'a str> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    /// Whether this word stands anywhere.
    fn flag(&mut self, name: &str) -> bool {
        let index = self.rest.iter().position(|word| *word == name);
        index.map(|index| self.rest.remove(index)).is_some()
    }

    fn option(&mut self, name: &str) -> Option<&'a str> {
        let index = self.options.iter().position(|(option, _)| *option == name)?;
        Some(self.options.remove(index).1)
    }

    fn all(&mut self) -> Vec<&'a str> {
        std::mem::take(&mut self.rest)
    }

    fn end(&self) {
        assert!(self.rest.is_empty() && self.options.is_empty(), "not understood: {self:?}");
    }
}

pub(crate) fn line(words: &mut Words<'_>, clock: Timestamp) -> Line {
    let key = words.option("key").map(|key| Key::new(key).unwrap());
    let name = words.next();
    let line = match name {
        "clock" => Line::Clock(Timestamp(clock.0 + seconds(words.next()).0)),
        "today" => Line::Today(Date::parse(words.next()).unwrap()),
        "trial-balance" => Line::TrialBalance,
        "balance" => Line::Balance((place(words.next()), currency(words.next()))),
        "blockers" => Line::Blockers(period(words.next())),
        "seal" => Line::Seal(period(words.next())),
        "value" => Line::Value(date(words.next())),
        "show" => Line::Show(match (words.next(), id(words.next())) {
            ("charge", id) => DocumentRef::Charge(id),
            ("payment", id) => DocumentRef::Payment(id),
            ("refund", id) => DocumentRef::Refund(id),
            ("hold", id) => DocumentRef::Hold(id),
            (other, _) => panic!("what is a {other}?"),
        }),
        name => Line::Operation { key, operation: Box::new(operation(name, words)) },
    };
    words.end();
    line
}

fn operation(name: &str, words: &mut Words<'_>) -> Operation {
    let effective_date = words.option("date").map(|date| Date::parse(date).unwrap());
    let details = Details { effective_date, ..Details::default() };
    match name {
        "book" | "currency" | "account" | "close" => chart_operation(name, words),
        "entry" => Operation::PostEntry(entry(words, details)),
        "transfer" => Operation::Transfer(Transfer {
            debit: place(words.next()),
            credit: place(words.next()),
            amount: amount(words.next()),
            currency: currency(words.next()),
            details,
        }),
        "reverse" => {
            Operation::ReverseEntry(ReverseEntry { number: EntryNumber(words.next().parse().unwrap()), details })
        }
        "hold" | "capture-hold" | "void-hold" => hold_operation(name, words, details),
        "charge" => Operation::CreateCharge(charge(words, details)),
        "void-charge" => Operation::VoidCharge(VoidCharge { id: id(words.next()), details }),
        "pay" => Operation::CreatePayment(payment(words, details)),
        "capture" => {
            let is_final = !words.flag("more");
            let apply = words.option("apply").map(applications);
            let fee = words.option("fee").map(amount);
            let (id, amount) = (id(words.next()), words.next_if_any().map(amount));
            Operation::CapturePayment(CapturePayment { id, amount, is_final, apply, fee, details })
        }
        "void" => Operation::VoidPayment(VoidPayment { id: id(words.next()) }),
        "apply" => Operation::ApplyPayment(apply(words, details)),
        "unapply" => Operation::UnapplyPayment(apply(words, details)),
        "fee" => {
            let returned = words.flag("returned");
            let (id, amount) = (id(words.next()), amount(words.next()));
            Operation::PostPaymentFee(PostPaymentFee { id, amount, returned, details })
        }
        "refund" => Operation::CreateRefund(refund(words, details)),
        "settle" => Operation::SettleRefund(MoveRefund { id: id(words.next()), details }),
        "fail" => Operation::FailRefund(MoveRefund { id: id(words.next()), details }),
        "soft-close" => Operation::SoftClosePeriod(MovePeriod { period: period(words.next()), reason: String::new() }),
        "recognise" => Operation::Recognise(Recognise {
            after: words.option("after").map(up_to),
            through: date(words.next()),
            metadata: details.metadata,
        }),
        "rate" => Operation::RecordRate(RecordRate {
            base: currency(words.next()),
            quote: currency(words.next()),
            date: date(words.next()),
            rate: words.next().parse::<Decimal>().unwrap().normalize(),
            source: "ECB".to_owned(),
        }),
        "revalue" => Operation::Revalue(Revalue { date: date(words.next()) }),
        "convert" => Operation::Convert(Convert {
            fee: words.option("fee").map(amount),
            from: place(words.next()),
            amount: amount(words.next()),
            currency: currency(words.next()),
            to: place(words.next()),
            received: amount(words.next()),
            received_currency: currency(words.next()),
            details,
        }),
        "close-year" => {
            let year = FiscalYear::new(words.next().parse().unwrap()).unwrap();
            Operation::CloseYear(CloseYear { year, metadata: details.metadata })
        }
        "close-period" => Operation::ClosePeriod(close(words)),
        "reopen" => Operation::ReopenPeriod(MovePeriod { period: period(words.next()), reason: words.all().join(" ") }),
        other => panic!("there is no command {other}"),
    }
}

fn chart_operation(name: &str, words: &mut Words<'_>) -> Operation {
    match name {
        "book" => {
            let book = OpenBook {
                code: BookCode::new(words.next()).unwrap(),
                name: "A book".to_owned(),
                functional_currency: currency(words.next()),
                time_zone: "UTC".to_owned(),
                chart: if words.next() == "saas" { Chart::Saas } else { Chart::Empty },
            };
            match words.option("year") {
                None => Operation::OpenBook(book),
                Some(month) => {
                    let first_month = Month::new(month.parse().unwrap()).unwrap();
                    Operation::OpenFiscalBook(OpenFiscalBook { book, first_month })
                }
            }
        }
        "currency" => Operation::RegisterCurrency(RegisterCurrency {
            code: currency(words.next()),
            decimals: words.next().parse().unwrap(),
        }),
        "account" => Operation::OpenAccount(account(words)),
        _ => Operation::CloseAccount(AccountCode::new(words.next()).unwrap()),
    }
}

fn account(words: &mut Words<'_>) -> OpenAccount {
    let code = AccountCode::new(words.next()).unwrap();
    let class = match words.next() {
        "asset" => Class::Asset,
        "liability" => Class::Liability,
        "equity" => Class::Equity,
        "revenue" => Class::Revenue,
        "expense" => Class::Expense,
        "memo" => Class::Memo,
        other => panic!("there is no class {other}"),
    };
    OpenAccount {
        name: code.to_string(),
        code,
        number: None,
        class,
        contra: words.flag("contra"),
        party: words.option("party").map(|kind| PartyKind::new(kind).unwrap()),
        items: match words.option("items") {
            None => ItemRule::None,
            Some("optional") => ItemRule::Optional,
            Some("required") => ItemRule::Required,
            Some(other) => panic!("there is no item rule {other}"),
        },
        currencies: match words.option("currencies") {
            None => Currencies::Any,
            Some(codes) => Currencies::Only(codes.split(',').map(currency).collect()),
        },
        overdraft: if words.flag("forbid") { Overdraft::Forbid } else { Overdraft::Allow },
        must_zero: words.flag("must-zero"),
        role: words.option("role").map(|role| Role::new(role).unwrap()),
    }
}

fn entry(words: &mut Words<'_>, details: Details) -> PostEntry {
    let kind = match words.option("kind") {
        None => ManualKind::Standard,
        Some("opening") => ManualKind::Opening,
        Some("adjusting") => ManualKind::Adjusting,
        Some(other) => panic!("there is no kind {other}"),
    };
    let mut lines = vec![];
    while let Some(side) = words.next_if_any() {
        let side = if side == "dr" { Side::Debit } else { Side::Credit };
        let account = place(words.next());
        lines.push(WrittenLine { account, side, amount: amount(words.next()), currency: currency(words.next()) });
    }
    PostEntry { kind, details, lines }
}

fn hold_operation(name: &str, words: &mut Words<'_>, details: Details) -> Operation {
    match name {
        "hold" => Operation::PlaceHold(PlaceHold {
            expires_at: words.option("expires").map(seconds),
            id: id(words.next()),
            debit: place(words.next()),
            credit: place(words.next()),
            amount: amount(words.next()),
            currency: currency(words.next()),
            description: String::new(),
            metadata: details.metadata,
        }),
        "capture-hold" => {
            let is_final = !words.flag("more");
            let (id, amount) = (id(words.next()), words.next_if_any().map(amount));
            Operation::CaptureHold(CaptureHold { id, amount, is_final, details })
        }
        _ => Operation::VoidHold(VoidHold { id: id(words.next()) }),
    }
}

fn charge(words: &mut Words<'_>, details: Details) -> CreateCharge {
    let rate = words.option("rate").map(|rate| rate.parse::<Decimal>().unwrap().normalize());
    let due_date = words.option("due").map(|date| Date::parse(date).unwrap());
    let (id, customer, currency) = (id(words.next()), party(words.next()), currency(words.next()));
    let mut lines = vec![];
    while let Some(line) = words.option("revenue") {
        lines.push(charge_line(line));
    }
    CreateCharge { id, customer, currency, due_date, rate, lines, details }
}

/// `revenue:sales:108.25+us-ca:8.25@2026-01-01..2026-12-31`: the account's code has colons of its own.
fn charge_line(text: &str) -> WrittenChargeLine {
    let (text, defer) = match text.split_once('@') {
        Some((text, range)) => (text, Some(range)),
        None => (text, None),
    };
    let mut parts = text.split('+');
    let (revenue, gross) = parts.next().unwrap().rsplit_once(':').unwrap();
    let tax = parts.map(|tax| {
        let (jurisdiction, tax) = tax.split_once(':').unwrap();
        WrittenTax { jurisdiction: party(jurisdiction), amount: amount(tax) }
    });
    let defer = defer.map(|range| {
        let (from, to) = range.split_once("..").unwrap();
        Deferral { from: Date::parse(from).unwrap(), to: Date::parse(to).unwrap() }
    });
    WrittenChargeLine { revenue: AccountCode::new(revenue).unwrap(), amount: amount(gross), tax: tax.collect(), defer }
}

fn payment(words: &mut Words<'_>, details: Details) -> CreatePayment {
    let capture = if words.flag("manual") { CaptureMode::Manual } else { CaptureMode::Automatic };
    let source = match (words.option("processor"), words.option("account")) {
        (Some(processor), None) => WrittenSource::Processor(party(processor)),
        (None, Some(account)) => WrittenSource::Account(AccountCode::new(account).unwrap()),
        _ => panic!("a payment has a processor or an account"),
    };
    CreatePayment {
        apply: words.option("apply").map(applications).unwrap_or_default(),
        fee: words.option("fee").map(amount),
        expires_at: words.option("expires").map(seconds),
        id: id(words.next()),
        customer: party(words.next()),
        source,
        amount: amount(words.next()),
        currency: currency(words.next()),
        capture,
        details,
    }
}

fn apply(words: &mut Words<'_>, details: Details) -> ApplyPayment {
    ApplyPayment { id: id(words.next()), apply: applications(words.next()), details }
}

fn refund(words: &mut Words<'_>, details: Details) -> CreateRefund {
    let settle = if words.flag("manual") { SettleMode::Manual } else { SettleMode::Automatic };
    let part = |text: &str| match text.split_once(':').unwrap() {
        ("unapplied", value) => WrittenRefundPart::Unapplied { amount: amount(value) },
        (charge, value) => WrittenRefundPart::Charge { charge: id(charge), amount: amount(value) },
    };
    CreateRefund {
        from: words.option("from").map(|parts| parts.split(',').map(part).collect()),
        id: id(words.next()),
        payment: id(words.next()),
        amount: amount(words.next()),
        settle,
        reason: String::new(),
        details,
    }
}

fn close(words: &mut Words<'_>) -> ClosePeriod {
    let kind = |name: &str| *BlockerKind::ALL.iter().find(|kind| kind.name() == name).unwrap();
    let mut accept: Vec<BlockerKind> =
        words.option("accept").into_iter().flat_map(|kinds| kinds.split(',')).map(kind).collect();
    accept.sort();
    ClosePeriod { period: period(words.next()), accept, reason: String::new() }
}

fn applications(text: &str) -> Vec<WrittenApplication> {
    let application = |text: &str| {
        let (charge, value) = text.split_once(':').unwrap();
        WrittenApplication { charge: id(charge), amount: amount(value) }
    };
    text.split(',').filter(|part| !part.is_empty()).map(application).collect()
}

fn place(text: &str) -> AccountRef {
    let mut parts = text.split('/');
    AccountRef {
        code: AccountCode::new(parts.next().unwrap()).unwrap(),
        party: parts.next().map(party),
        item: parts.next().map(|item| Item::new(item).unwrap()),
    }
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn up_to(text: &str) -> RecognisedUpTo {
    let (customer, item) = text.split_once('/').unwrap();
    RecognisedUpTo { customer: Some(party(customer)), item: Item::new(item).unwrap() }
}

fn period(text: &str) -> PeriodId {
    PeriodId::parse(text).unwrap()
}

fn seconds(text: &str) -> Timestamp {
    Timestamp(text.parse::<i64>().unwrap() * 1_000_000_000)
}

fn amount(text: &str) -> WrittenAmount {
    WrittenAmount::parse(text).unwrap()
}

fn currency(text: &str) -> CurrencyCode {
    CurrencyCode::new(text).unwrap()
}

fn id(text: &str) -> DocumentId {
    DocumentId::new(text).unwrap()
}

fn party(text: &str) -> Party {
    Party::new(text).unwrap()
}
