//! Three and five real processes: leaders lost, majorities lost, members that were away, versions that differ.
//!
//! One test binary, and one test after the other: a cluster wants the machine for itself.

mod catching_up;
mod leaders;
mod majorities;
mod upgrade;

use std::time::{Duration, Instant};

use partita_jepsen::transfers::Transfers;
use tokio::sync::{Mutex, MutexGuard};

static ALONE: Mutex<()> = Mutex::const_new(());

/// So little memory that checkpoints are frequent.
const SMALL: [&str; 2] = ["--memory", "64MiB"];
const DEADLINE: Duration = Duration::from_secs(120);
/// Of the greatest batch of a load.
const BATCH: u64 = 20;

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// Waits until so many more transfers are acknowledged.
async fn wait_for_more(load: &Transfers, more: usize) {
    let wanted = load.acknowledged().await + more;
    let deadline = Instant::now() + DEADLINE;
    while load.acknowledged().await < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} were acknowledged", load.acknowledged().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A number from the environment, for the long form of a test.
fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
