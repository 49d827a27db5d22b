//! The gateway's listener: TLS 1.3, HTTP/1.1, bounded in everything.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use plugmend_shared::ids::PluginId;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt as _;

use super::{
    gateway::Gateway,
    peer::Peer,
    places::Places,
    strangers::{Stranger, Strangers},
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long while there is a crowd.
const HANDSHAKE_IN_A_CROWD: Duration = Duration::from_secs(3);
/// How long an agent's connection may stand idle: longer than the time between two heartbeats.
const AGENT_IDLE: Duration = Duration::from_secs(200);
/// How long a refused peer is listened to, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);
/// How long open requests may take to finish once a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);
/// Room for the head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// The most header lines in a request.
const MAX_HEADERS: usize = 64;

/// How much the listener takes on.
#[derive(Debug, Clone, Copy)]
pub struct ListenerOptions {
    /// Connections at once; more wait to be accepted.
    pub connections: u32,
    /// Connections without a good certificate at once, handshakes included; more are dropped. They can not crowd out
    /// agents, and in a crowd no network takes more than a small part of these places.
    pub strangers: u32,
    /// Connections of one identity at once; more are closed.
    pub of_one_agent: u32,
    /// How long a stranger's request may take to arrive, and how long somebody with a certificate may stay without
    /// having been let through once.
    pub stranger_patience: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            connections: 100_000,
            strangers: 1_000,
            of_one_agent: 32,
            stranger_patience: Duration::from_secs(15),
        }
    }
}

struct Door {
    tls: TlsAcceptor,
    router: Router,
    gateway: Arc<Gateway>,
    strangers: Strangers,
    places: Arc<Places<PluginId>>,
    stranger_patience: Duration,
    stop: watch::Receiver<bool>,
}

/// Serves until told to stop, then lets open requests finish.
///
/// # Errors
/// When the listener can not be used.
pub async fn serve(
    listener: std::net::TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    gateway: Arc<Gateway>,
    options: ListenerOptions,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    listener
        .set_nonblocking(true)
        .context("can not prepare the gateway's listener")?;
    let listener = TcpListener::from_std(listener).context("can not serve on the gateway's listener")?;
    let connections = Arc::new(Semaphore::new(options.connections as usize));
    let door = Arc::new(Door {
        tls: tls.into(),
        router,
        gateway,
        strangers: Strangers::new(options.strangers),
        places: Arc::new(Places::new(options.of_one_agent)),
        stranger_patience: options.stranger_patience,
        stop: stop.clone(),
    });
    tokio::select! {
        () = accept(&listener, &door, &connections) => {}
        // An error means that whoever could ask us to stop is gone: stop.
        _ = stop.wait_for(|stop| *stop) => {}
        () = tidy(&door.gateway) => {}
    }
    drop(listener);
    // All permits are back when every connection has ended.
    let _late = timeout(DRAIN + LINGER, connections.acquire_many(options.connections)).await;
    Ok(())
}

async fn tidy(gateway: &Gateway) {
    loop {
        sleep(Duration::from_mins(1)).await;
        gateway.rates.tidy();
    }
}

async fn accept(listener: &TcpListener, door: &Arc<Door>, connections: &Arc<Semaphore>) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((tcp, address)) => {
                // A stranger too many is dropped: it can come again, and those inside are served.
                if let Some(stranger) = door.strangers.enter(address.ip()) {
                    tokio::spawn(connection(door.clone(), tcp, address, (permit, stranger)));
                }
            }
            Err(error) => {
                // Out of descriptors, say: others have to end first.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    door: Arc<Door>,
    tcp: TcpStream,
    address: SocketAddr,
    (_permit, stranger): (OwnedSemaphorePermit, Stranger),
) {
    let _ = tcp.set_nodelay(true);
    let patience = if door.strangers.is_crowded() {
        HANDSHAKE_IN_A_CROWD
    } else {
        HANDSHAKE
    };
    let Some(mut tls) = handshake(&door.tls, tcp, patience).await else {
        return;
    };
    let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Arc::new(Peer::new(address, shown, &door.gateway.standings, stranger));
    let plugin_id = peer.certificate.as_ref().and_then(|shown| shown.plugin_id);
    let place = plugin_id.map(|plugin_id| door.places.take(plugin_id));
    if let Some(None) = place {
        tracing::debug!(plugin = ?plugin_id, "an agent holds all connections that it may");
        let _late = timeout(LINGER, tls.shutdown()).await;
        return;
    }
    serve_connection(&door, tls, peer).await;
    drop(place);
}

async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream, patience: Duration) -> Option<TlsStream<TcpStream>> {
    match timeout(patience, acceptor.accept(tcp).into_fallible()).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err((error, tcp))) => {
            tracing::debug!(%error, "a TLS handshake failed");
            let _late = timeout(LINGER, linger(tcp)).await;
            None
        }
        Err(_late) => None,
    }
}

/// Closing with unread data would reset the connection, and the peer would lose the alert that says what was wrong.
async fn linger(mut tcp: TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    let mut sink = [0; 1024];
    while tcp.read(&mut sink).await? > 0 {}
    Ok(())
}

async fn serve_connection(door: &Door, tls: TlsStream<TcpStream>, peer: Arc<Peer>) {
    let (router, of_requests) = (door.router.clone(), peer.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_requests.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let patience = if peer.certificate.is_some() {
        AGENT_IDLE
    } else {
        door.stranger_patience
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(MAX_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(tls), service);
    let mut served = pin!(served);
    let mut stop = door.stop.clone();
    let mut no_longer_welcome = pin!(no_longer_welcome(&door.gateway, &peer));
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        () = no_longer_welcome.as_mut() => None,
        () = still_a_stranger(&peer, door.stranger_patience) => None,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        // What waits is ended by the doorkeeper; what is idle ends now.
        served.as_mut().graceful_shutdown();
        timeout(DRAIN, served).await.unwrap_or(Ok(()))
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Resolves when somebody with a certificate has not been let through for so long.
async fn still_a_stranger(peer: &Peer, patience: Duration) {
    // Without a certificate there is nothing to be let through to; each request has its time.
    if peer.certificate.is_none() || timeout(patience, peer.admitted()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Resolves once the agent at the other end may not speak any more.
async fn no_longer_welcome(gateway: &Gateway, peer: &Peer) {
    let (Some(certificate), Some(mut news)) = (&peer.certificate, peer.news()) else {
        return std::future::pending().await;
    };
    loop {
        if news.changed().await.is_err() {
            return std::future::pending().await;
        }
        let now = gateway.clock.now();
        // Whatever is found, or not found for want of a database: requests are judged one by one all the same.
        if gateway
            .standings
            .recheck(&certificate.fingerprint, true, now)
            .await
            .is_err()
        {
            return;
        }
    }
}
