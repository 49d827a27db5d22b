//! `release list`

use clap::Args;
use plugmend_shared::tuf::{Targets, product};
use serde_json::json;

use super::{Place, workspace::Workspace};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Output, bytes, table, text, when},
};

/// Arguments of `release list`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Ask the control plane instead of the workspace.
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Lists releases.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    if arguments.remote {
        return remote(arguments);
    }
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let (mut rows, mut data) = (Vec::new(), Vec::new());
    for name in workspace.products()? {
        let published = workspace.published::<Targets>(name.as_str())?;
        let published = published
            .map(|d| product::releases(&name, &d.signed))
            .transpose()?
            .unwrap_or_default();
        let Some(current) = workspace.current::<Targets>(name.as_str())? else {
            continue;
        };
        for release in product::releases(&name, &current.signed)? {
            let state = match (&release.revoked, published.contains(&release)) {
                (Some(_), true) => "revoked",
                (Some(_), false) => "revocation staged",
                (None, true) => "published",
                (None, false) => "staged",
            };
            data.push(json!({
                "product": name, "version": release.version, "digest": release.digest, "state": state,
                "pack_bytes": release.pack.file.length, "deltas": release.deltas.len(),
            }));
            rows.push(vec![
                name.to_string(),
                release.version.to_string(),
                state.to_owned(),
                bytes(release.pack.file.length),
                release.deltas.len().to_string(),
                release.digest.short(),
            ]);
        }
    }
    let words = table(&["PRODUCT", "VERSION", "STATE", "PACK", "DELTAS", "DIGEST"], rows);
    Ok(Output::new(words, json!({ "releases": data, "next": null })))
}

fn remote(arguments: &Arguments) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/releases");
    let list = Api::connect(&arguments.connection)?.list(&query, "releases", &arguments.extent)?;
    let heads = ["PRODUCT", "VERSION", "STATE", "IMPACT", "PUBLISHED", "DIGEST"];
    Ok(list.output(&heads, |release| {
        let mut row = ["product", "version", "state", "impact"]
            .map(|field| text(release, field))
            .to_vec();
        row.push(when(release, "published_at"));
        row.push(text(release, "digest").chars().take(16).collect());
        row
    }))
}
