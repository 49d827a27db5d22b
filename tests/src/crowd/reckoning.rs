//! What must be true in the end.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::PgPool;

use super::{Plan, fleet::CarriedOut};
use crate::{
    system::{ControlPlane, binaries},
    wait,
};

/// How long the last entries of the audit trail may wait for their places.
const SEALED_WITHIN: Duration = Duration::from_mins(5);

/// What there must be exactly as many of as incidents.
const ONE_EACH: [(&str, &str); 11] = [
    ("incidents mitigated", "plugin_incidents WHERE status = 'mitigated'"),
    (
        "incidents that no dead replica claims",
        "plugin_incidents WHERE lease_until IS NULL OR lease_until > now()",
    ),
    ("attempts", "plugin_autopatch_attempts"),
    (
        "attempts ended well",
        "plugin_autopatch_attempts WHERE status = 'success' AND end_reason = 'success'",
    ),
    (
        "incidents with an attempt",
        "plugin_incidents i WHERE EXISTS (SELECT 1 FROM plugin_autopatch_attempts a WHERE a.incident_id = i.id)",
    ),
    ("orders", "plugin_agent_commands"),
    (
        "orders carried out, each for an attempt",
        "plugin_agent_commands c JOIN plugin_autopatch_attempts a ON a.command_id = c.id AND c.attempt_id = a.id WHERE c.status = 'completed'",
    ),
    (
        "attempts begun, by the audit trail",
        "plugin_audit WHERE action = 'attempt_created'",
    ),
    (
        "attempts applied, by the audit trail",
        "plugin_audit WHERE action = 'attempt_applying'",
    ),
    (
        "attempts ended, by the audit trail",
        "plugin_audit WHERE action = 'attempt_success'",
    ),
    ("people told", "outbox_events WHERE kind = 'plugin.autopatch_success'"),
];

/// Counts everything, and has the audit trail proved by the command line; how many entries it has.
pub async fn reckon(plan: &Plan, pool: &PgPool, replicas: &[ControlPlane; 2], carried_out: &CarriedOut) -> Result<u64> {
    let wanted = i64::from(plan.incidents);
    for (what, of) in ONE_EACH {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {of}"));
        let found: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
        ensure!(found == wanted, "{what}: {found} instead of {wanted}");
    }
    ensure!(
        i64::try_from(carried_out.len())? == wanted && carried_out.values().all(|orders| orders.len() == 1),
        "a plugin was given no order, or two"
    );
    wait::until_async("the audit trail to be sealed", SEALED_WITHIN, async || {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_waiting")
            .fetch_one(pool)
            .await?;
        Ok((waiting == 0).then_some(()))
    })
    .await?;
    proved(replicas)
}

/// Runs `plugmend audit verify` with what both replicas have witnessed outside of the database.
fn proved(replicas: &[ControlPlane; 2]) -> Result<u64> {
    let [one, other] = replicas;
    let mut verify = Command::new(binaries::program("plugmend")?);
    verify
        .args(["audit", "verify", "--json", "--key", &one.audit_key()?])
        .env("PLUGMEND_API", one.api_url())
        .env("PLUGMEND_TOKEN", one.ops().token());
    for replica in [one, other] {
        let file = replica.audit_dir().join("checkpoints");
        ensure!(file.exists(), "{} is not there", file.display());
        verify.arg("--checkpoints").arg(file);
    }
    let out = verify.output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "audit verify: {words}");
    let report: Value = serde_json::from_slice(&out.stdout)?;
    ensure!(
        report["entries"] == report["covered"],
        "not all entries are covered: {report}"
    );
    report["entries"].as_u64().context("it counts the entries")
}

/// Some that are stuck, for people.
pub async fn stuck(pool: &PgPool) -> Result<String> {
    let some = "SELECT coalesce(string_agg(concat_ws(' ', i.id, i.status, i.escalation_reason, a.status, a.end_reason,
                  c.status, c.error_message), '; '), '-')
                FROM (SELECT * FROM plugin_incidents WHERE status NOT IN ('mitigated', 'closed') LIMIT 5) i
                LEFT JOIN plugin_autopatch_attempts a ON a.incident_id = i.id
                LEFT JOIN plugin_agent_commands c ON c.attempt_id = a.id";
    Ok(sqlx::query_scalar(some).fetch_one(pool).await?)
}
