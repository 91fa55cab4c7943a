//! Readers of trial balances: both books, linearizable and local, while the load goes on.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::HarnessError;
use crate::chaos::bookkeeping::{BANK, BILLING};
use crate::chaos::history::{Operation, Phase};
use crate::chaos::load::Load;

const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn client(load: Load, node: usize, mut random: StdRng) -> Result<(), HarnessError> {
    let mut client = load.new_client();
    while !load.is_stopped() {
        let book = if random.random_bool(0.5) { BANK } else { BILLING }.to_owned();
        let local = random.random_bool(0.6);
        let min_position = random.random_bool(0.4).then(|| load.acknowledged());
        let operation = Operation::TrialBalance { book, local, min_position };
        let record = load.ask(client, node, operation, None, Phase::Main).await?;
        load.after(&record, &mut client).await;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
