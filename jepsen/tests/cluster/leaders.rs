//! Leaders killed and stopped in turn, again and again, under writes and reads through all nodes.

use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::cluster::Cluster;
use partita_jepsen::hosts::Hosts;
use partita_jepsen::reads::Readers;
use partita_jepsen::transfers::{self, BOOK, Transfers};

use crate::{BATCH, DEADLINE, SMALL, alone, number, wait_for_more};

/// Answers after a fault that show that writes are taken again.
const SETTLED: usize = 20;
/// What is answered sooner after a fault may have been decided before it.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// The longest time without an answer around a fault, once writes are taken again after it.
async fn gap_after(load: &Transfers, fault: Instant) -> Duration {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answers = load.answers_since(fault).await;
        let later = answers.iter().filter(|at| **at > fault + ON_THE_WAY).count();
        if later >= SETTLED {
            return answers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        }
        assert!(Instant::now() < deadline, "{later} answers since the leader was lost");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// At least, over all nodes: in the long form, and in the short one.
const READS: [u64; 2] = [10_000, 150];

/// The long form: `PARTITA_KILLS=20 cargo test --release -p partita-jepsen --test cluster leaders -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn lost_leaders_cost_nothing_that_was_acknowledged_and_no_read_goes_back() -> Result<(), HarnessError> {
    let _alone = alone().await;
    let kills = number("PARTITA_KILLS", 3);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(Hosts::Loopback, 3, directory.path(), &SMALL).await?;
    transfers::open_book(&cluster.client(0)).await?;
    let load = Transfers::default();
    let writers = load.start_over(&cluster.urls(), 6, BATCH);
    let pause = Duration::from_millis(5);
    let path = format!("/v1/books/{BOOK}");
    let readers = Readers::start(&cluster.urls(), &path, 4, &load.acknowledged_position(), pause);

    let mut gaps = Vec::new();
    let wanted = if kills >= 20 { READS[0] } else { READS[1] };
    let mut round = 0;
    // A slow machine takes more leaders for as many reads.
    while round < kills || readers.checked() < wanted {
        assert!(round < 10 * kills, "only {} reads while {round} leaders were lost", readers.checked());
        wait_for_more(&load, 200).await;
        let leader = cluster.wait_for_leader().await?;
        let fault = Instant::now();
        // Killed, it is gone and its connections with it; stopped, it is silent and comes back as if it still led.
        let is_killed = round % 2 == 0;
        if is_killed {
            cluster.kill(leader)?
        } else {
            cluster.pause(leader)?
        }
        gaps.push(gap_after(&load, fault).await);
        if is_killed {
            cluster.restart(leader).await?
        } else {
            cluster.resume(leader)?
        }
        cluster.wait_until_ready(leader).await?;
        round += 1;
    }
    wait_for_more(&load, 200).await;
    writers.stop().await;
    let reads = readers.stop().await;
    assert_eq!(cluster.ended_by_itself()?, None);
    let (position, head) = cluster.wait_for_equal_heads(BOOK).await?;
    let checked = load.check(&cluster.client(2)).await?;

    gaps.sort_unstable();
    let milliseconds: Vec<u128> = gaps.iter().map(Duration::as_millis).collect();
    let median = gaps[gaps.len() / 2];
    eprintln!(
        "{round} leaders lost; without an accepted write for {milliseconds:?} ms, median {} ms; {checked:?}; reads \
         checked per node {reads:?}; all nodes at {position} with head {head}",
        median.as_millis()
    );
    assert!(median < Duration::from_secs(5), "a leader's loss costs {median:?}");
    assert!(reads.iter().all(|reads| *reads >= wanted / 10), "too few reads were checked: {reads:?}");
    assert!(checked.acknowledged >= 200 * (round + 1));
    Ok(())
}
