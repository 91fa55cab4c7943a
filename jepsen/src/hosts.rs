//! Where the nodes of a cluster run, and how the ways between them are cut.
//!
//! Where the user is root, each node has a network namespace of its own on one bridge, and a way is cut by a route
//! that swallows what is sent to the other node: one direction at a time. The namespaces, the bridge and everything
//! on it are the run's own and go with it. Everywhere else nodes share the loopback interface and no way can be cut.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::HarnessError;
use crate::node::free_address;

/// Runs of one process, so that their names differ.
static RUNS: AtomicU16 = AtomicU16::new(0);

#[derive(Debug)]
pub enum Hosts {
    Loopback,
    Namespaces(Network),
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
}

impl Hosts {
    /// Namespaces for `nodes` nodes, or the loopback interface where there can be none.
    pub fn new(nodes: usize) -> Result<Self, HarnessError> {
        if !may_make_namespaces() {
            return Ok(Self::Loopback);
        }
        Ok(Self::Namespaces(Network::create(nodes)?))
    }

    /// Whether ways between nodes can be cut.
    #[must_use]
    pub fn can_cut(&self) -> bool {
        matches!(self, Self::Namespaces(_))
    }

    pub fn place(&self, node: usize) -> Result<Place, HarnessError> {
        match self {
            Self::Loopback => Ok(Place { enter: vec![], listen: free_address()?, raft: free_address()? }),
            Self::Namespaces(network) => {
                let address = network.address(node);
                let enter = ["ip", "netns", "exec", &network.namespace(node)].map(str::to_owned).to_vec();
                Ok(Place { enter, listen: format!("{address}:7070"), raft: format!("{address}:7071") })
            }
        }
    }

    /// What `from` sends to `to` is lost from now on. False where nothing can be cut.
    pub fn cut(&self, from: usize, to: usize) -> Result<bool, HarnessError> {
        let Self::Namespaces(network) = self else { return Ok(false) };
        network.route(from, "replace", to)?;
        Ok(true)
    }

    /// What `from` sends to `to` arrives again.
    pub fn join(&self, from: usize, to: usize) -> Result<(), HarnessError> {
        match self {
            Self::Loopback => Ok(()),
            Self::Namespaces(network) => network.route(from, "del", to),
        }
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
            nodes,
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
    let failed = |said: String| HarnessError::Network { command: format!("ip {}", arguments.join(" ")), said };
    let output =
        Command::new("ip").args(arguments).stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_cut_in_one_direction_and_joined_again() {
        let hosts = Hosts::new(2).unwrap();
        if !hosts.can_cut() {
            eprintln!("not tried: no network namespaces for this user");
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
