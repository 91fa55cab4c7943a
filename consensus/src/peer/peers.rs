//! Calling other nodes: one link for each of them and each channel, made when it is first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use partita_storage::codec::{Level, LevelError, Levels};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::PeerError;
use super::handshake::PeerIdentity;
use super::link::{Dial, Link, Pending};
use super::message::{Request, Response};
use super::tls::Security;
use super::{Channel, PeerAddress};
use crate::levels::ActiveLevel;

/// The way to every other node. Clones share their connections, which end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Peers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: PeerIdentity,
    security: Security,
    links: Mutex<BTreeMap<(PeerAddress, Channel), Arc<Link>>>,
    troubles: Mutex<BTreeMap<PeerAddress, Trouble>>,
    levels: NotedLevels,
}

impl Peers {
    /// Nothing is connected before it is called.
    pub(crate) fn new(identity: PeerIdentity, security: Security) -> Self {
        let (links, troubles, levels) = (Mutex::default(), Mutex::default(), NotedLevels::default());
        Self(Arc::new(Shared { identity, security, links, troubles, levels }))
    }

    pub(super) fn security(&self) -> &Security {
        &self.0.security
    }

    pub(crate) fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// The levels that each node named in its last handshake.
    pub(crate) fn levels(&self) -> &NotedLevels {
        &self.0.levels
    }

    /// Asks and waits for the answer until the deadline.
    pub(crate) async fn call(
        &self,
        to: &PeerAddress,
        channel: Channel,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, PeerError> {
        self.send(to, channel, request, deadline).await?.response().await
    }

    /// Puts a request on its way, behind those sent before on the same channel.
    pub(crate) async fn send(
        &self,
        to: &PeerAddress,
        channel: Channel,
        request: &Request,
        deadline: Instant,
    ) -> Result<Pending, PeerError> {
        self.link(to, channel).send(request, deadline).await
    }

    fn link(&self, to: &PeerAddress, channel: Channel) -> Arc<Link> {
        let mut links = self.0.links.lock();
        let link = links.entry((to.clone(), channel)).or_insert_with(|| {
            let trouble = self.0.troubles.lock().entry(to.clone()).or_default().clone();
            Arc::new(Link::start(Dial {
                to: to.clone(),
                channel,
                identity: self.0.identity,
                security: self.0.security.clone(),
                levels: self.0.levels.clone(),
                trouble,
            }))
        });
        Arc::clone(link)
    }
}

/// Which levels the nodes know that this one has talked to, and the level of this one's log, which it tells them.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotedLevels(Arc<Levelling>);

#[derive(Debug, Default)]
struct Levelling {
    said: Mutex<BTreeMap<u64, Levels>>,
    own: OnceLock<ActiveLevel>,
    /// The last that a peer said its log was at.
    heard_of: watch::Sender<Option<Level>>,
}

impl NotedLevels {
    /// From now on peers are told what holds in this node's log.
    pub(crate) fn tell(&self, own: ActiveLevel) {
        // A node has one log; told twice of it, the first one holds.
        drop(self.0.own.set(own));
    }

    pub(super) fn active(&self) -> Option<Level> {
        self.0.own.get().and_then(|own| *own.borrow())
    }

    pub(super) fn note(&self, node_id: u64, levels: Levels) {
        self.0.said.lock().insert(node_id, levels);
    }

    pub(super) fn heard_of(&self, active: Option<Level>) {
        if active.is_some() {
            self.0.heard_of.send_replace(active);
        }
    }

    /// Returns when a peer's log is at a level that is not one of these.
    pub(crate) async fn left_behind(&self, known: Levels) -> LevelError {
        let mut heard_of = self.0.heard_of.subscribe();
        loop {
            if let Some(Err(error)) = heard_of.borrow_and_update().map(|level| known.check(level)) {
                return error;
            }
            heard_of.changed().await.expect("the sender lives as long as this");
        }
    }

    pub(crate) fn of(&self, node_id: u64) -> Option<Levels> {
        self.0.said.lock().get(&node_id).copied()
    }
}

/// Why a node was last not reached, so that it is said once and not at every attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub(super) fn lost(&self, to: &PeerAddress, error: &str) {
        let mut known = self.0.lock();
        if known.as_deref() != Some(error) {
            tracing::warn!(peer = %to, error, "a peer is not reached");
            *known = Some(error.to_owned());
        }
    }

    pub(super) fn reached(&self, to: &PeerAddress) {
        if self.0.lock().take().is_some() {
            tracing::info!(peer = %to, "a peer is reached again");
        }
    }
}
