//! `command`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use plugmend_shared::{
    ids::{CommandId, Digest, PluginId},
    protocol::command::CommandKind,
};
use serde_json::{Map, Value, json};

use super::{facts, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Misused, Output, used, when},
};

/// What can be done with orders.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Give an order to a plugin.
    Send(Send),
    /// Show how an order is doing.
    Show(Show),
    /// List orders, the newest first.
    List(List),
}

/// Kinds of orders.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Install a release.
    Update,
    /// Go back to a release, or to the one before.
    Rollback,
    /// Change settings.
    ConfigUpdate,
    /// Run the probes and report.
    HealthCheck,
    /// Run the host's reload hook.
    Restart,
}

impl From<Kind> for CommandKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Update => Self::Update,
            Kind::Rollback => Self::Rollback,
            Kind::ConfigUpdate => Self::ConfigUpdate,
            Kind::HealthCheck => Self::HealthCheck,
            Kind::Restart => Self::Restart,
        }
    }
}

/// Arguments of `command send`.
#[derive(Debug, Args)]
pub struct Send {
    /// To which plugin.
    plugin: PluginId,
    /// What.
    kind: Kind,
    /// The version to install or to go back to.
    #[arg(long)]
    version: Option<semver::Version>,
    /// The release's digest; looked up at the control plane unless given.
    #[arg(long)]
    digest: Option<Digest>,
    /// A setting, as `key=value`; the value is JSON, or else a text. May be given several times.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Why, for people and for the audit.
    #[arg(long)]
    reason: Option<String>,
    /// Signatures of approvers: a JSON list of `{keyid, sig, expires}`.
    #[arg(long)]
    approvals: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `command show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Which.
    id: CommandId,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `command list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only to this plugin.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// Only those that are so.
    #[arg(long, value_parser = ["pending", "sent", "acknowledged", "executing", "completed", "failed", "timeout"])]
    status: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Send(a) => send(a),
        Verb::List(a) => list(a),
        Verb::Show(a) => {
            let command = Api::connect(&a.connection)?.get(&format!("/api/ops/commands/{}", a.id))?;
            Ok(Output::new(facts(&command), command))
        }
    }
}

fn send(order: &Send) -> anyhow::Result<Output> {
    let body = body(order)?;
    let made =
        Api::connect(&order.connection)?.post_once(&format!("/api/ops/plugins/{}/commands", order.plugin), &body)?;
    let id = if made.get("id").is_some() {
        text(&made, "id")
    } else {
        text(&made, "command_id")
    };
    if made.get("approval_id").is_some() {
        let approval = text(&made, "approval_id");
        let words = format!("command {id} waits for approval {approval}: it is given once enough people said yes");
        return Ok(Output::new(words, made));
    }
    let words = format!("command {id}\nfollow it with 'plugmend command show {id}'");
    Ok(Output::new(words, made))
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/commands")
        .maybe("plugin_id", arguments.plugin)
        .maybe("status", arguments.status.as_ref());
    let found = Api::connect(&arguments.connection)?.list(&query, "commands", &arguments.extent)?;
    let heads = ["ID", "STATUS", "TYPE", "PLUGIN", "BY", "ERROR", "GIVEN"];
    Ok(found.output(&heads, |order| {
        let mut row = ["id", "status", "type", "plugin_id", "created_by", "error_message"]
            .map(|field| text(order, field))
            .to_vec();
        row.push(when(order, "created_at"));
        row
    }))
}

fn body(order: &Send) -> anyhow::Result<Value> {
    let mut body = Map::new();
    body.insert("type".to_owned(), json!(CommandKind::from(order.kind)));
    if let Some(version) = &order.version {
        body.insert("version".to_owned(), json!(version));
    }
    if let Some(digest) = &order.digest {
        body.insert("release_digest".to_owned(), json!(digest));
    }
    if let Some(reason) = &order.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    match (order.kind, order.settings.is_empty()) {
        (Kind::ConfigUpdate, true) => used(false, "config-update needs --set key=value")?,
        (Kind::ConfigUpdate, false) => {
            body.insert("config".to_owned(), Value::Object(settings(&order.settings)?));
        }
        (_, false) => used(false, "--set is for config-update")?,
        (_, true) => {}
    }
    used(
        !matches!(order.kind, Kind::Update) || order.version.is_some(),
        "update needs --version",
    )?;
    if let Some(path) = &order.approvals {
        let at = || format!("can not read the approvals {}", path.display());
        let text = std::fs::read(path).with_context(at)?;
        let list: Vec<plugmend_shared::protocol::command::ApprovalSignature> =
            serde_json::from_slice(&text).with_context(at)?;
        body.insert("approvals".to_owned(), json!(list));
    }
    Ok(Value::Object(body))
}

/// Settings out of `key=value`; the value is JSON, or else a text.
pub(super) fn settings(pairs: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut out = Map::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Misused(format!("'{pair}' is not key=value")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let is_new = out.insert(key.to_owned(), value).is_none();
        used(is_new, &format!("'{key}' is set twice"))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_json_or_else_text() {
        let set = settings(&["a=1".into(), "b=true".into(), "c=plain words".into(), "d=\"2\"".into()]).unwrap();
        assert_eq!(
            Value::Object(set),
            json!({ "a": 1, "b": true, "c": "plain words", "d": "2" })
        );
        assert!(settings(&["a=1".into(), "a=2".into()]).is_err());
        assert!(settings(&["novalue".into()]).is_err());
    }
}
