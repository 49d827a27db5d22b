//! `quarantine`

use clap::{Args, Subcommand};
use plugmend_shared::ids::{PluginId, Product};
use serde_json::json;
use uuid::Uuid;

use super::text;
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, when},
};

/// What can be done with quarantines.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List releases that are kept away, from whom and why, the newest first.
    List(List),
    /// Offer one again.
    Lift(Lift),
}

/// Arguments of `quarantine list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only of this product.
    #[arg(long)]
    product: Option<Product>,
    /// Only from this plugin.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// Only those from everybody, or from one plugin each.
    #[arg(long, value_parser = ["fleet", "plugin"])]
    scope: Option<String>,
    /// Those that count, that are over, or both.
    #[arg(long, value_parser = ["active", "lifted", "all"], default_value = "active")]
    status: String,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `quarantine lift`.
#[derive(Debug, Args)]
pub struct Lift {
    /// Which.
    id: Uuid,
    /// Why, for people and for the audit.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Lift(arguments) => {
            let path = format!("/api/ops/quarantines/{}/lift", arguments.id);
            let body = json!({ "reason": arguments.reason });
            let answer = Api::connect(&arguments.connection)?.post(&path, &body)?;
            let words = format!(
                "{} {} is offered again",
                text(&answer, "product"),
                text(&answer, "version")
            );
            Ok(Output::new(words, answer))
        }
    }
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/quarantines")
        .maybe("product", arguments.product.as_ref())
        .maybe("plugin_id", arguments.plugin)
        .maybe("scope", arguments.scope.as_ref())
        .with("status", &arguments.status);
    let found = Api::connect(&arguments.connection)?.list(&query, "quarantines", &arguments.extent)?;
    let heads = [
        "ID", "PRODUCT", "VERSION", "SCOPE", "PLUGIN", "REASON", "SINCE", "LIFTED",
    ];
    Ok(found.output(&heads, |quarantine| {
        let mut row = ["id", "product", "version", "scope", "plugin_id", "reason"]
            .map(|field| text(quarantine, field))
            .to_vec();
        row.extend([when(quarantine, "created_at"), when(quarantine, "lifted_at")]);
        row
    }))
}
