//! `release sign` and `release collect`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    ids::Digest,
    tuf::{Envelope, sign::SigningKey},
};
use serde_json::json;

use super::{
    Place,
    before::Before,
    keys,
    metadata::{Staged, for_signers},
    review::review,
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
    /// The SHA-256 of the repository's first root (`1.root.json`), from whoever made it: what is compared with is checked
    /// from there. Remembered beside the key, in `<key>.root`.
    #[arg(long)]
    root: Option<Digest>,
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
    let before = Before::read(&workspace, &arguments.key, arguments.root)?;
    for note in before.notes() {
        words.add(format_args!("{note}"));
    }
    let mut signed = Vec::new();
    for mut document in staged {
        words.add(format_args!("{} version {}:", document.role, document.version));
        let changes = review(&workspace, &before, &document, arguments.without_files)?;
        for line in &changes {
            words.add(format_args!("  {line}"));
        }
        add(&workspace, &mut document, &key)?;
        before.remember()?;
        signed.push(json!({ "role": document.role, "version": document.version, "changes": changes }));
    }
    let (state, data) = status::describe(&workspace)?;
    words.add(format_args!("signed with {}\n\n{state}", key.id()));
    Ok(Output::new(
        words,
        json!({ "keyid": key.id(), "notes": before.notes(), "signed": signed, "status": data }),
    ))
}

fn add(workspace: &Workspace, document: &mut Staged, key: &SigningKey) -> anyhow::Result<()> {
    document.envelope.sign(key)?;
    workspace.put_envelope(&document.role, &document.envelope)
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
