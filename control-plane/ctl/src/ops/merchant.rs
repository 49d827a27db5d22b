//! `merchant`

use clap::{Args, Subcommand};
use plugmend_shared::ids::MerchantId;
use serde_json::json;

use super::text;
use crate::{
    api::{Api, Connection},
    output::Output,
};

/// What can be done with merchants.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a merchant.
    Create(Create),
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

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    let Verb::Create(create) = verb;
    let mut body = json!({ "name": create.name });
    if let Some(id) = create.id {
        body["id"] = json!(id);
    }
    let made = Api::connect(&create.connection)?.post("/api/ops/merchants", &body)?;
    let id = if made.get("id").is_some() {
        text(&made, "id")
    } else {
        text(&made, "merchant_id")
    };
    Ok(Output::new(format!("merchant {id}"), made))
}
