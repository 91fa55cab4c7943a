//! A byte flipped in what a node has stored. It must not serve what is wrong: either it stops and names what is damaged,
//! or what was flipped is not in use and the checkers find nothing. Then it is emptied and taken in under a new id.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::{FaultState, Strike, Struck, skipped};
use crate::HarnessError;
use crate::damage;

/// Words of a node that found its files damaged.
const NAMES_DAMAGE: [&str; 7] = ["corrupt", "checksum", "damaged", "mismatch", "differs", "shorter", "mark"];
/// What a node says of a received file that it found wrong.
const NOT_AS_SENT: &str = "not as the manifest says";
const PURGE: Duration = Duration::from_secs(10);
const TRANSFER: Duration = Duration::from_secs(30);

impl Strike<'_> {
    pub(super) async fn damage_log(&mut self) -> Struck {
        self.damage(|data| {
            // Of several the one that is written to: the youngest entries are there and nowhere else.
            let mut logs = damage::files(&data.join("log"), ".log")?;
            logs.retain(|log| damage::length(log).is_ok_and(|length| length > 0));
            Ok(logs.pop().into_iter().collect())
        })
        .await
    }

    pub(super) async fn damage_table(&mut self) -> Struck {
        self.damage(|data| damage::files(data, ".sst")).await
    }

    pub(super) async fn damage_manifest(&mut self) -> Struck {
        self.damage(|data| {
            let mut files = damage::files(data, "")?;
            files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST-")));
            Ok(files)
        })
        .await
    }

    async fn damage(&mut self, choose: fn(&Path) -> Result<Vec<PathBuf>, HarnessError>) -> Struck {
        let node = self.leader_or_any().await?;
        self.struck.push(node);
        // Half of them were stopped in order and have everything in their tables.
        if self.random.random_bool(0.5) {
            self.cluster.stop(node).await?
        } else {
            self.cluster.kill(node)?
        }
        let data = self.cluster.data(node).to_owned();
        let files = choose(&data)?;
        let Some(file) = files.choose(self.random).cloned() else {
            self.cluster.restart(node).await?;
            return Ok(FaultState::Indeterminate("there was no such file yet".to_owned()));
        };
        let length = damage::length(&file)?;
        // The beginning of a file is surely in use.
        let upto = if self.random.random_bool(0.5) { length.min(200) } else { length };
        let offset = self.random.random_range(0..upto.max(1));
        damage::flip(&file, offset)?;
        let name = file.strip_prefix(&data).unwrap_or(&file).display().to_string();
        let what = format!("node {}: byte {offset} of {length} in {name}", node + 1);
        let state = self.judge_damaged(node, &what).await?;
        self.cluster.replace(node).await?;
        Ok(state)
    }

    /// Starts a damaged node and lets it serve for a while, if it does.
    async fn judge_damaged(&mut self, node: usize, what: &str) -> Struck {
        let before = self.cluster.log_length(node);
        let started = self.cluster.restart(node).await;
        match started {
            Ok(()) => self.hold(2_000..4_000).await,
            Err(HarnessError::EndedEarly { .. }) => {}
            Err(error) => return Err(error),
        }
        let ended = self.cluster.has_ended(node)?;
        let said = self.cluster.said_since(node, before);
        self.cluster.kill(node)?;
        if !ended {
            self.note(format!("{what}: it was not in use"));
            return Ok(FaultState::Installed);
        }
        let lower = said.to_lowercase();
        if NAMES_DAMAGE.iter().any(|word| lower.contains(word)) {
            self.note(format!("{what}: refused: {}", said.trim().lines().last().unwrap_or("")));
            return Ok(FaultState::Installed);
        }
        Ok(FaultState::Violated(format!("{what}: it ended without naming the damage: {said}")))
    }

    /// A new node gets the state as files, because the log does not go back to its beginning; one of them changes
    /// under its hands before it has checked them.
    pub(super) async fn damage_snapshot(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        let node = (leader + 1) % self.cluster.size();
        self.struck.push(node);
        if self.cluster.rig(node).syncs.is_none() {
            return skipped("what a node receives cannot be held up until it is damaged");
        }
        if !self.cluster.purge(leader, PURGE).await? {
            return Ok(FaultState::Indeterminate("the log went back to its beginning".to_owned()));
        }
        self.cluster.kill(node)?;
        self.cluster.remove(node).await?;
        self.cluster.wipe(node)?;
        let before = self.cluster.log_length(node);
        if let Some(syncs) = &self.cluster.rig(node).syncs {
            syncs.slow_down(200, 300)?;
        }
        let data = self.cluster.data(node).to_owned();
        let place = self.random.random_range(0..1_000_000);
        let watcher = tokio::task::spawn_blocking(move || flip_received(&data, place));
        let started = self.cluster.start_anew(node).await;
        let flipped = watcher.await.expect("the watcher does not panic")?;
        if let Some(syncs) = &self.cluster.rig(node).syncs {
            syncs.heal()?;
        }
        started?;
        let joined = self.cluster.wait_for_vote(node).await;
        let said = self.cluster.said_since(node, before);
        let Some(flipped) = flipped else {
            joined?;
            return Ok(FaultState::Indeterminate("no snapshot came in".to_owned()));
        };
        let noticed = said.contains(NOT_AS_SENT);
        self.note(format!("{flipped}: {}", if noticed { "noticed, and fetched again" } else { "not noticed" }));
        if noticed && joined.is_ok() {
            return Ok(FaultState::Installed);
        }
        // Perhaps it was checked just before, or it stopped.
        self.cluster.replace(node).await?;
        Ok(FaultState::Indeterminate("what was flipped was not what was checked".to_owned()))
    }
}

/// Waits for files of a checkpoint that is being received, and flips a byte in one of them.
fn flip_received(data: &Path, place: u64) -> Result<Option<String>, HarnessError> {
    let deadline = Instant::now() + TRANSFER;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        if !data.join("incoming.manifest").exists() {
            continue;
        }
        let files = received_files(data);
        let Some((file, length)) =
            files.into_iter().max_by_key(|(_, length)| *length).filter(|(_, length)| *length > 0)
        else {
            continue;
        };
        let offset = place % length;
        damage::flip(&file, offset)?;
        let name = file.strip_prefix(data).unwrap_or(&file).display().to_string();
        return Ok(Some(format!("byte {offset} of {length} in {name}")));
    }
    Ok(None)
}

/// Files in the directories that receive, with what they have so far.
fn received_files(data: &Path) -> Vec<(PathBuf, u64)> {
    // Files come and go while they are listed: what is not there any more is not of interest.
    let Ok(all) = damage::files(data, ".sst") else { return vec![] };
    let received = all
        .into_iter()
        .filter(|file| file.strip_prefix(data).is_ok_and(|name| name.to_string_lossy().starts_with("state-")));
    received.filter_map(|file| damage::length(&file).ok().map(|length| (file, length))).collect()
}
