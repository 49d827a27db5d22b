//! `symlink`: the plugin's path is a link into the working folder, replaced by rename(2). For Node and Python, whose
//! running processes stay whole until they are reloaded.

use std::path::Path;

use rustix::fs::FileType;

use super::{Active, Layout, Site, SwapError};
use crate::{
    domain::installed::{LayoutKind, Tree},
    platform::{beneath::Dir, error::FsError},
};

/// The link before it takes its place.
const NEXT: &str = "next-link";

/// The layout, at one place.
#[derive(Debug)]
pub struct Symlink<'a>(pub &'a Site);

impl Symlink<'_> {
    /// Turns the real folder at the plugin's path into the tree `zero`, with a link to it in its place: one exchange.
    fn adopt(&self, zero: &Tree) -> Result<(), SwapError> {
        let site = self.0;
        let name = Path::new(&zero.name);
        // A link that an interrupted try left; never a folder.
        if site.work.kind(name)? == Some(FileType::Symlink) {
            site.work.remove_file(name)?;
        }
        site.work.symlink(&site.link_to(&zero.name), name)?;
        crash_point!("layout.symlink.before_adoption");
        site.work.exchange(name, &site.parent, site.plugin())?;
        crash_point!("layout.symlink.after_adoption");
        Ok(self.sync()?)
    }

    fn sync(&self) -> Result<(), FsError> {
        self.0.parent.sync()?;
        self.0.work.sync()
    }
}

impl Layout for Symlink<'_> {
    fn kind(&self) -> LayoutKind {
        LayoutKind::Symlink
    }

    fn active(&self) -> Result<Active, SwapError> {
        let site = self.0;
        let (dir, tree) = match site.parent.read_link(site.plugin())? {
            None => (site.parent.open_dir(site.plugin())?, None),
            Some(text) => {
                let tree = site
                    .tree_of(&text)
                    .ok_or_else(|| SwapError::ForeignLink(site.plugin_path()))?;
                let dir = site.tree(&tree)?.ok_or_else(|| SwapError::TreeGone(tree.clone()))?;
                (dir, Some(tree))
            }
        };
        let ino = dir.identity()?.st_ino;
        Ok(Active { dir, ino, tree })
    }

    fn locate(&self, tree: &Tree) -> Result<Option<Dir>, SwapError> {
        if self.0.work.read_link(Path::new(&tree.name))?.is_some() {
            return Ok(None);
        }
        self.0.tree(&tree.name)
    }

    fn prepare(&self, from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        let active = self.active()?;
        if active.tree.is_none() && active.ino == from.ino {
            self.adopt(from)?;
        }
        Ok(())
    }

    fn flip(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.0;
        let active = self.active()?.ino;
        if active == to.ino {
            return Ok(());
        }
        if active != from.ino {
            return Err(SwapError::Stranger(site.plugin_path()));
        }
        let staged = site
            .tree(&to.name)?
            .ok_or_else(|| SwapError::TreeGone(to.name.clone()))?;
        if staged.identity()?.st_ino != to.ino {
            return Err(SwapError::TreeGone(to.name.clone()));
        }
        // After an exchange the link to the old tree waits under this name: the way back needs no room on a full disk.
        let (next, text) = (Path::new(NEXT), site.link_to(&to.name));
        if site.work.read_link(next)?.as_deref() != Some(text.as_path()) {
            site.work.remove_file(next)?;
            site.work.symlink(&text, next)?;
        }
        crash_point!("layout.symlink.before_rename");
        if site.work.exchange(next, &site.parent, site.plugin()).is_err() {
            // A filesystem that can not exchange.
            site.work.rename(next, &site.parent, site.plugin())?;
        }
        crash_point!("layout.symlink.after_rename");
        Ok(())
    }

    fn settle(&self, _from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        Ok(self.sync()?)
    }

    fn discard(&self, tree_name: &str) -> Result<(), SwapError> {
        Ok(self.0.throw_away(&self.0.work, Path::new(tree_name))?)
    }

    fn trees(&self) -> Result<Vec<String>, SwapError> {
        let active = self.active()?.tree;
        let mut names = Site::tree_names(&self.0.work)?;
        names.retain(|name| Some(name) != active.as_ref());
        Ok(names)
    }
}
