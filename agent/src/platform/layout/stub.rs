//! `stub`: the plugin's path holds a fixed loader, one pointer file and `versions/<tree>/`. The loader reads the
//! pointer once per request, so a request never sees two versions, whatever is cached.
//!
//! Where the loader comes from: a plugin may ship it (then `.plugmend-current` and `versions/` are there already), or
//! it is made at adoption for the entry files that the host's configuration names (see [`adoption`]).

mod adoption;
mod loader;
mod neighbours;

use std::path::{Path, PathBuf};

use plugmend_shared::bundle::path::RelPath;

use super::{Active, Layout, Site, SwapError};
use crate::{
    domain::installed::{LayoutKind, Tree},
    platform::{beneath::Dir, durable, error::FsError},
};

/// The pointer: the name of the tree that runs, nothing else.
pub const POINTER: &str = ".plugmend-current";
/// The pointer before it takes its place.
const NEXT: &str = ".plugmend-next";
const VERSIONS: &str = "versions";
const MAX_ENTRY_BYTES: u64 = 16 * 1024 * 1024;

/// The layout, at one place.
#[derive(Debug)]
pub struct Stub<'a> {
    /// The place.
    pub site: &'a Site,
    /// Entry files that get a loader at adoption.
    pub entries: &'a [RelPath],
    /// Data of the plugin that stays reachable under its old path too.
    pub preserve: &'a [RelPath],
}

impl Stub<'_> {
    /// The folder with loader and pointer at the plugin's path; `None` before adoption.
    fn root(&self) -> Result<Option<Dir>, SwapError> {
        let site = self.site;
        if site.parent.read_link(site.plugin())?.is_some() {
            return Err(SwapError::ForeignLink(site.plugin_path()));
        }
        let root = site.parent.open_dir(site.plugin())?;
        Ok(root.kind(Path::new(POINTER))?.is_some().then_some(root))
    }

    /// The folder that the trees of releases lie in: the plugin's, or the one that waits to be it.
    fn house(&self) -> Result<Option<Dir>, SwapError> {
        match self.root()? {
            None => Ok(self.waiting()?.map(|(_, dir)| dir)),
            root => Ok(root),
        }
    }

    fn pointer(root: &Dir) -> Result<Option<String>, SwapError> {
        let bytes = durable::read_bounded(root, Path::new(POINTER), 256)?;
        Ok(bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(|text| text.trim_end().to_owned())
            .filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/')))
    }

    /// The folder of a tree that does not run; in the working folder another's may lie under its name, unless `ino` is 0.
    fn find(&self, name: &str, ino: u64) -> Result<Option<Dir>, SwapError> {
        if let Some(house) = self.house()? {
            match house.open_dir(&Self::versions_of(name)) {
                Ok(dir) => return Ok(Some(dir)),
                Err(e) if e.is_missing() => {}
                Err(e) => return Err(e.into()),
            }
        }
        let Some(dir) = self.site.tree(name)? else {
            return Ok(None);
        };
        Ok((ino == 0 || dir.identity()?.st_ino == ino).then_some(dir))
    }

    fn versions_of(name: &str) -> PathBuf {
        Path::new(VERSIONS).join(name)
    }
}

/// Keeps the plugin's own data reachable under its old path, beside the loader.
fn link_data(site: &Site, root: &Dir, rel: &RelPath) -> Result<(), FsError> {
    let path = Path::new(rel.as_str());
    if root.kind(path)?.is_some() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        root.create_dirs(parent, 0o755)?;
    }
    root.symlink(&crate::platform::preserve::link_text(&site.work_name, rel), path)
}

impl Layout for Stub<'_> {
    fn kind(&self) -> LayoutKind {
        LayoutKind::Stub
    }

    fn active(&self) -> Result<Active, SwapError> {
        let site = self.site;
        let (dir, tree) = match self.root()? {
            None => (site.parent.open_dir(site.plugin())?, None),
            Some(root) => {
                let tree = Self::pointer(&root)?.ok_or_else(|| SwapError::Stranger(site.plugin_path()))?;
                let dir = root.open_dir(&Self::versions_of(&tree))?;
                (dir, Some(tree))
            }
        };
        let ino = dir.identity()?.st_ino;
        Ok(Active { dir, ino, tree })
    }

    fn locate(&self, tree: &Tree) -> Result<Option<Dir>, SwapError> {
        self.find(&tree.name, tree.ino)
    }

    fn prepare(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.site;
        let active = self.active()?;
        if active.ino == to.ino {
            return Ok(());
        }
        let Some(root) = self.root()? else {
            if active.ino != from.ino {
                return Err(SwapError::Stranger(site.plugin_path()));
            }
            return self.make(from, to, &active.dir);
        };
        for kept in self.preserve {
            link_data(site, &root, kept)?;
        }
        if site.tree(&to.name)?.is_some() {
            crash_point!("layout.stub.before_move");
            site.work
                .rename_new(Path::new(&to.name), &root, &Self::versions_of(&to.name))?;
            root.open_dir(Path::new(VERSIONS))?.sync()?;
            site.work.sync()?;
        }
        Ok(())
    }

    fn flip(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let active = self.active()?.ino;
        if active == to.ino {
            return Ok(());
        }
        if active != from.ino {
            return Err(SwapError::Stranger(self.site.plugin_path()));
        }
        let Some(root) = self.root()? else {
            return self.take_place(from, to);
        };
        let staged = self.locate(to)?.ok_or_else(|| SwapError::TreeGone(to.name.clone()))?;
        if staged.identity()?.st_ino != to.ino {
            return Err(SwapError::TreeGone(to.name.clone()));
        }
        crash_point!("layout.stub.before_flip");
        let next = Path::new(NEXT);
        let waits = durable::read_bounded(&root, next, 256)?;
        if waits.as_deref() != Some(to.name.as_bytes()) {
            durable::write_atomic(&root, next, to.name.as_bytes(), 0o644)?;
        }
        // After an exchange the pointer to the old tree waits under this name: the way back needs no room.
        if root.exchange(next, &root, Path::new(POINTER)).is_err() {
            durable::write_atomic(&root, Path::new(POINTER), to.name.as_bytes(), 0o644)?;
        }
        crash_point!("layout.stub.after_flip");
        Ok(())
    }

    fn settle(&self, from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        let Some(root) = self.root()? else {
            // A way back from a change that never came to the adoption.
            return self.take_back();
        };
        self.settle_adoption(from, &root)?;
        Ok(root.sync()?)
    }

    fn discard(&self, tree_name: &str) -> Result<(), SwapError> {
        let site = self.site;
        if let (Some(root), Some(tree)) = (self.root()?, self.find(tree_name, 0)?) {
            neighbours::unlink(&tree, &root)?;
        }
        if let Some(house) = self.house()? {
            site.throw_away(&house, &Self::versions_of(tree_name))?;
        }
        Ok(site.throw_away(&site.work, Path::new(tree_name))?)
    }

    fn trees(&self) -> Result<Vec<String>, SwapError> {
        let active = self.active()?.tree;
        let mut names = Site::tree_names(&self.site.work)?;
        if let Some(house) = self.house()? {
            names.extend(Site::tree_names(&house.open_dir(Path::new(VERSIONS))?)?);
        }
        names.retain(|name| Some(name) != active.as_ref());
        Ok(names)
    }
}
