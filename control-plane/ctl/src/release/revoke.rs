//! `release revoke`, `release minimum` and `release approvers`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Product,
    tuf::{
        Key, KeyId, Targets,
        product::{self, ManifestCustom, ProductField, Revoked},
    },
};
use serde_json::json;

use super::{Place, keys, workspace::Workspace};
use crate::output::Output;

/// Arguments of `release revoke`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The product; the only one unless given.
    #[arg(long)]
    product: Option<Product>,
    /// The version to withdraw.
    version: semver::Version,
    /// Why, for people.
    #[arg(long)]
    reason: String,
}

/// Arguments of `release minimum`.
#[derive(Debug, Args)]
pub struct Minimum {
    #[command(flatten)]
    place: Place,
    /// The product; the only one unless given.
    #[arg(long)]
    product: Option<Product>,
    /// The lowest version that may be installed.
    version: semver::Version,
    /// Let versions be installed again that were below the minimum before.
    #[arg(long)]
    lower: bool,
}

/// Arguments of `release approvers`.
#[derive(Debug, Args)]
pub struct Approvers {
    #[command(flatten)]
    place: Place,
    /// The product; the only one unless given.
    #[arg(long)]
    product: Option<Product>,
    /// Public keys of people whose approvals count from now on.
    #[arg(long = "add")]
    add: Vec<PathBuf>,
    /// Names of keys that count no more.
    #[arg(long = "remove")]
    remove: Vec<String>,
}

/// Stages the withdrawal of a release.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    ensure!(
        arguments.reason.len() <= 500,
        "the reason is too long: 500 bytes at most"
    );
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let product = workspace.product(arguments.product.as_ref())?;
    let version = &arguments.version;
    workspace.stage::<Targets>(product.as_str(), |targets| {
        let release = product::release(&product, version, targets)?;
        let release = release.with_context(|| format!("there is no release {product} {version}"))?;
        ensure!(release.revoked.is_none(), "{version} is revoked already");
        let custom = ManifestCustom {
            release_digest: release.digest,
            size: release.manifest_size,
            revoked: Some(Revoked {
                at: SystemClock.now().round(jiff::Unit::Second)?,
                reason: arguments.reason.clone(),
            }),
        };
        let file = targets
            .targets
            .get_mut(&release.manifest.path)
            .context("the release has a manifest")?;
        file.custom = Some(custom.to_value()?);
        Ok(())
    })?;
    let words = format!(
        "the revocation of {product} {version} is staged\nnext: sign and publish it; until then, block it at once with \
         'plugmend release-block {product} {version}'"
    );
    Ok(Output::new(words, json!({ "product": product, "version": version })))
}

/// Stages a new minimum version.
pub fn minimum(arguments: &Minimum) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let product = workspace.product(arguments.product.as_ref())?;
    workspace.stage::<Targets>(product.as_str(), |targets| {
        let mut field = ProductField::of(targets)?;
        let lowered = field
            .minimum_version
            .as_ref()
            .is_some_and(|known| arguments.version < *known);
        ensure!(
            !lowered || arguments.lower,
            "that would lower the minimum; say so with --lower"
        );
        field.minimum_version = Some(arguments.version.clone());
        field.store(targets)?;
        Ok(())
    })?;
    let words = format!(
        "{} as the lowest version of {product} is staged; sign and publish it",
        arguments.version
    );
    Ok(Output::new(
        words,
        json!({ "product": product, "minimum_version": arguments.version }),
    ))
}

/// Stages other approvers.
pub fn approvers(arguments: &Approvers) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let product = workspace.product(arguments.product.as_ref())?;
    let added = keys::read_public(&arguments.add)?;
    ensure!(
        added.iter().all(|k| k.keytype == "ed25519"),
        "approvers have Ed25519 keys"
    );
    let staged = workspace.stage::<Targets>(product.as_str(), |targets| {
        let mut field = ProductField::of(targets)?;
        for id in &arguments.remove {
            let gone = field.approvers.remove(&KeyId(id.clone()));
            ensure!(gone.is_some(), "{id} is not an approver");
        }
        for key in added {
            let Key { keyval, .. } = &key;
            field.approvers.insert(key.id()?, keyval.public.clone());
        }
        field.store(targets)?;
        Ok(())
    })?;
    let field = ProductField::of(&staged)?;
    let words = format!(
        "{} approvers of {product} are staged; sign and publish",
        field.approvers.len()
    );
    Ok(Output::new(
        words,
        json!({ "product": product, "approvers": field.approvers }),
    ))
}
