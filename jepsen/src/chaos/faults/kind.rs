//! The faults by name, the class that each belongs to, and what a cluster must have so that it can be installed.

use serde::{Deserialize, Serialize};

use crate::rig::Fitting;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL of any one node, then its restart.
    KillOne,
    KillLeader,
    /// As many as may die at one time.
    KillMinority,
    KillAll,
    /// SIGSTOP for some seconds: it wakes up believing that it leads, and is asked at that very moment.
    PauseLeader,
    PauseOne,
    /// The leader hears nobody, and nobody hears the leader.
    IsolateLeader,
    /// Two parts that do not hear each other.
    Halves,
    /// What the leader sends is lost; what is sent to it arrives.
    OneWay,
    /// Every node hears its neighbours in a ring only; of three nodes, two do not hear each other.
    Ring,
    /// The leader is cut off and joined again, five times in a second or two.
    Flapping,
    /// Every piece of every message takes a time of its own: connections overtake each other.
    SlowWays,
    /// Connections break in the middle of what they carry, again and again.
    Resets,
    /// Wall clocks an hour ahead or behind, of one node or of all.
    ClockJump,
    /// A wall clock that jumps to and fro, many times a second.
    ClockStrobe,
    /// What was not synced is gone: one node's, the leader's as often as not.
    PowerLoss,
    /// The same on all nodes at once.
    PowerLossAll,
    /// Syncs fail with EIO: the node has to stop, and what it could not sync is gone.
    SyncsFail,
    /// Syncs take 20 to 500 ms longer.
    SlowDisk,
    /// So little is free that whoever leads refuses writes.
    ShortDisk,
    /// Nothing is free on a follower: it has to stop.
    FullDisk,
    /// A byte of a raft log's write-ahead file is flipped; then the node is replaced.
    DamageLog,
    /// The same with a table file.
    DamageTable,
    /// The same with a list of table files.
    DamageManifest,
    /// A byte of a snapshot that a new node is receiving.
    DamageSnapshot,
    /// A node is killed, removed, emptied, and taken in under a new id.
    Replace,
    /// A node's directory is gone: it is refused under its old id, and taken in under a new one.
    LoseData,
    /// A node more, which votes, and is taken out again.
    GrowAndShrink,
    /// Leadership is handed to somebody.
    HandOver,
    /// The leader's clock jumps, then it is killed.
    ClockAndKill,
    /// The leader is cut off, and another one stopped meanwhile.
    CutAndPause,
    /// All disks are slow while the leader is cut off.
    SlowAndIsolate,
    /// The leader is cut off and then loses its power.
    CutAndPowerLoss,
}

/// What a report counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Kill,
    Pause,
    Partition,
    SlowNetwork,
    Clock,
    PowerLoss,
    SyncsFail,
    SlowDisk,
    FullDisk,
    Damage,
    Membership,
    Combination,
}

/// What a cluster must have so that a fault can be installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub fitting: Fitting,
    /// Ways that can be slow or broken, not only cut.
    pub proxies: bool,
}

impl FaultKind {
    pub const ALL: [Self; 33] = [
        Self::KillOne,
        Self::KillLeader,
        Self::KillMinority,
        Self::KillAll,
        Self::PauseLeader,
        Self::PauseOne,
        Self::IsolateLeader,
        Self::Halves,
        Self::OneWay,
        Self::Ring,
        Self::Flapping,
        Self::SlowWays,
        Self::Resets,
        Self::ClockJump,
        Self::ClockStrobe,
        Self::PowerLoss,
        Self::PowerLossAll,
        Self::SyncsFail,
        Self::SlowDisk,
        Self::ShortDisk,
        Self::FullDisk,
        Self::DamageLog,
        Self::DamageTable,
        Self::DamageManifest,
        Self::DamageSnapshot,
        Self::Replace,
        Self::LoseData,
        Self::GrowAndShrink,
        Self::HandOver,
        Self::ClockAndKill,
        Self::CutAndPause,
        Self::SlowAndIsolate,
        Self::CutAndPowerLoss,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KillOne => "kill-one",
            Self::KillLeader => "kill-leader",
            Self::KillMinority => "kill-minority",
            Self::KillAll => "kill-all",
            Self::PauseLeader => "pause-leader",
            Self::PauseOne => "pause-one",
            Self::IsolateLeader => "isolate-leader",
            Self::Halves => "halves",
            Self::OneWay => "one-way",
            Self::Ring => "ring",
            Self::Flapping => "flapping",
            Self::SlowWays => "slow-ways",
            Self::Resets => "resets",
            Self::ClockJump => "clock-jump",
            Self::ClockStrobe => "clock-strobe",
            Self::PowerLoss => "power-loss",
            Self::PowerLossAll => "power-loss-all",
            Self::SyncsFail => "syncs-fail",
            Self::SlowDisk => "slow-disk",
            Self::ShortDisk => "short-disk",
            Self::FullDisk => "full-disk",
            Self::DamageLog => "damage-log",
            Self::DamageTable => "damage-table",
            Self::DamageManifest => "damage-manifest",
            Self::DamageSnapshot => "damage-snapshot",
            Self::Replace => "replace",
            Self::LoseData => "lose-data",
            Self::GrowAndShrink => "grow-and-shrink",
            Self::HandOver => "hand-over",
            Self::ClockAndKill => "clock-and-kill",
            Self::CutAndPause => "cut-and-pause",
            Self::SlowAndIsolate => "slow-and-isolate",
            Self::CutAndPowerLoss => "cut-and-power-loss",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::KillOne | Self::KillLeader | Self::KillMinority | Self::KillAll => Class::Kill,
            Self::PauseLeader | Self::PauseOne => Class::Pause,
            Self::IsolateLeader | Self::Halves | Self::OneWay | Self::Ring | Self::Flapping => Class::Partition,
            Self::SlowWays | Self::Resets => Class::SlowNetwork,
            Self::ClockJump | Self::ClockStrobe => Class::Clock,
            Self::PowerLoss | Self::PowerLossAll => Class::PowerLoss,
            Self::SyncsFail => Class::SyncsFail,
            Self::SlowDisk => Class::SlowDisk,
            Self::ShortDisk | Self::FullDisk => Class::FullDisk,
            Self::DamageLog | Self::DamageTable | Self::DamageManifest | Self::DamageSnapshot => Class::Damage,
            Self::Replace | Self::LoseData | Self::GrowAndShrink | Self::HandOver => Class::Membership,
            Self::ClockAndKill | Self::CutAndPause | Self::SlowAndIsolate | Self::CutAndPowerLoss => Class::Combination,
        }
    }

    #[must_use]
    pub fn needs(self) -> Needs {
        let clocks = matches!(self, Self::ClockJump | Self::ClockStrobe | Self::ClockAndKill);
        // A received snapshot is damaged while its files are synced, which then takes long enough.
        let syncs = matches!(self, Self::SyncsFail | Self::SlowDisk | Self::SlowAndIsolate | Self::DamageSnapshot);
        let disks = matches!(
            self,
            Self::PowerLoss | Self::PowerLossAll | Self::ShortDisk | Self::FullDisk | Self::CutAndPowerLoss
        );
        let proxies = matches!(self, Self::SlowWays | Self::Resets);
        Needs { fitting: Fitting { clocks, syncs, disks }, proxies }
    }
}

impl Class {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::SlowNetwork => "slow or broken network",
            Self::Clock => "clock",
            Self::PowerLoss => "power loss",
            Self::SyncsFail => "failing syncs",
            Self::SlowDisk => "slow disk",
            Self::FullDisk => "full disk",
            Self::Damage => "damaged bytes",
            Self::Membership => "membership",
            Self::Combination => "two at once",
        }
    }
}

/// What all of these need together.
#[must_use]
pub fn needs(kinds: &[FaultKind]) -> Needs {
    kinds.iter().fold(Needs::default(), |all, kind| {
        let one = kind.needs();
        Needs { fitting: all.fitting.and(one.fitting), proxies: all.proxies || one.proxies }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
