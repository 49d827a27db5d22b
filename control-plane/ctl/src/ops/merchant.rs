//! `merchant`

use clap::{Args, Subcommand};
use plugmend_shared::ids::MerchantId;
use serde_json::{Value, json};

use super::{facts, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::Output,
};

/// What can be done with merchants.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a merchant.
    Create(Create),
    /// List merchants, and what they want of automatic changes.
    List(List),
    /// Show one.
    Show(One),
    /// Change nothing of this merchant's by itself any more.
    OptOut(One),
    /// Change things by itself again.
    OptIn(One),
    /// Change things by itself in these hours only, or (--any-time) in all.
    Window(Window),
}

/// Arguments of `merchant create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The shop's name.
    #[arg(long)]
    name: String,
    /// Its id elsewhere, to be kept; drawn unless given.
    #[arg(long)]
    id: Option<MerchantId>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `merchant list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of the verbs about one merchant.
#[derive(Debug, Args)]
pub struct One {
    /// Which.
    id: MerchantId,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `merchant window`.
#[derive(Debug, Args)]
pub struct Window {
    /// Which.
    id: MerchantId,
    /// Its beginning, HH:MM by the merchant's clock.
    #[arg(long, required_unless_present = "any_time")]
    from: Option<String>,
    /// Its end, HH:MM; before the beginning: on the next day.
    #[arg(long, required_unless_present = "any_time")]
    to: Option<String>,
    /// Days of the week, 1 (Monday) to 7, comma between; every day unless given.
    #[arg(long, value_delimiter = ',')]
    days: Vec<u8>,
    /// How many minutes the merchant's clock is ahead of UTC.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    utc_offset_minutes: i16,
    /// At any time.
    #[arg(long, conflicts_with_all = ["from", "to", "days", "utc_offset_minutes"])]
    any_time: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Create(arguments) => create(arguments),
        Verb::List(arguments) => list(arguments),
        Verb::Show(arguments) => show(arguments),
        Verb::OptOut(one) => wish(&one.connection, one.id, &json!({ "opt_out": true })),
        Verb::OptIn(one) => wish(&one.connection, one.id, &json!({ "opt_out": false })),
        Verb::Window(arguments) => {
            let window = if arguments.any_time {
                Value::Null
            } else {
                json!({
                    "days": arguments.days, "from": arguments.from, "to": arguments.to,
                    "utc_offset_minutes": arguments.utc_offset_minutes,
                })
            };
            let wishes = json!({ "maintenance_window": window });
            wish(&arguments.connection, arguments.id, &wishes)
        }
    }
}

fn create(create: &Create) -> anyhow::Result<Output> {
    let mut body = json!({ "name": create.name });
    if let Some(id) = create.id {
        body["id"] = json!(id);
    }
    let made = Api::connect(&create.connection)?.post("/api/ops/merchants", &body)?;
    Ok(Output::new(format!("merchant {}", text(&made, "id")), made))
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/merchants");
    let found = Api::connect(&arguments.connection)?.list(&query, "merchants", &arguments.extent)?;
    Ok(found.output(&["ID", "NAME", "OPTED OUT", "WINDOW"], |merchant| {
        ["id", "name", "autopatch_opt_out", "maintenance_window"]
            .map(|field| text(merchant, field))
            .to_vec()
    }))
}

fn show(arguments: &One) -> anyhow::Result<Output> {
    let path = format!("/api/ops/merchants/{}", arguments.id);
    let found = Api::connect(&arguments.connection)?.get(&path)?;
    Ok(Output::new(facts(&found), found))
}

fn wish(connection: &Connection, id: MerchantId, wishes: &Value) -> anyhow::Result<Output> {
    let path = format!("/api/ops/merchants/{id}/wishes");
    let stands = Api::connect(connection)?.post(&path, wishes)?;
    Ok(Output::new(facts(&stands), stands))
}
