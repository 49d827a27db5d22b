//! Who is at the other end of a connection, as the TLS handshake has shown.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use plugmend_shared::ids::Digest;
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;

use crate::{
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
}

/// A certificate whose holder has proved to have its key.
#[derive(Debug)]
pub struct PeerCertificate {
    /// SHA-256 (DER).
    pub fingerprint: Digest,
    /// News about its agent; `None` when it has no name that an agent could have.
    subscription: Option<Subscription>,
}

impl Peer {
    /// Reads what the handshake has shown.
    pub fn new(address: SocketAddr, shown: Option<&CertificateDer<'_>>, standings: &Standings) -> Self {
        let certificate = shown.map(|der| PeerCertificate {
            fingerprint: Digest::of(der),
            subscription: agent_name(der).map(|name| standings.subscribe(name.plugin_id)),
        });
        Self { address, certificate }
    }

    /// Wakes when the agent's standing may have changed.
    pub fn news(&self) -> Option<watch::Receiver<()>> {
        self.certificate.as_ref()?.subscription.as_ref()?.receiver()
    }

    /// What requests from here are counted under: the address, or the network of an IPv6 subscriber (a /64).
    pub fn network(&self) -> IpAddr {
        match self.address.ip().to_canonical() {
            IpAddr::V6(address) => {
                let high = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(high))
            }
            v4 @ IpAddr::V4(_) => v4,
        }
    }

    /// The address as text, for people and for evidence.
    pub fn address_text(&self) -> String {
        self.address.ip().to_canonical().to_string()
    }
}
