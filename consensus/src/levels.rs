//! The replicated level of this node's log: what holds now, what the members know, and when the leader raises it.
//!
//! `partita_storage::codec::level` says what a level is. Here is who moves it: the leader, by an empty batch of the
//! next level, once it and every other member (learners too) have said that they know it. A member says so in the
//! handshake of every connection. A node that is alone asks nobody. Whoever meets a level that it does not know,
//! in its log, its state or a snapshot, stops: it cannot tell what the batches mean.

use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{RaftMetrics, ServerState};
use partita_storage::codec::{Level, Levels};
use tokio::sync::watch;

use crate::proposal::raising;
use crate::raft_types::{Proposal, TypeConfig};
use crate::state_machine::StateMachine;

/// How often a leader looks whether the level can be raised.
const LOOK: Duration = Duration::from_millis(250);

/// What holds in the log as far as this node knows it; `None` while the log has no batch.
pub(crate) type ActiveLevel = watch::Receiver<Option<Level>>;

/// The level that commands are proposed at. Before the log has one it is the oldest: every member knows it, and it
/// is raised when all know more.
pub(crate) fn emitted(active: &ActiveLevel, own: Levels) -> Level {
    active.borrow().unwrap_or(own.oldest())
}

/// The level to raise to, if every member knows it.
fn wanted(
    active: Option<Level>,
    own: Levels,
    this: u64,
    members: impl Iterator<Item = u64>,
    knows: &impl Fn(u64, Level) -> bool,
) -> Option<Level> {
    let next = active.filter(|active| *active < own.newest())?.next();
    let mut others = members.filter(|member| *member != this);
    others.all(|member| knows(member, next)).then_some(next)
}

/// Raises the level whenever this node leads and every member knows the next one. `knows` says what another member
/// said last. Ends with raft.
pub(crate) async fn raise_when_all_know(
    raft: Raft<TypeConfig, StateMachine>,
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    this: u64,
    own: Levels,
    active: ActiveLevel,
    knows: impl Fn(u64, Level) -> bool + Send + 'static,
) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let level = {
            let metrics = metrics.borrow_watched();
            if metrics.running_state.is_err() {
                return;
            }
            if metrics.state != ServerState::Leader {
                continue;
            }
            let members = metrics.membership_config.membership().nodes().map(|(id, _)| *id);
            wanted(*active.borrow(), own, this, members, &knows)
        };
        let Some(level) = level else { continue };
        match raft.client_write(Proposal(Bytes::from(raising(level)))).await {
            Ok(_applied) => tracing::info!(%level, "the replicated level was raised"),
            // Another leader does it, or this one a moment later.
            Err(error) => tracing::debug!(%error, %level, "the replicated level was not raised yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_level_is_raised_by_one_and_only_when_every_member_knows_the_next() {
        let level = |number| Level::new(number).unwrap();
        let own = Levels::upto(level(2));
        let said = RefCell::new(BTreeMap::new());
        let knows = |member: u64, level| said.borrow().get(&member).is_some_and(|levels: &Levels| levels.know(level));
        let at = |active: Option<u8>, members: &[u64]| {
            wanted(active.map(level), own, 1, members.iter().copied(), &knows).map(Level::number)
        };
        assert_eq!(at(None, &[1]), None, "the first commands say where a log begins");
        assert_eq!(at(Some(1), &[1]), Some(2), "who is alone asks nobody");
        assert_eq!(at(Some(2), &[1]), None);
        assert_eq!(at(Some(1), &[1, 2]), None, "nothing was heard of 2");
        said.borrow_mut().insert(2, Levels::upto(level(1)));
        assert_eq!(at(Some(1), &[1, 2]), None);
        said.borrow_mut().insert(2, own);
        assert_eq!(at(Some(1), &[1, 2]), Some(2));
        assert_eq!(at(Some(1), &[1, 2, 3]), None, "3 is a learner, say");
        said.borrow_mut().insert(3, Levels::upto(level(3)));
        assert_eq!(at(Some(1), &[1, 2, 3]), Some(2), "3 knows more than is asked");
        said.borrow_mut().insert(2, Levels::upto(level(1)));
        assert_eq!(at(Some(1), &[1, 2, 3]), None, "2 went back to the older version");
    }
}
