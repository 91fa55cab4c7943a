//! Random commands that collide: few books, customers and documents, amounts at the edge of what is allowed.
//!
//! The generator looks into the model to aim (the open amount, one more than that), never into the ledger.

use partita_core::account::{Class, ItemRule, Overdraft};
use partita_core::decision::Command;
use partita_core::id::{
    AccountCode, Actor, BookCode, BookId, CurrencyCode, DocumentId, Fingerprint, Item, Key, Party, PartyKind, Role,
};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, Chart, Currencies, Details, OpenAccount, OpenBook, OpenFiscalBook, Operation, RegisterCurrency,
};
use partita_core::period::Month;
use partita_core::time::{Date, Timestamp};

use super::decide::Model;
use super::ledger::Shelf;
use super::random::Random;

/// How a request's content becomes its fingerprint; storage has its own, tests of the core take any.
pub(crate) type Fingerprinter = fn(&Operation) -> Fingerprint;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_767_225_600 * SECOND;
const DAY: i64 = 86_400;
const CUSTOMERS: [&str; 3] = ["cus_1", "cus_2", "cus_3"];
const JURISDICTIONS: [&str; 3] = ["us-ca", "us-ny", "de"];
const PROCESSORS: [&str; 2] = ["stripe", "adyen"];
/// Known everywhere, registered in some books, unknown.
const CURRENCIES: [&str; 8] = ["USD", "EUR", "JPY", "KWD", "CLF", "USDC", "ETH", "XXQ"];
/// Roles that the posting rules look up, with the class and shape that suits them.
const ROLES: [(&str, Class, &str, ItemRule); 11] = [
    ("receivable", Class::Asset, "customer", ItemRule::Required),
    ("unapplied_cash", Class::Liability, "customer", ItemRule::Required),
    ("refunds_payable", Class::Liability, "customer", ItemRule::Required),
    ("deferred_revenue", Class::Liability, "customer", ItemRule::Required),
    ("tax_payable", Class::Liability, "jurisdiction", ItemRule::None),
    ("processor_clearing", Class::Asset, "processor", ItemRule::Optional),
    ("processing_fees", Class::Expense, "", ItemRule::None),
    ("credits_and_refunds", Class::Revenue, "", ItemRule::None),
    ("fx_position", Class::Asset, "", ItemRule::None),
    ("fx_unrealised", Class::Revenue, "", ItemRule::None),
    ("retained_earnings", Class::Equity, "", ItemRule::None),
];

#[derive(Debug)]
pub(crate) struct Generator {
    pub(crate) random: Random,
    fingerprint: Fingerprinter,
    clock: i64,
    keys: u64,
    names: u64,
    past: Vec<Command>,
}

impl Generator {
    pub(crate) fn new(seed: u64, fingerprint: Fingerprinter) -> Self {
        Self { random: Random::new(seed), fingerprint, clock: START, keys: 0, names: 0, past: vec![] }
    }

    /// The time at which the next command is made, for a ledger that runs by a clock of its own.
    #[allow(dead_code, reason = "the simulator's, which includes this file; the tests here let time pass by itself")]
    pub(crate) fn set_clock(&mut self, now: Timestamp) {
        self.clock = now.0;
    }

    /// The next command for the ledger that the model describes.
    pub(crate) fn command(&mut self, model: &Model) -> Command {
        self.tick();
        let stamp = Timestamp(self.clock - if self.random.chance(10) { 3 * SECOND } else { 0 });
        let today = self.today();
        if !self.past.is_empty() && self.random.chance(6) {
            return self.again(stamp, today);
        }
        let book = if model.shelves.len() < 3 || self.random.rarely(40) {
            BookId::CLUSTER
        } else {
            // The first book gets half of all commands.
            let index = if self.random.chance(50) { 0 } else { self.random.below(model.shelves.len()) };
            model.shelves[index].book.id
        };
        let operation = if book == BookId::CLUSTER { self.open_book(model) } else { self.operation(model.shelf(book)) };
        let fingerprint = (self.fingerprint)(&operation);
        let actor = Actor::new(self.random.word(&["billing", "finance"])).unwrap();
        let command = Command { book, key: self.key(), fingerprint, stamp, today, actor, operation };
        self.past.push(command.clone());
        command
    }

    pub(crate) fn today(&self) -> Date {
        Date::from_days(i32::try_from(self.clock / SECOND / DAY).unwrap()).unwrap()
    }

    fn tick(&mut self) {
        self.clock += match self.random.below(100) {
            0..30 => 0,
            30..60 => 1,
            60..97 => i64::try_from(self.random.below(5_000_000_000)).unwrap(),
            97..99 => 3_600 * SECOND,
            _ => 30 * 3_600 * SECOND,
        };
    }

    /// An earlier command once more: late, with its content or (a third of the time) with another's.
    fn again(&mut self, stamp: Timestamp, today: Date) -> Command {
        let recent = self.past.len().saturating_sub(50);
        let index = if self.random.chance(50) {
            recent + self.random.below(self.past.len() - recent)
        } else {
            self.random.below(self.past.len())
        };
        let mut command = Command { stamp, today, ..self.past[index].clone() };
        if self.random.chance(35) {
            let other = self.random.below(self.past.len());
            if self.past[other].book == command.book {
                command.operation = self.past[other].operation.clone();
                command.fingerprint = self.past[other].fingerprint;
            }
        }
        command
    }

    fn key(&mut self) -> Key {
        self.keys += 1;
        let number = self.keys;
        let text = match self.random.below(3) {
            0 => format!("k-{number}"),
            1 => {
                // UUIDv7: the ordered class.
                let millis = self.clock / 1_000_000;
                let low = self.random.next() >> 2;
                format!(
                    "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
                    millis >> 16,
                    millis & 0xFFFF,
                    number & 0xFFF,
                    low & 0xFFF,
                    low >> 14
                )
            }
            _ => format!("{:x}!{number}", self.random.next()),
        };
        Key::new(&text).unwrap()
    }

    fn open_book(&mut self, model: &Model) -> Operation {
        let wanted = [("acme", "USD", Chart::Saas), ("plain", "EUR", Chart::Empty), ("kabushiki", "JPY", Chart::Saas)];
        let missing =
            wanted.iter().find(|wanted| !model.shelves.iter().any(|shelf| shelf.book.code.as_str() == wanted.0));
        let (code, currency, chart) = match missing {
            Some(wanted) if self.random.chance(80) => *wanted,
            Some(_) | None if self.random.chance(50) => ("acme", "EUR", Chart::Empty),
            Some(_) | None => ("other", "XXQ", Chart::Empty),
        };
        let book = OpenBook {
            code: BookCode::new(code).unwrap(),
            name: format!("{code} Inc"),
            functional_currency: CurrencyCode::new(currency).unwrap(),
            time_zone: "UTC".to_owned(),
            chart,
        };
        if code == "kabushiki" || self.random.chance(10) {
            let first_month = Month::new(4).unwrap();
            return Operation::OpenFiscalBook(OpenFiscalBook { book, first_month });
        }
        Operation::OpenBook(book)
    }

    /// An id for a new document; now and then one that is taken, by a document of this or another kind.
    pub(crate) fn new_id(&mut self) -> DocumentId {
        if self.random.chance(93) {
            self.names += 1;
        }
        DocumentId::new(&format!("d_{}", self.names)).unwrap()
    }

    pub(crate) fn unknown_id(&mut self) -> DocumentId {
        DocumentId::new("nobody").unwrap()
    }

    pub(crate) fn customer(&mut self) -> Party {
        Party::new(self.random.word(&CUSTOMERS)).unwrap()
    }

    pub(crate) fn processor(&mut self) -> Party {
        Party::new(self.random.word(&PROCESSORS)).unwrap()
    }

    pub(crate) fn jurisdiction(&mut self) -> Party {
        Party::new(self.random.word(&JURISDICTIONS)).unwrap()
    }

    /// Mostly the book's own currency.
    pub(crate) fn currency(&mut self, shelf: &Shelf) -> CurrencyCode {
        if self.random.chance(70) {
            return shelf.currency_code(shelf.book.functional_currency);
        }
        CurrencyCode::new(self.random.word(&CURRENCIES)).unwrap()
    }

    /// A currency whose decimals are known, or two.
    pub(crate) fn decimals(shelf: &Shelf, code: &CurrencyCode) -> u8 {
        shelf.currency(code).map_or(2, |currency| currency.decimals)
    }

    /// An amount near `aim` (if there is one) or small or, now and then, huge or too fine.
    pub(crate) fn amount(&mut self, aim: Option<i128>, decimals: u8) -> WrittenAmount {
        let aim = aim.filter(|aim| *aim > 0);
        let minor = match (self.random.below(100), aim) {
            (0..40, Some(aim)) => aim,
            (40..46, Some(aim)) => aim + 1,
            (46..50, Some(aim)) => (aim - 1).max(1),
            (50..70, Some(aim)) => self.random.between(1, aim),
            (70..75, Some(aim)) => (aim / 2).max(1),
            (97, _) if self.random.chance(50) => return WrittenAmount::parse("999999999999999999").unwrap(),
            (98, _) => return self.too_fine(decimals),
            (0..10, None) => self.random.between(1, 9),
            (_, _) => self.random.between(1, 20_000),
        };
        let minor = minor.min(10i128.pow(18 + u32::from(decimals)) - 1);
        written(minor, decimals)
    }

    fn too_fine(&mut self, decimals: u8) -> WrittenAmount {
        let zeros = "0".repeat(usize::from(decimals));
        WrittenAmount::parse(&format!("1.{zeros}5")).unwrap()
    }

    pub(crate) fn details(&mut self) -> Details {
        let mut details = Details::default();
        if self.random.chance(30) {
            let days =
                i32::try_from(self.clock / SECOND / DAY).unwrap() + i32::try_from(self.random.below(60)).unwrap() - 45;
            details.effective_date = Date::from_days(days);
        }
        if self.random.chance(20) {
            details.description = format!("about {}", self.random.below(10));
        }
        if self.random.chance(10) {
            details.metadata.insert("ref".to_owned(), format!("r{}", self.random.below(10)));
        }
        details
    }

    /// Past, soon, later or never.
    pub(crate) fn expiry(&mut self) -> Option<Timestamp> {
        let seconds = match self.random.below(10) {
            0..3 => return None,
            3 => -5,
            4..8 => i64::try_from(self.random.below(120)).unwrap(),
            _ => 7_200,
        };
        Some(Timestamp(self.clock + seconds * SECOND))
    }

    /// Some document's id, of these if there are any.
    pub(crate) fn known_id<V>(&mut self, documents: &std::collections::BTreeMap<DocumentId, V>) -> DocumentId {
        if documents.is_empty() || self.random.chance(2) {
            return self.unknown_id();
        }
        // The newer half is picked more often.
        let index = self.random.below(documents.len()).max(self.random.below(documents.len()));
        documents.keys().nth(index).expect("within").clone()
    }

    /// One of the documents that `fits`, or any.
    pub(crate) fn fitting_id<V>(
        &mut self,
        documents: &std::collections::BTreeMap<DocumentId, V>,
        fits: impl Fn(&V) -> bool,
    ) -> DocumentId {
        if self.random.chance(12) {
            return self.known_id(documents);
        }
        let fitting: Vec<&DocumentId> = documents.iter().filter(|(_, value)| fits(value)).map(|(id, _)| id).collect();
        match self.random.maybe(&fitting) {
            Some(id) => (*id).clone(),
            None => self.known_id(documents),
        }
    }

    /// A place in the chart, mostly a valid one.
    pub(crate) fn place(&mut self, shelf: &Shelf) -> AccountRef {
        if shelf.accounts.is_empty() || self.random.chance(1) {
            return AccountRef { code: AccountCode::new("no:such").unwrap(), party: None, item: None };
        }
        // A few accounts get most lines, so that their chains grow long.
        let busy =
            ["assets:bank", "liabilities:customer-prepaid", "assets:receivable", "liabilities:unapplied-cash", "x:1"];
        let account = match shelf.accounts.iter().find(|account| account.code.as_str() == self.random.word(&busy)) {
            Some(account) if self.random.chance(55) => account,
            Some(_) | None => self.random.pick(&shelf.accounts),
        };
        let party = match account.party.as_ref().map(PartyKind::as_str) {
            None => self.random.chance(2).then(|| self.customer()),
            Some(_) if self.random.chance(2) => None,
            Some("customer") => Some(self.customer()),
            Some("jurisdiction") => Some(self.jurisdiction()),
            Some(_) => Some(self.processor()),
        };
        let names_item = match account.items {
            ItemRule::None => self.random.chance(2),
            ItemRule::Optional => self.random.chance(50),
            ItemRule::Required => !self.random.chance(3),
        };
        // Some real item of the account, so that manual entries meddle with documents.
        let items: Vec<_> = shelf.items.keys().filter(|key| key.0 == account.id).collect();
        let known = self.random.maybe(&items).map(|key| (key.1.clone(), key.2.clone()));
        match known.filter(|_| names_item && self.random.chance(60)) {
            Some((party, item)) => AccountRef { code: account.code.clone(), party, item: Some(item) },
            None => {
                let item = names_item.then(|| Item::from(&self.new_id()));
                AccountRef { code: account.code.clone(), party, item }
            }
        }
    }

    pub(crate) fn register_currency(&mut self) -> Operation {
        let (code, decimals) = *self.random.pick(&[("USDC", 6), ("ETH", 18), ("USD", 2), ("GAS", 0)]);
        Operation::RegisterCurrency(RegisterCurrency { code: CurrencyCode::new(code).unwrap(), decimals })
    }

    pub(crate) fn open_account(&mut self, shelf: &Shelf) -> Operation {
        let code = match self.random.maybe(&shelf.accounts) {
            Some(account) if self.random.chance(10) => account.code.clone(),
            Some(_) | None => AccountCode::new(&format!("x:{}", shelf.accounts.len() + 1)).unwrap(),
        };
        let (role, class, party, items) = *self.random.pick(&ROLES);
        let plays = self.random.chance(if shelf.accounts.len() < 25 { 70 } else { 15 });
        let odd = !plays || self.random.chance(10);
        let party = if odd { self.random.word(&["", "", "customer", "processor"]) } else { party };
        let classes = [Class::Asset, Class::Liability, Class::Equity, Class::Revenue, Class::Expense, Class::Memo];
        Operation::OpenAccount(OpenAccount {
            code,
            number: self.random.chance(50).then(|| format!("{}", shelf.accounts.len() + 8_000)),
            name: "An account".to_owned(),
            class: if plays { class } else { *self.random.pick(&classes) },
            contra: !plays && self.random.chance(20),
            party: (!party.is_empty()).then(|| PartyKind::new(party).unwrap()),
            items: if odd {
                *self.random.pick(&[ItemRule::None, ItemRule::Optional, ItemRule::Required])
            } else {
                items
            },
            currencies: if self.random.chance(15) { self.some_currencies() } else { Currencies::Any },
            overdraft: if self.random.chance(30) { Overdraft::Forbid } else { Overdraft::Allow },
            must_zero: false,
            role: plays.then(|| Role::new(role).unwrap()),
        })
    }

    fn some_currencies(&mut self) -> Currencies {
        let mut codes: Vec<CurrencyCode> =
            (0..2).map(|_| CurrencyCode::new(self.random.word(&CURRENCIES)).unwrap()).collect();
        codes.sort();
        codes.dedup();
        Currencies::Only(codes)
    }

    pub(crate) fn close_account(&mut self, shelf: &Shelf) -> Operation {
        let code = match self.random.maybe(&shelf.accounts) {
            Some(account) if self.random.chance(95) => account.code.clone(),
            Some(_) | None => AccountCode::new("no:such").unwrap(),
        };
        Operation::CloseAccount(code)
    }
}

/// Minor units as a caller would write them.
pub(crate) fn written(minor: i128, decimals: u8) -> WrittenAmount {
    let unit = 10i128.pow(u32::from(decimals));
    let text = if decimals == 0 {
        minor.to_string()
    } else {
        format!("{}.{:0width$}", minor / unit, minor % unit, width = usize::from(decimals))
    };
    WrittenAmount::parse(&text).unwrap()
}
