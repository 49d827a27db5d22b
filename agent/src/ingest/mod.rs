//! Floor 2: what the plugin says locally.
//!
//! Four ways in, none of which a checkout waits for: DogStatsD datagrams over UDP on loopback and over a Unix socket,
//! JSON lines over a Unix stream socket, NDJSON files in a spool directory. The notations are in
//! [`plugmend_shared::telemetry`]. Everything the plugin can do here costs a fixed amount of time and memory: see
//! [`budget`].

pub mod budget;
mod datagram;
mod drops;
mod hub;
mod lines;
mod socket;
mod spool_dir;
mod stream;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use thiserror::Error;
use tokio::sync::watch;

pub use hub::{Heard, Hub, Source};
pub use socket::group_id;
pub use spool_dir::SPOOL_SUFFIX;

/// Where to listen. Everything absent: nowhere.
#[derive(Debug, Clone, Default)]
pub struct IngestOptions {
    /// JSON lines over this Unix socket, DogStatsD datagrams over the one beside it with `.dgram` appended.
    pub socket: Option<PathBuf>,
    /// The group that may use the sockets, besides the agent's own user; the agent's own group when absent.
    pub group: Option<u32>,
    /// Users that may use the stream socket, besides root and the agent's own user and the group.
    pub users: Vec<u32>,
    /// DogStatsD datagrams over UDP; loopback only.
    pub udp: Option<SocketAddr>,
    /// Directory of NDJSON files.
    pub spool_dir: Option<PathBuf>,
}

/// Why it can not listen.
#[derive(Debug, Error)]
pub enum IngestError {
    /// UDP from other machines is not wanted.
    #[error("telemetry.udp is {0}, which other machines can reach; use an address on loopback such as 127.0.0.1:8125")]
    NotLoopback(SocketAddr),
    /// The UDP port could not be had.
    #[error("can not listen on UDP {0}; is another DogStatsD agent running? Choose another port in telemetry.udp")]
    Udp(SocketAddr, #[source] std::io::Error),
    /// Something else lies where the socket should be.
    #[error("{0} is there and is not a socket; remove it or choose another telemetry.socket")]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("another process listens on {0}; does another agent look after this plugin?")]
    InUse(PathBuf),
    /// The socket could not be made.
    #[error("can not listen on {0}; check that its directory exists and may be written by the agent")]
    Socket(PathBuf, #[source] std::io::Error),
}

/// Bound sockets, ready to run.
#[derive(Debug)]
pub struct Ingest {
    udp: Option<tokio::net::UdpSocket>,
    datagrams: Option<socket::Bound<tokio::net::UnixDatagram>>,
    stream: Option<socket::Bound<tokio::net::UnixListener>>,
    spool: Option<PathBuf>,
    peers: stream::Peers,
}

impl Ingest {
    /// Binds what `options` ask for. Must be called within a runtime.
    ///
    /// # Errors
    /// When something can not be bound; nothing is left behind then.
    pub fn bind(options: &IngestOptions) -> Result<Self, IngestError> {
        let udp = options.udp.map(datagram::bind_udp).transpose()?;
        let (mut datagrams, mut stream) = (None, None);
        if let Some(path) = &options.socket {
            stream = Some(socket::stream(path, options.group)?);
            datagrams = Some(socket::datagrams(&socket::datagram_path(path), options.group)?);
        }
        Ok(Self {
            udp,
            datagrams,
            stream,
            spool: options.spool_dir.clone(),
            peers: stream::Peers::new(options.group, options.users.clone()),
        })
    }

    /// The UDP address, when it listens there (with the real port when 0 was asked for).
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.udp.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    /// Listens until `stop` turns true or is dropped.
    pub async fn run(self, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
        let udp_addr = self.udp_addr();
        let work = async {
            tokio::join!(
                datagram::run_udp(self.udp.as_ref(), &hub),
                datagram::run_unix(self.datagrams.as_ref(), &hub),
                stream::run(self.stream.as_ref(), &hub, &self.peers),
                spool_dir::run(self.spool.as_deref(), &hub),
                drops::run(udp_addr, &hub),
            );
        };
        tokio::select! {
            () = work => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

#[cfg(test)]
mod tests;
