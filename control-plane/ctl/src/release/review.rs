//! What a signature stands for, in words: the whole difference to what was published before.

use std::{collections::BTreeSet, fmt::Display};

use plugmend_shared::{
    ids::Product,
    tuf::{
        KeyId, Role as _, Root, TOP_LEVEL, Targets,
        delegation::Signers,
        product::{self, ProductInfo, SignedRelease},
    },
};

use super::{before::Before, deltas::StoredRelease, metadata::Staged, workspace::Workspace};

/// So much of a key's name is shown.
const SHOWN: usize = 16;

/// The lines for a staged document. A release's files are checked, since a signature vouches for them.
///
/// # Errors
/// When something can not be read or, unless `without_files`, a release's files can not be checked.
pub fn review(
    workspace: &Workspace,
    before: &Before,
    document: &Staged,
    without_files: bool,
) -> anyhow::Result<Vec<String>> {
    if document.role == Root::KIND {
        let root: Root = document.envelope.read(&document.role)?;
        let line = |name: &&str| {
            let was = before.root().and_then(|root| root.signers(name).ok());
            root.signers(name).ok().map(|now| signers(name, was, now))
        };
        return Ok(TOP_LEVEL.iter().filter_map(line).collect());
    }
    let targets: Targets = document.envelope.read(&document.role)?;
    if document.role == Targets::KIND {
        return Ok(delegations(before.targets(), &targets));
    }
    let was = before.product(&document.role);
    let mut lines = rules(was, &targets)?;
    lines.extend(releases(
        workspace,
        &document.role.parse()?,
        (was, &targets),
        without_files,
    )?);
    if lines.is_empty() {
        lines.push("no change of releases".to_owned());
    }
    Ok(lines)
}

fn signers(who: &str, was: Option<Signers<'_>>, now: Signers<'_>) -> String {
    let mut line = vec![format!("{who}: {} of {} keys", now.threshold, now.keyids.len())];
    let known: BTreeSet<&KeyId> = was.iter().flat_map(|was| was.keyids).collect();
    let holds: BTreeSet<&KeyId> = now.keyids.iter().collect();
    let names = |keys: Vec<&&KeyId>| keys.iter().map(|key| short(&key.0)).collect::<Vec<_>>().join(" ");
    let (new, gone): (Vec<_>, Vec<_>) = (holds.difference(&known).collect(), known.difference(&holds).collect());
    if !new.is_empty() {
        line.push(format!("NEW {}", names(new)));
    }
    if !gone.is_empty() {
        line.push(format!("GONE {}", names(gone)));
    }
    let threshold = was.map(|was| was.threshold).filter(|was| *was != now.threshold);
    line.extend(threshold.map(|was| format!("the threshold was {was}")));
    line.join("; ")
}

fn short(key: &str) -> &str {
    key.get(..SHOWN).unwrap_or(key)
}

fn delegations(was: Option<&Targets>, now: &Targets) -> Vec<String> {
    let roles = |targets: &Targets| -> BTreeSet<String> {
        let roles = targets
            .delegations
            .iter()
            .flat_map(|found| found.roles.iter().flatten());
        roles.map(|role| role.name.clone()).collect()
    };
    let of = |targets: Option<&'_ Targets>, role: &str, who: &str| -> Option<String> {
        let now = now.delegations.as_ref()?.signers(role)?;
        let was = targets.and_then(|targets| targets.delegations.as_ref()?.signers(role));
        Some(signers(who, was, now))
    };
    let mut lines: Vec<String> = roles(now)
        .iter()
        .filter_map(|role| of(was, role, &format!("releases of {role}")))
        .collect();
    let gone = was.map(roles).unwrap_or_default();
    lines.extend(
        gone.difference(&roles(now))
            .map(|role| format!("releases of {role}: TAKEN AWAY")),
    );
    lines
}

/// What is said of the product as a whole.
fn rules(was: Option<&Targets>, now: &Targets) -> anyhow::Result<Vec<String>> {
    let was = was.map(ProductInfo::of).transpose()?.unwrap_or_default();
    let now = ProductInfo::of(now)?;
    let mut lines = Vec::new();
    if was.minimum_version != now.minimum_version {
        let words = |version: &Option<semver::Version>| version.as_ref().map_or("none".to_owned(), ToString::to_string);
        lines.push(format!(
            "lowest version that may be installed: {} (it was {})",
            words(&now.minimum_version),
            words(&was.minimum_version)
        ));
    }
    for (name, key) in &now.approvers {
        match was.approvers.get(name) {
            Some(known) if known == key => {}
            Some(_) => lines.push(format!("approver {name}: ANOTHER key")),
            None => lines.push(format!("approver {name}: NEW")),
        }
    }
    let gone = was.approvers.keys().filter(|name| !now.approvers.contains_key(*name));
    lines.extend(gone.map(|name| format!("approver {name}: GONE")));
    Ok(lines)
}

fn releases(
    workspace: &Workspace,
    product: &Product,
    (was, now): (Option<&Targets>, &Targets),
    without_files: bool,
) -> anyhow::Result<Vec<String>> {
    let before = was
        .map(|targets| product::releases(product, targets))
        .transpose()?
        .unwrap_or_default();
    let after = product::releases(product, now)?;
    let mut lines = Vec::new();
    for release in after.iter().filter(|release| !before.contains(release)) {
        let known = before.iter().find(|known| known.version == release.version);
        let version = &release.version;
        if let Some(revoked) = &release.revoked {
            lines.push(format!("revokes {version}: {}", revoked.reason));
            continue;
        }
        let how = checked(workspace, product, release, without_files)?;
        lines.push(format!(
            "{} {version} ({how}), digest {}",
            verb(known, release),
            release.digest
        ));
    }
    let gone = before
        .iter()
        .filter(|known| !after.iter().any(|release| release.version == known.version));
    lines.extend(gone.map(|known| format!("TAKES AWAY {}", known.version)));
    Ok(lines)
}

fn verb(known: Option<&SignedRelease>, release: &SignedRelease) -> &'static str {
    match known {
        None => "releases",
        Some(known) if known.digest != release.digest => "REPLACES THE CONTENT of",
        Some(known) if known.revoked.is_some() => "RELEASES AGAIN, although it was revoked,",
        Some(_) => "changes how one gets",
    }
}

fn checked(
    workspace: &Workspace,
    product: &Product,
    release: &SignedRelease,
    without_files: bool,
) -> anyhow::Result<String> {
    match StoredRelease::open(workspace, product, release) {
        Ok(stored) => Ok(format!(
            "impact {:?}, {} files, checked",
            stored.manifest.impact,
            stored.manifest.files.len()
        )),
        Err(_) if without_files => Ok("NOT CHECKED".to_owned()),
        Err(error) => Err(error.context(unchecked(&release.version))),
    }
}

fn unchecked(version: &impl Display) -> String {
    format!(
        "the files of {version} can not be checked; fetch them into the workspace, or sign blindly with --without-files"
    )
}
