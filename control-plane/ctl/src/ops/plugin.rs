//! `plugin`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::json;

use super::{facts, secret_file::SecretFile, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, when},
};

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List installations.
    List(List),
    /// Show one.
    Show(Show),
    /// Make or rotate the secret of a plugin that has no agent.
    Secret(Secret),
}

/// Arguments of `plugin list`.
#[derive(Debug, Args)]
pub struct List {
    /// Of this merchant only.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// Only those that do so; `ill` ones have an open incident.
    #[arg(long, value_parser = ["healthy", "ill", "recovering", "changing", "silent", "unknown", "off"])]
    health: Option<String>,
    /// The beginning of an id or a product, or words of the merchant's name.
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `plugin show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Which.
    id: PluginId,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `plugin secret`.
#[derive(Debug, Args)]
pub struct Secret {
    /// Whose.
    id: PluginId,
    /// Write the secret to this new file (mode 0600) instead of printing it.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(a) => all(a),
        Verb::Show(a) => {
            let plugin = Api::connect(&a.connection)?.get(&format!("/api/ops/plugins/{}", a.id))?;
            Ok(Output::new(facts(&plugin), plugin))
        }
        Verb::Secret(a) => secret(a),
    }
}

fn all(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/plugins")
        .maybe("merchant_id", arguments.merchant)
        .maybe("health", arguments.health.as_ref())
        .maybe("q", arguments.search.as_ref());
    let plugins = Api::connect(&arguments.connection)?.list(&query, "plugins", &arguments.extent)?;
    let heads = ["ID", "PRODUCT", "CMS", "VERSION", "STATUS", "HEALTH", "LAST HEARTBEAT"];
    Ok(plugins.output(&heads, |plugin| {
        let mut row = ["id", "product", "cms", "plugin_version", "status", "health"]
            .map(|field| text(plugin, field))
            .to_vec();
        row.push(when(plugin, "last_heartbeat"));
        row
    }))
}

fn secret(arguments: &Secret) -> anyhow::Result<Output> {
    let path = format!("/api/ops/plugins/{}/secret", arguments.id);
    let api = Api::connect(&arguments.connection)?;
    let file = arguments.out.as_deref().map(SecretFile::create).transpose()?;
    let mut made = api.post(&path, &json!({}))?;
    let field = if made.get("plugin_secret").is_some() {
        "plugin_secret"
    } else {
        "secret"
    };
    let (Some(out), Some(file)) = (&arguments.out, file) else {
        return Ok(Output::new(text(&made, field), made));
    };
    file.keep(&text(&made, field))?;
    if let Some(fields) = made.as_object_mut() {
        fields.remove(field);
        fields.insert("file".to_owned(), json!(out));
    }
    Ok(Output::new(format!("the secret is in {}", out.display()), made))
}
