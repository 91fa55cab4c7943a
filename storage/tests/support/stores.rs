//! Stores that can go down and come back: one in memory that loses what was not flushed, and a RocksDB directory.

use partita_storage::engine::{MemoryEngine, RocksEngine, Stop, TableEngine};

use crate::model::random::Random;

pub(crate) trait Store {
    type Engine: TableEngine;
    fn new() -> Self;
    /// What is stored now, opened.
    fn engine(&self) -> Self::Engine;
    /// Makes one of the next writes or flushes fail, if this store can.
    fn stop_soon(&mut self, random: &mut Random);
    /// Goes down; `close` drops whoever holds the engine.
    fn crash(&mut self, random: &mut Random, close: impl FnOnce());
}

pub(crate) struct InMemory(MemoryEngine);

impl Store for InMemory {
    type Engine = MemoryEngine;

    fn new() -> Self {
        Self(MemoryEngine::new())
    }

    fn engine(&self) -> MemoryEngine {
        self.0.clone()
    }

    fn stop_soon(&mut self, random: &mut Random) {
        let operation = 1 + random.next() % 4;
        self.0.stop_at(Some(Stop { operation, takes_effect: random.chance(50) }));
    }

    /// Any number of the unflushed batches, from the oldest on, may have become durable by themselves.
    fn crash(&mut self, random: &mut Random, close: impl FnOnce()) {
        let kept = random.below(self.0.unflushed() + 1);
        close();
        self.0 = self.0.crash(kept);
    }
}

pub(crate) struct OnDisk(tempfile::TempDir);

impl Store for OnDisk {
    type Engine = RocksEngine;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn engine(&self) -> RocksEngine {
        RocksEngine::open(self.0.path(), 16 << 20).unwrap()
    }

    fn stop_soon(&mut self, _random: &mut Random) {}

    fn crash(&mut self, _random: &mut Random, close: impl FnOnce()) {
        close();
    }
}
