//! `partita cluster certs`: an authority of one's own and a certificate for each node, for development and trials.
//! For anything else an operator has an authority already.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::super::CliError;
use super::super::output::print_line;

#[derive(Debug, Args)]
pub(super) struct Certs {
    /// Where the files go; made if it does not exist, and nothing in it is overwritten
    #[arg(long, value_name = "DIR", default_value = "./partita-certs")]
    dir: PathBuf,
    /// A node, and the names and addresses that its peers reach it at
    #[arg(long, value_name = "ID=HOST[,HOST]", required = true, value_parser = parse_node)]
    node: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    id: u64,
    hosts: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    #[error("no certificate can be made for {whom}")]
    Make {
        whom: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("{path} cannot be written", path = path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// `1=10.0.0.1,ledger-1.internal`
fn parse_node(text: &str) -> Result<Node, String> {
    let (id, hosts) = text.split_once('=').ok_or("must be an id and its hosts, such as 1=10.0.0.1")?;
    let id = id.parse().ok().filter(|id| *id > 0).ok_or("the id must be a number from 1")?;
    let hosts: Vec<String> = hosts.split(',').map(|host| host.trim().to_owned()).collect();
    if hosts.iter().any(String::is_empty) {
        return Err("a host has no name".to_owned());
    }
    Ok(Node { id, hosts })
}

impl Certs {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        fs::create_dir_all(&self.dir).map_err(|source| CertsError::Write { path: self.dir.clone(), source })?;
        let authority = authority().map_err(|source| CertsError::Make { whom: "the authority".to_owned(), source })?;
        self.write("ca.pem", &authority.pem(), false)?;
        self.write("ca-key.pem", &authority.key().serialize_pem(), true)?;
        for Node { id, hosts } in &self.node {
            let made = node_certificate(*id, hosts, &authority);
            let (certificate, key) = made.map_err(|source| CertsError::Make { whom: format!("node {id}"), source })?;
            self.write(&format!("node-{id}.pem"), &certificate, false)?;
            self.write(&format!("node-{id}-key.pem"), &key, true)?;
        }
        let dir = self.dir.display();
        print_line(&format!("For development only: whoever has {dir}/ca-key.pem can make nodes that yours trust."))?;
        let id = self.node.first().map_or(1, |node| node.id);
        print_line(&format!(
            "partita serve --node-id {id} --tls-ca {dir}/ca.pem --tls-cert {dir}/node-{id}.pem --tls-key {dir}/node-{id}-key.pem …"
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Keys are for their owner's eyes alone.
    fn write(&self, name: &str, text: &str, is_secret: bool) -> Result<(), CertsError> {
        let path: &Path = &self.dir.join(name);
        let mode = if is_secret { 0o600 } else { 0o644 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(|source| CertsError::Write { path: path.to_owned(), source })?;
        file.write_all(text.as_bytes()).map_err(|source| CertsError::Write { path: path.to_owned(), source })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "Partita development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// The certificate and its key. A node is both client and server to its peers.
fn node_certificate(
    id: u64,
    hosts: &[String],
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, format!("partita node {id}"));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
