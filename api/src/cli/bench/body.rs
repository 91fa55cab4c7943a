//! Requests, made while they are needed: a body costs a few copies of bytes per write, in a buffer that is used again, so
//! that runs of any length need no memory and the client is not what is measured.

use partita_client::key::{Key, Keys};
use uuid::Uuid;

use super::load::{Format, KeyOrder, Load, Operation};

pub(super) const BINARY_TYPE: &str = "application/vnd.partita.transfers.v1";
const ACCOUNT: &[u8] = b"liabilities:wallet/acc_";
/// Flags and count.
const BINARY_HEAD: usize = 5;
/// 1.00 of a currency with two decimals.
const BINARY_AMOUNT: u128 = 100;

/// Makes the requests of one client.
#[derive(Debug)]
pub(super) struct Maker {
    draw: Draw,
    keys: Keys,
    key_order: KeyOrder,
    accounts: u64,
    /// Digits of an account's number.
    width: usize,
    hot_percent: u64,
    format: Format,
    /// Of this client's documents: two clients never make the same id.
    client: usize,
    documents: u64,
}

impl Maker {
    /// The same accounts in every run; keys, and with them documents, that never were before.
    pub(super) fn new(load: &Load, client: usize) -> Self {
        let accounts = u64::try_from(load.accounts).expect("64 bits");
        let seed = u64::try_from(client).expect("64 bits").wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self {
            draw: Draw::new(0x9E37_79B9_7F4A_7C15 ^ seed),
            keys: Keys::new(),
            key_order: load.keys,
            accounts,
            width: (accounts - 1).to_string().len().max(5),
            hot_percent: load.hot_percent.into(),
            format: load.format,
            client,
            documents: 0,
        }
    }

    pub(super) fn draw_below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.draw.below(bound.into())).expect("it is below 32 bits")
    }

    /// The next write's key.
    pub(super) fn key(&mut self) -> [u8; 36] {
        match self.key_order {
            KeyOrder::Time => self.keys.next().text(),
            KeyOrder::Random => {
                let bits = (u128::from(self.draw.salted()) << 64) | u128::from(self.draw.salted());
                Key::of(*uuid::Builder::from_random_bytes(bits.to_be_bytes()).as_uuid()).text()
            }
        }
    }

    /// The body of a batch with so many, in place of what was in `out`.
    pub(super) fn batch(&mut self, operation: Operation, size: usize, out: &mut Vec<u8>) {
        out.clear();
        if operation == Operation::Transfers
            && let Format::Binary = self.format
        {
            return self.binary_batch(size, out);
        }
        let list: &[u8] = match operation {
            Operation::Entries => b"{\"entries\":[",
            Operation::Transfers | Operation::Charges | Operation::Payments => b"{\"transfers\":[",
        };
        out.extend_from_slice(list);
        for index in 0..size {
            let comma: &[u8] = if index == 0 { b"{\"idempotency_key\":\"" } else { b",{\"idempotency_key\":\"" };
            out.extend_from_slice(comma);
            let key = self.key();
            out.extend_from_slice(&key);
            out.extend_from_slice(b"\",");
            self.members(operation, out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }

    /// The body of a single write, in place of what was in `out`.
    pub(super) fn single(&mut self, operation: Operation, out: &mut Vec<u8>) {
        out.clear();
        out.push(b'{');
        self.members(operation, out);
        out.push(b'}');
    }

    fn members(&mut self, operation: Operation, out: &mut Vec<u8>) {
        match operation {
            Operation::Transfers => {
                let (debit, credit) = self.pair();
                out.extend_from_slice(b"\"debit\":\"");
                self.push_account(debit, out);
                out.extend_from_slice(b"\",\"credit\":\"");
                self.push_account(credit, out);
                out.extend_from_slice(b"\",\"amount\":\"1.00\",\"currency\":\"USD\"");
            }
            Operation::Entries => {
                let (debit, credit) = self.pair();
                out.extend_from_slice(b"\"lines\":[");
                for (account, side) in [(debit, &b"debit"[..]), (credit, b"credit")] {
                    out.extend_from_slice(b"{\"account\":\"liabilities:wallet\",\"party\":\"acc_");
                    push_number(account, self.width, out);
                    out.extend_from_slice(b"\",\"side\":\"");
                    out.extend_from_slice(side);
                    out.extend_from_slice(b"\",\"amount\":\"1.00\",\"currency\":\"USD\"},");
                }
                // The last comma closes the list.
                out.pop();
                out.push(b']');
            }
            Operation::Charges | Operation::Payments => {
                let is_charge = operation == Operation::Charges;
                let id: &[u8] = if is_charge { b"\"id\":\"in_" } else { b"\"id\":\"pay_" };
                out.extend_from_slice(id);
                out.extend_from_slice(format!("{}_{}", self.client, self.documents).as_bytes());
                self.documents += 1;
                out.extend_from_slice(b"\",\"customer\":\"acc_");
                let customer = self.draw.below(self.accounts);
                push_number(customer, self.width, out);
                out.extend_from_slice(b"\",\"amount\":\"1.00\",\"currency\":\"USD\",");
                let rest: &[u8] =
                    if is_charge { b"\"revenue\":\"revenue:subscription\"" } else { b"\"processor\":\"stripe\"" };
                out.extend_from_slice(rest);
            }
        }
    }

    fn binary_batch(&mut self, size: usize, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&u32::try_from(size).expect("a batch has at most 10,000").to_le_bytes());
        debug_assert_eq!(out.len(), BINARY_HEAD);
        for _item in 0..size {
            let key = self.key();
            let (debit, credit) = self.pair();
            out.push(0);
            out.push(36);
            out.extend_from_slice(&key);
            for account in [debit, credit] {
                out.push(u8::try_from(ACCOUNT.len() + self.width).expect("an account's code is short"));
                self.push_account(account, out);
            }
            out.extend_from_slice(b"\x03USD\x02");
            out.extend_from_slice(&BINARY_AMOUNT.to_le_bytes());
        }
    }

    /// Two different accounts.
    pub(super) fn pair(&mut self) -> (u64, u64) {
        let is_hot = self.hot_percent > 0 && self.draw.below(100) < self.hot_percent;
        let debit = if is_hot { 0 } else { self.draw.below(self.accounts) };
        let credit = (debit + 1 + self.draw.below(self.accounts - 1)) % self.accounts;
        (debit, credit)
    }

    pub(super) fn push_account(&self, account: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(ACCOUNT);
        push_number(account, self.width, out);
    }

    /// The path of a balance of any account, below the book's.
    pub(super) fn balance_path(&mut self, book: &str, is_local: bool, out: &mut String) {
        let account = self.draw.below(self.accounts);
        out.clear();
        out.push_str("/v1/books/");
        out.push_str(book);
        out.push_str("/accounts/liabilities:wallet/balance?party=acc_");
        let mut digits = Vec::with_capacity(20);
        push_number(account, self.width, &mut digits);
        out.extend(digits.into_iter().map(char::from));
        if is_local {
            out.push_str("&consistency=local");
        }
    }

    /// The body that asks for so many balances of any accounts, in place of what was in `out`.
    pub(super) fn balances(&mut self, size: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(b"{\"balances\":[");
        for index in 0..size {
            let account = self.draw.below(self.accounts);
            let begin: &[u8] = if index == 0 { b"{\"account\":\"" } else { b",{\"account\":\"" };
            out.extend_from_slice(begin);
            self.push_account(account, out);
            out.extend_from_slice(b"\",\"currency\":\"USD\"}");
        }
        out.extend_from_slice(b"]}");
    }

    /// A batch that moves 1.00 out of every account from `first` on, `size` of them: afterwards each has a balance.
    pub(super) fn touch(&mut self, first: usize, size: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(b"{\"transfers\":[");
        for account in first..first + size {
            let account = u64::try_from(account).expect("64 bits");
            out.extend_from_slice(b"{\"idempotency_key\":\"");
            let key = self.key();
            out.extend_from_slice(&key);
            out.extend_from_slice(b"\",\"debit\":\"");
            self.push_account(account, out);
            out.extend_from_slice(b"\",\"credit\":\"");
            self.push_account((account + 1) % self.accounts, out);
            out.extend_from_slice(b"\",\"amount\":\"1.00\",\"currency\":\"USD\"},");
        }
        // The last comma closes the list.
        out.pop();
        out.extend_from_slice(b"]}");
    }
}

fn push_number(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("below ten");
        number /= 10;
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
struct Draw {
    state: u64,
    /// Differs from run to run: for what must never be drawn twice.
    salt: u64,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        Self { state: seed, salt }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    fn salted(&mut self) -> u64 {
        self.salt = self.salt.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.salt)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn mix(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::load::Shape;
    use super::*;

    fn maker(change: impl FnOnce(&mut Load)) -> Maker {
        let mut load = Load::transfers(Shape::Batch(100), 1);
        change(&mut load);
        Maker::new(&load, 3)
    }

    fn keys(list: &Value) -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|item| item["idempotency_key"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn batches_are_json_with_as_many_keys_as_items_and_between_two_accounts() {
        for order in [KeyOrder::Time, KeyOrder::Random] {
            let mut maker = maker(|load| load.keys = order);
            let mut body = Vec::new();
            maker.batch(Operation::Transfers, 100, &mut body);
            let batch: Value = serde_json::from_slice(&body).unwrap();
            let keys = keys(&batch["transfers"]);
            assert_eq!(keys.len(), 100);
            let version = if order == KeyOrder::Time { 7 } else { 4 };
            assert!(keys.iter().all(|key| Uuid::parse_str(key).unwrap().get_version_num() == version));
            assert!(batch["transfers"].as_array().unwrap().iter().all(|item| item["debit"] != item["credit"]));
            maker.batch(Operation::Entries, 7, &mut body);
            let batch: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(batch["entries"].as_array().unwrap().len(), 7);
            assert_eq!(batch["entries"][6]["lines"][1]["side"], "credit");
        }
    }

    #[test]
    fn a_hot_load_debits_one_account() {
        let mut hot = maker(|load| load.hot_percent = 100);
        assert!((0..1_000).all(|_| hot.pair().0 == 0));
        let mut half = maker(|load| load.hot_percent = 50);
        let count = (0..1_000).filter(|_| half.pair().0 == 0).count();
        assert!((400..600).contains(&count), "{count}");
    }

    #[test]
    fn documents_and_touched_accounts_are_each_another() {
        let mut maker = maker(|load| load.accounts = 8);
        let mut ids = BTreeSet::new();
        let mut body = Vec::new();
        for operation in [Operation::Charges, Operation::Payments, Operation::Charges] {
            maker.single(operation, &mut body);
            let document: Value = serde_json::from_slice(&body).unwrap();
            assert!(ids.insert(document["id"].to_string()));
        }
        maker.touch(0, 8, &mut body);
        let batch: Value = serde_json::from_slice(&body).unwrap();
        let debits: BTreeSet<_> =
            batch["transfers"].as_array().unwrap().iter().map(|item| item["debit"].to_string()).collect();
        assert_eq!(debits.len(), 8);
        assert_eq!(batch["transfers"][7]["credit"], "liabilities:wallet/acc_00000");
    }
}
