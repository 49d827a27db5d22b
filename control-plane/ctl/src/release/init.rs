//! `release init` and `release add-product`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Product,
    tuf::{DelegatedRole, Key, Role as _, Root, Snapshot, Targets, Timestamp, product::ProductField},
};
use serde_json::json;

use super::{
    Place,
    keys::{self, OnlineKeys},
    workspace::{Settings, Workspace},
};
use crate::output::Output;

/// Arguments of `release init`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Public keys that sign root; give one for each holder.
    #[arg(long = "root-key", required = true)]
    root_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    root_threshold: u32,
    /// Public keys that sign delegations to products; the root keys unless given.
    #[arg(long = "targets-key")]
    targets_keys: Vec<PathBuf>,
    /// How many of them must sign; as for root unless given.
    #[arg(long)]
    targets_threshold: Option<u32>,
    /// The control plane's public keys, as 'plugmend-control-plane repo-keys' prints them.
    #[arg(long)]
    online_keys: PathBuf,
    #[command(flatten)]
    product: ProductKeys,
    /// Days until the root expires.
    #[arg(long, default_value_t = 365)]
    root_days: u16,
    /// Days until releases expire, unless renewed.
    #[arg(long, default_value_t = 180)]
    release_days: u16,
}

/// A product and its signers.
#[derive(Debug, Args)]
pub struct ProductKeys {
    /// The product.
    #[arg(long)]
    product: Product,
    /// Public keys that sign its releases; give one for each holder.
    #[arg(long = "release-key", required = true)]
    release_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    release_threshold: u32,
}

/// Arguments of `release add-product`.
#[derive(Debug, Args)]
pub struct AddProduct {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    product: ProductKeys,
}

/// Makes a workspace with everything staged, unsigned.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    let root_keys = keys::read_public(&arguments.root_keys)?;
    let targets_keys = match &arguments.targets_keys[..] {
        [] => root_keys.clone(),
        given => keys::read_public(given)?,
    };
    let targets_threshold = arguments.targets_threshold.unwrap_or(arguments.root_threshold);
    let online: OnlineKeys = keys::read_json(&arguments.online_keys)?;
    let release_keys = keys::read_public(&arguments.product.release_keys)?;
    let kept_apart = |key: &Key| !online.snapshot.contains(key) && !online.timestamp.contains(key);
    ensure!(
        root_keys
            .iter()
            .chain(&targets_keys)
            .chain(&release_keys)
            .all(kept_apart),
        "an online key can not be a release key: whoever captures the control plane could sign releases"
    );

    // Nothing is made before all of it can be.
    enough("root", &root_keys, arguments.root_threshold)?;
    enough("targets", &targets_keys, targets_threshold)?;
    enough("release", &release_keys, arguments.product.release_threshold)?;
    let settings = Settings::new(arguments.root_days, arguments.release_days);
    let workspace = Workspace::create(&arguments.place.workspace, settings)?;
    let now = SystemClock.now();
    let mut root = Root::new(workspace.expires(Root::KIND, now)?);
    root.set_role(Root::KIND, &root_keys, arguments.root_threshold)?;
    root.set_role(Targets::KIND, &targets_keys, targets_threshold)?;
    root.set_role(Snapshot::KIND, &online.snapshot, 1)?;
    root.set_role(Timestamp::KIND, &online.timestamp, 1)?;
    workspace.put_staged(Root::KIND, &root)?;
    let mut targets = Targets::new(1, workspace.expires(Targets::KIND, now)?);
    delegate(&mut targets, &arguments.product, &release_keys)?;
    workspace.put_staged(Targets::KIND, &targets)?;
    stage_empty(&workspace, &arguments.product.product)?;
    Ok(done(&workspace, &arguments.product.product, "the workspace is ready"))
}

/// Stages one more delegation and its first, empty, metadata.
pub fn add_product(arguments: &AddProduct) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let product = &arguments.product.product;
    ensure!(
        !workspace.products()?.contains(product),
        "the repository has the product {product} already"
    );
    let release_keys = keys::read_public(&arguments.product.release_keys)?;
    workspace.stage::<Targets>(Targets::KIND, |targets| {
        delegate(targets, &arguments.product, &release_keys)
    })?;
    stage_empty(&workspace, product)?;
    Ok(done(&workspace, product, "the product was added"))
}

fn delegate(targets: &mut Targets, product: &ProductKeys, release_keys: &[Key]) -> anyhow::Result<()> {
    let threshold = product.release_threshold;
    enough("release", release_keys, threshold)?;
    let role = DelegatedRole::of_product(&product.product, threshold);
    targets
        .delegate(role, release_keys)
        .context("can not delegate to the product")
}

fn enough(what: &str, keys: &[Key], threshold: u32) -> anyhow::Result<()> {
    ensure!(threshold >= 1, "the {what} threshold is at least 1");
    let reachable = u64::from(threshold) <= keys.len() as u64;
    ensure!(
        reachable,
        "{} {what} keys can not give {threshold} signatures",
        keys.len()
    );
    Ok(())
}

fn stage_empty(workspace: &Workspace, product: &Product) -> anyhow::Result<()> {
    let role = product.as_str();
    let mut first = Targets::new(1, workspace.expires(role, SystemClock.now())?);
    ProductField::default().store(&mut first)?;
    workspace.put_staged(role, &first)
}

fn done(workspace: &Workspace, product: &Product, what: &str) -> Output {
    let words = format!(
        "{what}; staged beneath {}\nnext: 'release build' for {product}, then each holder runs 'release sign'",
        workspace
            .staged_path(product.as_str())
            .parent()
            .unwrap_or_else(|| std::path::Path::new("."))
            .display()
    );
    Output::new(words, json!({ "product": product }))
}
