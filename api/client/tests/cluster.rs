//! The client against three real nodes whose leaders are killed: what it acknowledged is there, once, and it says so of
//! everything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use partita_client::forms::{Chart, Class, NewAccount, NewBook};
use partita_client::{Amount, BalanceOf, Client, Config, Error, Transfer};
use partita_jepsen::cluster::Cluster;
use partita_jepsen::hosts::Hosts;

const CALLERS: usize = 200;
const KILLS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_killed_and_every_call_is_answered_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &[]).await.unwrap();
    let config = Config { deadline: Duration::from_secs(60), ..Config::default() };
    let client = Client::with(&cluster.urls().join(","), config).unwrap();
    let account = |code: &str, class| NewAccount {
        code: code.to_owned(),
        number: None,
        name: code.to_owned(),
        class,
        contra: false,
        party: None,
        items: Default::default(),
        currencies: vec![],
        overdraft: Default::default(),
        must_zero: false,
        role: None,
    };
    let new = NewBook {
        id: "acme".to_owned(),
        name: None,
        functional_currency: "USD".to_owned(),
        time_zone: None,
        chart: Chart::Empty,
        fiscal_year_start: None,
    };
    client.open_book(&new).await.unwrap();
    let book = client.book("acme");
    book.open_account(&account("assets:bank", Class::Asset)).await.unwrap();
    book.open_account(&account("liabilities:wallet", Class::Liability)).await.unwrap();

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_caller| {
            let (book, stopped) = (book.clone(), stopped.clone());
            tokio::spawn(async move {
                let transfer = Transfer::new("assets:bank", "liabilities:wallet", Amount::new(1, 2), "USD");
                let mut numbers = Vec::new();
                while !*stopped.borrow() {
                    match book.transfer(&transfer).await {
                        Ok(posted) => numbers.push(posted.number),
                        Err(Error::OutcomeUnknown { key, last }) => panic!("{key} is not known: {last:?}"),
                        Err(error) => panic!("{error:?}"),
                    }
                }
                numbers
            })
        })
        .collect();
    for _kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let leader = cluster.wait_for_leader().await.unwrap();
        cluster.kill(leader).unwrap();
        let killed = Instant::now();
        let next = cluster.wait_for_leader().await.unwrap();
        eprintln!("node {} led after node {} for {:?}", next + 1, leader + 1, killed.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.restart(leader).await.unwrap();
        cluster.wait_until_ready(leader).await.unwrap();
    }
    stop.send(true).unwrap();
    let mut numbers = BTreeSet::new();
    let mut answered = 0;
    for caller in callers {
        let mine = caller.await.unwrap();
        answered += mine.len();
        numbers.extend(mine);
    }
    assert_eq!(numbers.len(), answered, "an entry was acknowledged twice");
    assert!(answered > CALLERS, "{answered} calls in all");
    // Every call ended with an answer, so nothing else can be in the book.
    let bank = book.balance("assets:bank", &BalanceOf::default()).await.unwrap();
    assert_eq!(bank.balances[0].balance, Amount::new(i128::try_from(answered).unwrap(), 2));
    assert_eq!(numbers.last().copied(), u64::try_from(answered).ok(), "entry numbers have gaps");
    cluster.wait_for_equal_heads("acme").await.unwrap();
}
