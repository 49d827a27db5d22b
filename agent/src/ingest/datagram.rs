//! DogStatsD datagrams, over UDP on loopback and over a Unix socket.

use std::{io, net::SocketAddr, time::Duration};

use plugmend_shared::telemetry::statsd::MAX_DATAGRAM;
use tokio::{
    net::{UdpSocket, UnixDatagram},
    time::sleep,
};

use super::{
    IngestError,
    budget::{Budget, LINES, READS},
    hub::{Hub, Source},
    socket::Bound,
};

/// Pause after an error that is not "nothing there".
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Binds a UDP socket on loopback.
pub(super) fn bind_udp(addr: SocketAddr) -> Result<UdpSocket, IngestError> {
    if !addr.ip().is_loopback() {
        return Err(IngestError::NotLoopback(addr));
    }
    let bind = || {
        let socket = std::net::UdpSocket::bind(addr)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    bind().map_err(|error| IngestError::Udp(addr, error))
}

/// Reads UDP datagrams for ever.
pub(super) async fn run_udp(socket: Option<&UdpSocket>, hub: &Hub) {
    let Some(socket) = socket else { return };
    let mut reader = Reader::new(hub, Source::Anyone);
    loop {
        let ready = socket.readable().await;
        let read = ready.and_then(|()| reader.drain(|buffer| socket.try_recv(buffer)));
        reader.rest("udp", read).await;
    }
}

/// Reads datagrams of the Unix socket for ever. A sender that blocks is held up for one tick at most when it floods.
pub(super) async fn run_unix(socket: Option<&Bound<UnixDatagram>>, hub: &Hub) {
    let Some(socket) = socket else { return };
    let mut reader = Reader::new(hub, Source::Plugin);
    loop {
        let ready = socket.inner.readable().await;
        let read = ready.and_then(|()| reader.drain(|buffer| socket.inner.try_recv(buffer)));
        reader.rest("datagrams", read).await;
    }
}

struct Reader<'h> {
    hub: &'h Hub,
    source: Source,
    reads: Budget,
    lines: Budget,
    /// One byte more than a datagram may have, so that a longer one shows.
    buffer: Vec<u8>,
}

impl<'h> Reader<'h> {
    fn new(hub: &'h Hub, source: Source) -> Self {
        Self {
            hub,
            source,
            reads: Budget::new(READS),
            lines: Budget::new(LINES),
            buffer: vec![0; MAX_DATAGRAM + 1],
        }
    }

    /// Reads until nothing is there or the tick's budget is spent. What then still comes, the kernel drops: reading it
    /// only to throw it away would cost what the budget saves.
    fn drain(&mut self, mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        while self.reads.left(self.hub.elapsed()) > 0 {
            match receive(&mut self.buffer) {
                Ok(length) => self.take(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) {
        self.reads.spend(1);
        if length > MAX_DATAGRAM {
            self.hub.refused(1);
        } else if let Some(datagram) = self.buffer.get(..length) {
            let budget = self.lines.left(self.hub.elapsed());
            self.lines.spend(self.hub.datagram(datagram, budget, self.source));
        }
    }

    async fn rest(&mut self, way: &'static str, read: io::Result<()>) {
        if let Err(error) = read {
            self.hub.trouble(way, Some(format!("can not read: {error}")));
            sleep(AFTER_ERROR).await;
        } else if let Some(wait) = self.reads.wait(self.hub.elapsed()) {
            sleep(wait).await;
        }
    }
}
