//! Linearizable reads on every node, while whatever happens happens: each must reflect everything that was acknowledged,
//! and everything that any read had shown, before it began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::Client;

/// How long a reader waits for a node that may have been stopped.
const PATIENCE: Duration = Duration::from_secs(4);
/// After a read that was not answered.
const AGAIN: Duration = Duration::from_millis(10);

/// Readers at work.
#[derive(Debug)]
pub struct Readers {
    stopped: Arc<AtomicBool>,
    /// The number of the node, and how many of its answers were checked.
    tasks: JoinSet<(usize, u64)>,
    nodes: usize,
    checked: Arc<AtomicU64>,
}

impl Readers {
    /// `clients` readers of `path` on each node. `floor` is the greatest position that is known to be acknowledged; whoever
    /// writes raises it, and what is read raises it, too. Between two reads a reader waits for `pause`.
    #[must_use]
    pub fn start(urls: &[String], path: &str, clients: usize, floor: &Arc<AtomicU64>, pause: Duration) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let checked = Arc::new(AtomicU64::new(0));
        for (node, url) in urls.iter().enumerate() {
            for _ in 0..clients {
                let client = Client::with_timeout(url, PATIENCE);
                let (path, floor, stopped) = (path.to_owned(), Arc::clone(floor), Arc::clone(&stopped));
                let all = Arc::clone(&checked);
                tasks.spawn(async move { (node, read(&client, &path, &floor, &stopped, &all, pause).await) });
            }
        }
        Self { stopped, tasks, nodes: urls.len(), checked }
    }

    /// Answers checked so far, of all nodes together.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Ends the readers; returns how many answers of each node were checked.
    ///
    /// # Panics
    /// If a read went back or missed something.
    pub async fn stop(mut self) -> Vec<u64> {
        self.stopped.store(true, Ordering::Relaxed);
        let mut checked = vec![0; self.nodes];
        while let Some(ended) = self.tasks.join_next().await {
            let (node, reads) = ended.expect("no read went back or missed an acknowledged write");
            checked[node] += reads;
        }
        checked
    }
}

async fn read(
    client: &Client,
    path: &str,
    floor: &AtomicU64,
    stopped: &AtomicBool,
    all: &AtomicU64,
    pause: Duration,
) -> u64 {
    let mut checked = 0;
    while !stopped.load(Ordering::Relaxed) {
        let before = floor.load(Ordering::SeqCst);
        match client.get(path).await {
            Ok(reply) if reply.status == 200 => {
                let reflects = reply.position.expect("a read says which position it reflects");
                assert!(reflects >= before, "a read reflects {reflects}, but {before} was known before it began");
                floor.fetch_max(reflects, Ordering::SeqCst);
                checked += 1;
                all.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
            }
            Ok(reply) => {
                assert!(reply.status == 503 || reply.status == 504, "{}: {}", reply.status, reply.body);
                tokio::time::sleep(AGAIN).await;
            }
            Err(_gone) => tokio::time::sleep(AGAIN).await,
        }
    }
    checked
}
