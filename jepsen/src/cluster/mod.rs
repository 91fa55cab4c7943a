//! A cluster of real `partita` processes: founded, grown to its size, and then killed, paused, cut and put back.
//!
//! `membership`: nodes that are taken out, wiped, and taken in again under new ids.

mod membership;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::HarnessError;
use crate::books;
use crate::client::Client;
use crate::hosts::{Hosts, Place};
use crate::node::{Node, binary};
use crate::rig::{Fitting, Rig};

const TOGETHER: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Nodes are counted from 0 here; the node id of node 0 is 1, until it is replaced.
#[derive(Debug)]
pub struct Cluster {
    // Before the hosts: a process ends before its namespace goes.
    members: Vec<Member>,
    hosts: Hosts,
}

#[derive(Debug)]
struct Member {
    id: u64,
    place: Place,
    data: PathBuf,
    /// Whom it asks to be taken in by, on an empty directory.
    join: Vec<String>,
    args: Vec<String>,
    program: PathBuf,
    // Before the rig: a process ends before its disk is unmounted.
    process: Option<Node>,
    is_paused: bool,
    rig: Rig,
}

impl Member {
    fn spawn(&self) -> Result<Node, HarnessError> {
        let mut flags = vec!["--node-id".to_owned(), self.id.to_string()];
        flags.extend(["--raft-listen".to_owned(), self.place.raft.clone()]);
        if let Some(advertised) = &self.place.advertise {
            flags.extend(["--raft-advertise".to_owned(), advertised.clone()]);
        }
        for member in &self.join {
            flags.extend(["--join".to_owned(), member.clone()]);
        }
        flags.extend(self.args.iter().cloned());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Node::spawn_at(&self.program, &self.place, &self.data, &flags)
    }
}

impl Cluster {
    /// Founds a cluster under `directory` and waits until all `size` nodes vote. `args` go to every node.
    pub async fn start(hosts: Hosts, size: usize, directory: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        Self::start_fitted(hosts, size, directory, args, Fitting::default()).await
    }

    /// The same, with clocks or disks that can be made to fail.
    pub async fn start_fitted(
        hosts: Hosts,
        size: usize,
        directory: &Path,
        args: &[&str],
        fitting: Fitting,
    ) -> Result<Self, HarnessError> {
        let mut cluster = Self { members: Vec::new(), hosts };
        for node in 0..size {
            let join = cluster.members.first().map(|founder| founder.place.reached_at().to_owned());
            cluster.new_member(directory, args, join.into_iter().collect(), fitting)?;
            cluster.restart(node).await?;
        }
        cluster.wait_for_voters(size).await?;
        Ok(cluster)
    }

    fn new_member(
        &mut self,
        directory: &Path,
        args: &[&str],
        join: Vec<String>,
        fitting: Fitting,
    ) -> Result<(), HarnessError> {
        let node = self.size();
        let id = u64::try_from(node + 1).expect("a cluster is small");
        let mut place = self.hosts.place(node)?;
        self.hosts.know(id, node);
        let data = directory.join(format!("node-{id}"));
        let rig = if fitting == Fitting::default() { Rig::default() } else { Rig::new(fitting, &data)? };
        place.enter.extend(rig.enter());
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let program = binary()?;
        self.members.push(Member { id, place, data, join, args, program, process: None, is_paused: false, rig });
        Ok(())
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

    #[must_use]
    pub fn rig(&self, node: usize) -> &Rig {
        &self.members[node].rig
    }

    /// The id that a node goes by now.
    #[must_use]
    pub fn id(&self, node: usize) -> u64 {
        self.members[node].id
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
        let mut process = member.spawn()?;
        process.wait_until_alive().await?;
        member.process = Some(process);
        Ok(())
    }

    /// SIGTERM, and ended when it returns. From its next start on the node runs `program`.
    pub async fn stop_for(&mut self, node: usize, program: &Path) -> Result<(), HarnessError> {
        self.members[node].program = program.to_owned();
        self.stop(node).await
    }

    /// SIGTERM, and ended in order when it returns.
    pub async fn stop(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[node];
        let Some(mut process) = member.process.take() else { return Ok(()) };
        let status = process.stop().await?;
        if status.success() { Ok(()) } else { Err(HarnessError::EndedEarly { status, log: process.log_tail() }) }
    }

    /// Starts a node that is not running and waits for its end; returns what it said last.
    pub async fn start_to_its_end(&mut self, node: usize) -> Result<String, HarnessError> {
        let mut process = self.members[node].spawn()?;
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
        let join = self.members.iter().map(|member| member.place.reached_at().to_owned()).collect();
        self.new_member(directory, args, join, Fitting::default())?;
        self.restart(node).await?;
        Ok(node)
    }

    /// Waits until a node's log does not go back to its beginning: a new node cannot begin with it.
    pub async fn wait_for_purge(&self, node: usize) -> Result<(), HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        while self.purged(node).await? == 0 {
            if Instant::now() > deadline {
                return Err(self.late("a purge of the log"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Up to which entry a node's log is purged.
    async fn purged(&self, node: usize) -> Result<u64, HarnessError> {
        let text = self.client(node).text("/metrics").await?;
        let purged = text.lines().find_map(|line| line.strip_prefix("partita_raft_purged_index "));
        Ok(purged.and_then(|index| index.parse().ok()).unwrap_or(0))
    }

    /// Whether the node said something since it was first started.
    pub fn said(&self, node: usize, what: &str) -> Result<bool, HarnessError> {
        self.members[node].process.as_ref().map_or(Ok(false), |process| process.said(what))
    }

    /// Whether a process was started that nobody killed since; it may have ended by itself.
    #[must_use]
    pub fn runs(&self, node: usize) -> bool {
        self.members[node].process.is_some()
    }

    /// Whether a running node has loaded a library.
    pub fn has_loaded(&self, node: usize, library: &Path) -> Result<bool, HarnessError> {
        self.members[node].process.as_ref().map_or(Ok(false), |process| process.has_loaded(library))
    }

    /// How much a node, under whatever id, has said so far.
    #[must_use]
    pub fn log_length(&self, node: usize) -> usize {
        self.log(node).len()
    }

    #[must_use]
    pub fn said_since(&self, node: usize, length: usize) -> String {
        let log = self.log(node);
        String::from_utf8_lossy(log.get(length..).unwrap_or_default()).into_owned()
    }

    /// What a node said last, in one line.
    #[must_use]
    pub fn last_line(&self, node: usize) -> String {
        String::from_utf8_lossy(&self.log(node)).lines().last().unwrap_or("").to_owned()
    }

    /// Empty before the node was first started.
    fn log(&self, node: usize) -> Vec<u8> {
        std::fs::read(self.members[node].data.with_extension("log")).unwrap_or_default()
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
        if !member.is_paused {
            return Ok(());
        }
        member.is_paused = false;
        member.process.as_ref().map_or(Ok(()), Node::resume)
    }

    /// Whether a node's process has ended, by itself or not.
    pub fn has_ended(&mut self, node: usize) -> Result<bool, HarnessError> {
        self.members[node].process.as_mut().map_or(Ok(true), |process| Ok(process.ended()?.is_some()))
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
            let Some(leader) = self.members.iter().position(|member| member.id == leader) else { continue };
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
