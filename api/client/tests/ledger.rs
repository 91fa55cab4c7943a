//! The client against a real node: many callers, few requests, every answer its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use partita_client::forms::{
    About, Application, Applications, Capture, CaptureOf, ChargeLine, Chart, Class, NewAccount, NewBook, NewCharge,
    NewHold, NewPayment, NewRefund, Settle, Source, Tax,
};
use partita_client::{
    Amount, BalanceOf, BatchFormat, Book, Client, Code, Config, Details, Entry, EntryKind, Error, Line, Refusal,
    Statement, Transfer,
};
use partita_jepsen::node::Node;

const CENTS: fn(i128) -> Amount = |cents| Amount::new(cents, 2);

struct Ledger {
    node: Node,
    client: Client,
    book: Book,
    _directory: tempfile::TempDir,
}

async fn ledger(config: Config) -> Ledger {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(&directory.path().join("node"), &[]).await.unwrap();
    let client = Client::with(node.url(), config).unwrap();
    let new = NewBook {
        id: "acme".to_owned(),
        name: Some("Acme Inc".to_owned()),
        functional_currency: "USD".to_owned(),
        time_zone: None,
        chart: Chart::Saas,
        fiscal_year_start: None,
    };
    let opened = client.open_book(&new).await.unwrap();
    assert_eq!((opened.answer.name.as_str(), opened.is_replayed), ("Acme Inc", false));
    let book = client.book("acme");
    let wallet = NewAccount {
        code: "liabilities:wallet".to_owned(),
        number: None,
        name: "Wallet".to_owned(),
        class: Class::Liability,
        contra: false,
        party: Some("customer".to_owned()),
        items: Default::default(),
        currencies: vec!["USD".to_owned()],
        overdraft: partita_client::forms::Overdraft::Forbid,
        must_zero: false,
        role: None,
    };
    let account = book.open_account(&wallet).await.unwrap().answer;
    assert_eq!((account.class, account.currencies.as_deref()), (Class::Liability, Some(&["USD".to_owned()][..])));
    Ledger { node, client, book, _directory: directory }
}

/// How many batches of transfers the node answered.
async fn batches(node: &Node) -> u64 {
    let metrics = node.client().text("/metrics").await.unwrap();
    let of_batches = |line: &&str| line.starts_with("partita_http_requests_total") && line.contains("transfers:batch");
    metrics.lines().filter(of_batches).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Arc<Refusal> {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?} is no refusal"),
    }
}

/// A thousand callers, some of which are refused by the ledger and some before it: each is told its own.
async fn callers_share_requests(format: BatchFormat) {
    const CALLERS: usize = 1_000;
    let ledger = ledger(Config { format, ..Config::default() }).await;
    // From its answer on the client knows which forms the node does.
    let first = Transfer::new("assets:bank", "liabilities:wallet/first", CENTS(1), "USD");
    ledger.book.transfer(&first).await.unwrap();
    let before = batches(&ledger.node).await;
    let wallets: Vec<_> = (0..CALLERS).map(|caller| format!("liabilities:wallet/acc_{caller}")).collect();
    let calls = wallets.iter().enumerate().map(|(caller, wallet)| {
        let book = ledger.book.clone();
        async move {
            let amount = CENTS(100 + i128::try_from(caller).unwrap());
            match caller % 10 {
                // Nothing is on it.
                7 => Err(refusal(book.transfer(&Transfer::new(wallet, "assets:bank", amount, "USD")).await)),
                9 if caller < 50 => Err(refusal(book.transfer(&Transfer::new("Assets!", wallet, amount, "USD")).await)),
                _ => Ok((amount, book.transfer(&Transfer::new("assets:bank", wallet, amount, "USD")).await.unwrap())),
            }
        }
    });
    let results = join_all(calls).await;
    let (mut numbers, mut refused) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    let mut total = 1;
    for result in results {
        match result {
            Ok((amount, posted)) => {
                assert!(numbers.insert(posted.number));
                assert!(posted.position > 0 && !posted.is_replayed);
                // Each wallet had nothing before; the bank's balance is that of all before it in the journal.
                assert_eq!(posted.balances()[1], amount);
                total += amount.units();
            }
            Err(refusal) => {
                *refused.entry(refusal.code.to_string()).or_default() += 1;
                match refusal.code {
                    Code::Overdraft => {
                        assert_eq!(refusal.text("available"), Some("0.00"), "{refusal:?}");
                        assert!(refusal.position.is_some());
                    }
                    _ => assert_eq!((&refusal.code, refusal.position), (&Code::Malformed, None), "{refusal:?}"),
                }
            }
        }
    }
    assert_eq!(refused, BTreeMap::from([("malformed".to_owned(), 5), ("overdraft".to_owned(), 100)]));
    assert_eq!(numbers.len(), CALLERS - 105);
    let bank = ledger.book.balance("assets:bank", &BalanceOf::default()).await.unwrap();
    assert_eq!(bank.balances[0].balance, CENTS(total));
    // Each malformed one costs its request another attempt.
    let requests = batches(&ledger.node).await - before;
    assert!((1..=30).contains(&requests), "{requests} requests for {CALLERS} callers");
}

#[tokio::test]
async fn callers_share_requests_and_each_is_told_its_own() {
    callers_share_requests(BatchFormat::Json).await;
    callers_share_requests(BatchFormat::Binary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_on_many_threads_share_requests() {
    let ledger = ledger(Config { requests: 4, batch_items: 100, ..Config::default() }).await;
    let before = batches(&ledger.node).await;
    let mut callers = Vec::new();
    for caller in 0..64 {
        let book = ledger.client.book("acme");
        callers.push(tokio::spawn(async move {
            let wallet = format!("liabilities:wallet/acc_{caller}");
            let mut last = 0;
            for round in 1..=20 {
                let posted = book.transfer(&Transfer::new("assets:bank", &wallet, CENTS(1), "USD")).await.unwrap();
                assert!(posted.position > last);
                assert_eq!(posted.balances()[1], CENTS(round));
                last = posted.position;
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let bank = ledger.book.balance("assets:bank", &BalanceOf::default()).await.unwrap();
    assert_eq!(bank.balances[0].balance, CENTS(64 * 20));
    let requests = batches(&ledger.node).await - before;
    assert!(requests < 64 * 20 / 2, "{requests} requests for {} calls", 64 * 20);
}

#[tokio::test]
async fn a_key_counts_once_and_a_lone_call_goes_alone() {
    let ledger = ledger(Config::default()).await;
    let (node, book) = (&ledger.node, &ledger.book);
    let transfer = Transfer {
        key: Some("my\"own\"?"),
        details: Details { description: Some("a \"b\" \\ c"), metadata: &[("k", "v")], ..Details::default() },
        ..Transfer::new("assets:bank", "liabilities:wallet/a", CENTS(250), "USD")
    };
    let first = book.transfer(&transfer).await.unwrap();
    let again = book.transfer(&transfer).await.unwrap();
    assert_eq!((again.number, again.position, again.is_replayed), (first.number, first.position, true));
    let other = Transfer { amount: CENTS(251), ..transfer };
    let reused = refusal(book.transfer(&other).await);
    assert_eq!((&reused.code, reused.position), (&Code::IdempotencyKeyReused, None));
    assert_eq!(batches(node).await, 3);
    let decided = book.key("my\"own\"?").await.unwrap();
    assert_eq!((decided.position, decided.operation.as_str()), (first.position, "transfer"));
    let entry = book.entry_by_number(first.number).await.unwrap();
    assert_eq!((entry.description.as_str(), entry.lines.len()), ("a \"b\" \\ c", 2));
    assert_eq!(entry.metadata, BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    let unknown = refusal(ledger.client.book("nobody").transfer(&transfer).await);
    assert_eq!((&unknown.code, unknown.position), (&Code::NotFound, None));
    assert_eq!(refusal(book.key("never").await).code, Code::NotFound);
}

#[tokio::test]
async fn entries_of_many_lines_are_posted_read_and_reversed() {
    let ledger = ledger(Config::default()).await;
    let book = &ledger.book;
    let lines = [
        Line::debit("assets:bank", CENTS(1_000), "USD"),
        Line { party: Some("a"), ..Line::credit("liabilities:wallet", CENTS(400), "USD") },
        Line { party: Some("b"), ..Line::credit("liabilities:wallet", CENTS(600), "USD") },
    ];
    let details = Details { effective_date: Some("2026-01-31"), ..Details::default() };
    let posted = book.entry(&Entry { key: None, kind: EntryKind::Opening, lines: &lines, details }).await.unwrap();
    assert_eq!(posted.balances(), [CENTS(1_000), CENTS(400), CENTS(600)]);
    let entry = book.entry_by_number(posted.number).await.unwrap();
    assert_eq!((entry.kind.as_str(), entry.effective_date.as_str()), ("opening", "2026-01-31"));
    assert_eq!(entry.lines[2].balance_after, CENTS(600));
    let unbalanced = Entry { key: None, kind: EntryKind::Standard, lines: &lines[..2], details };
    let good = Entry { key: None, kind: EntryKind::Standard, lines: &lines, details };
    let (bad, good) = tokio::join!(book.entry(&unbalanced), book.entry(&good));
    assert_eq!(refusal(bad).code, Code::Unbalanced);
    assert_eq!(good.unwrap().balances()[1], CENTS(800));
    let about = About { effective_date: Some("2026-02-01".to_owned()), ..About::default() };
    let reversal = book.reverse(posted.number, None, &about).await.unwrap().answer;
    assert_eq!((reversal.reverses, reversal.kind.as_str()), (Some(posted.number), "reversal"));
    assert_eq!(refusal(book.reverse(posted.number, None, &about).await).code, Code::AlreadyReversed);

    let of = Statement { party: Some("b"), oldest_first: true, limit: Some(2), ..Statement::default() };
    let first = book.statement("liabilities:wallet", &of).await.unwrap();
    assert_eq!(first.data.iter().map(|posting| posting.balance_after).collect::<Vec<_>>(), [CENTS(600), CENTS(1_200)]);
    let rest = book.statement("liabilities:wallet", &Statement { cursor: first.next.as_deref(), ..of }).await.unwrap();
    assert_eq!((rest.data[0].balance_after, rest.data.len(), rest.next), (CENTS(600), 1, None));
    let trial = book.trial_balance(Some("2026-02-28")).await.unwrap();
    assert_eq!(trial.totals[0].debit, trial.totals[0].credit);
    let wallet = trial.rows.iter().find(|row| row.account == "liabilities:wallet").unwrap();
    assert_eq!((wallet.debit, wallet.credit), (None, Some(CENTS(1_000))));
}

#[tokio::test]
async fn a_charge_is_paid_and_refunded_and_a_hold_captured() {
    let ledger = ledger(Config::default()).await;
    let book = &ledger.book;
    let line = ChargeLine {
        revenue: "revenue:subscription".to_owned(),
        amount: CENTS(10_825),
        tax: vec![Tax { jurisdiction: "us-ca".to_owned(), amount: CENTS(825) }],
        defer: None,
    };
    let new = NewCharge {
        id: "in_1".to_owned(),
        customer: "cus_1".to_owned(),
        currency: "USD".to_owned(),
        due_date: Some("2026-03-01".to_owned()),
        rate: None,
        lines: vec![line],
        about: About::default(),
    };
    let charge = book.charge(Some("c-1"), &new).await.unwrap();
    assert_eq!((charge.key.as_str(), charge.is_replayed, charge.answer.open), ("c-1", false, CENTS(10_825)));
    assert!(book.charge(Some("c-1"), &new).await.unwrap().is_replayed);
    let existing = refusal(book.charge(None, &new).await);
    assert_eq!((&existing.code, existing.fields.contains_key("existing")), (&Code::AlreadyExists, true));

    let new = NewPayment {
        id: "pay_1".to_owned(),
        customer: "cus_1".to_owned(),
        source: Source::Processor("stripe".to_owned()),
        amount: CENTS(12_000),
        currency: "USD".to_owned(),
        capture: Capture::Manual,
        apply: vec![],
        fee: None,
        expires_at: None,
        about: About::default(),
    };
    let payment = book.payment(None, &new).await.unwrap().answer;
    assert_eq!((payment.state.as_str(), payment.pending), ("authorised", CENTS(12_000)));
    let payment = book.capture_payment("pay_1", None, &CaptureOf::default()).await.unwrap().answer;
    assert_eq!(payment.unapplied, CENTS(12_000));
    let apply = vec![Application { charge: "in_1".to_owned(), amount: CENTS(10_825) }];
    let payment =
        book.apply_payment("pay_1", None, &Applications { apply, about: About::default() }).await.unwrap().answer;
    assert_eq!((payment.applied, payment.unapplied), (CENTS(10_825), CENTS(1_175)));
    assert_eq!(book.charge_by_id("in_1").await.unwrap().state, "paid");
    assert_eq!(refusal(book.void_charge("in_1", None, &About::default()).await).code, Code::ChargeNotOpen);

    let new = NewRefund {
        id: "re_1".to_owned(),
        payment: "pay_1".to_owned(),
        amount: CENTS(1_000),
        settle: Settle::Manual,
        reason: None,
        from: vec![],
        about: About::default(),
    };
    assert_eq!(book.refund(None, &new).await.unwrap().answer.state, "pending");
    assert_eq!(book.settle_refund("re_1", None, &About::default()).await.unwrap().answer.state, "succeeded");
    assert_eq!(book.refund_by_id("re_1").await.unwrap().amount, CENTS(1_000));
    assert_eq!(book.payment_by_id("pay_1").await.unwrap().refunded, CENTS(1_000));

    book.transfer(&Transfer::new("assets:bank", "liabilities:wallet/a", CENTS(500), "USD")).await.unwrap();
    let new = NewHold {
        id: "h_1".to_owned(),
        debit: "liabilities:wallet/a".to_owned(),
        credit: "liabilities:wallet/b".to_owned(),
        amount: CENTS(300),
        currency: "USD".to_owned(),
        expires_at: None,
        description: None,
        metadata: BTreeMap::new(),
    };
    assert_eq!(book.hold(None, &new).await.unwrap().answer.pending, CENTS(300));
    let of = BalanceOf { party: Some("a"), currency: Some("USD"), ..BalanceOf::default() };
    assert_eq!(book.balance("liabilities:wallet", &of).await.unwrap().balances[0].available, Some(CENTS(200)));
    let capture = CaptureOf { amount: Some(CENTS(100)), ..CaptureOf::default() };
    let captured = book.capture_hold("h_1", None, &capture).await.unwrap().answer;
    assert_eq!((captured.state.as_str(), captured.captured), ("captured", CENTS(100)));
    assert_eq!(refusal(book.void_hold("h_1", None).await).code, Code::HoldNotOpen);
    let local = BalanceOf { local: true, ..of };
    assert_eq!(book.balance("liabilities:wallet", &local).await.unwrap().balances[0].balance, CENTS(400));
}

#[tokio::test]
async fn what_waits_when_the_client_goes_is_still_sent() {
    let Ledger { node: _node, client, book, _directory } = ledger(Config::default()).await;
    let calls: Vec<_> = (0..100)
        .map(|caller| {
            let book = book.clone();
            tokio::spawn(async move {
                let wallet = format!("liabilities:wallet/acc_{caller}");
                book.transfer(&Transfer::new("assets:bank", &wallet, CENTS(1), "USD")).await
            })
        })
        .collect();
    drop((client, book));
    for call in calls {
        let posted = tokio::time::timeout(Duration::from_secs(20), call).await.expect("it ends").unwrap();
        assert_eq!(posted.unwrap().balances()[1], CENTS(1));
    }
}
