//! Enrolment and renewal of an agent's identity.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BootId, MerchantId, PluginId, Product};

/// The header of every request over mutual TLS, release files aside: this life of the agent's process
/// ([`BootId`]). Two lives that speak by turns are two hosts with one identity.
pub const BOOT_HEADER: &str = "plugmend-boot-id";

/// `POST /v1/enrol`: first contact, with a one-time token and no certificate.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// `pmt_<id>_<secret>`: the token, spent by this request.
    pub token: String,
    /// PKCS #10 request (RFC 2986), PEM; its key was made on the host and stays there. Names in it are ignored.
    pub csr_pem: String,
    /// What the agent is configured to look after; must be what the token was made for.
    pub product: Product,
    /// The platform it runs on (`woocommerce`, `node`, ...).
    pub cms: String,
    /// The version installed now, when the agent can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_version: Option<String>,
    /// The agent's own version.
    pub agent_version: String,
}

/// `POST /v1/renew`, over mutual TLS with the last certificate (which may have expired within the grace).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewRequest {
    /// A new request, with a new key.
    pub csr_pem: String,
    /// How many renewals this agent has had; another number than the control plane's means two hosts share it.
    pub renewals: u64,
    /// This life of the agent's process.
    pub boot_id: BootId,
}

/// The answer to both.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// The agent's certificate and what chains it to the CA, PEM.
    pub certificate_pem: String,
    /// The CA's own certificate, PEM: what the gateway's certificate is checked against from now on.
    pub ca_pem: String,
    /// How many renewals this identity has had, this one included.
    pub renewals: u64,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// When the agent should ask for the next one (two thirds of the lifetime).
    pub renew_after: Timestamp,
}

/// The name in an agent's certificate: `spiffe://<trust-domain>/merchant/<uuid>/plugin/<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentName {
    /// The deployment's own domain, say `plugmend.example`.
    pub trust_domain: String,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
}

impl AgentName {
    /// The URI that goes into the certificate's subject alternative name.
    pub fn to_uri(&self) -> String {
        format!(
            "spiffe://{}/merchant/{}/plugin/{}",
            self.trust_domain, self.merchant_id, self.plugin_id
        )
    }

    /// Reads such a URI; `None` when it is anything else, however near.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix("spiffe://")?.split('/');
        let trust_domain = parts.next().filter(|domain| !domain.is_empty())?.to_owned();
        let merchant = parts
            .next()
            .filter(|word| *word == "merchant")
            .and_then(|_| parts.next())?;
        let plugin = parts
            .next()
            .filter(|word| *word == "plugin")
            .and_then(|_| parts.next())?;
        if parts.next().is_some() {
            return None;
        }
        let name = Self {
            trust_domain,
            merchant_id: merchant.parse().ok()?,
            plugin_id: plugin.parse().ok()?,
        };
        // One spelling only (a UUID has several), so that names can be compared as text.
        (name.to_uri() == uri).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_name_has_exactly_one_spelling() {
        let uri = "spiffe://shop.example/merchant/0198c0de-0000-7000-8000-000000000001/plugin/0198c0de-0000-7000-8000-000000000002";
        assert_eq!(AgentName::from_uri(uri).unwrap().to_uri(), uri);
        for bad in [
            &uri.to_uppercase(),
            &uri.replace("plugin", "merchant"),
            &format!("{uri}/"),
            &uri.replace("shop.example", ""),
            &uri.replace('-', ""),
            "https://shop.example",
        ] {
            assert_eq!(AgentName::from_uri(bad), None, "{bad}");
        }
    }
}
