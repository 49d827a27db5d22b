//! `token`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use plugmend_shared::ids::{MerchantId, PluginId, Product};
use serde_json::json;

use super::{secret_file::SecretFile, text};
use crate::{
    api::{Api, Connection},
    output::Output,
};

/// What can be done with enrolment tokens.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token that enrols one agent, once.
    Create(Create),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// For whose shop.
    #[arg(long)]
    merchant: MerchantId,
    /// For which product.
    #[arg(long)]
    product: Product,
    /// What the shop runs on, say `woocommerce`.
    #[arg(long)]
    cms: String,
    /// For a plugin that is known already, to enrol it anew.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// Seconds until it is void; 24 hours unless given.
    #[arg(long)]
    ttl_s: Option<u64>,
    /// Write the token to this new file (mode 0600) instead of printing it.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    let Verb::Create(create) = verb;
    let mut body = json!({ "merchant_id": create.merchant, "product": create.product, "cms": create.cms });
    if let Some(plugin) = create.plugin {
        body["plugin_id"] = json!(plugin);
    }
    if let Some(ttl) = create.ttl_s {
        body["ttl_s"] = json!(ttl);
    }
    let api = Api::connect(&create.connection)?;
    let file = create.out.as_deref().map(SecretFile::create).transpose()?;
    let mut made = api.post("/api/ops/enrolment-tokens", &body)?;
    let (Some(path), Some(file)) = (&create.out, file) else {
        return Ok(Output::new(text(&made, "token"), made));
    };
    file.keep(&text(&made, "token"))?;
    if let Some(fields) = made.as_object_mut() {
        fields.remove("token");
        fields.insert("file".to_owned(), json!(path));
    }
    let words = format!(
        "the token is in {}, good until {}\nthe agents' CA has the fingerprint {}",
        path.display(),
        text(&made, "expires_at"),
        text(&made, "ca_sha256")
    );
    Ok(Output::new(words, made))
}
