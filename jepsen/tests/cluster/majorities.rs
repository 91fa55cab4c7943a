//! A minority that is lost changes nothing; without a majority nothing is decided, and callers are told so.

use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::client::Client;
use partita_jepsen::cluster::Cluster;
use partita_jepsen::hosts::Hosts;
use partita_jepsen::transfers::{self, BOOK, Transfers};
use serde_json::{Value, json};

use crate::{BATCH, DEADLINE, SMALL, alone, wait_for_more};

/// A transfer that no load sends, in a book of its own.
async fn transfer(client: &Client, key: &str) -> Result<(u16, Value), HarnessError> {
    let body = json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD"});
    let reply = client.post("/v1/books/probe/transfers", Some(key), &body).await?;
    Ok((reply.status, reply.body))
}

async fn open_probe(client: &Client) -> Result<(), HarnessError> {
    let book = json!({"id": "probe", "name": "Probe", "functional_currency": "USD", "chart": "saas"});
    client.create("/v1/books", "probe", &book).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_go_on_without_two_and_say_so_without_three() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 5, directory.path(), &SMALL).await?;
    transfers::open_book(&cluster.client(0)).await?;
    open_probe(&cluster.client(0)).await?;
    let load = Transfers::default();
    let writers = load.start_over(&cluster.urls(), 5, BATCH);
    wait_for_more(&load, 500).await;

    let leader = cluster.wait_for_leader().await?;
    let follower = (leader + 1) % 5;
    cluster.kill(leader)?;
    cluster.kill(follower)?;
    wait_for_more(&load, 2_000).await;

    let third = cluster.wait_for_leader().await?;
    cluster.kill(third)?;
    let left = cluster.awake();
    let lost = Instant::now();
    let client = cluster.client(left[0]);
    // Until the follower notices, it may still hand a write to the leader that is gone.
    let refused = loop {
        let (status, body) = transfer(&client, &format!("without-{}", lost.elapsed().as_millis())).await?;
        assert!(status == 503 || status == 504, "{status}: {body}");
        if body["code"] == "no_leader" {
            break body;
        }
        assert!(lost.elapsed() < Duration::from_secs(15), "{body}");
    };
    eprintln!("no_leader after {} ms: {}", lost.elapsed().as_millis(), refused["detail"]);
    let read = client.get(&format!("/v1/books/{BOOK}")).await?;
    assert_eq!((read.status, read.body["code"].as_str()), (503, Some("no_leader")), "{}", read.body);
    assert_eq!(client.get(&format!("/v1/books/{BOOK}?consistency=local")).await?.status, 200);

    for node in [leader, follower, third] {
        cluster.restart(node).await?;
    }
    wait_for_more(&load, 500).await;
    writers.stop().await;
    assert_eq!(cluster.ended_by_itself()?, None);
    cluster.wait_for_equal_heads(BOOK).await?;
    let checked = load.check(&cluster.client(leader)).await?;
    eprintln!("{checked:?}");
    assert!(checked.acknowledged >= 3_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_took_and_lost_its_followers_for_is_unknown_and_then_decided_once() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &SMALL).await?;
    open_probe(&cluster.client(0)).await?;
    let leader = cluster.wait_for_leader().await?;
    let client = cluster.client(leader);
    let followers: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    for node in &followers {
        cluster.pause(*node)?;
    }
    // It still leads, so far as it knows: it proposes this, and nobody answers it.
    let taken = tokio::spawn({
        let client = client.clone();
        async move { transfer(&client, "taken").await }
    });
    let cut_off = Instant::now();
    loop {
        let (status, body) = transfer(&client, "after").await?;
        if body["code"] == "no_leader" {
            break;
        }
        assert_eq!(status, 504, "{body}");
        assert!(cut_off.elapsed() < DEADLINE, "{body}");
    }
    let (status, body) = taken.await.expect("it does not panic")?;
    assert_eq!((status, body["code"].as_str()), (504, Some("outcome_unknown")), "{body}");

    for node in &followers {
        cluster.resume(*node)?;
    }
    cluster.wait_for_leader().await?;
    let deadline = Instant::now() + DEADLINE;
    let mut answers = Vec::new();
    // The same key on every node: one decision, whoever is asked, and whether or not it survived the first leader.
    for node in 0..3 {
        loop {
            let (status, body) = transfer(&cluster.client(node), "taken").await?;
            if status == 201 {
                answers.push(body);
                break;
            }
            assert!(status == 503 || status == 504, "{status}: {body}");
            assert!(Instant::now() < deadline, "{body}");
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    cluster.wait_for_equal_heads("probe").await?;
    Ok(())
}
