//! What a transfer costs below consensus, stage by stage: encoding, decoding, applying, checkpoints. One process, a real
//! RocksDB in a temporary directory, no HTTP and no raft.
//!
//! `scripts/cargo.sh run --release -p partita-storage --example write_path -- [TRANSFERS] [ACCOUNTS] [ordered|random] [TRANSFERS OF AN ENTRY]`
//!
//! Its time is read where nothing else runs; its instructions, with `valgrind --tool=callgrind`, anywhere.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::as_conversions, reason = "a measurement prints and stops")]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use partita_core::account::{Class, ItemRule, Overdraft};
use partita_core::decision::Command;
use partita_core::id::{AccountCode, Actor, BookCode, BookId, CurrencyCode, Key, Party, PartyKind};
use partita_core::money::WrittenAmount;
use partita_core::operation::{AccountRef, Chart, Currencies, Details, OpenAccount, OpenBook, Operation, Transfer};
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::{Levels, decode_commands, encode_commands, fingerprint};
use partita_storage::engine::RocksEngine;
use partita_storage::state::{Applied, Sealed, StateConfig, open_state};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEMORY_BYTES: usize = 1 << 30;
const SECOND: i64 = 1_000_000_000;
const BEGINNING_S: i64 = 1_790_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let transfers: usize = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let accounts: u64 = arguments.next().map_or(10_000, |text| text.parse().unwrap());
    let random_keys = arguments.next().is_some_and(|order| order == "random");
    let entry: usize = arguments.next().map_or(5_000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(directory.path(), MEMORY_BYTES).unwrap();
    let config = StateConfig { memory_bytes: MEMORY_BYTES, levels: Levels::OWN };
    let (mut applier, mut checkpointer, _reader) = open_state(engine, config).unwrap();
    let (orders, queue) = mpsc::sync_channel::<Sealed>(0);
    let writer = std::thread::spawn(move || {
        let (mut spent, mut cpu, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        for sealed in queue {
            let (began, cpu_before) = (Instant::now(), thread_cpu());
            checkpointer.write(sealed).unwrap();
            spent += began.elapsed();
            cpu += thread_cpu().saturating_sub(cpu_before);
            count += 1;
        }
        (spent, cpu, count)
    });

    let mut index = 0;
    let mut next = || {
        index += 1;
        Applied { index, raft: vec![1], level: Some(Levels::OWN.newest()) }
    };
    applier.apply(next(), vec![open_book()]);
    applier.apply(next(), vec![open_account()]);

    let mut draw = Draw(7);
    let mut stages = [Duration::ZERO; 4];
    let (mut waited, mut log_bytes, mut done) = (Duration::ZERO, 0, 0);
    let began = Instant::now();
    while done < transfers {
        let commands: Vec<Command> =
            (0..entry).map(|place| transfer((done + place) as u64, accounts, random_keys, &mut draw)).collect();
        let at = thread_cpu();
        for command in &commands {
            std::hint::black_box(fingerprint(&command.operation));
        }
        stages[0] += thread_cpu().saturating_sub(at);
        let at = thread_cpu();
        let bytes = encode_commands(&commands, Levels::OWN.newest());
        stages[1] += thread_cpu().saturating_sub(at);
        log_bytes += bytes.len();
        drop(commands);
        let at = thread_cpu();
        let commands = decode_commands(&bytes, Levels::OWN).unwrap().commands;
        stages[2] += thread_cpu().saturating_sub(at);
        let at = thread_cpu();
        let answers = applier.apply(next(), commands);
        stages[3] += thread_cpu().saturating_sub(at);
        assert_eq!(answers.len(), entry);
        drop(answers);
        done += entry;
        if applier.checkpoint_due() {
            let at = Instant::now();
            while applier.must_wait() {
                std::thread::yield_now();
            }
            if let Some(sealed) = applier.seal() {
                orders.send(sealed).unwrap();
            }
            waited += at.elapsed();
        }
    }
    let wall = began.elapsed();
    while applier.must_wait() {
        std::thread::yield_now();
    }
    if let Some(sealed) = applier.seal() {
        orders.send(sealed).unwrap();
    }
    drop(orders);
    let (spent, cpu, checkpoints) = writer.join().unwrap();
    let per = |time: Duration| time.as_secs_f64() * 1e6 / done as f64;
    println!("{done} transfers, {accounts} accounts, log {} bytes each", log_bytes / done);
    for (name, time) in ["fingerprint", "encode", "decode", "apply"].iter().zip(stages) {
        println!("{name:>12} {:6.2} us of CPU each", per(time));
    }
    println!("{:>12} {:6.2} us each ({:.2} of CPU), {checkpoints} of them", "checkpoints", per(spent), per(cpu));
    println!("{:>12} {:6.2} us each, waited {:.2} for checkpoints", "wall", per(wall), per(waited));
    println!("{:>12} {} bytes each on the disk now", "", directory_bytes(directory.path()) / done as u64);
}

/// What the calling thread has had of a processor.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn directory_bytes(path: &std::path::Path) -> u64 {
    std::fs::read_dir(path).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

fn command(book: BookId, key: &str, stamp_s: i64, operation: Operation) -> Command {
    Command {
        book,
        key: Key::new(key).unwrap(),
        fingerprint: fingerprint(&operation),
        stamp: Timestamp(stamp_s * SECOND),
        today: Date::parse("2026-09-21").unwrap(),
        actor: Actor::new("bench").unwrap(),
        operation,
    }
}

fn open_book() -> Command {
    let book = OpenBook {
        code: BookCode::new("bench").unwrap(),
        name: "Bench".to_owned(),
        functional_currency: CurrencyCode::new("USD").unwrap(),
        time_zone: "UTC".to_owned(),
        chart: Chart::Empty,
    };
    command(BookId::CLUSTER, "open", BEGINNING_S, Operation::OpenBook(book))
}

fn open_account() -> Command {
    let account = OpenAccount {
        code: AccountCode::new("liabilities:wallet").unwrap(),
        number: None,
        name: "Wallet".to_owned(),
        class: Class::Liability,
        contra: false,
        party: Some(PartyKind::new("customer").unwrap()),
        items: ItemRule::None,
        currencies: Currencies::Any,
        overdraft: Overdraft::Allow,
        must_zero: false,
        role: None,
    };
    command(BookId(1), "account", BEGINNING_S, Operation::OpenAccount(account))
}

fn transfer(number: u64, accounts: u64, random_key: bool, draw: &mut Draw) -> Command {
    let credit = draw.below(accounts);
    let debit = (credit + 1 + draw.below(accounts - 1)) % accounts;
    let account = |number: u64| AccountRef {
        code: AccountCode::new("liabilities:wallet").unwrap(),
        party: Some(Party::new(&format!("acc_{number:05}")).unwrap()),
        item: None,
    };
    let operation = Operation::Transfer(Transfer {
        debit: account(debit),
        credit: account(credit),
        amount: WrittenAmount::parse("1.00").unwrap(),
        currency: CurrencyCode::new("USD").unwrap(),
        details: Details::default(),
    });
    // 400 a millisecond, as UUIDv7; or version 4.
    let ms = BEGINNING_S as u64 * 1_000 + number / 400;
    let key = if random_key {
        let (high, low) = (draw.next(), draw.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    } else {
        format!("{:08x}-{:04x}-7{:03x}-8000-{:012x}", ms >> 16, ms & 0xffff, number % 400, number)
    };
    command(BookId(1), &key, i64::try_from(ms / 1_000).unwrap(), operation)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same accounts in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
