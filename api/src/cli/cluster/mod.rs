//! `partita cluster`: what a cluster is like, changes of its members and its leader, certificates to try it with.

mod certs;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Format, csv, print, print_json, print_line, table, text};
use super::{CliError, DEFAULT_URL};
pub use certs::CertsError;

const EXAMPLES: &str = "\
Examples:
  partita cluster status
  partita cluster status --url http://10.0.0.2:7070 --format json
  partita cluster add 4 --address 10.0.0.4:7071       then, on that host: partita serve --node-id 4 --join …
  partita cluster transfer-leader                     before the leader's host is restarted
  partita cluster remove 2                            for good: a new node takes a new id
  partita cluster certs --dir certs --node 1=10.0.0.1 --node 2=10.0.0.2 --node 3=10.0.0.3

Any node can be asked. Exit code: 0 if it is as it was asked for; 1 otherwise.";

const FIELDS: [&str; 9] =
    ["node_id", "address", "standing", "role", "lag_entries", "heard_ms", "applied_index", "position", "version"];
const HEADINGS: [&str; 9] =
    [">Node", "Address", "Standing", "Role", ">Lag entries", ">Heard ms", ">Applied index", ">Position", "Version"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print members, leader and progress
    Status(Asked),
    /// Announce a node, so that no other can take its id
    Add {
        /// Its id: a number that no node ever had
        node: u64,
        /// Where its peers will reach it
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        /// It stays a learner until it is promoted
        #[arg(long)]
        learner: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Remove a member for good
    Remove {
        node: u64,
        #[command(flatten)]
        asked: Asked,
    },
    /// Let a learner vote
    Promote {
        node: u64,
        #[command(flatten)]
        asked: Asked,
    },
    /// Hand the lead to another voter
    TransferLeader {
        /// To whom [default: the voter whose log is longest]
        node: Option<u64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Make an authority and certificates for development
    Certs(certs::Certs),
}

/// Which node, and how its answer is printed.
#[derive(Debug, Args)]
struct Asked {
    /// One node, or several, separated by commas: the next is asked when one does not answer
    #[arg(long, env = "PARTITA_URL", default_value = DEFAULT_URL, value_name = "URL,…")]
    url: String,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Cluster {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let (asked, method, path, body) = match &self.command {
            Command::Certs(certs) => return certs.run(),
            Command::Status(asked) => {
                let answer = Client::new(&asked.url)?.get_json("/v1/cluster", &[]).await?;
                asked.print(&answer)?;
                return Ok(ExitCode::SUCCESS);
            }
            Command::Add { node, address, learner, asked } => {
                let body = json!({"node_id": node, "address": address, "standby": learner});
                (asked, Method::POST, "/v1/cluster/members".to_owned(), body)
            }
            Command::Remove { node, asked } => {
                (asked, Method::DELETE, format!("/v1/cluster/members/{node}"), Value::Null)
            }
            Command::Promote { node, asked } => {
                (asked, Method::POST, format!("/v1/cluster/members/{node}/promote"), json!({}))
            }
            Command::TransferLeader { node, asked } => {
                let body = node.map_or_else(|| json!({}), |node| json!({"node_id": node}));
                (asked, Method::POST, "/v1/cluster/transfer-leader".to_owned(), body)
            }
        };
        let client = Client::new(&asked.url)?;
        let answer = client.change(method, &path, &body).await?;
        asked.print(&client.json(&path, &answer)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Asked {
    fn print(&self, cluster: &Value) -> Result<(), CliError> {
        let empty = Vec::new();
        let row = |member: &Value| FIELDS.iter().map(|field| text(member, field)).collect::<Vec<_>>();
        let rows: Vec<_> = cluster["members"].as_array().unwrap_or(&empty).iter().map(row).collect();
        match self.format {
            Format::Json => print_json(cluster)?,
            Format::Csv => print(&csv(&HEADINGS, &rows))?,
            Format::Table => {
                let leader = match cluster["leader"].as_u64() {
                    Some(leader) => format!("node {leader} leads"),
                    None => "nobody leads".to_owned(),
                };
                let (name, term, level) = (text(cluster, "cluster"), text(cluster, "term"), text(cluster, "level"));
                let (asked, next) = (text(cluster, "node_id"), text(cluster, "next_node_id"));
                print_line(&format!("Cluster {name}: {leader} in term {term}, level {level}"))?;
                print_line(&format!("(as node {asked} sees it; ids from {next} on are free)"))?;
                print(&table(&HEADINGS, &rows))?;
            }
        }
        Ok(())
    }
}
