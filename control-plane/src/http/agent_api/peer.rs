//! Who is at the other end of a connection, as the TLS handshake has shown.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use plugmend_shared::ids::{Digest, PluginId};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;

use super::strangers::Stranger;
use crate::{
    domain::network::subscriber,
    pki::verifier::agent_name,
    service::standing::{Standings, Subscription},
};

/// One connection. The listener puts it, in an `Arc`, into the extensions of each of its requests.
#[derive(Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// The certificate that was shown, checked as far as TLS goes.
    pub certificate: Option<PeerCertificate>,
    /// Its place among the strangers, until a request of it was let through: who shows a certificate that is revoked,
    /// or fenced, or nobody's, stays one.
    stranger: Mutex<Option<Stranger>>,
    admitted: watch::Sender<bool>,
}

/// A certificate whose holder has proved to have its key.
#[derive(Debug)]
pub struct PeerCertificate {
    /// SHA-256 (DER).
    pub fingerprint: Digest,
    /// Whose agent; `None` when it has no name that an agent could have.
    pub plugin_id: Option<PluginId>,
    /// News about that agent.
    subscription: Option<Subscription>,
}

impl Peer {
    /// Reads what the handshake has shown.
    pub fn new(
        address: SocketAddr,
        shown: Option<&CertificateDer<'_>>,
        standings: &Standings,
        stranger: Stranger,
    ) -> Self {
        let certificate = shown.map(|der| {
            let plugin_id = agent_name(der).map(|name| name.plugin_id);
            PeerCertificate {
                fingerprint: Digest::of(der),
                plugin_id,
                subscription: plugin_id.map(|plugin_id| standings.subscribe(plugin_id)),
            }
        });
        Self {
            address,
            certificate,
            stranger: Mutex::new(Some(stranger)),
            admitted: watch::Sender::new(false),
        }
    }

    /// Says that it is no stranger: its place is given to the next.
    pub fn admit(&self) {
        drop(self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.admitted.send_replace(true);
    }

    /// Resolves once it is no stranger.
    pub async fn admitted(&self) {
        // The sender lives as long as `self`: there is no error.
        let mut admitted = self.admitted.subscribe();
        let _known = admitted.wait_for(|admitted| *admitted).await;
    }

    /// Wakes when the agent's standing may have changed.
    pub fn news(&self) -> Option<watch::Receiver<()>> {
        self.certificate.as_ref()?.subscription.as_ref()?.receiver()
    }

    /// What requests from here are counted under: the address, or the network of an IPv6 subscriber (a /64).
    pub fn network(&self) -> IpAddr {
        subscriber(self.address.ip())
    }

    /// The address as text, for people and for evidence.
    pub fn address_text(&self) -> String {
        self.address.ip().to_canonical().to_string()
    }
}
