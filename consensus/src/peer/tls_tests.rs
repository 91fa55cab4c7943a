//! Mutual TLS over loopback, with certificates made here.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::time::Instant;

use super::message::{ReadIndexFailure, Request, Response};
use super::tests::identity;
use super::tls::{Security, TlsConfig, TlsError};
use super::{Caller, Channel, ConnectionError, Handler, Listener, PeerAddress, PeerError, Peers, Refusal, Socket};
use crate::testing::soon;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The files of a node that `authority` knows as `host` and that trusts `trusted`.
fn files(directory: &Path, name: &str, host: &str, authority: &Authority, trusted: &Authority) -> TlsConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let file = |kind: &str, text: String| {
        let path = directory.join(format!("{name}-{kind}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    TlsConfig {
        ca: file("ca", trusted.pem()),
        certificate: file("certificate", certificate.pem()),
        key: file("key", key.serialize_pem()),
    }
}

/// Refuses everything in its own words.
#[derive(Debug)]
struct Porter;

impl Handler for Porter {
    fn handle(&self, _: Caller, _: Request, _: Instant) -> BoxFuture<'static, Result<Response, Refusal>> {
        async { Ok(Response::ReadIndex(Err(ReadIndexFailure::NoLeader))) }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_show_a_certificate_of_the_same_authority() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, foreign) = (authority(), authority());
    let load = |name: &str, host: &str, authority: &Authority, trusted: &Authority| {
        Security::load(&files(directory.path(), name, host, authority, trusted)).unwrap()
    };
    let serve = async |security: Security| {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let to = PeerAddress { address: socket.address().to_string(), node_id: Some(2) };
        (Listener::start(socket, &Peers::new(identity(2), security), Arc::new(Porter)), to)
    };
    let call = async |security: Security, to: &PeerAddress| {
        Peers::new(identity(1), security).call(to, Channel::Control, &Request::ReadIndex, soon()).await
    };
    let (_listener, to) = serve(load("server", "127.0.0.1", &ours, &ours)).await;
    let answer = call(load("client", "127.0.0.1", &ours, &ours), &to).await;
    assert_eq!(answer.unwrap(), Response::ReadIndex(Err(ReadIndexFailure::NoLeader)));

    // The caller's certificate is of another authority, or it has none.
    let refused = call(load("stranger", "127.0.0.1", &foreign, &ours), &to).await;
    assert!(matches!(refused, Err(PeerError::NotSent(_))), "{refused:?}");
    let refused = call(Security::Plain, &to).await;
    assert!(matches!(refused, Err(PeerError::NotSent(_))), "{refused:?}");
    // The other side's is, or names another host, or there is none.
    let (_foreign, to_foreign) = serve(load("foreign", "127.0.0.1", &foreign, &foreign)).await;
    let (_misnamed, to_misnamed) = serve(load("misnamed", "127.0.0.9", &ours, &ours)).await;
    let (_plain, to_plain) = serve(Security::Plain).await;
    for to in [to_foreign, to_misnamed, to_plain] {
        let refused = call(load("caller", "127.0.0.1", &ours, &ours), &to).await;
        let is_tls = |reason: &ConnectionError| matches!(reason, ConnectionError::Tls(_));
        assert!(matches!(&refused, Err(PeerError::NotSent(reason)) if is_tls(reason)), "{to}: {refused:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let ours = authority();
    let good = files(directory.path(), "node", "n1", &ours, &ours);
    let missing = TlsConfig { ca: directory.path().join("missing.pem"), ..good.clone() };
    assert!(matches!(Security::load(&missing), Err(TlsError::Pem { path, .. }) if path == missing.ca));
    let no_certificate = TlsConfig { certificate: good.key.clone(), ..good.clone() };
    assert!(matches!(Security::load(&no_certificate), Err(TlsError::Empty { path }) if path == good.key));
    let other = files(directory.path(), "other", "n2", &ours, &ours);
    let mixed = TlsConfig { key: other.key, ..good };
    assert!(matches!(Security::load(&mixed), Err(TlsError::Identity(_))));
}
