//! Laying a release out beside the running one: own files, own folders, own modification time, links to the plugin's
//! data. Every byte is hashed as it is written.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{
        manifest::{FileEntry, Manifest},
        path::RelPath,
    },
    ids::Digest,
};
use rustix::fs::Mode;

use super::{
    Engine,
    contents::{Incoming, Index, name_of},
    fs_failure,
};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure},
        installed::Tree,
    },
    platform::{
        beneath::Dir,
        error::{Context as _, FsError},
        tree,
    },
    upstream::repo::Transport,
};

impl<T: Transport> Engine<T> {
    /// Reads again what has come in: a disk may have lost it in a power cut.
    pub(super) fn verify_fetched(&mut self, change: &Change) -> Result<(), Failure> {
        let Some((manifest, digest)) = self.to_lay_out(change)? else {
            return Ok(());
        };
        let incoming = Incoming::open(&self.site.work, &digest).map_err(|e| fs_failure(&e))?;
        incoming.recheck().map_err(|e| fs_failure(&e))?;
        let active = self.layout().active().map_err(|e| super::swap_failure(&e))?;
        let index = Index::read(active.dir, &self.ledger.preserved, &[&manifest]).map_err(|e| fs_failure(&e))?;
        let missing = manifest
            .contents()
            .iter()
            .filter(|c| !incoming.has(&c.digest) && !index.has(&c.digest))
            .count();
        if missing == 0 {
            return Ok(());
        }
        Err(Failure::passing(
            "incomplete",
            format!("{missing} contents are missing or were changed on disk"),
        ))
    }

    /// The manifest that is to be laid out; `None` when the tree waits already.
    fn to_lay_out(&self, change: &Change) -> Result<Option<(Manifest, Digest)>, Failure> {
        if change.kind == ChangeKind::Config || change.waiting.is_some() {
            return Ok(None);
        }
        let digest = change
            .digest
            .ok_or_else(|| Failure::lasting("no_digest", "the order names no release"))?;
        let kept = self.manifest(&digest)?;
        let (manifest, _) =
            kept.ok_or_else(|| Failure::passing("no_manifest", "the manifest is gone; fetch it again"))?;
        Ok(Some((manifest, digest)))
    }

    /// Lays the release out, or gives the tree that waits.
    pub(super) fn materialise(&mut self, change: &Change) -> Result<Tree, Failure> {
        if change.kind == ChangeKind::Config {
            return Ok(change.from.clone());
        }
        if let Some(waiting) = &change.waiting {
            return Ok(waiting.clone());
        }
        let Some((manifest, digest)) = self.to_lay_out(change)? else {
            return Err(Failure::lasting("no_digest", "there is nothing to lay out"));
        };
        let open = self.ledger.transaction.as_ref();
        let (name, stamp) = open
            .map(|open| (open.tree_name.clone(), open.stamp))
            .unwrap_or_default();
        let ino = self.lay_out(&manifest, &digest, &name, stamp).map_err(|e| match e {
            LayOut::Fs(e) => fs_failure(&e),
            LayOut::Failure(failure) => failure,
        })?;
        Ok(Tree {
            name,
            ino,
            version: manifest.version,
            digest: Some(digest),
        })
    }

    fn lay_out(&self, manifest: &Manifest, digest: &Digest, name: &str, stamp: i64) -> Result<u64, LayOut> {
        let work = &self.site.work;
        self.site.throw_away(work, Path::new(name))?;
        let dir = work.create_dirs(Path::new(name), 0o755)?;
        set_mode(&dir, 0o755)?;
        let incoming = Incoming::open(work, digest)?;
        let active = self.layout().active().map_err(|e| super::swap_failure(&e))?;
        let index = Index::read(active.dir, &self.ledger.preserved, &[manifest])?;
        let mut layer = Layer {
            dir: &dir,
            incoming: &incoming,
            index: &index,
            uses: uses(&manifest.files),
            at: None,
        };
        for file in &manifest.files {
            crash_point!("engine.materialise.file");
            layer.put(file)?;
        }
        crash_point!("engine.materialise.links");
        for rel in preserved_in(&self.ledger.preserved, manifest) {
            self.site.attach(&dir, &rel)?;
        }
        tree::stamp(&dir, &manifest.files, stamp)?;
        dir.sync_filesystem()?;
        Ok(dir.identity()?.st_ino)
    }
}

/// Preserved paths that the release leaves to the plugin: where it brings a file of its own, that is what counts.
pub(super) fn preserved_in(preserved: &[RelPath], manifest: &Manifest) -> Vec<RelPath> {
    // The manifest's own can not clash with its files; that was checked when it was read.
    let own: BTreeSet<&str> = manifest.preserved().map(RelPath::as_str).collect();
    let others = preserved.iter().map(RelPath::as_str).filter(|path| !own.contains(path));
    let clashes: BTreeSet<&str> = others
        .filter(|top| {
            let within = |path: &str, top: &str| {
                path.strip_prefix(top)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            manifest
                .files
                .iter()
                .any(|file| within(file.path.as_str(), top) || within(top, file.path.as_str()))
        })
        .collect();
    preserved
        .iter()
        .filter(|rel| !clashes.contains(rel.as_str()))
        .cloned()
        .collect()
}

enum LayOut {
    Fs(FsError),
    Failure(Failure),
}

impl From<FsError> for LayOut {
    fn from(e: FsError) -> Self {
        Self::Fs(e)
    }
}

impl From<Failure> for LayOut {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// How many files share a content: only the last of them may take the one that came in.
fn uses(files: &[FileEntry]) -> HashMap<Digest, usize> {
    let mut uses = HashMap::new();
    for file in files {
        *uses.entry(file.sha256).or_default() += 1;
    }
    uses
}

struct Layer<'a> {
    dir: &'a Dir,
    incoming: &'a Incoming,
    index: &'a Index,
    uses: HashMap<Digest, usize>,
    at: Option<(PathBuf, Dir)>,
}

impl Layer<'_> {
    fn put(&mut self, file: &FileEntry) -> Result<(), LayOut> {
        let path = Path::new(file.path.as_str());
        self.enter(path.parent().unwrap_or(Path::new("")))?;
        let parent = self.at.as_ref().map_or(self.dir, |(_, dir)| dir);
        let leaf = Path::new(path.file_name().unwrap_or_default());
        let mode = if file.exec { 0o755 } else { 0o644 };
        let left = self.uses.get_mut(&file.sha256).map_or(0, |uses| {
            *uses = uses.saturating_sub(1);
            *uses
        });
        let found = if file.size == 0 {
            parent.create_file(leaf, mode)?;
            (file.sha256, 0)
        } else if self.incoming.has(&file.sha256) {
            let name = name_of(&file.sha256);
            if left == 0 {
                self.incoming.dir.rename_new(&name, parent, leaf)?;
                (file.sha256, file.size)
            } else {
                tree::copy_hashed(self.incoming.dir.open_file(&name)?, parent, leaf, mode)?
            }
        } else {
            let source = self.index.open(&file.sha256)?;
            let source = source.ok_or_else(|| Failure::passing("incomplete", format!("{} is missing", file.path)))?;
            tree::copy_hashed(source, parent, leaf, mode)?
        };
        if found != (file.sha256, file.size) {
            let words = format!("{} changed while it was copied", file.path);
            return Err(Failure::passing("changed_while_copied", words).into());
        }
        // Whatever the umask made of it.
        rustix::fs::fchmod(parent.open_file(leaf)?, Mode::from_raw_mode(mode)).at("set the mode of", path)?;
        Ok(())
    }

    /// Files come sorted, so the folder is mostly the one before.
    fn enter(&mut self, parent: &Path) -> Result<(), FsError> {
        if self.at.as_ref().is_some_and(|(at, _)| at == parent) {
            return Ok(());
        }
        if parent.as_os_str().is_empty() {
            self.at = None;
            return Ok(());
        }
        let mut made = PathBuf::new();
        for part in parent.components() {
            made.push(part);
            set_mode(&self.dir.create_dirs(&made, 0o755)?, 0o755)?;
        }
        self.at = Some((parent.to_owned(), self.dir.open_dir(parent)?));
        Ok(())
    }
}

fn set_mode(dir: &Dir, mode: u32) -> Result<(), FsError> {
    rustix::fs::fchmod(dir, Mode::from_raw_mode(mode)).at("set the mode of", dir.path())
}
