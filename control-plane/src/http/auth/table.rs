//! Every endpoint of port 8112 with whom it lets in, how far they see, and what it leaves in the audit trail.
//!
//! The guard refuses what has no row here, and the OpenAPI document takes its roles and refusals from here; a test walks
//! every row as nobody, in each role and as another merchant, and does every write once to find its entry.

use super::Role::{self, ComplianceOps, OpsViewer, PayAdmin};

/// An endpoint.
#[derive(Debug)]
pub struct Row {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, as the router matches it.
    pub path: &'static str,
    /// Whom it lets in.
    pub access: Access,
    /// What it leaves.
    pub leaves: Leaves,
}

/// Whom an endpoint lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody; there is nothing to learn there.
    Anyone,
    /// Everybody: a page or a file for browsers, and not in the OpenAPI document.
    Page,
    /// A plugin without agent, by its plugin secret.
    PluginSecret,
    /// The staging runner, by its token.
    Runner,
    /// People, by a token of Molam ID.
    People {
        /// With one of these roles.
        roles: &'static [Role],
        /// Whether a merchant's people come as well.
        reach: Reach,
    },
}

/// How far an endpoint reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The whole fleet: a merchant's people have no business there.
    Fleet,
    /// It knows what is whose: a merchant's people come too, and see only theirs.
    Own,
}

/// What an endpoint leaves in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing: it only reads.
    Nothing,
    /// An entry with one of these actions.
    Entry(&'static [&'static str]),
    /// Nothing: it only reads, but what it is asked does not fit into an address.
    NothingAsked,
    /// Telemetry, which is kept for itself.
    Telemetry,
}

/// People of ops, also those who only read.
const READERS: &[Role] = &[PayAdmin, ComplianceOps, OpsViewer];
/// People of ops who may act on incidents and agents.
const OPS: &[Role] = &[PayAdmin, ComplianceOps];
/// Those who run the fleet.
const ADMINS: &[Role] = &[PayAdmin];

const fn open(path: &'static str, access: Access) -> Row {
    Row {
        method: "GET",
        path,
        access,
        leaves: Leaves::Nothing,
    }
}

const fn read(path: &'static str, roles: &'static [Role], reach: Reach) -> Row {
    open(path, Access::People { roles, reach })
}

const fn write(
    method: &'static str,
    path: &'static str,
    roles: &'static [Role],
    reach: Reach,
    entry: &'static [&'static str],
) -> Row {
    Row {
        method,
        path,
        access: Access::People { roles, reach },
        leaves: Leaves::Entry(entry),
    }
}

/// A question that is sent as a body.
const fn ask(path: &'static str, roles: &'static [Role], reach: Reach) -> Row {
    Row {
        method: "POST",
        path,
        access: Access::People { roles, reach },
        leaves: Leaves::NothingAsked,
    }
}

const fn plugin(path: &'static str, leaves: Leaves) -> Row {
    Row {
        method: "POST",
        path,
        access: Access::PluginSecret,
        leaves,
    }
}

/// Every endpoint.
pub static TABLE: &[Row] = &[
    open("/healthz", Access::Anyone),
    open("/readyz", Access::Anyone),
    // Its handler checks the scraper's own token, or that it comes from this machine.
    open("/metrics", Access::Anyone),
    open("/api/openapi.json", Access::Anyone),
    open("/api/docs", Access::Page),
    open("/api/docs/", Access::Page),
    open("/api/docs/{*rest}", Access::Page),
    open("/repo/metadata/{file}", Access::Runner),
    open("/repo/targets/{*path}", Access::Runner),
    plugin("/api/plugins/heartbeat", Leaves::Telemetry),
    plugin("/api/plugins/commands/{id}/ack", Leaves::Entry(&["command_completed"])),
    plugin("/api/plugins/commands/{id}/fail", Leaves::Entry(&["command_failed"])),
    read("/api/ops/agents", READERS, Reach::Own),
    read("/api/ops/agents/{plugin_id}", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/agents/{plugin_id}/revoke",
        OPS,
        Reach::Fleet,
        &["agent_revoked"],
    ),
    read("/api/ops/approvals", READERS, Reach::Fleet),
    read("/api/ops/approvals/{id}", READERS, Reach::Fleet),
    write(
        "POST",
        "/api/ops/approvals/{id}/approve",
        OPS,
        Reach::Fleet,
        &["approval_given"],
    ),
    write(
        "POST",
        "/api/ops/approvals/{id}/comment",
        OPS,
        Reach::Fleet,
        &["approval_commented"],
    ),
    write(
        "POST",
        "/api/ops/approvals/{id}/reject",
        OPS,
        Reach::Fleet,
        &["approval_rejected"],
    ),
    read("/api/ops/audit", READERS, Reach::Own),
    read("/api/ops/audit/checkpoints", READERS, Reach::Fleet),
    read("/api/ops/audit/entries", READERS, Reach::Fleet),
    read("/api/ops/audit/witnesses", READERS, Reach::Fleet),
    read("/api/ops/autopatch-attempts", READERS, Reach::Own),
    read("/api/ops/certificates", READERS, Reach::Own),
    read("/api/ops/commands", READERS, Reach::Own),
    read("/api/ops/commands/{id}", READERS, Reach::Own),
    read("/api/ops/decisions", READERS, Reach::Own),
    read("/api/ops/decisions/{id}", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/enrolment-tokens",
        ADMINS,
        Reach::Fleet,
        &["enrolment_token_created"],
    ),
    read("/api/ops/events", READERS, Reach::Own),
    read("/api/ops/kpis", READERS, Reach::Own),
    read("/api/ops/merchants", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/merchants",
        ADMINS,
        Reach::Fleet,
        &["merchant_created"],
    ),
    read("/api/ops/merchants/{id}", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/merchants/{id}/wishes",
        ADMINS,
        Reach::Own,
        &["merchant_wishes_changed"],
    ),
    read("/api/ops/model", READERS, Reach::Fleet),
    write(
        "POST",
        "/api/ops/model/{source}/reinstate",
        ADMINS,
        Reach::Fleet,
        &["model_reinstated"],
    ),
    read("/api/ops/overview", READERS, Reach::Own),
    read("/api/ops/plugin-incidents", READERS, Reach::Own),
    read("/api/ops/plugin-incidents/{id}", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/plugin-incidents/{id}/approve",
        OPS,
        Reach::Fleet,
        &["approval_given"],
    ),
    write(
        "POST",
        "/api/ops/plugin-incidents/{id}/manual-action",
        OPS,
        Reach::Fleet,
        &["incident_manual_action"],
    ),
    read("/api/ops/plugin-incidents/{id}/timeline", READERS, Reach::Own),
    read("/api/ops/plugins", READERS, Reach::Own),
    write("POST", "/api/ops/plugins", ADMINS, Reach::Fleet, &["plugin_created"]),
    read("/api/ops/plugins/{id}", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/plugins/{id}/commands",
        ADMINS,
        Reach::Fleet,
        &["command_created"],
    ),
    write(
        "POST",
        "/api/ops/plugins/{id}/secret",
        ADMINS,
        Reach::Own,
        &["plugin_secret_rotated"],
    ),
    read("/api/ops/policy", READERS, Reach::Fleet),
    write("PATCH", "/api/ops/policy", ADMINS, Reach::Fleet, &["policy_changed"]),
    ask("/api/ops/policy/dry-run", READERS, Reach::Fleet),
    read("/api/ops/policy/history", READERS, Reach::Fleet),
    write(
        "POST",
        "/api/ops/policy/kill-switch",
        OPS,
        Reach::Fleet,
        &["policy_changed"],
    ),
    read("/api/ops/quarantines", READERS, Reach::Fleet),
    write(
        "POST",
        "/api/ops/quarantines/{id}/lift",
        ADMINS,
        Reach::Fleet,
        &["quarantine_lifted"],
    ),
    read("/api/ops/releases", READERS, Reach::Fleet),
    read("/api/ops/releases/{product}/{version}", READERS, Reach::Fleet),
    read("/api/ops/releases/blobs/{sha256}", ADMINS, Reach::Fleet),
    write(
        "PUT",
        "/api/ops/releases/blobs/{sha256}",
        ADMINS,
        Reach::Fleet,
        &["release_file_uploaded"],
    ),
    write(
        "POST",
        "/api/ops/releases/publish",
        ADMINS,
        Reach::Fleet,
        &["releases_published"],
    ),
    write(
        "POST",
        "/api/ops/releases/{product}/{version}/block",
        ADMINS,
        Reach::Fleet,
        &["release_blocked", "release_unblocked"],
    ),
    read("/api/ops/webhook-deliveries", READERS, Reach::Own),
    write(
        "POST",
        "/api/ops/webhook-deliveries/{id}/replay",
        ADMINS,
        Reach::Own,
        &["webhook_replayed"],
    ),
    read("/api/ops/webhooks", READERS, Reach::Own),
    write("POST", "/api/ops/webhooks", ADMINS, Reach::Fleet, &["webhook_created"]),
    write(
        "POST",
        "/api/ops/webhooks/{id}/active",
        ADMINS,
        Reach::Own,
        &["webhook_enabled", "webhook_disabled"],
    ),
    write(
        "POST",
        "/api/ops/webhooks/{id}/replay",
        ADMINS,
        Reach::Own,
        &["webhook_replayed"],
    ),
];

/// The row of an endpoint.
pub fn find(method: &str, path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.method == method && row.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_one_row_and_only_reads_leave_nothing() {
        for row in TABLE {
            let same = TABLE
                .iter()
                .filter(|other| (other.method, other.path) == (row.method, row.path));
            assert_eq!(same.count(), 1, "{} {}", row.method, row.path);
            assert_eq!(
                row.method == "GET",
                row.leaves == Leaves::Nothing,
                "{} {}",
                row.method,
                row.path
            );
        }
    }

    #[test]
    fn whoever_only_reads_is_let_in_to_reads_only() {
        for row in TABLE.iter().filter(|row| matches!(row.leaves, Leaves::Entry(_))) {
            if let Access::People { roles, .. } = row.access {
                assert!(!roles.contains(&OpsViewer), "{} {}", row.method, row.path);
            }
        }
    }
}
