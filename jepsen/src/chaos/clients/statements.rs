//! Readers of statements: pages of one account from either end, linearizable and local, while the load goes on.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::HarnessError;
use crate::chaos::history::{Detail, Operation, Phase, Status};
use crate::chaos::load::Load;

const PAUSE: Duration = Duration::from_millis(10);
/// Pages of one reading at most.
const PAGES: usize = 6;

pub(super) async fn client(load: Load, node: usize, mut random: StdRng) -> Result<(), HarnessError> {
    let mut client = load.new_client();
    while !load.is_stopped() {
        let account = random.random_range(0..load.accounts);
        let newest_first = random.random_bool(0.6);
        let limit = random.random_range(3..40);
        let (mut cursor, mut after) = (None, None);
        for _ in 0..random.random_range(1..=PAGES) {
            let local = random.random_bool(0.5);
            let min_position = random.random_bool(0.5).then(|| load.acknowledged());
            let operation = Operation::Statement { account, newest_first, local, min_position, after, limit };
            let (record, next) = load.ask_page(client, node, operation, cursor.as_deref(), Phase::Main).await?;
            load.after(&record, &mut client).await;
            tokio::time::sleep(PAUSE).await;
            if record.status != Status::Ok {
                break;
            }
            if let Some(Detail::Page(page)) = record.result.as_ref().and_then(|outcome| outcome.detail.as_deref()) {
                after = page.postings.last().map(|posting| posting.position);
            }
            if next.is_none() || after.is_none() {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}
