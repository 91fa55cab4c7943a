//! Nodes that leave a cluster for good, lose their data, and come back under new ids.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Cluster, POLL, TOGETHER};
use crate::HarnessError;
use crate::command::partita;
use crate::rig::Fitting;

impl Cluster {
    /// Takes a member out for good, whether it runs or not.
    pub async fn remove(&mut self, node: usize) -> Result<(), HarnessError> {
        let id = self.members[node].id;
        let deadline = Instant::now() + TOGETHER;
        loop {
            let urls = self.urls_but(node);
            let ended = partita(["cluster", "remove", &id.to_string(), "--url", &urls]).await?;
            // An answer may be lost, and a removal refused until others were heard: what counts is who is a member.
            if let Some(members) = self.standings(node).await
                && !members.iter().any(|(member, _)| *member == id)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let command = format!("partita cluster remove {id}");
                return Err(HarnessError::Tool { command, said: ended.said() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Empties the directory of a node that does not run.
    pub fn wipe(&mut self, node: usize) -> Result<(), HarnessError> {
        let member = &self.members[node];
        assert!(member.process.is_none(), "a running node is not wiped");
        let cannot = |source| HarnessError::File { path: member.data.clone(), what: "cannot be emptied", source };
        for entry in fs::read_dir(&member.data).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(cannot)?;
        }
        Ok(())
    }

    /// Starts a removed node on its empty directory, under the next id that is free; it asks to be taken in.
    pub async fn start_anew(&mut self, node: usize) -> Result<(), HarnessError> {
        let deadline = Instant::now() + TOGETHER;
        let id = loop {
            if let Some(id) = self.next_id(node).await {
                break id;
            }
            if Instant::now() > deadline {
                return Err(self.late("an id for a new node"));
            }
            tokio::time::sleep(POLL).await;
        };
        let join = self.others(node);
        let member = &mut self.members[node];
        (member.id, member.join) = (id, join);
        self.hosts.know(id, node);
        self.restart(node).await
    }

    /// Starts a wiped node under the id that it had, which has to end it; returns what it said.
    pub async fn start_without_its_data(&mut self, node: usize) -> Result<String, HarnessError> {
        self.members[node].join = self.others(node);
        self.start_to_its_end(node).await
    }

    fn others(&self, node: usize) -> Vec<String> {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != node);
        others.map(|(_, member)| member.place.reached_at().to_owned()).collect()
    }

    /// Waits until a node votes, as the others see it.
    pub async fn wait_for_vote(&self, node: usize) -> Result<(), HarnessError> {
        let id = self.members[node].id;
        let deadline = Instant::now() + TOGETHER;
        let votes =
            |members: Vec<(u64, String)>| members.iter().any(|(id_, standing)| *id_ == id && standing == "voter");
        while !self.standings(node).await.is_some_and(votes) {
            if Instant::now() > deadline {
                return Err(self.late("a new node's vote"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// A node that lost its data: killed, taken out, emptied, and taken in under a new id.
    pub async fn replace(&mut self, node: usize) -> Result<(), HarnessError> {
        self.kill(node)?;
        self.remove(node).await?;
        self.wipe(node)?;
        self.start_anew(node).await?;
        self.wait_for_vote(node).await
    }

    /// Adds a node, of the kind that the first one is, which asks to be taken in; returns its number when it answers.
    pub async fn grow(&mut self) -> Result<usize, HarnessError> {
        let node = self.size();
        let (first, args) = (&self.members[0], self.members[0].args.clone());
        let directory = first.data.parent().expect("a node's directory lies in the cluster's").to_owned();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.new_member(&directory, &args, vec![], Fitting::default())?;
        self.members[node].program = self.members[0].program.clone();
        // Another one may have been here before.
        if self.members[node].data.exists() {
            self.wipe(node)?;
        }
        self.start_anew(node).await?;
        Ok(node)
    }

    /// Has a node's log purged: a new node cannot begin with it then. False if that did not happen in time.
    pub async fn purge(&self, node: usize, within: Duration) -> Result<bool, HarnessError> {
        // A backup begins with a checkpoint, and behind a checkpoint the log is purged.
        self.client(node).fetch_backup().await?;
        let deadline = Instant::now() + within;
        while self.purged(node).await? == 0 {
            if Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    /// Takes the last node out for good and ends it: the cluster is smaller by one.
    pub async fn dismiss_last(&mut self) -> Result<(), HarnessError> {
        let last = self.size() - 1;
        self.remove(last).await?;
        self.kill(last)?;
        self.members.pop();
        Ok(())
    }

    /// Makes a voter lead, of its own accord or as the cluster decides: what counts is that it was asked for.
    pub async fn hand_over(&self, to: usize) -> Result<bool, HarnessError> {
        let id = self.members[to].id.to_string();
        let urls = self.urls().join(",");
        Ok(partita(["cluster", "transfer-leader", &id, "--url", &urls]).await?.succeeded())
    }

    fn urls_but(&self, node: usize) -> String {
        let others = self.awake().into_iter().filter(|other| *other != node);
        others.map(|other| self.url(other)).collect::<Vec<_>>().join(",")
    }

    /// Ids and standings of the members, as the leader knows them, or another one where that is `but`; none while
    /// nobody says so.
    async fn standings(&self, but: usize) -> Option<Vec<(u64, String)>> {
        let leader = self.leader().await?;
        let asked = if leader == but { self.awake().into_iter().find(|node| *node != but)? } else { leader };
        let seen = self.cluster_of(asked).await.ok()?;
        let members = seen["members"].as_array()?;
        let standing = |member: &Value| Some((member["node_id"].as_u64()?, member["standing"].as_str()?.to_owned()));
        Some(members.iter().filter_map(standing).collect())
    }

    async fn next_id(&self, but: usize) -> Option<u64> {
        let leader = self.leader().await.filter(|leader| *leader != but)?;
        self.cluster_of(leader).await.ok()?["next_node_id"].as_u64()
    }
}
