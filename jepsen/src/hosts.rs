//! Where the nodes of a cluster run, and how the ways between them are cut.
//!
//! Where the user is root, each node has a network namespace of its own on one bridge, and a way is cut by a route
//! that swallows what is sent to the other node: one direction at a time. The namespaces, the bridge and everything
//! on it are the run's own and go with it. Everywhere else, and where ways are to be slow or reset, each node has
//! loopback addresses of its own and a proxy before its raft port ([`crate::proxies`]).

use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::HarnessError;
use crate::node::free_address;
use crate::proxies::Proxies;
use crate::tool::tool;

/// Runs of one process, so that their names differ.
static RUNS: AtomicU16 = AtomicU16::new(0);

#[derive(Debug)]
pub enum Hosts {
    /// Nothing between them.
    Loopback,
    Namespaces(Network),
    Proxies(Proxies),
}

/// A bridge with one namespace for each node. Removed when dropped.
#[derive(Debug)]
pub struct Network {
    /// Of the names of the bridge, the namespaces and the interfaces; interface names have at most 15 characters.
    name: String,
    /// The first three numbers of every address.
    prefix: String,
    nodes: usize,
}

/// How a node's process is started there, and its two addresses.
#[derive(Clone, Debug)]
pub struct Place {
    /// Words before the command.
    pub enter: Vec<String>,
    pub listen: String,
    pub raft: String,
    /// Where its peers reach it, if that is not where it listens for them.
    pub advertise: Option<String>,
}

impl Place {
    /// Where its peers reach it.
    #[must_use]
    pub fn reached_at(&self) -> &str {
        self.advertise.as_deref().unwrap_or(&self.raft)
    }
}

impl Hosts {
    /// Namespaces for `nodes` nodes, or proxies where there can be none.
    pub fn new(nodes: usize) -> Result<Self, HarnessError> {
        if may_make_namespaces() { Ok(Self::Namespaces(Network::create(nodes)?)) } else { Self::with_proxies(nodes) }
    }

    /// Loopback addresses with a proxy before each node: ways can be slow, too.
    pub fn with_proxies(nodes: usize) -> Result<Self, HarnessError> {
        // One more than the cluster begins with: nodes join.
        Ok(Self::Proxies(Proxies::new(nodes + 1)?))
    }

    /// In a report's words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loopback => "the loopback interface",
            Self::Namespaces(_) => "network namespaces",
            Self::Proxies(_) => "loopback addresses with a proxy before each node",
        }
    }

    pub fn place(&self, node: usize) -> Result<Place, HarnessError> {
        match self {
            Self::Loopback => {
                Ok(Place { enter: vec![], listen: free_address()?, raft: free_address()?, advertise: None })
            }
            Self::Namespaces(network) => {
                let address = network.address(node);
                // Not `ip netns exec`, which makes a mount namespace too: a disk that is unmounted would live on in it.
                let enter = vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", network.namespace(node))];
                let (listen, raft) = (format!("{address}:7070"), format!("{address}:7071"));
                Ok(Place { enter, listen, raft, advertise: None })
            }
            Self::Proxies(proxies) => Ok(Place {
                enter: vec![],
                listen: proxies.listen(node),
                raft: proxies.raft(node),
                advertise: Some(proxies.advertised(node)),
            }),
        }
    }

    /// Which node goes by an id from now on.
    pub fn know(&self, id: u64, node: usize) {
        match self {
            Self::Loopback | Self::Namespaces(_) => {}
            Self::Proxies(proxies) => proxies.know(id, node),
        }
    }

    /// What `from` sends to `to` is lost from now on. False where nothing can be cut.
    pub fn cut(&self, from: usize, to: usize) -> Result<bool, HarnessError> {
        match self {
            Self::Loopback => return Ok(false),
            Self::Namespaces(network) => network.route(from, "replace", to)?,
            Self::Proxies(proxies) => proxies.cut(from, to, true),
        }
        Ok(true)
    }

    /// What `from` sends to `to` arrives again.
    pub fn join(&self, from: usize, to: usize) -> Result<(), HarnessError> {
        match self {
            Self::Loopback => {}
            Self::Namespaces(network) => network.route(from, "del", to)?,
            Self::Proxies(proxies) => proxies.cut(from, to, false),
        }
        Ok(())
    }

    /// Whatever `from` sends to `to` takes so many milliseconds, drawn anew for every piece, or none any more. What is
    /// sent over one connection arrives in order, what over several does not. False where ways cannot be slow.
    #[allow(clippy::must_use_candidate, reason = "where a delay ends there is nothing to ask")]
    pub fn delay(&self, from: usize, to: usize, delay_ms: Option<Range<u64>>) -> bool {
        let Self::Proxies(proxies) = self else { return false };
        proxies.delay(from, to, delay_ms);
        true
    }

    /// Breaks all connections of `from` to `to`. False where that cannot be done.
    #[must_use]
    pub fn reset(&self, from: usize, to: usize) -> bool {
        let Self::Proxies(proxies) = self else { return false };
        proxies.reset(from, to);
        true
    }
}

impl Network {
    fn create(nodes: usize) -> Result<Self, HarnessError> {
        let process = std::process::id();
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("pt{:x}{run:x}", process & 0xF_FFFF);
        let network = Self {
            prefix: format!("10.{}.{}", 100 + process % 100, (process / 100 + u32::from(run)) % 250),
            name,
            // One more than the cluster begins with: nodes join.
            nodes: nodes + 1,
        };
        network.set_up().inspect_err(|_| network.remove())?;
        Ok(network)
    }

    fn set_up(&self) -> Result<(), HarnessError> {
        let bridge = &self.name;
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}.1/24", self.prefix), "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
        for node in 0..self.nodes {
            let (namespace, outer, inner) =
                (self.namespace(node), format!("{bridge}o{node}"), format!("{bridge}i{node}"));
            ip(&["netns", "add", &namespace])?;
            ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &namespace])?;
            ip(&["link", "set", &outer, "master", bridge])?;
            ip(&["link", "set", &outer, "up"])?;
            ip(&["-n", &namespace, "addr", "add", &format!("{}/24", self.address(node)), "dev", &inner])?;
            ip(&["-n", &namespace, "link", "set", &inner, "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn namespace(&self, node: usize) -> String {
        format!("{}n{node}", self.name)
    }

    fn address(&self, node: usize) -> String {
        format!("{}.{}", self.prefix, 11 + node)
    }

    fn route(&self, from: usize, verb: &str, to: usize) -> Result<(), HarnessError> {
        ip(&["-n", &self.namespace(from), "route", verb, "blackhole", &format!("{}/32", self.address(to))])
    }

    /// What was never made cannot be removed: that is no failure.
    fn remove(&self) {
        for node in 0..self.nodes {
            drop(ip(&["netns", "del", &self.namespace(node)]));
        }
        drop(ip(&["link", "del", &self.name]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Only root may, and only where `ip` is there and the kernel has bridges and namespaces.
fn may_make_namespaces() -> bool {
    let probe = format!("ptprobe{:x}", std::process::id() & 0xF_FFFF);
    let made = ip(&["link", "add", &probe, "type", "bridge"]).is_ok();
    let spaced = made && ip(&["netns", "add", &probe]).is_ok();
    if spaced {
        drop(ip(&["netns", "del", &probe]));
    }
    if made {
        drop(ip(&["link", "del", &probe]));
    }
    spaced
}

fn ip(arguments: &[&str]) -> Result<(), HarnessError> {
    tool("ip", arguments).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_way_is_cut_in_one_direction_and_joined_again() {
        let hosts = Hosts::new(2).unwrap();
        if !matches!(hosts, Hosts::Namespaces(_)) {
            eprintln!("SKIPPED: no network namespaces for this user");
            return;
        }
        let (one, two) = (hosts.place(0).unwrap(), hosts.place(1).unwrap());
        let reaches = |from: &Place, to: &Place| {
            // A refused connection came back from there; a cut way does not answer.
            let (host, port) = to.raft.split_once(':').unwrap();
            let script = format!("exec 3<>/dev/tcp/{host}/{port}");
            let mut command = Command::new(&from.enter[0]);
            command.args(&from.enter[1..]).args(["timeout", "1", "bash", "-c", &script]);
            let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
            said.contains("Connection refused")
        };
        assert!(reaches(&one, &two) && reaches(&two, &one));
        assert!(hosts.cut(0, 1).unwrap());
        assert!(!reaches(&one, &two));
        hosts.join(0, 1).unwrap();
        assert!(reaches(&one, &two) && reaches(&two, &one));
    }
}
