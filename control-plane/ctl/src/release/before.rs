//! What was published before, as far as a signer may believe it.
//!
//! The workspace passes through many hands. What it calls published is believed only along the chain of keys from the
//! repository's first root, whose hash the signer keeps beside the own key.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Digest,
    tuf::{Document, Envelope, Role, Root, Targets, TrustedSet, delegation::Signers, verify},
};

use super::workspace::Workspace;
use crate::output::Refused;

/// What holds along the chain of keys.
pub struct Before {
    root: Option<Root>,
    targets: Option<Targets>,
    products: BTreeMap<String, Targets>,
    anchor: Option<Anchor>,
    notes: Vec<String>,
}

/// Where the chain begins.
struct Anchor {
    file: PathBuf,
    digest: Digest,
}

impl Before {
    /// Reads it. The chain begins at the root that `named` names, else at the one that is remembered beside the key,
    /// else at whatever the workspace begins with, which is said.
    ///
    /// # Errors
    /// When the workspace begins with another root, or its roots do not follow each other.
    pub fn read(workspace: &Workspace, key: &Path, named: Option<Digest>) -> anyhow::Result<Self> {
        let mut this = Self {
            root: None,
            targets: None,
            products: BTreeMap::new(),
            anchor: None,
            notes: Vec::new(),
        };
        let roots = workspace.roots()?;
        let Some((first, later)) = roots.split_first() else {
            this.notes
                .push("nothing was published before: everything is new".to_owned());
            return Ok(this);
        };
        this.begin(key, named, Digest::of(first))?;
        let at = "the roots of this workspace do not follow each other";
        let mut trusted = TrustedSet::new(first, SystemClock.now()).context(at)?;
        for root in later {
            trusted.next_root(root).context(at)?;
        }
        let root = trusted.root().clone();
        this.targets = this.checked(workspace, Targets::KIND, root.signers(Targets::KIND).ok())?;
        for product in workspace.products()? {
            let role = product.to_string();
            let delegations = this.targets.as_ref().and_then(|targets| targets.delegations.clone());
            let signers = delegations.as_ref().and_then(|delegations| delegations.signers(&role));
            if let Some(found) = this.checked(workspace, &role, signers)? {
                this.products.insert(role, found);
            }
        }
        this.root = Some(root);
        Ok(this)
    }

    fn begin(&mut self, key: &Path, named: Option<Digest>, digest: Digest) -> anyhow::Result<()> {
        let mut name = OsString::from(key);
        name.push(".root");
        let file = PathBuf::from(name);
        let known = match named {
            Some(named) => Some(named),
            None => remembered(&file)?,
        };
        match known {
            Some(known) if known == digest => {}
            Some(known) => {
                return Err(Refused(format!(
                    "this workspace begins with the root {digest}, and you know {known}: nothing in it can be believed. \
                     Ask whoever gave it to you; if it is another repository, name its root with --root"
                ))
                .into());
            }
            None => self.notes.push(format!(
                "this key has signed under no root before; compare {digest} with what whoever made the repository says"
            )),
        }
        self.anchor = Some(Anchor { file, digest });
        Ok(())
    }

    /// The published document of a role, when those who may sign for it have.
    fn checked(
        &mut self,
        workspace: &Workspace,
        role: &str,
        signers: Option<Signers<'_>>,
    ) -> anyhow::Result<Option<Targets>> {
        let Some(bytes) = workspace.published_bytes(role)? else {
            return Ok(None);
        };
        let holds = signers.is_some_and(|signers| {
            Envelope::parse(&bytes).is_ok_and(|envelope| verify::threshold(&envelope, signers, role).is_ok())
        });
        if !holds {
            self.notes.push(format!(
                "what this workspace calls the published {role} is NOT signed by those who may: all of it counts as new"
            ));
            return Ok(None);
        }
        Ok(Some(Document::<Targets>::parse(&bytes, role)?.signed))
    }

    /// What the signer should know first.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The root in force.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// The top-level targets in force.
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// What was published of a product.
    pub fn product(&self, role: &str) -> Option<&Targets> {
        self.products.get(role)
    }

    /// Remembers, beside the key, where the chain begins.
    ///
    /// # Errors
    /// When the file can not be written.
    pub fn remember(&self) -> anyhow::Result<()> {
        let Some(Anchor { file, digest }) = &self.anchor else {
            return Ok(());
        };
        fs::write(file, format!("{digest}\n")).with_context(|| format!("can not write {}", file.display()))
    }
}

fn remembered(file: &Path) -> anyhow::Result<Option<Digest>> {
    let at = || {
        format!(
            "{} does not hold the hash of a root; remove it, or name the root with --root",
            file.display()
        )
    };
    match fs::read_to_string(file) {
        Ok(text) => {
            ensure!(text.len() <= 128, at());
            Ok(Some(text.trim().parse().ok().with_context(at)?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(at),
    }
}
