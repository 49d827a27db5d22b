//! The worked example of the reference system, as a question.

use plugmend_control_plane::domain::decision::Question;
use serde_json::json;

/// Webhooks fail at 1.2.2, and 1.2.3 says that it fixes that.
pub fn question() -> Question {
    let release = |version: &str, standing: &str, fixes: &[&str]| {
        json!({
            "version": version, "digest": plugmend_shared::ids::Digest::of(version.as_bytes()), "standing": standing,
            "impact": "medium", "fixes": fixes, "compat": { "env": { "node": ">=20" } },
        })
    };
    serde_json::from_value(json!({
        "merchant_id": "0198c0de-0000-7000-8000-000000000001",
        "plugin_id": "0198c0de-0000-7000-8000-000000000002",
        "telemetry": { "errors_last_24h": 50, "webhook_fail_rate": 0.6 },
        "severity": "medium",
        "incident_type": "webhook_fail_rate",
        "current_version": "1.2.2",
        "historical_data": {
            "asked_at": "2026-11-22T12:00:00Z",
            "detected_at": "2026-11-22T11:59:00Z",
            "confidence_real": 0.95,
            "product": "molam-pay-node",
            "platform": "node",
            "environment": { "node": "22.1.0" },
            "capabilities": ["update", "rollback", "config_update"],
            "releases": [
                release("1.2.1", "offered", &[]),
                release("1.2.2", "offered", &[]),
                release("1.2.3", "offered", &["webhook_fail_rate"]),
                release("1.2.4", "revoked", &["webhook_fail_rate"]),
                release("1.2.5", "blocked", &["webhook_fail_rate"]),
            ],
            "settable": {
                "timeout_ms": { "type": "integer", "min": 100.0, "max": 60000.0 },
                "payout_iban": { "type": "text", "host_only": true },
            },
        },
    }))
    .unwrap()
}
