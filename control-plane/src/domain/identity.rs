//! Who an agent is, whether it may speak, and whether it is one host or two.

mod renewal;
mod sightings;
mod standing;

use plugmend_shared::ids::{MerchantId, PluginId};

pub use renewal::{IssuedCertificate, RenewalRequest, RenewalVerdict, renewal_verdict};
pub use sightings::{Boot, Evidence, FormerBoot, Sighting, Sightings, Sign, observe};
pub use standing::{AgentState, CertificateState, Standing, standing};

/// An agent that has proved who it is and may speak. The gateway puts it into a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// How many renewals the certificate has behind it.
    pub renewals: u64,
}
