//! The release workspace: a folder that signers hand on or share.
//!
//! ```text
//! workspace.json            settings
//! metadata/<n>.root.json    every root that was published
//! metadata/<role>.json      the newest published metadata of each other role
//! staged/<role>.json        the next version of a role: unsigned, partly or fully signed
//! targets/<product>/<version>/{manifest.json.zst,pack,blocks,delta-…}
//! ```

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use jiff::{Timestamp as Moment, ToSpan as _};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Product,
    tuf::{Document, Envelope, Role, Root, Targets, sign},
};
use serde::{Deserialize, Serialize};

/// The format that this code writes.
const FORMAT: u32 = 1;
/// The largest metadata file that is read, in bytes.
const MAX_METADATA: u64 = 8 * 1024 * 1024;

/// `workspace.json`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    format: u32,
    /// Days until a root expires.
    pub root_days: i64,
    /// Days until targets and products expire.
    pub release_days: i64,
}

impl Settings {
    /// Lifetimes, in days.
    pub fn new(root_days: u16, release_days: u16) -> Self {
        Self {
            format: FORMAT,
            root_days: root_days.into(),
            release_days: release_days.into(),
        }
    }
}

/// An open workspace.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    settings: Settings,
}

impl Workspace {
    /// Makes one in a folder that has none.
    pub fn create(dir: &Path, settings: Settings) -> anyhow::Result<Self> {
        let workspace = Self {
            dir: dir.to_owned(),
            settings,
        };
        let marker = workspace.marker();
        ensure!(!marker.exists(), "{} is a release workspace already", dir.display());
        for below in ["metadata", "staged", "targets"] {
            let path = dir.join(below);
            fs::create_dir_all(&path).with_context(|| format!("can not create {}", path.display()))?;
        }
        write(&marker, &serde_json::to_vec_pretty(&workspace.settings)?)?;
        Ok(workspace)
    }

    /// Opens one.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let marker = dir.join("workspace.json");
        if !marker.exists() {
            bail!(
                "{} is not a release workspace: run 'plugmend release init', or give --workspace",
                dir.display()
            );
        }
        let settings: Settings = super::keys::read_json(&marker)?;
        ensure!(
            settings.format == FORMAT,
            "{} was made by another version of plugmend",
            dir.display()
        );
        Ok(Self {
            dir: dir.to_owned(),
            settings,
        })
    }

    fn marker(&self) -> PathBuf {
        self.dir.join("workspace.json")
    }

    /// Where a target of this path lies.
    pub fn target(&self, path: &str) -> PathBuf {
        self.dir.join("targets").join(path)
    }

    /// Where the next version of a role lies, whether it is there or not.
    pub fn staged_path(&self, role: &str) -> PathBuf {
        self.dir.join("staged").join(format!("{role}.json"))
    }

    fn published_path(&self, role: &str, version: u64) -> PathBuf {
        let name = if role == Root::KIND {
            format!("{version}.root.json")
        } else {
            format!("{role}.json")
        };
        self.dir.join("metadata").join(name)
    }

    /// The next version of a role, when one is staged.
    pub fn staged<R: Role>(&self, role: &str) -> anyhow::Result<Option<Document<R>>> {
        read(&self.staged_path(role), role)
    }

    /// The published version of a role, when there is one.
    pub fn published<R: Role>(&self, role: &str) -> anyhow::Result<Option<Document<R>>> {
        let version = if role == Root::KIND { self.newest_root() } else { 0 };
        read(&self.published_path(role, version), role)
    }

    /// The staged version of a role, else the published one.
    pub fn current<R: Role>(&self, role: &str) -> anyhow::Result<Option<Document<R>>> {
        Ok(match self.staged(role)? {
            Some(staged) => Some(staged),
            None => self.published(role)?,
        })
    }

    /// The root in force, staged or published.
    pub fn root(&self) -> anyhow::Result<Document<Root>> {
        self.current(Root::KIND)?
            .context("the workspace has no root; run 'plugmend release init'")
    }

    /// The top-level targets in force, staged or published.
    pub fn targets(&self) -> anyhow::Result<Document<Targets>> {
        self.current(Targets::KIND)?
            .context("the workspace has no targets; run 'plugmend release init'")
    }

    /// Every published root, oldest first.
    pub fn roots(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        (1..=self.newest_root())
            .map(|n| read_bounded(&self.published_path(Root::KIND, n)))
            .collect()
    }

    fn newest_root(&self) -> u64 {
        let mut newest = 0;
        // Roots are numbered without a gap; a repository that rotates daily would take years to get here.
        while newest < 10_000 && self.published_path(Root::KIND, newest + 1).exists() {
            newest += 1;
        }
        newest
    }

    /// The products, as the targets delegate to them.
    pub fn products(&self) -> anyhow::Result<Vec<Product>> {
        let targets = self.targets()?;
        let delegations = targets.signed.delegations.iter();
        let roles = delegations.flat_map(|d| d.roles.iter().flatten());
        roles
            .map(|r| r.name.parse().with_context(|| format!("'{}' is no product", r.name)))
            .collect()
    }

    /// The product named, or the only one there is.
    pub fn product(&self, named: Option<&Product>) -> anyhow::Result<Product> {
        let mut products = self.products()?;
        match named {
            Some(product) if products.contains(product) => Ok(product.clone()),
            Some(product) => bail!("the repository has no product '{product}'; add it with 'release add-product'"),
            None if products.len() == 1 => Ok(products.remove(0)),
            None => bail!("there are several products: name one with --product"),
        }
    }

    /// Every role, in the order in which they are checked.
    pub fn roles(&self) -> anyhow::Result<Vec<String>> {
        let products = self.products()?;
        let top = [Root::KIND.to_owned(), Targets::KIND.to_owned()];
        Ok(top
            .into_iter()
            .chain(products.iter().map(ToString::to_string))
            .collect())
    }

    /// Stages the next version of a role: what is staged, else the version after the published one, changed by `edit`.
    /// Signatures given so far are void, since they covered something else.
    pub fn stage<R: Role + Clone>(
        &self,
        role: &str,
        edit: impl FnOnce(&mut R) -> anyhow::Result<()>,
    ) -> anyhow::Result<R> {
        let expires = self.expires(role, SystemClock.now())?;
        let mut next = if let Some(staged) = self.staged::<R>(role)? {
            staged.signed
        } else {
            let published = self.published::<R>(role)?;
            let published = published.with_context(|| format!("the workspace has no {role} metadata"))?;
            sign::next(&published.signed, expires)?
        };
        edit(&mut next)?;
        next.head_mut().expires = expires;
        self.put_staged(role, &next)?;
        Ok(next)
    }

    /// Stages a role's document, unsigned.
    pub fn put_staged<R: Role>(&self, role: &str, document: &R) -> anyhow::Result<()> {
        self.put_envelope(role, &Envelope::unsigned(document)?)
    }

    /// Stages a role's envelope as it is.
    pub fn put_envelope(&self, role: &str, envelope: &Envelope) -> anyhow::Result<()> {
        write(&self.staged_path(role), &envelope.to_bytes()?)
    }

    /// The bytes of what is staged for a role.
    pub fn staged_bytes(&self, role: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.staged_path(role);
        path.exists().then(|| read_bounded(&path)).transpose()
    }

    /// The bytes of a role's published metadata.
    pub fn published_bytes(&self, role: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.published_path(role, 0);
        path.exists().then(|| read_bounded(&path)).transpose()
    }

    /// What is staged for a role has been published.
    pub fn mark_published(&self, role: &str, version: u64) -> anyhow::Result<()> {
        let (from, to) = (self.staged_path(role), self.published_path(role, version));
        fs::rename(&from, &to).with_context(|| format!("can not move {} to {}", from.display(), to.display()))
    }

    /// When a version of a role made now expires.
    pub fn expires(&self, role: &str, now: Moment) -> anyhow::Result<Moment> {
        let days = if role == Root::KIND {
            self.settings.root_days
        } else {
            self.settings.release_days
        };
        now.checked_add((days.clamp(1, 3650) * 24).hours())
            .context("the expiry is out of range")
    }
}

fn read<R: Role>(path: &Path, role: &str) -> anyhow::Result<Option<Document<R>>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_bounded(path)?;
    let document = Document::parse(&bytes, role).with_context(|| format!("{} can not be read", path.display()))?;
    Ok(Some(document))
}

/// Reads a metadata file.
pub fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let at = || format!("can not read {}", path.display());
    ensure!(
        fs::metadata(path).with_context(at)?.len() <= MAX_METADATA,
        "{} is too large",
        path.display()
    );
    fs::read(path).with_context(at)
}

/// Writes a file so that a crash leaves the old or the new one, never half of it.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let at = || format!("can not write {}", path.display());
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh).with_context(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(at)?;
    fs::rename(&fresh, path).with_context(at)
}
