//! What must have happened: the committed log, read from the nodes' own logs as they apply it, and the independent model
//! of `core/tests/model/` run over it, one command after the other.

use std::collections::BTreeMap;

use partita_consensus::simulated::commands;
use partita_core::decision::{Decision, Origin, Outcome};
use partita_core::id::{BookId, Key, Position};
use partita_core::operation::OperationKind;
use partita_storage::codec::Level;
use partita_storage::log::{EntryId, EntryKind, LogEntry};

use crate::cluster::Cluster;
use crate::looks::Look;
use crate::model::decide::{Model, Predicted};
use crate::trace::Trace;

#[derive(Default)]
pub(crate) struct Oracle {
    /// Every entry that some node has applied, by its index, with a hash of what it carries.
    pub(crate) committed: Vec<(EntryId, blake3::Hash)>,
    pub(crate) model: Model,
    level: Option<Level>,
    /// Commands whose keys had been decided before, with the same content and with other.
    pub(crate) replays: u64,
    pub(crate) reused: u64,
}

pub(crate) fn content(entry: &LogEntry) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let kind = match entry.kind {
        EntryKind::Blank => 0,
        EntryKind::Commands => 1,
        EntryKind::Membership => 2,
    };
    hasher.update(&[kind]);
    hasher.update(&entry.payload);
    hasher.finalize()
}

impl Oracle {
    /// Takes note of everything that was applied since.
    pub(crate) fn advance(
        &mut self,
        cluster: &Cluster,
        looks: &BTreeMap<u64, Look>,
        trace: &Trace,
    ) -> Result<(), String> {
        let committed = |look: &Look| look.raft.committed.max(look.raft.applied).map_or(0, |id| id.index + 1);
        let until = looks.values().map(committed).max().unwrap_or(0);
        // Raft may not have said yet what the state already shows.
        let shown = looks.values().map(|look| look.position).max().unwrap_or_default();
        while self.next_index() < until || self.position() < shown {
            let index = self.next_index();
            // A committed entry is on most disks. What another has there may be of a later term: its leader took it
            // alone, and an entry of a still later one committed the older (figure 8 of the raft paper; seed 112).
            let copies = || cluster.machines.values().filter_map(|site| site.disks.log.synced_entry(index));
            let count = |entry: &LogEntry| copies().filter(|copy| copy.id == entry.id).count();
            let found = copies().max_by_key(|entry| (count(entry), entry.id.term, entry.id.node));
            let entry = match found {
                Some(entry) => entry,
                // A state shows more than the model decides on the same entries: what holds of states says so.
                None if index >= until => break,
                None => return Err(format!("entry {index} was applied and is on nobody's disk")),
            };
            self.committed.push((entry.id, content(&entry)));
            if entry.kind == EntryKind::Commands {
                self.decide(&entry)?;
            }
            trace.count("entries committed");
        }
        Ok(())
    }

    fn next_index(&self) -> u64 {
        u64::try_from(self.committed.len()).expect("64 bits")
    }

    fn decide(&mut self, entry: &LogEntry) -> Result<(), String> {
        let (commands, level) = commands(&entry.payload, self.level)?;
        self.level = level;
        for command in &commands {
            match self.model.decide(command).answer {
                Predicted::Decided(_) => {}
                Predicted::Replayed(_) => self.replays += 1,
                Predicted::KeyReused(_) => self.reused += 1,
            }
        }
        Ok(())
    }

    /// What the run was made of.
    pub(crate) fn count_decisions(&self, trace: &Trace) {
        for decision in &self.model.journal {
            trace.count(match (&decision.origin, &decision.outcome) {
                (Origin::Internal, _) => "expiries",
                (_, Outcome::Refused(_)) => "refusals",
                (_, Outcome::Accepted(_)) => match decision.operation {
                    OperationKind::Transfer | OperationKind::Transfers => "transfers",
                    OperationKind::PlaceHold | OperationKind::CaptureHold | OperationKind::VoidHold => "holds",
                    OperationKind::CreateCharge | OperationKind::VoidCharge => "charges",
                    OperationKind::CreateRefund | OperationKind::SettleRefund | OperationKind::FailRefund => "refunds",
                    OperationKind::CreatePayment
                    | OperationKind::CapturePayment
                    | OperationKind::VoidPayment
                    | OperationKind::ApplyPayment
                    | OperationKind::UnapplyPayment
                    | OperationKind::PostPaymentFee => "payments",
                    OperationKind::OpenBook
                    | OperationKind::RegisterCurrency
                    | OperationKind::OpenAccount
                    | OperationKind::CloseAccount
                    | OperationKind::PostEntry
                    | OperationKind::PostEntries
                    | OperationKind::ReverseEntry
                    | OperationKind::ExpireHold
                    | OperationKind::ExpirePayment
                    | OperationKind::SoftClosePeriod
                    | OperationKind::ClosePeriod
                    | OperationKind::ReopenPeriod
                    | OperationKind::Recognise
                    | OperationKind::RecordRate
                    | OperationKind::Convert
                    | OperationKind::Revalue
                    | OperationKind::CloseYear => "other operations",
                },
            });
        }
    }

    /// The last entry that is known to be committed.
    pub(crate) fn last_index(&self) -> Option<u64> {
        self.committed.last().map(|(entry, _)| entry.index)
    }

    pub(crate) fn position(&self) -> Position {
        self.model.position
    }

    pub(crate) fn decision(&self, position: Position) -> Option<&Decision> {
        let place = usize::try_from(position.0.checked_sub(1)?).ok()?;
        self.model.journal.get(place)
    }

    pub(crate) fn position_of(&self, book: BookId, key: &Key) -> Option<Position> {
        self.model.keys.get(&(book, key.clone())).map(|(_, position)| *position)
    }
}
