//! `partita serve`: one node with its HTTP interface, until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::app::{App, chain};
use crate::settings::{Flags, Settings, SettingsError};
use crate::{metrics, router};
use partita_consensus::{Node, NodeConfig, StartError, join_cluster};
use partita_storage::codec::Levels;

/// The most connections at one time; others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// How long a caller may take to send a request's head; as long stays a connection open between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests under way may take to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// How often metrics are summed up.
const SUM_UP: Duration = Duration::from_secs(5);
/// Serve a ledger from a data directory, which is created when it does not exist.
///
/// Alone, or as a node of a cluster (--raft-listen): on an empty directory it founds one, or joins one (--join); on its
/// own directory it goes on as what it was. Stops on SIGTERM or Ctrl-C: requests under way are answered, a checkpoint is
/// written, the exit code is 0.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("what it is told does not fit together")]
    Settings(#[from] SettingsError),
    #[error("the runtime cannot start")]
    Runtime(#[source] io::Error),
    #[error("cannot listen on {listen}")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("signals cannot be waited for")]
    Signal(#[source] io::Error),
    #[error("the node cannot start on {data}", data = data.display())]
    Start {
        data: PathBuf,
        #[source]
        source: StartError,
    },
}

impl Serve {
    /// Runs until SIGTERM or SIGINT.
    #[must_use]
    pub fn run(self, levels: Levels) -> ExitCode {
        start_logs();
        metrics::install();
        match self.serve(levels) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = chain(&error), "partita does not serve");
                if io::stderr().is_terminal() {
                    // Said again as a last line without a time stamp; nowhere is left to report that this fails.
                    drop(writeln!(io::stderr(), "partita: {}", chain(&error)));
                }
                ExitCode::FAILURE
            }
        }
    }

    fn serve(self, levels: Levels) -> Result<(), ServeError> {
        let settings = self.flags.settle()?;
        let count = settings.http_threads.get();
        let http = threads("http", count)?;
        let raft = if count == 1 { None } else { Some(consensus_thread()?) };
        let consensus = raft.as_ref().unwrap_or(&http).handle().clone();
        let served = http.block_on(serve_until_told(settings, levels, consensus));
        // Threads that hang must not keep the process: what matters is on disk.
        for runtime in [Some(http), raft].into_iter().flatten() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        served
    }
}

async fn serve_until_told(settings: Settings, levels: Levels, consensus: Handle) -> Result<(), ServeError> {
    let stop = stop_signal()?;
    let Settings { listen, node: config, .. } = settings;
    let data = config.data.clone();
    let listener = bind(listen).await?;
    let config = NodeConfig { levels, ..config };
    let cannot_start = |source| ServeError::Start { data: data.clone(), source };
    let mut given_up = stop.clone();
    tokio::select! {
        taken_in = join_cluster(&config) => taken_in.map_err(cannot_start)?,
        () = told(&mut given_up) => return Ok(()),
    }
    let started = consensus.spawn(Node::start(config)).await;
    let node = started.unwrap_or_else(|error| resume_unwind(error.into_panic())).map_err(cannot_start)?;
    let app = App::new(node);
    let address = listener.local_addr().unwrap_or(listen);
    tracing::info!(data = %data.display(), "serving on http://{address} (interface at /docs)");
    let summing_up = tokio::spawn(sum_up_metrics());
    accept(&app, &listener, stop, HEADER_TIMEOUT).await;
    summing_up.abort();
    drop(listener);
    tracing::info!("stopping: writing a checkpoint");
    app.node().shutdown(Instant::now() + DRAIN).await;
    tracing::info!("stopped");
    Ok(())
}

/// A runtime's threads wake each other up to share work. Where there is little, a write is through sooner if one thread
/// takes it from the socket to raft: a second one would be woken for nothing at each of its steps. Where there are more
/// processors, consensus has a thread that nothing of HTTP keeps waiting. The log, the applier and checkpoints have
/// threads of their own in either case.
fn threads(name: &str, count: usize) -> Result<Runtime, ServeError> {
    // The one thread is the one that waits for the end, and needs none of what several have to agree with each other.
    let mut builder = if count == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.thread_name(name).worker_threads(count).enable_all().build().map_err(ServeError::Runtime)
}

/// Beside those of HTTP, which alone are waited for.
fn consensus_thread() -> Result<Runtime, ServeError> {
    Builder::new_multi_thread().thread_name("raft").worker_threads(1).enable_all().build().map_err(ServeError::Runtime)
}

async fn sum_up_metrics() {
    let mut ticks = tokio::time::interval(SUM_UP);
    loop {
        ticks.tick().await;
        metrics::sum_up();
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|source| ServeError::Listen { listen, source })
}

/// Becomes true when the process is asked to stop.
fn stop_signal() -> Result<watch::Receiver<bool>, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _signal = terminate.recv() => tracing::info!("SIGTERM: no more requests are taken"),
            _signal = interrupt.recv() => tracing::info!("SIGINT: no more requests are taken"),
        }
        sender.send_replace(true);
    });
    Ok(receiver)
}

/// Takes connections until told to stop, then lets requests under way end.
pub async fn accept(app: &App, listener: &TcpListener, mut stop: watch::Receiver<bool>, header_timeout: Duration) {
    let routes = router::router(app.clone());
    let graceful = GracefulShutdown::new();
    let room = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = tokio::select! {
            permit = std::sync::Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
            () = told(&mut stop) => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    // Out of file descriptors, say: those that end make room.
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = told(&mut stop) => break,
        };
        connect(stream, routes.clone(), &graceful, permit, header_timeout);
    }
    app.stop_streams();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(DRAIN) => tracing::warn!("some connections did not end in time"),
    }
}

/// Whoever could still tell is gone: that is a reason to stop, too.
async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|told| *told).await);
}

fn connect(
    stream: TcpStream,
    routes: Router,
    graceful: &GracefulShutdown,
    permit: tokio::sync::OwnedSemaphorePermit,
    header_timeout: Duration,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(256);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(routes)).into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = watched.await {
            tracing::debug!(error = %error, "a connection ended early");
        }
    });
}

/// Logs go to standard error: for people on a terminal, as JSON otherwise. `RUST_LOG` says which; `info` if unset.
fn start_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info,openraft=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        logs.with_target(false).init();
    } else {
        logs.json().flatten_event(true).init();
    }
}
