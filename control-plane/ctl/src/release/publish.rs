//! `release publish`

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use plugmend_shared::tuf::{Role as _, Root, TargetFile, Targets};
use serde_json::json;

use super::{Place, metadata::Staged, status, workspace::Workspace};
use crate::{
    api::{Api, Connection},
    output::{self, Format, Output, Refused},
};

/// Arguments of `release publish`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    connection: Connection,
}

/// Uploads what the control plane lacks, then asks it to publish.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let staged = Staged::all(&workspace)?;
    if !staged.iter().all(Staged::is_complete) {
        let (state, _) = status::describe(&workspace)?;
        return Err(Refused(format!("signatures are missing; nothing was sent\n\n{state}")).into());
    }
    let api = Api::connect(&arguments.connection)?;
    let uploaded = upload(&workspace, &api, format)?;
    let body = json!({ "roots": roots(&workspace)?, "metadata": metadata(&workspace)? });
    let answer = api.post("/api/ops/releases/publish", &body)?;
    for document in &staged {
        workspace.mark_published(&document.role, document.version)?;
    }
    let roles: Vec<_> = staged.iter().map(|s| format!("{} {}", s.role, s.version)).collect();
    let what = if roles.is_empty() {
        "nothing new".to_owned()
    } else {
        roles.join(", ")
    };
    let words = format!(
        "published: {what}\nuploaded {} files, {}",
        uploaded.files,
        output::bytes(uploaded.bytes)
    );
    let data = json!({ "published": roles, "uploaded": { "files": uploaded.files, "bytes": uploaded.bytes }, "answer": answer });
    Ok(Output::new(words, data))
}

#[derive(Default)]
struct Uploaded {
    files: u64,
    bytes: u64,
}

fn upload(workspace: &Workspace, api: &Api, format: Format) -> anyhow::Result<Uploaded> {
    let mut missing = Vec::new();
    for (path, file) in wanted(workspace)? {
        let sha256 = file.hashes.sha256().with_context(|| format!("{path} has no SHA-256"))?;
        if !api.exists(&format!("/api/ops/releases/blobs/{sha256}"))? {
            missing.push((path, sha256, file.length));
        }
    }
    let bar = output::progress("uploading", missing.iter().map(|(_, _, n)| n).sum(), format);
    let mut done = Uploaded::default();
    for (path, sha256, length) in missing {
        api.put_file(
            &format!("/api/ops/releases/blobs/{sha256}"),
            &workspace.target(&path),
            length,
            {
                let bar = bar.clone();
                move |sent| bar.inc(sent)
            },
        )?;
        done.files += 1;
        done.bytes += length;
    }
    bar.finish_and_clear();
    Ok(done)
}

/// Files of releases that the published metadata do not have.
fn wanted(workspace: &Workspace) -> anyhow::Result<BTreeMap<String, TargetFile>> {
    let mut out = BTreeMap::new();
    for product in workspace.products()? {
        let published = workspace.published::<Targets>(product.as_str())?;
        let published = published.map(|d| d.signed.targets).unwrap_or_default();
        let staged = workspace.staged::<Targets>(product.as_str())?;
        for (path, file) in staged.into_iter().flat_map(|d| d.signed.targets) {
            if published.get(&path).is_none_or(|known| known.hashes != file.hashes) {
                out.insert(path, file);
            }
        }
    }
    Ok(out)
}

/// Every root, oldest first: the control plane takes those that it lacks.
fn roots(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut roots = workspace.roots()?;
    roots.extend(workspace.staged_bytes(Root::KIND)?);
    roots
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).context("a root is not text"))
        .collect()
}

fn metadata(workspace: &Workspace) -> anyhow::Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for role in workspace.roles()?.into_iter().filter(|r| r != Root::KIND) {
        let bytes = match workspace.staged_bytes(&role)? {
            Some(staged) => Some(staged),
            None => workspace.published_bytes(&role)?,
        };
        if let Some(bytes) = bytes {
            out.insert(role, String::from_utf8(bytes).context("metadata are not text")?);
        }
    }
    Ok(out)
}
