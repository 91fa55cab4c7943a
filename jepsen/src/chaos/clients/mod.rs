//! The clients of a load, one file for each role. Each asks one thing at a time and records what it saw.

mod bank;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::load::Load;
use super::workload::Role;
use crate::HarnessError;

/// One client on one node until the load is stopped.
pub async fn client(load: Load, role: Role, node: usize, random: StdRng) -> Result<(), HarnessError> {
    match role {
        Role::Bank => bank::client(load, node, random).await,
    }
}

/// Of `count` things, the first most often: the n-th with a weight of 1/n.
fn zipf(random: &mut StdRng, count: usize) -> usize {
    let weights = |upto: usize| (1..=upto).map(|n| 1_000_000 / n).sum::<usize>();
    let mut drawn = random.random_range(0..weights(count));
    for n in 1..=count {
        let weight = 1_000_000 / n;
        if drawn < weight {
            return n - 1;
        }
        drawn -= weight;
    }
    count - 1
}
