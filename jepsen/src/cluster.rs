//! A cluster of real `partita` processes: founded, grown to its size, and then killed, paused, cut and put back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::HarnessError;
use crate::books;
use crate::client::Client;
use crate::hosts::{Hosts, Place};
use crate::node::{Node, binary};

const TOGETHER: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Nodes are counted from 0 here; the node id of node 0 is 1.
#[derive(Debug)]
pub struct Cluster {
    // Before the hosts: a process ends before its namespace goes.
    members: Vec<Member>,
    hosts: Hosts,
}

#[derive(Debug)]
struct Member {
    place: Place,
    data: PathBuf,
    flags: Vec<String>,
    program: PathBuf,
    process: Option<Node>,
    is_paused: bool,
}

impl Cluster {
    /// Founds a cluster under `directory` and waits until all `size` nodes vote. `args` go to every node.
    pub async fn start(hosts: Hosts, size: usize, directory: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        let mut cluster = Self { members: Vec::new(), hosts };
        for node in 0..size {
            let place = cluster.hosts.place(node)?;
            let mut flags = vec!["--node-id".to_owned(), (node + 1).to_string()];
            flags.extend(["--raft-listen".to_owned(), place.raft.clone()]);
            if let Some(founder) = cluster.members.first() {
                flags.extend(["--join".to_owned(), founder.place.raft.clone()]);
            }
            flags.extend(args.iter().map(|&arg| arg.to_owned()));
            let data = directory.join(format!("node-{}", node + 1));
            let program = binary()?;
            cluster.members.push(Member { place, data, flags, program, process: None, is_paused: false });
            cluster.restart(node).await?;
        }
        cluster.wait_for_voters(size).await?;
        Ok(cluster)
    }

    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    #[must_use]
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Where the node serves HTTP, running or not.
    #[must_use]
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.members[node].place.listen)
    }

    #[must_use]
    pub fn client(&self, node: usize) -> Client {
        Client::new(&self.url(node))
    }

    #[must_use]
    pub fn data(&self, node: usize) -> &Path {
        &self.members[node].data
    }

    /// Nodes that run and are not paused.
    #[must_use]
    pub fn awake(&self) -> Vec<usize> {
        let awake = |member: &Member| member.process.is_some() && !member.is_paused;
        (0..self.size()).filter(|&node| awake(&self.members[node])).collect()
    }

    /// What the node's process said last.
    #[must_use]
    pub fn log_tail(&self, node: usize) -> String {
        self.members[node].process.as_ref().map_or_else(|| "(not running)".to_owned(), Node::log_tail)
    }

    /// SIGKILL, and gone when it returns.
    pub fn kill(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        member.is_paused = false;
        match member.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Starts a node again on its data and waits until it answers; ready it may become only with others.
    pub async fn restart(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        let flags: Vec<&str> = member.flags.iter().map(String::as_str).collect();
        let mut process = Node::spawn_at(&member.program, &member.place, &member.data, &flags)?;
        process.wait_until_alive().await?;
        member.process = Some(process);
        Ok(())
    }

    /// SIGTERM, and ended when it returns. From its next start on the node runs `program`.
    pub async fn stop_for(&mut self, node: usize, program: &Path) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        member.program = program.to_owned();
        let Some(mut process) = member.process.take() else { return Ok(()) };
        let status = process.stop().await?;
        if status.success() { Ok(()) } else { Err(HarnessError::EndedEarly { status, log: process.log_tail() }) }
    }

    /// Starts a node that is not running and waits for its end; returns what it said last.
    pub async fn start_to_its_end(&mut self, node: usize) -> Result<String, HarnessError> {
        let member = &self.members[node];
        let flags: Vec<&str> = member.flags.iter().map(String::as_str).collect();
        let mut process = Node::spawn_at(&member.program, &member.place, &member.data, &flags)?;
        let status = process.wait_for_end("the end of a node that must not run").await?;
        let said = process.log_tail();
        assert!(!status.success(), "it ended as if all were well: {said}");
        Ok(said)
    }

    /// Waits until a node answers reads and writes.
    pub async fn wait_until_ready(&mut self, node: usize) -> Result<(), HarnessError> {
        match &mut self.members[node].process {
            Some(process) => process.wait_until_ready().await,
            None => panic!("node {} does not run", node + 1),
        }
    }

    /// Adds a node that asks to be taken in; returns its number when it answers.
    pub async fn add(&mut self, directory: &Path, args: &[&str]) -> Result<usize, HarnessError> {
        let node = self.size();
        let place = self.hosts.place(node)?;
        let mut flags = vec!["--node-id".to_owned(), (node + 1).to_string()];
        flags.extend(["--raft-listen".to_owned(), place.raft.clone()]);
        for member in &self.members {
            flags.extend(["--join".to_owned(), member.place.raft.clone()]);
        }
        flags.extend(args.iter().map(|&arg| arg.to_owned()));
        let data = directory.join(format!("node-{}", node + 1));
        self.members.push(Member { place, data, flags, program: binary()?, process: None, is_paused: false });
        self.restart(node).await?;
        Ok(node)
    }

    /// Waits until a node's log does not go back to its beginning: a new node cannot begin with it.
    pub async fn wait_for_purge(&self, node: usize) -> Result<(), HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        loop {
            let text = self.client(node).text("/metrics").await?;
            let purged = text.lines().find_map(|line| line.strip_prefix("partita_raft_purged_index "));
            if purged.is_some_and(|index| index != "0") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.late("a purge of the log"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the node said something since it was first started.
    pub fn said(&self, node: usize, what: &str) -> Result<bool, HarnessError> {
        self.members[node].process.as_ref().map_or(Ok(false), |process| process.said(what))
    }

    /// Every node's HTTP address, in their order.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        (0..self.size()).map(|node| self.url(node)).collect()
    }

    pub fn pause(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        let Some(process) = &member.process else { return Ok(()) };
        member.is_paused = true;
        process.pause()
    }

    pub fn resume(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        member.is_paused = false;
        member.process.as_ref().map_or(Ok(()), Node::resume)
    }

    /// Whether a process that should run has ended by itself.
    pub fn ended_by_itself(&mut self) -> Result<Option<usize>, HarnessError> {
        for (node, member) in self.members.iter_mut().enumerate() {
            if let Some(process) = &mut member.process
                && process.ended()?.is_some()
            {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// The leader in the newest term that any awake node knows of, if there is one.
    pub async fn leader(&self) -> Option<usize> {
        let mut newest: Option<(u64, usize)> = None;
        for node in self.awake() {
            let Ok(Ok(seen)) = tokio::time::timeout(Duration::from_secs(2), self.cluster_of(node)).await else {
                continue;
            };
            let (Some(term), Some(leader)) = (seen["term"].as_u64(), seen["leader"].as_u64()) else { continue };
            let Some(leader) = usize::try_from(leader).ok().and_then(|id| id.checked_sub(1)) else { continue };
            if newest.is_none_or(|(known, _)| term > known) {
                newest = Some((term, leader));
            }
        }
        newest.map(|(_, leader)| leader)
    }

    /// Waits for a leader among the awake nodes.
    pub async fn wait_for_leader(&self) -> Result<usize, HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        loop {
            if let Some(leader) = self.leader().await
                && self.awake().contains(&leader)
            {
                return Ok(leader);
            }
            if Instant::now() > deadline {
                return Err(self.late("a leader"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until all nodes are at one position with one head; all must be awake.
    pub async fn wait_for_equal_heads(&self, book: &str) -> Result<(Value, Value), HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        loop {
            let mut heads = Vec::new();
            for node in 0..self.size() {
                if let Ok(head) = books::head(&self.client(node), book).await {
                    heads.push(head);
                }
            }
            if heads.len() == self.size() && heads.iter().all(|head| *head == heads[0]) {
                return Ok(heads.remove(0));
            }
            if Instant::now() > deadline {
                return Err(self.late("equal heads on all nodes"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn wait_for_voters(&self, size: usize) -> Result<(), HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        loop {
            if let Ok(seen) = self.cluster_of(0).await {
                let members = seen["members"].as_array().map_or(&[][..], Vec::as_slice);
                if members.iter().filter(|member| member["standing"] == "voter").count() == size {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(self.late("a vote for every node"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn cluster_of(&self, node: usize) -> Result<Value, HarnessError> {
        self.client(node).read("/v1/cluster").await
    }

    fn late(&self, what: &'static str) -> HarnessError {
        let logs: String =
            (0..self.size()).map(|node| format!("node {}:\n{}\n", node + 1, self.log_tail(node))).collect();
        HarnessError::Late { what, seconds: TOGETHER.as_secs(), log: logs }
    }
}
