//! `agent`

use clap::{Args, Subcommand};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::json;

use super::{facts, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, when},
};

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List agents.
    List(List),
    /// Show an agent's identity and standing.
    Show(Show),
    /// Revoke its certificates; effective at once, on open connections too.
    Revoke(Revoke),
}

/// Arguments of `agent list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those that stand so; `fenced` ones were seen in two places.
    #[arg(long, value_parser = ["active", "fenced", "revoked"])]
    standing: Option<String>,
    /// Only of this merchant.
    #[arg(long)]
    merchant: Option<MerchantId>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `agent show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The plugin that it looks after.
    plugin: PluginId,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `agent revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The plugin that it looks after.
    plugin: PluginId,
    /// Why, for people and for the audit.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(a) => list(a),
        Verb::Show(a) => {
            let agent = Api::connect(&a.connection)?.get(&format!("/api/ops/agents/{}", a.plugin))?;
            Ok(Output::new(facts(&agent), agent))
        }
        Verb::Revoke(a) => {
            let path = format!("/api/ops/agents/{}/revoke", a.plugin);
            let answer = Api::connect(&a.connection)?.post(&path, &json!({ "reason": a.reason }))?;
            let words = format!(
                "the agent of {} is revoked; enrol it anew with 'plugmend token create --plugin'",
                a.plugin
            );
            Ok(Output::new(words, answer))
        }
    }
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/agents")
        .maybe("standing", arguments.standing.as_ref())
        .maybe("merchant_id", arguments.merchant);
    let found = Api::connect(&arguments.connection)?.list(&query, "agents", &arguments.extent)?;
    let heads = [
        "PLUGIN",
        "STANDING",
        "PRODUCT",
        "AGENT",
        "PLUGIN VERSION",
        "LAST HEARTBEAT",
        "CERTIFICATE ENDS",
    ];
    Ok(found.output(&heads, |agent| {
        let mut row = ["plugin_id", "standing", "product", "agent_version", "plugin_version"]
            .map(|field| text(agent, field))
            .to_vec();
        row.extend([when(agent, "last_heartbeat"), when(agent, "certificate_ends")]);
        row
    }))
}
