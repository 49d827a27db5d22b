//! Who an agent is.

use plugmend_shared::ids::{MerchantId, PluginId};

/// The agent behind a request, as its certificate says and as its standing was found to be good. The gateway puts it
/// into the request's extensions; a handler that finds none refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// How many renewals this identity has had.
    pub renewals: u64,
}
