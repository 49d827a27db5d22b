//! May this order be carried out here, now? Nothing has been fetched or touched when the first question is asked; the
//! second comes when the manifest is known. What is unknown is refused: the plugin stays as it is.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
pub use plugmend_shared::bundle::fit::loose_version;
use plugmend_shared::{
    bundle::{
        approval::{self, ApproverKeys},
        manifest::{Manifest, Undo},
    },
    generation::Generation,
    ids::{Digest, MerchantId, Product},
    protocol::command::{ApprovalSignature, CommandPayload},
};

use super::{change::Failure, installed::Tree, quarantine};

/// What the host knows.
#[derive(Debug)]
pub struct Host<'a> {
    /// What is installed here.
    pub product: &'a Product,
    /// Whose it is; approvals are bound to it.
    pub merchant: Option<MerchantId>,
    /// What runs.
    pub installed: &'a Tree,
    /// The highest generation that was accepted.
    pub generation: Generation,
    /// Versions of what the plugin runs on.
    pub env: &'a BTreeMap<String, String>,
    /// This agent's version.
    pub agent: &'a semver::Version,
    /// Releases that hurt this host.
    pub quarantine: &'a [quarantine::Entry],
    /// See [`quarantine::surroundings`].
    pub surroundings: Digest,
    /// Whether the host's configuration names a snapshot hook.
    pub snapshot_hook: bool,
}

/// What the release keys say of the release that is asked for.
#[derive(Debug)]
pub struct Signed<'a> {
    /// Its version.
    pub version: &'a semver::Version,
    /// Its digest.
    pub digest: &'a Digest,
    /// Why it was withdrawn.
    pub revoked: Option<&'a str>,
    /// No release below may be installed, not even to go back.
    pub minimum: Option<&'a semver::Version>,
}

/// Whether the change is a way back or a way on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// An update.
    Forward,
    /// The release that runs, once more: it was let in before, and its data is as it wants it.
    Again,
    /// To a release that ran here or is older.
    Back,
}

/// Whether an order is for this plugin, not outdated and not expired. `age` is the time since it was received.
///
/// # Errors
/// What speaks against it.
pub fn order(host: &Host<'_>, payload: &CommandPayload, age: Duration) -> Result<(), Failure> {
    if let Some(product) = payload.product.as_ref().filter(|product| *product != host.product) {
        return Err(Failure::lasting(
            "wrong_product",
            format!("the order is for {product}, here is {}", host.product),
        ));
    }
    if payload.generation < host.generation {
        return Err(Failure::lasting(
            "outdated",
            format!(
                "the order has generation {}, {} was seen already",
                payload.generation, host.generation
            ),
        ));
    }
    if payload
        .expires_in_s
        .is_some_and(|limit| age >= Duration::from_secs(limit))
    {
        return Err(Failure::lasting(
            "expired",
            "the order waited longer than it is valid; send it anew",
        ));
    }
    Ok(())
}

/// Whether a signed release may be installed.
///
/// # Errors
/// What speaks against it.
pub fn release(
    host: &Host<'_>,
    payload: &CommandPayload,
    signed: &Signed<'_>,
    direction: Direction,
) -> Result<(), Failure> {
    if payload.release_digest.is_some_and(|wanted| wanted != *signed.digest) {
        return Err(Failure::lasting(
            "digest_mismatch",
            format!(
                "the order names another content for {} than the release keys signed",
                signed.version
            ),
        ));
    }
    if payload.version.as_ref().is_some_and(|wanted| wanted != signed.version) {
        return Err(Failure::lasting(
            "version_mismatch",
            "the order's version and digest are of two releases",
        ));
    }
    if let Some(reason) = signed.revoked {
        return Err(Failure::lasting(
            "revoked",
            format!("{} was withdrawn: {reason}", signed.version),
        ));
    }
    if let Some(minimum) = signed.minimum.filter(|minimum| signed.version < *minimum) {
        return Err(Failure::lasting(
            "below_minimum",
            format!("{} is below the signed minimum version {minimum}", signed.version),
        ));
    }
    // A person's or the control plane's explicit way back is not hindered by what happened to a release once.
    if direction == Direction::Forward
        && let Some(entry) = quarantine::find(host.quarantine, signed.digest, &host.surroundings)
    {
        return Err(Failure::lasting(
            "quarantined",
            format!(
                "{} was taken back here on {}: {}",
                entry.version, entry.at, entry.reason
            ),
        ));
    }
    Ok(())
}

/// Whether a manifest fits this host.
///
/// # Errors
/// What speaks against it.
pub fn manifest(host: &Host<'_>, new: &Manifest, direction: Direction) -> Result<(), Failure> {
    if new.product != *host.product {
        return Err(Failure::lasting(
            "wrong_product",
            format!("the release is of {}", new.product),
        ));
    }
    if let Some(wanted) = new.min_agent_version.as_ref().filter(|wanted| host.agent < *wanted) {
        return Err(Failure::lasting(
            "agent_too_old",
            format!(
                "the release needs agent {wanted}, this is {}: update the agent first",
                host.agent
            ),
        ));
    }
    if direction == Direction::Forward
        && let Some(from) = new.compat.from.as_ref()
        && !from.matches(&host.installed.version)
    {
        return Err(Failure::lasting(
            "incompatible_from",
            format!("{} can follow {from}, here is {}", new.version, host.installed.version),
        ));
    }
    environment(host.env, new)?;
    if direction == Direction::Forward && new.undo == Undo::NeedsSnapshot && !host.snapshot_hook {
        return Err(Failure::lasting(
            "no_snapshot_hook",
            format!(
                "{} changes data so that the old code breaks, and the host names no hooks.snapshot: without a way back \
                 it is not installed",
                new.version
            ),
        ));
    }
    Ok(())
}

/// Whether one can go back from the release `now` by bringing older code back.
///
/// # Errors
/// It changed its data.
pub fn way_back(now: &Manifest) -> Result<(), Failure> {
    if now.undo == Undo::CodeOnly {
        return Ok(());
    }
    Err(Failure::lasting(
        "data_changed",
        format!(
            "{} changed data so that older code breaks: a person must restore the snapshot first, knowing that it \
             loses what was written since, and then roll back on the host with --force",
            now.version
        ),
    ))
}

fn environment(env: &BTreeMap<String, String>, new: &Manifest) -> Result<(), Failure> {
    for (name, wanted) in &new.compat.env {
        let Some(have) = env.get(name) else {
            return Err(Failure::lasting(
                "unknown_environment",
                format!(
                    "the release needs {name} {wanted}, and this host's {name} is unknown: name it in [plugin.env]"
                ),
            ));
        };
        let matches = loose_version(have).is_some_and(|have| wanted.matches(&have));
        if !matches {
            return Err(Failure::lasting(
                "incompatible_environment",
                format!("the release needs {name} {wanted}, here is {have}"),
            ));
        }
    }
    Ok(())
}

/// Whether enough people signed.
///
/// # Errors
/// Too few did.
pub fn approvals(
    host: &Host<'_>,
    new: &Manifest,
    digest: &Digest,
    (keys, signatures): (&ApproverKeys, &[ApprovalSignature]),
    now: Timestamp,
) -> Result<(), Failure> {
    let required = new.approvals.required;
    if required == 0 {
        return Ok(());
    }
    let Some(merchant) = host.merchant else {
        return Err(Failure::lasting(
            "not_approved",
            "the release needs approvals, which are bound to a merchant, and this agent is not enrolled",
        ));
    };
    approval::check(required, keys, signatures, (host.product, digest, merchant), now)
        .map_err(|e| Failure::lasting("not_approved", e.to_string()))
}

/// Whether there is room. `needed` and `free` are bytes.
///
/// # Errors
/// There is not; both numbers are named.
pub fn room(needed: u64, free: u64, place: &str) -> Result<(), Failure> {
    if needed <= free {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    Err(Failure::passing(
        "disk_full",
        format!(
            "{} MiB are needed at {place} and {} MiB are free; nothing was touched. Make room and send the order again",
            mib(needed),
            mib(free)
        ),
    ))
}

#[cfg(test)]
mod tests;
