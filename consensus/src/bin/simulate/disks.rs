//! The disks of one machine: they outlive its processes, lose what was not synced when the power goes, and can be told
//! to fail at a step to come.

use partita_storage::engine::{MemoryEngine, Stop};
use partita_storage::log::memory::{MemoryLog, MemoryMark, Power, Unsynced};
use partita_storage::snapshot::MemoryStore;

use crate::dice::Dice;

#[derive(Clone, Debug)]
pub(crate) struct Disks {
    pub(crate) log: MemoryLog,
    pub(crate) mark: MemoryMark,
    pub(crate) tables: MemoryStore,
    power: Power,
}

impl Disks {
    pub(crate) fn new() -> Self {
        let power = Power::steady();
        Self {
            log: MemoryLog::new(power.clone()),
            mark: MemoryMark::new(power.clone()),
            tables: MemoryStore::new(power.clone()),
            power,
        }
    }

    /// What the next process finds. Of the state's tables, what was flushed is left, and any number of the batches after.
    pub(crate) fn after_crash(&self, unsynced: Unsynced, dice: &mut Dice) -> Self {
        let unflushed = u64::try_from(self.tables.engine().unflushed()).expect("64 bits");
        let kept = usize::try_from(dice.between(0, unflushed)).expect("a count of what is in memory");
        let power = Power::steady();
        Self {
            log: self.log.after_power_cut(unsynced, power.clone()),
            mark: self.mark.after_power_cut(unsynced, power.clone()),
            tables: self.tables.after_power_cut(unsynced, kept, power.clone()),
            power,
        }
    }

    /// A few steps from now every write and sync fails: of the log, the mark and the files, or of the tables.
    pub(crate) fn fail_soon(&self, dice: &mut Dice) {
        if dice.chance(60) {
            self.power.fail_after(dice.between(0, 8));
        } else {
            let stop = Stop { operation: dice.between(1, 4), takes_effect: dice.chance(50) };
            self.tables.engine().stop_at(Some(stop));
        }
    }

    /// The engine that a process would open now.
    pub(crate) fn engine(&self) -> MemoryEngine {
        self.tables.engine()
    }
}
