//! `release rotate`: other keys, other thresholds, new expiry.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use plugmend_shared::{
    ids::Product,
    tuf::{DelegatedRole, Key, KeyId, Role as _, Root, Snapshot, Targets, Timestamp},
};
use serde_json::json;

use super::{
    Place,
    keys::{self, OnlineKeys},
    workspace::Workspace,
};
use crate::output::Output;

/// What can be rotated.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The root keys: the next root is signed by the threshold of the old and of the new ones.
    Root(Keys),
    /// The keys that sign delegations to products.
    Targets(Keys),
    /// The release keys of a product. Sign its newest metadata again too: the old signatures do not count any more.
    Product(ProductKeys),
    /// The control plane's online keys.
    Online(Online),
    /// Nothing but the expiry of a role.
    Renew(Renew),
}

/// Which keys come and go.
#[derive(Debug, Args)]
pub struct Keys {
    #[command(flatten)]
    place: Place,
    /// Public keys that come.
    #[arg(long = "add")]
    add: Vec<PathBuf>,
    /// Names of the keys that go.
    #[arg(long = "remove")]
    remove: Vec<String>,
    /// How many must sign from now on; as before unless given.
    #[arg(long)]
    threshold: Option<u32>,
}

/// Arguments of `release rotate product`.
#[derive(Debug, Args)]
pub struct ProductKeys {
    /// The product; the only one unless given.
    #[arg(long)]
    product: Option<Product>,
    #[command(flatten)]
    keys: Keys,
}

/// Arguments of `release rotate online`.
#[derive(Debug, Args)]
pub struct Online {
    #[command(flatten)]
    place: Place,
    /// The control plane's public keys, as 'plugmend-control-plane repo-keys' prints them.
    #[arg(long)]
    online_keys: PathBuf,
}

/// Arguments of `release rotate renew`.
#[derive(Debug, Args)]
pub struct Renew {
    #[command(flatten)]
    place: Place,
    /// root, targets or a product.
    #[arg(long)]
    role: String,
}

/// Stages a rotation.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Root(change) => top_level(change, Root::KIND),
        Verb::Targets(change) => top_level(change, Targets::KIND),
        Verb::Product(change) => of_product(change),
        Verb::Online(change) => online(change),
        Verb::Renew(change) => renew(change),
    }
}

impl Keys {
    /// The keys and the threshold after the change.
    fn apply(&self, mut keys: Vec<Key>, threshold: u32) -> anyhow::Result<(Vec<Key>, u32)> {
        for id in &self.remove {
            let before = keys.len();
            keys.retain(|key| key.id().map_or(true, |known| known != KeyId(id.clone())));
            ensure!(keys.len() < before, "the role has no key {id}");
        }
        for key in keys::read_public(&self.add)? {
            ensure!(!keys.contains(&key), "the role has the key {} already", key.id()?);
            keys.push(key);
        }
        let threshold = self.threshold.unwrap_or(threshold);
        ensure!(threshold >= 1, "a threshold is at least 1");
        ensure!(
            u64::from(threshold) <= keys.len() as u64,
            "{} keys can not give {threshold} signatures",
            keys.len()
        );
        Ok((keys, threshold))
    }
}

fn top_level(change: &Keys, role: &str) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&change.place.workspace)?;
    let root = workspace.stage::<Root>(Root::KIND, |root| {
        let known = root
            .roles
            .get(role)
            .with_context(|| format!("the root has no role {role}"))?;
        let held = known
            .keyids
            .iter()
            .filter_map(|id| root.keys.get(id).cloned())
            .collect();
        let (keys, threshold) = change.apply(held, known.threshold)?;
        root.set_role(role, &keys, threshold)?;
        Ok(())
    })?;
    if role == Targets::KIND {
        // The published targets carry the old keys' signatures.
        workspace.stage::<Targets>(Targets::KIND, |_| Ok(()))?;
    }
    Ok(staged(
        Root::KIND,
        root.head.version,
        "signed by holders of the old and of the new root keys",
    ))
}

fn of_product(change: &ProductKeys) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&change.keys.place.workspace)?;
    let product = workspace.product(change.product.as_ref())?;
    let targets = workspace.stage::<Targets>(Targets::KIND, |targets| {
        let (delegations, role) = targets
            .delegation(product.as_str())
            .context("the product is not delegated to")?;
        let held = role
            .keyids
            .iter()
            .filter_map(|id| delegations.keys.get(id).cloned())
            .collect();
        let (keys, threshold) = change.keys.apply(held, role.threshold)?;
        targets.delegate(DelegatedRole::of_product(&product, threshold), &keys)?;
        Ok(())
    })?;
    workspace.stage::<Targets>(product.as_str(), |_| Ok(()))?;
    Ok(staged(
        Targets::KIND,
        targets.head.version,
        "and the product's metadata, by its new release keys",
    ))
}

fn online(change: &Online) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&change.place.workspace)?;
    let online: OnlineKeys = keys::read_json(&change.online_keys)?;
    let root = workspace.stage::<Root>(Root::KIND, |root| {
        root.set_role(Snapshot::KIND, &online.snapshot, 1)?;
        root.set_role(Timestamp::KIND, &online.timestamp, 1)?;
        Ok(())
    })?;
    Ok(staged(
        Root::KIND,
        root.head.version,
        "signed by holders of the root keys",
    ))
}

fn renew(change: &Renew) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&change.place.workspace)?;
    let role = change.role.as_str();
    ensure!(
        workspace.roles()?.iter().any(|r| r == role),
        "there is no role '{role}'"
    );
    let version = if role == Root::KIND {
        workspace.stage::<Root>(role, |_| Ok(()))?.head.version
    } else {
        workspace.stage::<Targets>(role, |_| Ok(()))?.head.version
    };
    Ok(staged(role, version, "with a new expiry"))
}

fn staged(role: &str, version: u64, how: &str) -> Output {
    let words =
        format!("{role} version {version} is staged, {how}\nnext: 'release sign' by each, then 'release publish'");
    Output::new(words, json!({ "role": role, "version": version }))
}
