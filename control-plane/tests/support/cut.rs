//! A TCP proxy in front of Postgres that can be cut and mended on command.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The proxy.
pub struct Cut {
    address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
}

impl Cut {
    /// In front of `host:port`.
    pub async fn before(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(watch::Sender::new(true));
        let gate = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // While cut, connections are closed at once, as a stopped server refuses them.
                if *gate.borrow() {
                    tokio::spawn(pass(client, upstream.clone(), gate.subscribe()));
                }
            }
        });
        Self { address, open }
    }

    /// A database URL that goes through the proxy, and the server it led to.
    pub async fn url(url: &str) -> (Self, String) {
        let rest = url.split_once("://").unwrap().1;
        let host = rest.split('/').next().unwrap();
        let server = host.rsplit_once('@').map_or(host, |(_, server)| server).to_owned();
        let cut = Self::before(server.clone()).await;
        let through = url.replacen(&server, &cut.address.to_string(), 1);
        (cut, through)
    }

    /// Breaks every connection, and lets no new one through.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut client: TcpStream, upstream: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
