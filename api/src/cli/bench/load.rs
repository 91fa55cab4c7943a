//! What can be put on a ledger: the loads that the project's figures are of, with what is aimed at, and any other.

use std::fmt;

use clap::ValueEnum;
use partita_client::BatchFormat;

/// What one write does. Each of them moves 1.00, so that the ledger's own sum says how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Operation {
    /// Between two subaccounts.
    Transfers,
    /// The same as entries with two lines.
    Entries,
    Charges,
    /// Captured at once and applied to nothing.
    Payments,
}

/// How keys follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyOrder {
    /// UUIDv7: each greater than the one before.
    Time,
    /// UUIDv4.
    Random,
}

/// How writes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// So many in a request of `…:batch`.
    Batch(usize),
    /// One in each request.
    Single,
    /// Calls of the batching client, one transfer each; `clients` are callers.
    Callers,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Json,
    /// The compact body of transfers.
    Binary,
}

impl Format {
    pub(super) fn of_batches(self) -> BatchFormat {
        match self {
            Self::Json => BatchFormat::Json,
            Self::Binary => BatchFormat::Binary,
        }
    }
}

/// Shares of a mix of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mix(pub Vec<(Operation, u32)>);

#[derive(Clone, Debug)]
pub(super) struct Load {
    pub name: String,
    pub shape: Shape,
    pub mix: Mix,
    pub format: Format,
    /// Each has one request under way, or one call.
    pub clients: usize,
    /// Of the cluster that it is put on; clients talk to the leader.
    pub nodes: usize,
    /// Subaccounts that transfers go between.
    pub accounts: usize,
    /// How many transfers of a hundred debit one and the same account.
    pub hot_percent: u32,
    pub keys: KeyOrder,
    /// Operations a second at fixed times (open loop); without it, a client goes on when it is answered.
    pub rate: Option<f64>,
    /// Clients that read balances while the others write.
    pub readers: usize,
    /// Reads that a reader has under way.
    pub pipeline: usize,
    /// Balances of a read: with more than one, they are asked for together (`balances:query`).
    pub read_batch: usize,
    /// Whether reads are answered without asking the leader.
    pub local_reads: bool,
    /// Writes a second that are aimed at (issue 6 of the project; docs/performance.md).
    pub aim: Option<u32>,
}

impl Load {
    /// Batches of transfers in JSON, between 10,000 accounts, with keys in the order of time.
    pub(super) fn transfers(shape: Shape, clients: usize) -> Self {
        let mut load = Self {
            name: String::new(),
            shape,
            mix: Mix::of(Operation::Transfers),
            format: Format::Json,
            clients,
            nodes: 1,
            accounts: 10_000,
            hot_percent: 0,
            keys: KeyOrder::Time,
            rate: None,
            readers: 0,
            pipeline: 1,
            read_batch: 1,
            local_reads: false,
            aim: None,
        };
        load.name = load.own_name();
        load
    }

    fn aim(self, aim: u32) -> Self {
        Self { aim: Some(aim), ..self }
    }

    fn named(self, ending: &str) -> Self {
        Self { name: format!("{}-{ending}", self.name), ..self }
    }

    /// What it is called if nobody gives it a name.
    pub(super) fn own_name(&self) -> String {
        match self.shape {
            Shape::Batch(size) => format!("batch-{size}"),
            Shape::Single => format!("single-{}", self.clients),
            Shape::Callers => format!("callers-{}", self.clients),
        }
    }

    /// Writes of one request.
    pub(super) fn size(&self) -> usize {
        match self.shape {
            Shape::Batch(size) => size,
            Shape::Single | Shape::Callers => 1,
        }
    }
}

impl Mix {
    pub(super) fn of(operation: Operation) -> Self {
        Self(vec![(operation, 1)])
    }

    /// `transfers=80,charges=20`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let operation = Operation::from_str(name, false)?;
            let share: u32 = share.parse().map_err(|_no_number| format!("{share:?} is no share"))?;
            if share == 0 || share > 1_000_000 {
                return Err(format!("{share} is no share: 1 to 1,000,000"));
            }
            Ok((operation, share))
        };
        text.split(',').map(part).collect::<Result<_, _>>().map(Self)
    }

    /// The operation at a place drawn below the sum of all shares.
    pub(super) fn at(&self, mut place: u32) -> Operation {
        for &(operation, share) in &self.0 {
            if place < share {
                return operation;
            }
            place -= share;
        }
        self.0[0].0
    }

    pub(super) fn sum(&self) -> u32 {
        self.0.iter().map(|(_, share)| share).sum()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfers => "transfers",
            Self::Entries => "entries",
            Self::Charges => "charges",
            Self::Payments => "payments",
        })
    }
}

/// Clients of the loads that measure throughput in batches: with one, the server is idle whenever it is not. Loads whose
/// names end in `-one` have one.
const BATCH_CLIENTS: usize = 2;

/// The loads of the project's own figures.
pub(super) fn all() -> Vec<Load> {
    let batch = |size| Load::transfers(Shape::Batch(size), BATCH_CLIENTS);
    let alone = |size| Load::transfers(Shape::Batch(size), 1).named("one");
    let single = |clients| Load::transfers(Shape::Single, clients);
    let callers = |callers| Load::transfers(Shape::Callers, callers);
    let three = |load: Load| Load { nodes: 3, ..load }.named("three");
    vec![
        batch(8_000).aim(400_000),
        alone(8_000),
        Load { accounts: 1_000_000, ..batch(8_000) }.named("accounts").aim(250_000),
        Load { keys: KeyOrder::Random, ..batch(8_000) }.named("random").aim(200_000),
        Load { hot_percent: 100, ..batch(8_000) }.named("hot").aim(400_000),
        Load { format: Format::Binary, ..batch(8_000) }.named("binary"),
        batch(1_000).aim(300_000),
        alone(1_000),
        batch(100).aim(100_000),
        alone(100),
        batch(10).aim(25_000),
        alone(10),
        single(1).aim(4_000),
        single(32).aim(15_000),
        single(256).aim(25_000),
        callers(1_024).aim(150_000),
        callers(8_192).aim(280_000),
        Load { mix: Mix::of(Operation::Charges), ..single(32) }.named("charges"),
        Load { mix: Mix::of(Operation::Payments), ..single(32) }.named("payments"),
        Load { readers: 2, pipeline: 32, rate: Some(20_000.0), ..batch(100) }.named("reads"),
        Load { readers: 1, read_batch: 500, rate: Some(20_000.0), ..batch(100) }.named("balances"),
        three(batch(8_000)).aim(165_000),
        three(batch(100)),
        three(single(1)).aim(1_800),
        three(single(32)),
        three(callers(1_024)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_load_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().into_iter().map(|load| load.name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn a_mix_is_drawn_by_its_shares() {
        let mix = Mix::parse("transfers=3,charges=1").unwrap();
        assert_eq!(mix.sum(), 4);
        let drawn: Vec<_> = (0..4).map(|place| mix.at(place)).collect();
        assert_eq!(drawn, [Operation::Transfers, Operation::Transfers, Operation::Transfers, Operation::Charges]);
        assert_eq!(Mix::parse("payments"), Ok(Mix::of(Operation::Payments)));
        for bad in ["", "transfers=0", "transfers=x", "gifts=1", "transfers=1,,"] {
            assert!(Mix::parse(bad).is_err(), "{bad}");
        }
    }
}
