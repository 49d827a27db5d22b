//! `approve`: a person's yes, signed for the agent where they have a key.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    bundle::approval::statement,
    ids::{Digest, MerchantId, Product},
    protocol::command::ApprovalSignature,
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    api::{Api, Connection},
    output::{Output, facts, text},
    release::keys,
};

/// How long a signature is good beyond the time in which people may answer: the order is given, sent, tried again.
const MARGIN_S: i64 = 24 * 3600;

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which approval.
    id: Uuid,
    /// Your private key file (mode 0600), where the release takes signed approvals: agents know its public half from the
    /// product's signed metadata (`release approvers`).
    #[arg(long, short)]
    key: Option<PathBuf>,
    /// The release that you looked at: refused when it is not the one that would be installed.
    #[arg(long)]
    digest: Option<Digest>,
    /// In your words.
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What is signed, of what is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    product: Option<Product>,
    release_digest: Option<Digest>,
    content_digest: Digest,
    merchant_id: MerchantId,
    expires_at: jiff::Timestamp,
}

/// Says yes to exactly what the control plane shows at this moment.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    let key = arguments.key.as_deref().map(keys::read_private).transpose()?;
    let api = Api::connect(&arguments.connection)?;
    let path = format!("/api/ops/approvals/{}", arguments.id);
    let shown: Shown = serde_json::from_value(api.get(&path)?).context("the approval can not be read")?;
    ensure!(
        arguments.digest.is_none() || arguments.digest == shown.release_digest,
        "it is about another release than --digest names; look at it again"
    );
    let mut body = json!({ "content_digest": shown.content_digest, "release_digest": shown.release_digest });
    if let Some(comment) = &arguments.comment {
        body["comment"] = json!(comment);
    }
    if let Some(key) = key {
        let (Some(product), Some(release)) = (&shown.product, &shown.release_digest) else {
            anyhow::bail!("no release would be installed, so there is nothing to sign: leave --key away");
        };
        let expires = shown.expires_at.as_second().saturating_add(MARGIN_S);
        let message = statement(product, release, shown.merchant_id, expires);
        body["signature"] = json!(ApprovalSignature {
            keyid: key.id().0.clone(),
            sig: hex::encode(key.sign(&message)),
            expires,
        });
    }
    let answered = api.post(&format!("{path}/approve"), &body)?;
    let words = format!("{}\n\n{}", standing(&answered), facts(&answered));
    Ok(Output::new(words, answered))
}

fn standing(answered: &Value) -> String {
    let missing = answered.get("missing").cloned().unwrap_or_default();
    match text(answered, "status").as_str() {
        "pending" => format!(
            "your yes counts; {} more people and {} more signatures are waited for",
            text(&missing, "people"),
            text(&missing, "signatures")
        ),
        status => format!("your yes counts; it is {status}"),
    }
}
