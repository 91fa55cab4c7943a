//! Which faults this machine and its user allow, and why not the others.

use super::FaultKind;
use crate::rig::{Fitting, obstacle};

/// What a run can promise here.
#[derive(Clone, Debug, Default)]
pub struct Available {
    pub kinds: Vec<FaultKind>,
    pub others: Vec<(FaultKind, String)>,
}

impl Available {
    /// Tries out what the faults need: an image is mounted, a library loaded, a clock set.
    #[must_use]
    pub fn here() -> Self {
        let nothing = Fitting::default();
        let fittings = [
            Fitting { clocks: true, ..nothing },
            Fitting { syncs: true, ..nothing },
            Fitting { disks: true, ..nothing },
        ];
        let obstacles = fittings.map(|fitting| (fitting, obstacle(fitting)));
        let mut available = Self::default();
        for kind in FaultKind::ALL {
            let needed = kind.needs().fitting;
            let concerns = |fitting: Fitting| needed.and(fitting) == needed;
            let why = obstacles.iter().find_map(|(fitting, why)| why.clone().filter(|_| concerns(*fitting)));
            match why {
                None => available.kinds.push(kind),
                Some(why) => available.others.push((kind, why)),
            }
        }
        available
    }
}
