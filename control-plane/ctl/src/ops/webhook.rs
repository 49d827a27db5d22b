//! `webhook`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use plugmend_shared::ids::MerchantId;
use serde_json::json;
use uuid::Uuid;

use super::{secret_file::SecretFile, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, when},
};

/// What can be done with receivers of webhooks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List receivers and how they are doing.
    List(List),
    /// Add a receiver; its secret is written to a file.
    Add(Add),
    /// Send nothing more to one, and give up what waits for it.
    Disable(One),
    /// Send to one again.
    Enable(One),
    /// List deliveries, the newest first.
    Deliveries(Deliveries),
    /// Send what was given up again: one delivery, or all of a receiver.
    Replay(Replay),
}

/// Arguments of `webhook list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `webhook add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Whose; without, it is ops' own.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// Which event, say `plugin.autopatch_failed`, or `*`.
    #[arg(long)]
    event: String,
    /// Where: https://…
    #[arg(long)]
    url: String,
    /// Where else, when that fails.
    #[arg(long)]
    failover_url: Option<String>,
    /// The new file (mode 0600) that the secret is written to.
    #[arg(long)]
    secret_out: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `webhook disable` and `webhook enable`.
#[derive(Debug, Args)]
pub struct One {
    /// Which.
    id: Uuid,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `webhook deliveries`.
#[derive(Debug, Args)]
pub struct Deliveries {
    /// Only those that were given up.
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `webhook replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Which delivery.
    #[arg(required_unless_present = "all_of", conflicts_with = "all_of")]
    delivery: Option<Uuid>,
    /// Everything that was given up at this receiver.
    #[arg(long)]
    all_of: Option<Uuid>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Add(arguments) => add(arguments),
        Verb::Disable(arguments) => switch(arguments, false),
        Verb::Enable(arguments) => switch(arguments, true),
        Verb::Deliveries(arguments) => deliveries(arguments),
        Verb::Replay(arguments) => replay(arguments),
    }
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/webhooks");
    let found = Api::connect(&arguments.connection)?.list(&query, "webhooks", &arguments.extent)?;
    let heads = ["ID", "MERCHANT", "EVENT", "URL", "STATUS", "TAKEN", "FAILED", "WAITING"];
    Ok(found.output(&heads, |hook| {
        [
            "id",
            "merchant_id",
            "event_type",
            "url",
            "status",
            "success_count",
            "failure_count",
            "waiting",
        ]
        .map(|field| text(hook, field))
        .to_vec()
    }))
}

fn add(arguments: &Add) -> anyhow::Result<Output> {
    let mut body = json!({ "event_type": arguments.event, "url": arguments.url });
    if let Some(merchant) = arguments.merchant {
        body["merchant_id"] = json!(merchant);
    }
    if let Some(url) = &arguments.failover_url {
        body["failover_url"] = json!(url);
    }
    let api = Api::connect(&arguments.connection)?;
    let file = SecretFile::create(&arguments.secret_out)?;
    let made = api.post("/api/ops/webhooks", &body)?;
    file.keep(&text(&made, "secret"))?;
    let id = text(&made, "id");
    let words = format!("webhook {id}; its secret is in {}", arguments.secret_out.display());
    Ok(Output::new(
        words,
        json!({ "id": id, "secret_file": arguments.secret_out }),
    ))
}

fn switch(arguments: &One, active: bool) -> anyhow::Result<Output> {
    let path = format!("/api/ops/webhooks/{}/active", arguments.id);
    let answer = Api::connect(&arguments.connection)?.post(&path, &json!({ "active": active }))?;
    let words = if active {
        "is sent to again"
    } else {
        "gets nothing more"
    };
    Ok(Output::new(format!("webhook {} {words}", arguments.id), answer))
}

fn deliveries(arguments: &Deliveries) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/webhook-deliveries").maybe("status", arguments.dead.then_some("dead"));
    let found = Api::connect(&arguments.connection)?.list(&query, "deliveries", &arguments.extent)?;
    let heads = ["ID", "EVENT", "WEBHOOK", "STATUS", "TRIES", "LAST ERROR", "MADE"];
    Ok(found.output(&heads, |delivery| {
        let mut row = ["id", "kind", "webhook_id", "status", "attempts", "last_error"]
            .map(|field| text(delivery, field))
            .to_vec();
        row.push(when(delivery, "created_at"));
        row
    }))
}

fn replay(arguments: &Replay) -> anyhow::Result<Output> {
    let path = match (arguments.delivery, arguments.all_of) {
        (Some(delivery), _) => format!("/api/ops/webhook-deliveries/{delivery}/replay"),
        (None, Some(webhook)) => format!("/api/ops/webhooks/{webhook}/replay"),
        (None, None) => anyhow::bail!("say which delivery, or --all-of which webhook"),
    };
    let answer = Api::connect(&arguments.connection)?.post(&path, &json!({}))?;
    Ok(Output::new(
        format!("{} deliveries go out again", text(&answer, "deliveries")),
        answer,
    ))
}
