//! `release sign` and `release collect`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    ids::Product,
    tuf::{Envelope, Role as _, Root, TOP_LEVEL, Targets, product, sign::SigningKey},
};
use serde_json::json;

use super::{
    Place,
    deltas::StoredRelease,
    keys,
    metadata::{Staged, for_signers},
    status,
    workspace::{self, Workspace},
};
use crate::output::{Lines, Output, Refused};

/// Arguments of `release sign`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Your private key file (mode 0600).
    #[arg(long, short)]
    key: PathBuf,
    /// Sign this role only (root, targets or a product); all that your key may sign unless given.
    #[arg(long)]
    role: Option<String>,
    /// Sign although the release's files are not in this workspace to be checked.
    #[arg(long)]
    without_files: bool,
}

/// Arguments of `release collect`.
#[derive(Debug, Args)]
pub struct Collect {
    #[command(flatten)]
    place: Place,
    /// Copies of staged files (`staged/<role>.json`) that others signed.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Adds one person's signature.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let key = keys::read_private(&arguments.key)?;
    let mut staged = Staged::all(&workspace)?;
    if let Some(role) = &arguments.role {
        staged.retain(|s| s.role == *role);
        ensure!(!staged.is_empty(), "nothing is staged for '{role}'");
    }
    ensure!(!staged.is_empty(), "nothing is staged");
    staged.retain(|s| s.concerns(key.id()));
    if staged.is_empty() {
        return Err(Refused(format!("the key {} may not sign any of what is staged", key.id())).into());
    }
    let mut words = Lines::default();
    let mut signed = Vec::new();
    for mut document in staged {
        words.add(format_args!("{} version {}:", document.role, document.version));
        for line in review(&workspace, &document, arguments.without_files)? {
            words.add(format_args!("  {line}"));
        }
        add(&workspace, &mut document, &key)?;
        signed.push(json!({ "role": document.role, "version": document.version }));
    }
    let (state, data) = status::describe(&workspace)?;
    words.add(format_args!("signed with {}\n\n{state}", key.id()));
    Ok(Output::new(
        words,
        json!({ "keyid": key.id(), "signed": signed, "status": data }),
    ))
}

fn add(workspace: &Workspace, document: &mut Staged, key: &SigningKey) -> anyhow::Result<()> {
    document.envelope.sign(key)?;
    workspace.put_envelope(&document.role, &document.envelope)
}

/// What a signature stands for, in words; the release's files are checked, since a signature vouches for them.
fn review(workspace: &Workspace, document: &Staged, without_files: bool) -> anyhow::Result<Vec<String>> {
    if document.role == Root::KIND {
        let root: Root = document.envelope.read(&document.role)?;
        let line = |name: &&str| {
            root.roles
                .get(*name)
                .map(|r| format!("{name}: {} of {} keys", r.threshold, r.keyids.len()))
        };
        return Ok(TOP_LEVEL.iter().filter_map(line).collect());
    }
    let targets: Targets = document.envelope.read(&document.role)?;
    if document.role == Targets::KIND {
        let roles = targets.delegations.iter().flat_map(|d| d.roles.iter().flatten());
        return Ok(roles
            .map(|r| format!("releases of {}: {} of {} keys", r.name, r.threshold, r.keyids.len()))
            .collect());
    }
    let product: Product = document.role.parse()?;
    let before = workspace.published::<Targets>(&document.role)?;
    let before = before
        .map(|d| product::releases(&product, &d.signed))
        .transpose()?
        .unwrap_or_default();
    let mut lines = Vec::new();
    for release in product::releases(&product, &targets)? {
        if before.contains(&release) {
            continue;
        }
        let version = &release.version;
        if let Some(revoked) = &release.revoked {
            lines.push(format!("revokes {version}: {}", revoked.reason));
            continue;
        }
        let checked = StoredRelease::open(workspace, &product, &release);
        let how = match checked {
            Ok(stored) => format!(
                "impact {:?}, {} files, checked",
                stored.manifest.impact,
                stored.manifest.files.len()
            ),
            Err(_) if without_files => "NOT CHECKED".to_owned(),
            Err(e) => {
                return Err(e.context(format!(
                    "the files of {version} can not be checked; fetch them into the workspace, or sign blindly with \
                     --without-files"
                )));
            }
        };
        lines.push(format!("releases {version} ({how}), digest {}", release.digest));
    }
    if lines.is_empty() {
        lines.push("no change of releases".to_owned());
    }
    Ok(lines)
}

/// Takes over signatures that were given elsewhere.
pub fn collect(arguments: &Collect) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let mut taken = 0;
    for path in &arguments.files {
        let at = || format!("can not take signatures from {}", path.display());
        let copy = Envelope::parse(&workspace::read_bounded(path)?).with_context(at)?;
        taken += merge(&workspace, &copy).with_context(at)?;
    }
    let (state, data) = status::describe(&workspace)?;
    let words = format!("took over {taken} new signatures\n\n{state}");
    Ok(Output::new(words, json!({ "taken": taken, "status": data })))
}

fn merge(workspace: &Workspace, copy: &Envelope) -> anyhow::Result<usize> {
    for mut staged in Staged::all(workspace)? {
        if staged.envelope.signed != copy.signed {
            continue;
        }
        let mut taken = 0;
        for_signers(workspace, &staged.role, |_, signers| {
            // A root has two groups, and each knows its own keys only.
            let mut theirs = copy.clone();
            theirs.signatures.retain(|s| signers.keyids.contains(&s.keyid));
            taken += staged.envelope.merge(&theirs, signers)?;
            Ok(())
        })?;
        workspace.put_envelope(&staged.role, &staged.envelope)?;
        return Ok(taken);
    }
    anyhow::bail!("it is not a copy of anything that is staged here")
}
