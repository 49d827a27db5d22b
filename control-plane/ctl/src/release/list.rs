//! `release list`

use clap::Args;
use plugmend_shared::tuf::{Targets, product};
use serde_json::{Value, json};

use super::{Place, workspace::Workspace};
use crate::{
    api::{Api, Connection},
    output::{Output, bytes, table},
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
    connection: Connection,
}

/// Lists releases.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    if arguments.remote {
        return remote(&arguments.connection);
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
    Ok(Output::new(words, Value::Array(data)))
}

fn remote(connection: &Connection) -> anyhow::Result<Output> {
    let list = Api::connect(connection)?.list("/api/ops/releases", "releases")?;
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
    let rows = list.iter().map(|r| {
        let digest = text(r, "digest").chars().take(16).collect();
        vec![
            text(r, "product"),
            text(r, "version"),
            text(r, "state"),
            text(r, "impact"),
            text(r, "published_at"),
            digest,
        ]
    });
    let words = table(&["PRODUCT", "VERSION", "STATE", "IMPACT", "PUBLISHED", "DIGEST"], rows);
    Ok(Output::new(words, json!({ "releases": list })))
}
