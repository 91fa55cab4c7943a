//! A server process of the bench's own: started on an empty directory, watched through `/proc`, ended in order.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::super::client::Client;
use super::BenchError;

const READY_SECONDS: u64 = 30;
const STOP_SECONDS: u64 = 120;
const POLL: Duration = Duration::from_millis(10);
/// `USER_HZ`: a constant of Linux's interface on every architecture that Rust's standard library runs on.
const TICKS_PER_SECOND: u64 = 100;
/// `st_blocks` counts in these, whatever the file system's are.
const BLOCK_BYTES: u64 = 512;

/// Since the process began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub cpu: Duration,
    /// What it caused to be written to storage, by the kernel's account; absent where `/proc` does not say.
    pub disk_bytes: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: u32,
    url: String,
    directory: PathBuf,
    program: PathBuf,
    args: Vec<String>,
}

impl Server {
    /// `args` of `serve` lack only `--data` and `--listen`.
    pub(super) async fn start(args: Vec<String>, parent: &Path) -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::Spawn)?;
        let directory = parent.join(format!("partita-bench-{}", uuid::Uuid::now_v7()));
        let cannot = |what| move |source| BenchError::File { path: parent.to_owned(), what, source };
        std::fs::create_dir(&directory).map_err(cannot("no directory can be made in it"))?;
        let address = free_address().map_err(BenchError::Spawn)?;
        let child = spawn(&program, &args, &directory, &address)?;
        let pid = child.id().expect("it was not waited for yet");
        let server = Self { child, pid, url: format!("http://{address}"), directory, program, args };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// SIGKILL, and the same again on what it left. How long until it answered a linearizable read.
    pub(super) async fn kill_and_restart(&mut self, path: &str) -> Result<Duration, BenchError> {
        self.child.kill().await.map_err(BenchError::Spawn)?;
        let began = Instant::now();
        let address = self.url.trim_start_matches("http://").to_owned();
        self.child = spawn(&self.program, &self.args, &self.directory, &address)?;
        self.pid = self.child.id().expect("it was not waited for yet");
        self.wait_until_ready().await?;
        Client::new(&self.url)?.get(path, &[]).await?;
        Ok(began.elapsed())
    }

    /// What its files take on the disk.
    pub(super) fn stored_bytes(&self) -> Result<u64, BenchError> {
        let cannot = |source| BenchError::File { path: self.directory.clone(), what: "cannot be looked into", source };
        let (mut bytes, mut directories) = (0, vec![self.directory.join("data")]);
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                    Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
                    // The server removes files while they are counted.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(cannot(error)),
                }
            }
        }
        Ok(bytes)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn cost(&self) -> Result<Cost, BenchError> {
        Ok(Cost { cpu: cpu(&self.pid.to_string())?, disk_bytes: self.disk_bytes() })
    }

    /// Ends it with SIGTERM and says what it cost until its very end: its last checkpoint is in the figures.
    pub(super) async fn stop(&mut self) -> Result<Cost, BenchError> {
        let killed = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.pid.to_string()]).status().await;
        killed.map_err(BenchError::Spawn)?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS);
        // A process that ended keeps its accounts until its parent waits for it.
        while !self.is_ended()? {
            if Instant::now() > deadline {
                return Err(BenchError::NotStopped { seconds: STOP_SECONDS });
            }
            tokio::time::sleep(POLL).await;
        }
        let cost = self.cost()?;
        let status = self.child.wait().await.map_err(BenchError::Spawn)?;
        if !status.success() {
            return Err(BenchError::BadEnd { status: status.to_string(), log: self.log_tail() });
        }
        Ok(cost)
    }

    /// Until so many nodes of its cluster vote.
    pub(super) async fn wait_for_voters(&self, nodes: usize) -> Result<(), BenchError> {
        let client = Client::new(&self.url)?;
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS);
        loop {
            let cluster = client.get_json("/v1/cluster", &[]).await?;
            let members = cluster["members"].as_array().map_or(&[][..], Vec::as_slice);
            if members.iter().filter(|member| member["standing"] == "voter").count() == nodes {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(BenchError::NotTogether { nodes, seconds: READY_SECONDS });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn is_ended(&self) -> Result<bool, BenchError> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.pid));
        let stat = std::fs::read_to_string(&path).map_err(|source| BenchError::File {
            path,
            what: "the kernel's accounts cannot be read",
            source,
        })?;
        Ok(matches!(fields(&stat).next(), Some("Z" | "X")))
    }

    fn disk_bytes(&self) -> Option<u64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid)).ok()?;
        io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
    }

    /// Forgets the greatest memory that the process had so far; what it has now.
    pub(super) fn reset_peak(&self) -> Option<u64> {
        // Linux, proc_pid_clear_refs(5): 5 resets the peak resident set size.
        std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5").ok()?;
        self.resident_bytes()
    }

    /// The greatest resident memory since.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        self.status_bytes("VmHWM:")
    }

    pub(super) fn resident_bytes(&self) -> Option<u64> {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    async fn wait_until_ready(&self) -> Result<(), BenchError> {
        let client = Client::new(&self.url)?;
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS);
        while client.get("/readyz", &[]).await.is_err() {
            if self.is_ended()? || Instant::now() > deadline {
                return Err(BenchError::NotReady { seconds: READY_SECONDS, log: self.log_tail() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_else(|error| error.to_string());
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process is dying or dead; a directory that stays behind harms nobody and is named so that it can be seen.
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(directory = %self.directory.display(), %error, "the bench's directory stays behind");
        }
    }
}

impl Cost {
    pub(super) fn sum(costs: &[Self]) -> Self {
        Self {
            cpu: costs.iter().map(|cost| cost.cpu).sum(),
            disk_bytes: costs.iter().map(|cost| cost.disk_bytes).sum(),
        }
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let disk_bytes = self.disk_bytes.zip(before.disk_bytes).map(|(after, before)| after.saturating_sub(before));
        Self { cpu: self.cpu.saturating_sub(before.cpu), disk_bytes }
    }
}

fn spawn(program: &Path, args: &[String], directory: &Path, address: &str) -> Result<Child, BenchError> {
    let log = std::fs::File::options().create(true).append(true).open(directory.join("log"));
    let log = log.map_err(|source| BenchError::File {
        path: directory.to_owned(),
        what: "no file can be made in it",
        source,
    })?;
    Command::new(program)
        .arg("serve")
        .args(args)
        .arg("--data")
        .arg(directory.join("data"))
        .args(["--listen", address])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(BenchError::Spawn)?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(BenchError::Spawn)
}

/// What this process itself used so far.
pub(super) fn own_cpu() -> Result<Duration, BenchError> {
    cpu("self")
}

fn cpu(process: &str) -> Result<Duration, BenchError> {
    let path = PathBuf::from(format!("/proc/{process}/stat"));
    let stat = std::fs::read_to_string(&path).map_err(|source| BenchError::File {
        path,
        what: "the kernel's accounts cannot be read",
        source,
    })?;
    let ticks: u64 = fields(&stat).skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// `/proc/PID/stat` from its third field, the state, on: the second is the program's name in parentheses, which may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

pub(super) fn free_address() -> std::io::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn the_name_of_a_program_may_hold_anything() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 37 5 0 0 20 0 4 0 1 2 3";
        let fields: Vec<_> = fields(stat).collect();
        assert_eq!((fields[0], fields[11], fields[12]), ("S", "37", "5"));
    }
}
