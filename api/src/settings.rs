//! What `partita serve` is told: by flags, by variables, by a file, the first of them counting; and what holds if
//! nobody says anything.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use partita_consensus::{DirectoryError, NodeConfig, TlsConfig, recorded_node};
use serde::Deserialize;

const DATA: &str = "./partita-data";
const LISTEN: &str = "127.0.0.1:7070";
const MEMORY: usize = 2 << 30;
/// The id of a founder that is not given one.
const FOUNDER: u64 = 1;

/// Every flag is also a variable (`PARTITA_` and its name) and a key of the file.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// Read settings from this TOML file; its keys are the names of these flags
    #[arg(long, value_name = "FILE", env = "PARTITA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the node keeps its journal, tables and raft log [default: ./partita-data]
    #[arg(long, value_name = "DIR", env = "PARTITA_DATA")]
    pub data: Option<PathBuf>,
    /// Where the node listens for HTTP/1.1 and HTTP/2 [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", env = "PARTITA_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The node's memory budget: caches, tables, working set [default: 2GiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, env = "PARTITA_MEMORY")]
    pub memory: Option<usize>,
    /// Threads for HTTP. With one, consensus shares it; with more, consensus has one of its own [default: 1 on two
    /// processors, otherwise three quarters of them]
    #[arg(long, value_name = "N", env = "PARTITA_HTTP_THREADS")]
    pub http_threads: Option<NonZeroUsize>,
    /// The node's number in its cluster, never given twice [default: the directory's, or 1 for the first]
    #[arg(long, value_name = "N", env = "PARTITA_NODE_ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub node_id: Option<u64>,
    /// Where the node listens for its peers; without it, it runs alone
    #[arg(long, value_name = "ADDR", env = "PARTITA_RAFT_LISTEN")]
    pub raft_listen: Option<SocketAddr>,
    /// Where its peers reach it, host:port [default: what --raft-listen says]
    #[arg(long, value_name = "ADDR", env = "PARTITA_RAFT_ADVERTISE")]
    pub raft_advertise: Option<String>,
    /// On an empty directory: members that are asked to take the node in; without it, it founds a cluster
    #[arg(long, value_name = "ADDR,…", value_delimiter = ',', env = "PARTITA_JOIN")]
    pub join: Option<Vec<String>>,
    /// Join as a learner that stays one until it is promoted
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        env = "PARTITA_LEARNER")]
    pub learner: Option<bool>,
    /// The authority that signed the certificates of all nodes (PEM); with --tls-cert and --tls-key, raft speaks TLS
    #[arg(long, value_name = "FILE", env = "PARTITA_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// This node's certificate, with the chain to the authority (PEM)
    #[arg(long, value_name = "FILE", env = "PARTITA_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", env = "PARTITA_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

/// What the node is to do, all of it said or decided.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub http_threads: NonZeroUsize,
    pub node: NodeConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{path} cannot be read", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not a file of settings", path = path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{flag} is of no use without --raft-listen")]
    Alone { flag: &'static str },
    #[error("--tls-ca, --tls-cert and --tls-key belong together: one of them is missing")]
    TlsIncomplete,
    #[error("--raft-listen {listen} is no address that peers can reach: say which with --raft-advertise")]
    NotReachable { listen: SocketAddr },
    #[error("a node that joins needs an id of its own: say which with --node-id")]
    IdMissing,
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// A file's form. Paths in it are meant from where it lies.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SettingsFile {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    memory: Option<Memory>,
    http_threads: Option<NonZeroUsize>,
    node_id: Option<u64>,
    raft_listen: Option<SocketAddr>,
    raft_advertise: Option<String>,
    join: Option<Vec<String>>,
    learner: Option<bool>,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

/// `"512MiB"` or a number of bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "MemoryForm")]
struct Memory(usize);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MemoryForm {
    Bytes(usize),
    Text(String),
}

impl TryFrom<MemoryForm> for Memory {
    type Error = String;

    fn try_from(form: MemoryForm) -> Result<Self, String> {
        match form {
            MemoryForm::Bytes(bytes) => Ok(Self(bytes)),
            MemoryForm::Text(text) => parse_bytes(&text).map(Self),
        }
    }
}

impl SettingsFile {
    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let mut file: Self = toml::from_str(&text)
            .map_err(|source| SettingsError::File { path: path.to_owned(), source: Box::new(source) })?;
        let beside = path.parent().unwrap_or(Path::new(""));
        for named in [&mut file.data, &mut file.tls_ca, &mut file.tls_cert, &mut file.tls_key].into_iter().flatten() {
            *named = beside.join(&named);
        }
        Ok(file)
    }
}

impl Flags {
    /// What flags and variables say, then the file, then what holds otherwise.
    pub fn settle(self) -> Result<Settings, SettingsError> {
        let file = self.config.as_deref().map(SettingsFile::read).transpose()?.unwrap_or_default();
        let data = self.data.or(file.data).unwrap_or_else(|| DATA.into());
        let listen = self.listen.or(file.listen).unwrap_or_else(|| LISTEN.parse().expect("it is an address"));
        let memory_bytes = self.memory.or(file.memory.map(|memory| memory.0)).unwrap_or(MEMORY);
        let http_threads = self.http_threads.or(file.http_threads).unwrap_or_else(http_threads);
        let join = self.join.or(file.join).unwrap_or_default();
        let node_id = match self.node_id.or(file.node_id) {
            Some(id) => id,
            None => match recorded_node(&data)? {
                Some(id) => id,
                None if join.is_empty() => FOUNDER,
                None => return Err(SettingsError::IdMissing),
            },
        };
        let tls = tls(self.tls_ca.or(file.tls_ca), self.tls_cert.or(file.tls_cert), self.tls_key.or(file.tls_key))?;
        let raft_listen = self.raft_listen.or(file.raft_listen);
        let raft_advertise = self.raft_advertise.or(file.raft_advertise);
        let standby = self.learner.or(file.learner).unwrap_or(false);
        match raft_listen {
            Some(listen) if raft_advertise.is_none() && (listen.ip().is_unspecified() || listen.port() == 0) => {
                return Err(SettingsError::NotReachable { listen });
            }
            Some(_) => {}
            None => {
                let alone = |flag, is_there: bool| if is_there { Err(SettingsError::Alone { flag }) } else { Ok(()) };
                alone("--raft-advertise", raft_advertise.is_some())?;
                alone("--join", !join.is_empty())?;
                alone("--learner", standby)?;
                alone("--tls-ca", tls.is_some())?;
            }
        }
        let alone = NodeConfig::alone(data, node_id, memory_bytes);
        let node = NodeConfig { raft_listen, raft_advertise, tls, join, standby, ..alone };
        Ok(Settings { listen, http_threads, node })
    }
}

/// One in four processors, and at least one, is left for the threads of consensus.
fn http_threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    NonZeroUsize::new(processors - processors.div_ceil(4)).unwrap_or(NonZeroUsize::MIN)
}

fn tls(
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsConfig>, SettingsError> {
    match (ca, certificate, key) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(certificate), Some(key)) => Ok(Some(TlsConfig { ca, certificate, key })),
        _ => Err(SettingsError::TlsIncomplete),
    }
}

/// Reads `512MiB`, `2GiB` or a plain number of bytes.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err(format!("{unit:?} is not one of KiB, MiB, GiB")),
    };
    let number: usize = number.parse().map_err(|_error| "must be a number such as 512MiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    fn refused(flags: Flags) -> String {
        crate::app::chain(&flags.settle().unwrap_err())
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_what_holds_otherwise() {
        let (directory, config) = file(
            "data = \"data\"\nmemory = \"512MiB\"\nhttp-threads = 3\nnode-id = 3\nraft-listen = \"127.0.0.13:7071\"\n\
             join = [\"127.0.0.11:7071\", \"127.0.0.12:7071\"]\nlearner = true\n\
             tls-ca = \"ca.pem\"\ntls-cert = \"/etc/node.pem\"\ntls-key = \"node-key.pem\"\n",
        );
        let flags = Flags { config: Some(config), node_id: Some(4), learner: Some(false), ..Flags::default() };
        let Settings { listen, http_threads, node } = flags.settle().unwrap();
        assert_eq!((listen.to_string().as_str(), http_threads.get()), ("127.0.0.1:7070", 3));
        assert_eq!((node.node_id, node.memory_bytes, node.standby), (4, 512 << 20, false));
        assert_eq!(node.data, directory.path().join("data"));
        assert_eq!(node.raft_listen.unwrap().to_string(), "127.0.0.13:7071");
        assert_eq!(node.join, ["127.0.0.11:7071", "127.0.0.12:7071"]);
        let tls = node.tls.unwrap();
        assert_eq!(tls.ca, directory.path().join("ca.pem"));
        assert_eq!(tls.certificate, Path::new("/etc/node.pem"));
    }

    #[test]
    fn without_anything_a_node_runs_alone() {
        let Settings { listen, node, .. } = Flags::default().settle().unwrap();
        assert_eq!((listen.to_string().as_str(), node.data.as_path()), (LISTEN, Path::new(DATA)));
        assert_eq!((node.node_id, node.raft_listen, node.join.len()), (1, None, 0));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let raft_listen = Some("127.0.0.1:7071".parse().unwrap());
        let join = Some(vec!["127.0.0.11:7071".to_owned()]);
        let alone = Flags { join: join.clone(), node_id: Some(2), ..Flags::default() };
        assert_eq!(refused(alone), "--join is of no use without --raft-listen");
        let nameless = Flags { raft_listen, join, data: Some("/nowhere/at/all".into()), ..Flags::default() };
        assert_eq!(refused(nameless), "a node that joins needs an id of its own: say which with --node-id");
        let half = Flags { raft_listen, tls_ca: Some("ca.pem".into()), ..Flags::default() };
        assert!(refused(half).starts_with("--tls-ca, --tls-cert and --tls-key belong together"));
        let everywhere = Flags { raft_listen: Some("0.0.0.0:7071".parse().unwrap()), ..Flags::default() };
        assert!(refused(everywhere).contains("--raft-advertise"));
        let (_directory, config) = file("node_id = 3\n");
        let unknown = refused(Flags { config: Some(config), ..Flags::default() });
        assert!(unknown.contains("unknown field `node_id`"), "{unknown}");
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("1024"), Ok(1_024));
        assert!(parse_bytes("2 GB").is_err());
    }
}
