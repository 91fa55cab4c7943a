//! What a seed means: the size of the cluster, its weather, how much memory its nodes have, how hard its clients work,
//! and which kinds of faults there are. Printed first.

use std::fmt;

use crate::dice::Dice;
use crate::nemesis::FaultKind;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: u64,
    pub(crate) memory_bytes: usize,
    pub(crate) latency_ms: (u64, u64),
    pub(crate) disk_ms: u64,
    pub(crate) clock_skew_ms: u64,
    pub(crate) clients: usize,
    pub(crate) think_ms: (u64, u64),
    /// From the moment at which all nodes vote.
    pub(crate) length_ms: u64,
    /// Between two faults.
    pub(crate) calm_ms: (u64, u64),
    /// Each as often as it stands here.
    pub(crate) faults: Vec<FaultKind>,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let latency = dice.between(1, 3);
        let think = dice.between(5, 60);
        let calm = dice.between(100, 1_200);
        let mut faults = Vec::new();
        for kind in FaultKind::ALL {
            // Some kinds are left out of a run, so that others come more often.
            let weight = if dice.chance(30) { 0 } else { dice.between(1, 4) };
            faults.extend((0..weight).map(|_| kind));
        }
        if faults.is_empty() {
            faults.extend(FaultKind::ALL);
        }
        Self {
            nodes: *dice.pick(&[3, 3, 3, 4, 5, 5, 6, 7]),
            memory_bytes: *dice.pick(&[128 << 10, 256 << 10, 512 << 10, 1 << 20]),
            latency_ms: (latency, latency + dice.between(0, 6)),
            disk_ms: dice.between(0, 4),
            clock_skew_ms: *dice.pick(&[0, 10, 500, 5_000, 3_600_000]),
            clients: usize::try_from(dice.between(3, 8)).expect("they are few"),
            think_ms: (think / 4, think),
            length_ms: dice.between(10_000, 18_000),
            calm_ms: (calm / 4, calm * 2),
            faults,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, memory_bytes, latency_ms, disk_ms, clock_skew_ms, clients, think_ms, length_ms, .. } = self;
        writeln!(f, "{nodes} nodes with {} KiB each, clocks up to {clock_skew_ms} ms off", memory_bytes >> 10)?;
        writeln!(f, "network {} to {} ms, disks 0 to {disk_ms} ms", latency_ms.0, latency_ms.1)?;
        writeln!(f, "{clients} clients that think for {} to {} ms, for {length_ms} ms", think_ms.0, think_ms.1)?;
        write!(f, "a fault every {} to {} ms, of:", self.calm_ms.0, self.calm_ms.1)?;
        for kind in FaultKind::ALL {
            let times = self.faults.iter().filter(|fault| **fault == kind).count();
            if times > 0 {
                write!(f, " {kind}×{times}")?;
            }
        }
        Ok(())
    }
}
