//! `release-block`

use clap::Args;
use plugmend_shared::ids::Product;
use serde_json::json;

use crate::{
    api::{Api, Connection},
    output::Output,
};

/// Arguments of `release-block`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which product.
    product: Product,
    /// Which version.
    version: semver::Version,
    /// Why, for people and for the audit.
    #[arg(long)]
    reason: String,
    /// Offer it again.
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Blocks a release, or lifts the block.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    let Arguments { product, version, .. } = arguments;
    let path = format!("/api/ops/releases/{product}/{version}/block");
    let body = json!({ "reason": arguments.reason, "lift": arguments.lift });
    let answer = Api::connect(&arguments.connection)?.post(&path, &body)?;
    let words = if arguments.lift {
        format!("{product} {version} is offered again")
    } else {
        format!(
            "{product} {version} is not offered any more\nnext: 'plugmend release revoke {version}', signed and \
             published, so that agents refuse it too"
        )
    };
    Ok(Output::new(words, answer))
}
