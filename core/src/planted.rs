//! Bugs that are planted on purpose, to prove that the simulator and the chaos harness find such bugs
//! (docs/testing.md, "Planted bugs").
//!
//! A program has them only if it was built with the feature `planted-bugs`, and then only the one that was chosen when
//! it started. Without the feature [`planted`] is a constant: what stands behind it is not compiled into the program.

/// Each is one line, or a few, at the place where somebody could have got it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Raft is told that entries are durable, and they are synced a moment later.
    AcknowledgeBeforeSync,
    /// A vote is kept in memory only.
    VoteNotSynced,
    /// Entries that conflict with a new leader's are removed in memory only.
    TruncateNotSynced,
    /// The high-water mark stays where it was when entries are removed.
    MarkNotLowered,
    /// A checkpoint counts as durable before it was flushed, and the log is purged behind it.
    LogPurgedEarly,
    /// A checkpoint does not wait until this node's own log holds what it includes.
    CheckpointAheadOfLog,
    /// Idempotency keys are left out of checkpoints, and so of what leaves as files.
    KeysLeftOut,
    /// What was refunded of payments and charges is not taken over when a state is opened.
    RefundTotalsNotRestored,
    /// What expires is not taken over when a state is opened.
    ExpiriesNotRestored,
    /// Balances reach the disk before the entries that they include: those are applied to them again.
    EntryAppliedTwice,
    /// The commands of a raft entry are executed in another order than they were sent in.
    BatchReordered,
    /// The key of a batch's last command is not looked up.
    LastKeyUnchecked,
    /// A refused command's key is not remembered.
    RefusalForgotten,
    /// A replay points to the newest decision instead of its own.
    ReplayAnswersTheNewest,
    /// A posting's balance after it is the one before it.
    BalanceAfterOffByOne,
    /// A control account's balance misses each entry's second line.
    ControlMissesALine,
    /// Each node stamps commands with its own clock when it applies them.
    OwnClockDecides,
    /// Nobody is asked before a read.
    ReadWithoutBarrier,
    /// A read is confirmed, and answered before this node has applied what it must see.
    FollowerAnswersStale,
    /// A read's answer names the position at which it began to be made.
    ReadNamesEarlierPosition,
    /// A leader that no quorum answers takes writes all the same.
    IsolatedLeaderAccepts,
    /// A write whose way to the leader broke is reported as not proposed.
    LostReportedAsNotSent,
}

#[cfg(not(feature = "planted-bugs"))]
mod none {
    use super::Bug;

    /// Whether `bug` is in this program: never.
    #[must_use]
    pub const fn planted(_bug: Bug) -> bool {
        false
    }

    /// Nothing: see the feature.
    pub const fn executing(_is_last: bool) {}

    /// Whether the key of the command that is executed is not to be looked up: never.
    #[must_use]
    pub const fn key_unchecked() -> bool {
        false
    }

    const _: () = assert!(!planted(Bug::AcknowledgeBeforeSync) && !key_unchecked());
}

#[cfg(not(feature = "planted-bugs"))]
pub use none::{executing, key_unchecked, planted};

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::Bug;

    static CHOSEN: OnceLock<Bug> = OnceLock::new();

    thread_local! {
        static IS_LAST_OF_BATCH: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether `bug` was chosen.
    #[must_use]
    pub fn planted(bug: Bug) -> bool {
        CHOSEN.get() == Some(&bug)
    }

    /// Says of the command that this thread executes next whether it is the last of a batch of several.
    pub fn executing(is_last: bool) {
        IS_LAST_OF_BATCH.set(is_last);
    }

    /// Whether the key of the command that is executed is not to be looked up.
    #[must_use]
    pub fn key_unchecked() -> bool {
        planted(Bug::LastKeyUnchecked) && IS_LAST_OF_BATCH.get()
    }

    #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
    pub enum ChoiceError {
        #[error("there is no planted bug {name:?}; there are: {}", names().collect::<Vec<_>>().join(", "))]
        Unknown { name: String },
        #[error("a bug is planted already")]
        Twice,
    }

    /// Plants the bug of this name, for the life of the process.
    pub fn choose(name: &str) -> Result<Bug, ChoiceError> {
        let unknown = || ChoiceError::Unknown { name: name.to_owned() };
        let bug = ALL.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?.1;
        CHOSEN.set(bug).map_err(|_chosen| ChoiceError::Twice)?;
        Ok(bug)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(name, _)| *name)
    }

    const ALL: [(&str, Bug); 22] = [
        ("acknowledge-before-sync", Bug::AcknowledgeBeforeSync),
        ("vote-not-synced", Bug::VoteNotSynced),
        ("truncate-not-synced", Bug::TruncateNotSynced),
        ("mark-not-lowered", Bug::MarkNotLowered),
        ("log-purged-early", Bug::LogPurgedEarly),
        ("checkpoint-ahead-of-log", Bug::CheckpointAheadOfLog),
        ("keys-left-out", Bug::KeysLeftOut),
        ("refund-totals-not-restored", Bug::RefundTotalsNotRestored),
        ("expiries-not-restored", Bug::ExpiriesNotRestored),
        ("entry-applied-twice", Bug::EntryAppliedTwice),
        ("batch-reordered", Bug::BatchReordered),
        ("last-key-unchecked", Bug::LastKeyUnchecked),
        ("refusal-forgotten", Bug::RefusalForgotten),
        ("replay-answers-the-newest", Bug::ReplayAnswersTheNewest),
        ("balance-after-off-by-one", Bug::BalanceAfterOffByOne),
        ("control-misses-a-line", Bug::ControlMissesALine),
        ("own-clock-decides", Bug::OwnClockDecides),
        ("read-without-barrier", Bug::ReadWithoutBarrier),
        ("follower-answers-stale", Bug::FollowerAnswersStale),
        ("read-names-earlier-position", Bug::ReadNamesEarlierPosition),
        ("isolated-leader-accepts", Bug::IsolatedLeaderAccepts),
        ("lost-reported-as-not-sent", Bug::LostReportedAsNotSent),
    ];
}

#[cfg(feature = "planted-bugs")]
pub use chosen::{ChoiceError, choose, executing, key_unchecked, names, planted};
