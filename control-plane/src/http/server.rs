//! A listener without TLS, for 8112 (behind a proxy, or on a private network).

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use tokio::sync::watch;

/// The longest head of a request, in bytes: absurd tokens are refused in the words of the others.
const LONGEST_HEAD: usize = 1_280 * 1024;
/// How long open requests may take to finish once a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until told to stop, then lets open requests finish.
///
/// # Errors
/// When the listener breaks.
pub async fn serve_plain(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let handle = axum_server::Handle::new();
    let mut server = axum_server::from_tcp(listener)
        .context("can not serve on the listener")?
        .handle(handle.clone());
    server.http_builder().http1().max_buf_size(LONGEST_HEAD);
    let server = server.serve(router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.context("the listener broke"),
        // An error means that whoever could ask us to stop is gone: stop.
        _ = stop.wait_for(|stop| *stop) => handle.graceful_shutdown(Some(DRAIN)),
    }
    server.await.context("the listener broke while stopping")
}
