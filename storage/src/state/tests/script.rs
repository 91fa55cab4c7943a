//! Random but repeatable commands of every kind, grouped into raft entries.

use partita_core::decision::Command;
use partita_core::document::{CaptureMode, SettleMode};
use partita_core::entry::{Metadata, Side};
use partita_core::id::{AccountCode, Actor, BookCode, BookId, CurrencyCode, DocumentId, EntryNumber, Item, Key, Party};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, Chart, CreateCharge, CreatePayment, CreateRefund, Details,
    ManualKind, MoveRefund, OpenBook, Operation, PlaceHold, PostEntry, PostPaymentFee, RegisterCurrency, ReverseEntry,
    Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication, WrittenChargeLine, WrittenLine, WrittenSource,
    WrittenTax,
};
use partita_core::time::{Date, Timestamp};

use super::Entry;
use crate::codec::fingerprint;

/// SplitMix64: a seed is all a failure needs to be repeated.
pub(in crate::state) struct Dice(pub(in crate::state) u64);

impl Dice {
    pub(in crate::state) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(in crate::state) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(in crate::state) fn place(&mut self, end: usize) -> usize {
        usize::try_from(self.below(u64::try_from(end).unwrap())).unwrap()
    }
}

const START_MS: u64 = 1_767_312_000_000;

pub(in crate::state) struct Script {
    dice: Dice,
    now_ms: u64,
    sent: Vec<Command>,
    documents: u64,
}

fn reference(code: &str, party: Option<&str>, item: Option<&str>) -> AccountRef {
    AccountRef {
        code: AccountCode::new(code).unwrap(),
        party: party.map(|text| Party::new(text).unwrap()),
        item: item.map(|text| Item::new(text).unwrap()),
    }
}

fn usd() -> CurrencyCode {
    CurrencyCode::new("USD").unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// `entries` raft entries; the first opens two books.
pub(in crate::state) fn script(seed: u64, entries: usize) -> Vec<Entry> {
    let mut script = Script { dice: Dice(seed), now_ms: START_MS, sent: vec![], documents: 0 };
    let mut all = vec![script.opening()];
    while all.len() < entries {
        // Blank entries and memberships have no commands.
        let commands = if script.dice.below(12) == 0 { 0 } else { 1 + script.dice.below(12) };
        all.push((0..commands).map(|_| script.command()).collect());
    }
    all
}

impl Script {
    fn opening(&mut self) -> Entry {
        ["acme", "beta"]
            .into_iter()
            .map(|code| {
                let operation = Operation::OpenBook(OpenBook {
                    code: BookCode::new(code).unwrap(),
                    name: code.to_owned(),
                    functional_currency: usd(),
                    time_zone: "UTC".to_owned(),
                    chart: Chart::Saas,
                });
                self.stamped(BookId::CLUSTER, key(code), operation)
            })
            .collect()
    }

    fn stamped(&mut self, book: BookId, key: Key, operation: Operation) -> Command {
        // Sometimes the clock stands still or steps back.
        self.now_ms += self.dice.below(700);
        let stamp_ms = self.now_ms - self.dice.below(300);
        Command {
            book,
            key,
            fingerprint: fingerprint(&operation),
            stamp: Timestamp(i64::try_from(stamp_ms * 1_000_000).unwrap()),
            today: Date::from_days(20_455 + i32::try_from(self.dice.below(20)).unwrap()).unwrap(),
            actor: Actor::new("test").unwrap(),
            operation,
        }
    }

    fn fresh_key(&mut self) -> Key {
        let tail = self.dice.below(1 << 40);
        let ms = match self.dice.below(20) {
            0 => self.now_ms + self.dice.below(10_000_000),
            1 => self.now_ms - self.dice.below(100_000),
            _ => self.now_ms,
        };
        match self.dice.below(4) {
            0 => key(&format!("k-{tail}")),
            1 => {
                const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
                let digit = |bits: u64| char::from(DIGITS[usize::try_from(bits & 31).unwrap()]);
                let time: String = (0..10).rev().map(|place| digit(ms >> (5 * place))).collect();
                let random: String = (0..16).map(|place| digit(tail >> (2 * place))).collect();
                key(&format!("{time}{random}"))
            }
            _ => key(&format!("{:08x}-{:04x}-7000-8000-{tail:012x}", ms >> 16, ms & 0xFFFF)),
        }
    }

    fn command(&mut self) -> Command {
        if !self.sent.is_empty() && self.dice.below(8) == 0 {
            let place = self.dice.place(self.sent.len());
            let mut again = self.sent[place].clone();
            if self.dice.below(3) == 0 {
                again.fingerprint.0[0] ^= 1;
            }
            again.stamp = Timestamp(i64::try_from(self.now_ms * 1_000_000).unwrap());
            return again;
        }
        let book = BookId(1 + u32::try_from(self.dice.below(5) / 4).unwrap());
        let fresh = self.fresh_key();
        let operation = self.operation();
        let command = self.stamped(book, fresh, operation);
        self.sent.push(command.clone());
        command
    }

    fn customer(&mut self) -> Party {
        Party::new(&format!("cus_{}", self.dice.below(6))).unwrap()
    }

    fn new_id(&mut self, kind: &str) -> DocumentId {
        self.documents += 1;
        DocumentId::new(&format!("{kind}_{}", self.documents)).unwrap()
    }

    /// Mostly one that exists.
    fn old_id(&mut self, kind: &str) -> DocumentId {
        let back = self.dice.below(25);
        DocumentId::new(&format!("{kind}_{}", self.documents.saturating_sub(back))).unwrap()
    }

    fn amount(&mut self) -> WrittenAmount {
        let minor = 1 + self.dice.below(9_999);
        WrittenAmount::parse(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
    }

    fn details(&mut self) -> Details {
        let effective_date = (self.dice.below(3) == 0)
            .then(|| Date::from_days(20_400 + i32::try_from(self.dice.below(90)).unwrap()).unwrap());
        let metadata: Metadata = if self.dice.below(4) == 0 {
            [("ref".to_owned(), format!("{}", self.dice.below(1_000)))].into()
        } else {
            Metadata::new()
        };
        Details { effective_date, description: "x".repeat(self.dice.place(40)), metadata }
    }

    fn expires_at(&mut self) -> Option<Timestamp> {
        let in_ms = self.dice.below(30_000);
        (self.dice.below(3) > 0).then(|| Timestamp(i64::try_from((self.now_ms + in_ms) * 1_000_000).unwrap()))
    }

    fn transfer(&mut self) -> Transfer {
        let party = self.customer();
        let prepaid = reference("liabilities:customer-prepaid", Some(party.as_str()), None);
        let (debit, credit) = match self.dice.below(4) {
            0 => (reference("assets:bank", None, None), reference("equity:capital", None, None)),
            1 => (prepaid, reference("assets:bank", None, None)),
            _ => (reference("assets:bank", None, None), prepaid),
        };
        Transfer { debit, credit, amount: self.amount(), currency: usd(), details: self.details() }
    }

    fn entry(&mut self) -> PostEntry {
        let (party, amount) = (self.customer(), self.amount());
        let item = format!("in_{}", self.dice.below(9));
        let line = |account, side| WrittenLine { account, side, amount, currency: usd() };
        let receivable = reference("assets:receivable", Some(party.as_str()), Some(&item));
        let lines = vec![line(receivable, Side::Debit), line(reference("revenue:sales", None, None), Side::Credit)];
        PostEntry { kind: ManualKind::Standard, details: self.details(), lines }
    }

    fn charge(&mut self) -> CreateCharge {
        let amount = self.amount();
        let tax =
            WrittenTax { jurisdiction: Party::new("us-ca").unwrap(), amount: WrittenAmount::parse("0.01").unwrap() };
        CreateCharge {
            id: self.new_id("ch"),
            customer: self.customer(),
            currency: usd(),
            due_date: None,
            rate: None,
            lines: vec![WrittenChargeLine {
                revenue: AccountCode::new("revenue:sales").unwrap(),
                amount,
                tax: if self.dice.below(2) == 0 { vec![tax] } else { vec![] },
                defer: None,
            }],
            details: self.details(),
        }
    }

    fn payment(&mut self) -> CreatePayment {
        let manual = self.dice.below(2) == 0;
        let apply = (0..self.dice.below(3))
            .map(|_| WrittenApplication { charge: self.old_id("ch"), amount: self.amount() })
            .fold(vec![], |mut all: Vec<WrittenApplication>, apply| {
                if all.iter().all(|other| other.charge != apply.charge) {
                    all.push(apply);
                }
                all
            });
        CreatePayment {
            id: self.new_id("pay"),
            customer: self.customer(),
            source: WrittenSource::Processor(Party::new("stripe").unwrap()),
            amount: self.amount(),
            currency: usd(),
            capture: if manual { CaptureMode::Manual } else { CaptureMode::Automatic },
            apply,
            fee: None,
            expires_at: if manual { self.expires_at() } else { None },
            details: self.details(),
        }
    }

    fn refund(&mut self) -> CreateRefund {
        CreateRefund {
            id: self.new_id("re"),
            payment: self.old_id("pay"),
            amount: WrittenAmount::parse("0.50").unwrap(),
            settle: if self.dice.below(2) == 0 { SettleMode::Manual } else { SettleMode::Automatic },
            reason: "requested_by_customer".to_owned(),
            from: None,
            details: self.details(),
        }
    }

    fn operation(&mut self) -> Operation {
        match self.dice.below(24) {
            0..=4 => Operation::Transfer(self.transfer()),
            5 => Operation::Transfers((0..2 + self.dice.below(4)).map(|_| self.transfer()).collect()),
            6 => Operation::PostEntry(self.entry()),
            7 => Operation::ReverseEntry(ReverseEntry {
                number: EntryNumber(1 + self.dice.below(200)),
                details: self.details(),
            }),
            8 | 9 => {
                let Transfer { debit, credit, amount, currency, details } = self.transfer();
                let Details { description, metadata, .. } = details;
                let (id, expires_at) = (self.new_id("h"), self.expires_at());
                Operation::PlaceHold(PlaceHold {
                    id,
                    debit,
                    credit,
                    amount,
                    currency,
                    expires_at,
                    description,
                    metadata,
                })
            }
            10 => Operation::CaptureHold(CaptureHold {
                id: self.old_id("h"),
                amount: None,
                is_final: true,
                details: self.details(),
            }),
            11 => Operation::VoidHold(VoidHold { id: self.old_id("h") }),
            12..=14 => Operation::CreateCharge(self.charge()),
            15 => Operation::VoidCharge(VoidCharge { id: self.old_id("ch"), details: self.details() }),
            16 | 17 => Operation::CreatePayment(self.payment()),
            18 => Operation::CapturePayment(CapturePayment {
                id: self.old_id("pay"),
                amount: None,
                is_final: true,
                apply: None,
                fee: None,
                details: self.details(),
            }),
            19 => Operation::VoidPayment(VoidPayment { id: self.old_id("pay") }),
            20 => {
                let apply = vec![WrittenApplication { charge: self.old_id("ch"), amount: self.amount() }];
                Operation::ApplyPayment(ApplyPayment { id: self.old_id("pay"), apply, details: self.details() })
            }
            21 => match self.dice.below(4) {
                0 => Operation::RegisterCurrency(RegisterCurrency {
                    code: CurrencyCode::new(&format!("TOK{}", self.dice.below(4))).unwrap(),
                    decimals: 6,
                }),
                1 => Operation::CloseAccount(AccountCode::new("assets:input-tax").unwrap()),
                _ => Operation::PostPaymentFee(PostPaymentFee {
                    id: self.old_id("pay"),
                    amount: WrittenAmount::parse("0.30").unwrap(),
                    returned: false,
                    details: self.details(),
                }),
            },
            22 => Operation::CreateRefund(self.refund()),
            _ => Operation::SettleRefund(MoveRefund { id: self.old_id("re"), details: self.details() }),
        }
    }
}
