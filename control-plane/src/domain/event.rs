//! What merchants and ops are told about.

use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;

/// What happened. The names of plugins' events are those of the reference system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Something is wrong with a plugin.
    IncidentCreated,
    /// A cure waits for people; `data.reason` says why.
    IncidentRequiresApproval,
    /// A cure worked.
    AutopatchSuccess,
    /// A cure did not work.
    AutopatchFailed,
    /// A cure was taken back.
    AutopatchRolledBack,
    /// A release is left out for the whole fleet.
    ReleaseQuarantined,
    /// Somebody holds a signed checkpoint of the audit trail that has more entries than there are.
    AuditContradicted,
    /// The built-in model does worse than the rules, which decide from now on.
    ModelDemoted,
    /// A part of the fleet fell silent at once: something between it and us is cut.
    SilentTogether,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::IncidentCreated,
        Self::IncidentRequiresApproval,
        Self::AutopatchSuccess,
        Self::AutopatchFailed,
        Self::AutopatchRolledBack,
        Self::ReleaseQuarantined,
        Self::AuditContradicted,
        Self::ModelDemoted,
        Self::SilentTogether,
    ];

    /// The event's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncidentCreated => "plugin.incident_created",
            Self::IncidentRequiresApproval => "plugin.incident_requires_approval",
            Self::AutopatchSuccess => "plugin.autopatch_success",
            Self::AutopatchFailed => "plugin.autopatch_failed",
            Self::AutopatchRolledBack => "plugin.autopatch_rolled_back",
            Self::ReleaseQuarantined => "fleet.release_quarantined",
            Self::AuditContradicted => "audit.contradicted",
            Self::ModelDemoted => "fleet.model_demoted",
            Self::SilentTogether => "fleet.silent_together",
        }
    }
}

/// One event, as it is put into the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose plugin it is about; that merchant's receivers are told beside those of ops.
    pub merchant_id: Option<MerchantId>,
    /// Which plugin it is about.
    pub plugin_id: Option<PluginId>,
    /// What receivers are told; never a secret.
    pub data: Value,
}
