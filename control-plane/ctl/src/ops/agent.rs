//! `agent`

use clap::{Args, Subcommand};
use plugmend_shared::ids::PluginId;
use serde_json::json;

use super::facts;
use crate::{
    api::{Api, Connection},
    output::Output,
};

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show an agent's identity and standing.
    Show(Show),
    /// Revoke its certificates; effective at once, on open connections too.
    Revoke(Revoke),
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
