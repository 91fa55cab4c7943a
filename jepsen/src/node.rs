//! One `partita serve` process.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::HarnessError;
use crate::client::Client;
use crate::hosts::Place;

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// How much of a log is worth showing.
const TAIL_BYTES: usize = 4_000;

/// Killed when dropped: no test leaves a process behind.
#[derive(Debug)]
pub struct Node {
    child: Child,
    url: String,
    log: PathBuf,
}

/// Every other node has a thread for consensus alone, as on machines with more processors than those of most tests.
fn http_threads() -> &'static str {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    if STARTED.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "1" } else { "2" }
}

impl Node {
    /// Starts a node on a directory and waits until it is ready.
    pub async fn start(data: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        let mut node = Self::spawn(data, args)?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// Starts a node of which nothing is expected yet: it may refuse to run.
    pub fn spawn(data: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        Self::run(Command::new(binary()?), data, None, args)
    }

    /// A node of another program than [`binary`].
    pub async fn start_program(program: &Path, data: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        let mut node = Self::run(Command::new(program), data, None, args)?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// The same at a place of a cluster, with a program of its own.
    pub fn spawn_at(program: &Path, place: &Place, data: &Path, args: &[&str]) -> Result<Self, HarnessError> {
        let command = match place.enter.split_first() {
            None => Command::new(program),
            Some((enter, more)) => {
                let mut command = Command::new(enter);
                command.args(more).arg(program);
                command
            }
        };
        Self::run(command, data, Some(&place.listen), args)
    }

    /// A node that the kernel cuts off in the middle of the first write that would make any file longer than this.
    pub async fn start_with_file_limit(data: &Path, args: &[&str], kibibytes: u64) -> Result<Self, HarnessError> {
        let mut shell = Command::new("sh");
        // POSIX counts the limit in blocks of 512 bytes.
        shell.args(["-c", "ulimit -f \"$0\"; exec \"$@\"", &(kibibytes * 2).to_string()]).arg(binary()?);
        let mut node = Self::run(shell, data, None, args)?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// `command` lacks only the arguments; without an address to listen on it gets a free one.
    fn run(mut command: Command, data: &Path, listen: Option<&str>, args: &[&str]) -> Result<Self, HarnessError> {
        let log = data.with_extension("log");
        let file = |what| {
            let path = log.clone();
            move |source| HarnessError::File { path, what, source }
        };
        let out = File::options().create(true).append(true).open(&log).map_err(file("cannot be opened"))?;
        let errors = out.try_clone().map_err(file("cannot be opened twice"))?;
        let address = match listen {
            Some(address) => address.to_owned(),
            None => free_address()?,
        };
        let child = command
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", &address])
            .args(args)
            .env("PARTITA_HTTP_THREADS", http_threads())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(file("the node that logs to it cannot be started"))?;
        Ok(Self { child, url: format!("http://{address}"), log })
    }

    /// Until it answers every read and write.
    pub async fn wait_until_ready(&mut self) -> Result<(), HarnessError> {
        self.wait_until("/readyz", "readiness").await
    }

    /// Until it answers at all: without a majority of its cluster it goes no further.
    pub async fn wait_until_alive(&mut self) -> Result<(), HarnessError> {
        self.wait_until("/livez", "an answer").await
    }

    async fn wait_until(&mut self, path: &str, what: &'static str) -> Result<(), HarnessError> {
        let client = self.client();
        let deadline = Instant::now() + READY;
        loop {
            if let Some(status) = self.ended()? {
                return Err(HarnessError::EndedEarly { status, log: self.log_tail() });
            }
            // Until it listens there is no answer, and that is no failure yet.
            if client.get(path).await.is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.late(what, READY));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// SIGKILL, and gone when it returns.
    pub fn kill(&mut self) -> Result<(), HarnessError> {
        self.child.kill().map_err(|source| self.lost(source))?;
        self.child.wait().map_err(|source| self.lost(source))?;
        Ok(())
    }

    /// SIGTERM, and its exit status.
    pub async fn stop(&mut self) -> Result<ExitStatus, HarnessError> {
        self.terminate()?;
        self.wait_for_end("the end after SIGTERM").await
    }

    pub fn terminate(&self) -> Result<(), HarnessError> {
        self.signal("TERM")
    }

    /// SIGSTOP: it neither answers nor closes its connections.
    pub fn pause(&self) -> Result<(), HarnessError> {
        self.signal("STOP")
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub fn resume(&self) -> Result<(), HarnessError> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<(), HarnessError> {
        // The standard library sends no other signal than SIGKILL; every shell has kill built in.
        let script = format!("kill -{name} \"$0\"");
        let sent = Command::new("sh").args(["-c", &script, &self.child.id().to_string()]).status();
        sent.map(drop).map_err(|source| self.lost(source))
    }

    pub async fn wait_for_end(&mut self, what: &'static str) -> Result<ExitStatus, HarnessError> {
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(self.late(what, STOP));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, HarnessError> {
        self.child.try_wait().map_err(|source| self.lost(source))
    }

    /// Whether it runs with a library of somebody else's.
    pub fn has_loaded(&self, library: &Path) -> Result<bool, HarnessError> {
        let path = PathBuf::from(format!("/proc/{}/maps", self.child.id()));
        let maps = std::fs::read_to_string(&path).map_err(|source| HarnessError::File {
            path,
            what: "cannot be read",
            source,
        })?;
        Ok(maps.contains(&*library.to_string_lossy()))
    }

    /// Whether it, or a node before it on the same directory, said something.
    pub fn said(&self, what: &str) -> Result<bool, HarnessError> {
        let text = std::fs::read(&self.log).map_err(|source| self.lost(source))?;
        Ok(String::from_utf8_lossy(&text).contains(what))
    }

    /// The last part of what it, and the nodes before it on the same directory, said.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = match std::fs::read(&self.log) {
            Ok(bytes) => bytes,
            Err(error) => return format!("(no log: {error})"),
        };
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned()
    }

    fn late(&self, what: &'static str, limit: Duration) -> HarnessError {
        HarnessError::Late { what, seconds: limit.as_secs(), log: self.log_tail() }
    }

    fn lost(&self, source: std::io::Error) -> HarnessError {
        HarnessError::File { path: self.log.clone(), what: "the node that logs to it cannot be reached", source }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `PARTITA_BIN`, or `partita` of the same build as the running program: beside it, or, for a test,
/// `target/release/deps/test` → `target/release/partita`.
pub fn binary() -> Result<PathBuf, HarnessError> {
    let path = match std::env::var_os("PARTITA_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().map_err(|source| HarnessError::File {
                path: PathBuf::from("."),
                what: "the running program's own path is unknown",
                source,
            })?;
            let beside = test.with_file_name("partita");
            if beside.is_file() { beside } else { test.ancestors().nth(2).unwrap_or(Path::new(".")).join("partita") }
        }
    };
    if path.is_file() { Ok(path) } else { Err(HarnessError::NoBinary { path }) }
}

/// The program of the version after this one, for tests of an upgrade (`api/examples/next_level.rs`).
pub fn next_binary() -> Result<PathBuf, HarnessError> {
    let path = binary()?.with_file_name("examples").join("next_level");
    if path.is_file() { Ok(path) } else { Err(HarnessError::NoBinary { path }) }
}

/// Free a moment ago; nothing else on a test machine hurries to take it.
pub fn free_address() -> Result<String, HarnessError> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.to_string()).map_err(HarnessError::NoPort)
}
