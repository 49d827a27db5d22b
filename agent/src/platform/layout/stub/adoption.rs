//! Adoption: an existing plugin gets its loader.
//!
//! A folder with the loader is built beside the plugin, with the new release in it and the pointer leading to that
//! release; one exchange of the two folders is adoption and flip at once. The old folder is left as it is, under the
//! name of its tree.
//!
//! No path that running code uses turns from a folder into a link or back, and that is what requests under way rest
//! on. PHP resolves links by itself, step by step, and remembers each folder on the way for two minutes; a `..` in a
//! link's text it takes off the path that it remembers. Were that path a link meanwhile, the system would say what lies
//! behind the link and PHP would put it beside the path: the write of an order then goes to a folder that never was.
//! So the new folder has real folders where the old one had them, hard links to the same files (see
//! [`super::neighbours`]), and the same links to the plugin's own data.

use std::path::Path;

use rustix::fs::FileType;

use super::{Layout as _, MAX_ENTRY_BYTES, POINTER, Stub, SwapError, VERSIONS, link_data, loader::loader, neighbours};
use crate::{
    domain::installed::Tree,
    platform::{beneath::Dir, durable, layout::Site},
};

/// The folder with the loader while it is being built.
const MAKING: &str = "stub";

impl Stub<'_> {
    /// The folder with the loader that was built and has not taken the plugin's place; `None` when there is none.
    pub(super) fn waiting(&self) -> Result<Option<(String, Dir)>, SwapError> {
        for name in Site::tree_names(&self.site.work)? {
            if let Some(dir) = self.site.tree(&name)?
                && has_loader(&dir)?
            {
                return Ok(Some((name, dir)));
            }
        }
        Ok(None)
    }

    /// Builds the folder with the loader, under the name of the tree that will lie there after the exchange. The plugin
    /// `old` goes on running as it is.
    pub(super) fn make(&self, zero: &Tree, to: &Tree, old: &Dir) -> Result<(), SwapError> {
        let site = self.site;
        self.take_back()?;
        let (place, named) = (Path::new(MAKING), Path::new(&zero.name));
        site.throw_away(&site.work, place)?;
        let made = site.work.create_dirs(place, 0o755)?;
        let versions = made.create_dirs(Path::new(VERSIONS), 0o755)?;
        site.link_home(&versions, &Path::new("../..").join(&site.work_name))?;
        for entry in self.entries {
            let rel = Path::new(entry.as_str());
            let content = durable::read_bounded(old, rel, MAX_ENTRY_BYTES)?;
            let loader = loader(entry, &content.unwrap_or_default())?;
            if let Some(parent) = rel.parent().filter(|p| !p.as_os_str().is_empty()) {
                made.create_dirs(parent, 0o755)?;
            }
            durable::write_new(&made, rel, loader.as_bytes(), 0o644)?;
        }
        for kept in self.preserve {
            link_data(site, &made, kept)?;
        }
        durable::write_new(&made, Path::new(POINTER), to.name.as_bytes(), 0o644)?;
        neighbours::link(old, &made)?;
        crash_point!("layout.stub.built");
        site.work.rename_new(place, &site.work, named)?;
        crash_point!("layout.stub.before_move");
        let moved = site
            .work
            .rename_new(Path::new(&to.name), &site.work, &named.join(VERSIONS).join(&to.name));
        match moved {
            Err(e) if e.is_missing() => return Err(SwapError::TreeGone(to.name.clone())),
            other => other?,
        }
        Ok(site.work.sync_filesystem()?)
    }

    /// Takes apart what an earlier try has built: the release that it was built for lies in the working folder again.
    pub(super) fn take_back(&self) -> Result<(), SwapError> {
        let site = self.site;
        let Some((name, dir)) = self.waiting()? else {
            return Ok(());
        };
        let versions = dir.open_dir(Path::new(VERSIONS))?;
        for tree in Site::tree_names(&versions)? {
            versions.rename_new(Path::new(&tree), &site.work, Path::new(&tree))?;
        }
        Ok(site.throw_away(&site.work, Path::new(&name))?)
    }

    /// The one call that decides: the folder with the loader takes the plugin's place, and `to` runs.
    pub(super) fn take_place(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.site;
        let gone = || SwapError::TreeGone(to.name.clone());
        let (name, dir) = self.waiting()?.ok_or_else(gone)?;
        let staged = match dir.open_dir(&Self::versions_of(&to.name)) {
            Err(e) if e.is_missing() => return Err(gone()),
            other => other?,
        };
        let led = Self::pointer(&dir)?.as_ref() == Some(&to.name);
        if name != from.name || !led || staged.identity()?.st_ino != to.ino {
            return Err(gone());
        }
        crash_point!("layout.stub.before_adoption");
        site.work.exchange(Path::new(&name), &site.parent, site.plugin())?;
        crash_point!("layout.stub.after_adoption");
        Ok(())
    }

    /// Right after an adoption: what running code made in the old folder while the new one was built is there too.
    /// Does nothing at any other time.
    pub(super) fn settle_adoption(&self, from: &Tree, root: &Dir) -> Result<(), SwapError> {
        let site = self.site;
        let Some(old) = site.tree(&from.name)? else {
            return Ok(());
        };
        neighbours::link(&old, root)?;
        site.before.also_left(root.identity()?.st_ino);
        for kept in self.preserve {
            // A program that saves by renaming has put a file where the link was.
            if root.kind(Path::new(kept.as_str()))? == Some(FileType::RegularFile) {
                site.sweep(root, &self.active()?.dir, kept)?;
            }
        }
        site.parent.sync()?;
        Ok(site.work.sync()?)
    }
}

fn has_loader(dir: &Dir) -> Result<bool, SwapError> {
    let (pointer, versions) = (dir.kind(Path::new(POINTER))?, dir.kind(Path::new(VERSIONS))?);
    Ok(pointer == Some(FileType::RegularFile) && versions == Some(FileType::Directory))
}
