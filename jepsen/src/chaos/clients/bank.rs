//! Transfers within groups of accounts, a tenth of them for more than an account can have, and linearizable reads.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{amount, pair};
use crate::HarnessError;
use crate::chaos::history::{Operation, Phase, Status};
use crate::chaos::load::Load;

/// A transfer that was answered definitely: it may be sent again.
#[derive(Clone, Debug)]
struct Sent {
    key: String,
    operation: Operation,
}

pub(super) async fn client(load: Load, node: usize, mut random: StdRng) -> Result<(), HarnessError> {
    let mut client = load.new_client();
    let mut sent: Vec<Sent> = vec![];
    while !load.is_stopped() {
        let again = (!sent.is_empty() && random.random_bool(0.03)).then(|| random.random_range(0..sent.len()));
        let (operation, key, node) = match again {
            // The same key, to any node, is the same answer again.
            Some(chosen) => {
                let Sent { key, operation } = sent[chosen].clone();
                (operation, Some(key), random.random_range(0..load.nodes.len()))
            }
            None => {
                let operation = choose(&mut random, load.accounts);
                let is_write = matches!(operation, Operation::Transfer { .. });
                (operation, is_write.then(|| load.new_key("bank")), node)
            }
        };
        let record = load.ask(client, node, operation, key, Phase::Main).await?;
        load.after(&record, &mut client).await;
        if let (Status::Ok, Some(key), Operation::Transfer { .. }, None) =
            (record.status, record.key, &record.operation, again)
        {
            sent.push(Sent { key, operation: record.operation });
        }
    }
    Ok(())
}

fn choose(random: &mut StdRng, accounts: usize) -> Operation {
    let (from, to) = pair(random, accounts);
    match random.random_range(0..100) {
        0..60 => Operation::Transfer { from, to, amount: amount(random) },
        60..92 => Operation::Read { account: from },
        _ => Operation::ReadAll,
    }
}
