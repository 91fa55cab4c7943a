//! Who may talk to whom: mutual TLS with the operator's certificates, or plain TCP where there are none.
//!
//! Both sides show a certificate of the same authority. The caller also checks that the other's names the host that
//! it called; which node it is, the handshake behind it says. Files are read once, when the node starts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::carrier::{BoxStream, Carrier, connect_tcp};
use super::error::ConnectionError;

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Of the authority that every member's certificate is from.
    pub ca: PathBuf,
    /// This node's, and those between it and the authority's. It is shown to callers and when calling, so its extended
    /// key usage, if it has one, names both; its subject alternative names hold the host that others call.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why TLS cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path} cannot be read as PEM")]
    Pem {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("the authority's certificate {path} cannot be used")]
    Authority {
        path: PathBuf,
        #[source]
        source: Error,
    },
    #[error("callers cannot be verified")]
    Callers(#[source] VerifierBuilderError),
    #[error("the certificate and its key cannot be used")]
    Identity(#[source] Error),
}

/// What streams between nodes go through.
#[derive(Clone, Default)]
pub(crate) enum Security {
    #[default]
    Plain,
    Tls {
        connector: TlsConnector,
        acceptor: TlsAcceptor,
    },
    /// The simulator's streams.
    Simulated(Arc<dyn Carrier>),
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls { .. } => "Tls",
            Self::Simulated(_) => "Simulated",
        })
    }
}

impl Security {
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&config.ca)? {
            let failed = |source| TlsError::Authority { path: config.ca.clone(), source };
            roots.add(authority).map_err(failed)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&config.certificate)?;
        let unreadable = |source| TlsError::Pem { path: config.key.clone(), source };
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(unreadable)?;
        let provider = Arc::new(ring::default_provider());
        let callers = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(TlsError::Callers)?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Identity)?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(TlsError::Identity)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Identity)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::Identity)?;
        Ok(Self::Tls { connector: TlsConnector::from(Arc::new(client)), acceptor: Arc::new(server).into() })
    }

    /// Calls `address` (host and port).
    pub(super) async fn call(&self, address: &str) -> Result<BoxStream, ConnectionError> {
        match self {
            Self::Plain => connect_tcp(address).await.map_err(ConnectionError::Connect),
            Self::Tls { connector, .. } => {
                let stream = connect_tcp(address).await.map_err(ConnectionError::Connect)?;
                let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|error| ConnectionError::Tls(io::Error::other(error)))?;
                Ok(Box::new(connector.connect(name, stream).await.map_err(ConnectionError::Tls)?))
            }
            Self::Simulated(carrier) => carrier.connect(address).await.map_err(ConnectionError::Connect),
        }
    }

    /// The stream of the side that is called.
    pub(super) async fn answer(&self, stream: BoxStream) -> Result<BoxStream, ConnectionError> {
        match self {
            Self::Plain | Self::Simulated(_) => Ok(stream),
            Self::Tls { acceptor, .. } => Ok(Box::new(acceptor.accept(stream).await.map_err(ConnectionError::Tls)?)),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let read = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = read.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(found) }
}
