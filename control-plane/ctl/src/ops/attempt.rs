//! `attempt`

use clap::{Args, Subcommand};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;
use uuid::Uuid;

use super::text;
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, when},
};

/// What can be done with attempts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List attempts, the newest first.
    List(List),
}

/// Arguments of `attempt list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those that are so.
    #[arg(long, value_parser = ["pending", "staging", "applying", "success", "failed", "rolled_back", "cancelled"])]
    status: Option<String>,
    /// Only cures of this kind.
    #[arg(long, value_parser = ["patch", "config_fix", "reinstall", "rollback", "hotfix"])]
    method: Option<String>,
    /// Only those of this incident.
    #[arg(long)]
    incident: Option<Uuid>,
    /// Only on this plugin.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// Only on this merchant's plugins.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// Only those that wait for people to say yes.
    #[arg(long)]
    waiting: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
    }
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/autopatch-attempts")
        .maybe("status", arguments.status.as_ref())
        .maybe("method", arguments.method.as_ref())
        .maybe("incident_id", arguments.incident)
        .maybe("plugin_id", arguments.plugin)
        .maybe("merchant_id", arguments.merchant)
        .maybe("awaiting_approval", arguments.waiting.then_some(true));
    let found = Api::connect(&arguments.connection)?.list(&query, "attempts", &arguments.extent)?;
    let heads = [
        "ID", "STATUS", "METHOD", "FROM", "TO", "BY", "WAITS", "INCIDENT", "BEGUN",
    ];
    Ok(found.output(&heads, |attempt| {
        let mut row = ["id", "status", "method", "from_version", "to_version", "executed_by"]
            .map(|field| text(attempt, field))
            .to_vec();
        row.extend([
            waits(attempt),
            text(attempt, "incident_id"),
            when(attempt, "created_at"),
        ]);
        row
    }))
}

/// Whom it waits for, as `1 of 2`.
fn waits(attempt: &Value) -> String {
    let is_waiting = attempt.get("requires_approval") == Some(&Value::Bool(true))
        && attempt.get("status").and_then(Value::as_str) == Some("pending");
    if !is_waiting {
        return "-".to_owned();
    }
    let said = attempt.get("approved_by").and_then(Value::as_array).map_or(0, Vec::len);
    let of = attempt
        .pointer("/approval_needed/people")
        .map_or_else(|| "?".to_owned(), Value::to_string);
    format!("{said} of {of} said yes")
}
