//! `exchange`: the plugin's path is a real folder, and so is each tree beside it; `renameat2(RENAME_EXCHANGE)` swaps
//! the two names in one step. For WordPress, `PrestaShop` and Magento as they are.

use std::path::Path;

use super::{Active, Layout, Site, SwapError};
use crate::{
    domain::installed::{LayoutKind, Tree},
    platform::beneath::Dir,
};

/// The layout, at one place.
#[derive(Debug)]
pub struct Exchange<'a>(pub &'a Site);

impl Exchange<'_> {
    /// Where a tree lies in the working folder: under its own name, or, when naming was interrupted, another's.
    fn name_of(&self, tree: &Tree) -> Result<Option<String>, SwapError> {
        let lies_at = |name: &str| -> Result<bool, SwapError> {
            let Some(dir) = self.0.tree(name)? else {
                return Ok(false);
            };
            // A tree that the ledger does not know has no inode to compare.
            Ok(tree.ino == 0 || dir.identity()?.st_ino == tree.ino)
        };
        if lies_at(&tree.name)? {
            return Ok(Some(tree.name.clone()));
        }
        for name in Site::tree_names(&self.0.work)? {
            if tree.ino != 0 && lies_at(&name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// After an exchange the old tree lies under the new one's name: gives it its own.
    fn settle_name(&self, left: &Tree) -> Result<(), SwapError> {
        let work = &self.0.work;
        match self.name_of(left)? {
            Some(name) if name != left.name => {
                crash_point!("layout.exchange.before_naming");
                work.rename_new(Path::new(&name), work, Path::new(&left.name))?;
                Ok(work.sync()?)
            }
            _ => Ok(()),
        }
    }
}

impl Layout for Exchange<'_> {
    fn kind(&self) -> LayoutKind {
        LayoutKind::Exchange
    }

    fn active(&self) -> Result<Active, SwapError> {
        let site = self.0;
        if site.parent.read_link(site.plugin())?.is_some() {
            return Err(SwapError::ForeignLink(site.plugin_path()));
        }
        let dir = site.parent.open_dir(site.plugin())?;
        let ino = dir.identity()?.st_ino;
        Ok(Active { dir, ino, tree: None })
    }

    fn locate(&self, tree: &Tree) -> Result<Option<Dir>, SwapError> {
        match self.name_of(tree)? {
            Some(name) => self.0.tree(&name),
            None => Ok(None),
        }
    }

    fn prepare(&self, _from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        Ok(())
    }

    fn flip(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.0;
        let active = self.active()?.ino;
        if active == from.ino {
            let staged = self.name_of(to)?.ok_or_else(|| SwapError::TreeGone(to.name.clone()))?;
            crash_point!("layout.exchange.before_exchange");
            site.work.exchange(Path::new(&staged), &site.parent, site.plugin())?;
            crash_point!("layout.exchange.after_exchange");
        } else if active != to.ino {
            return Err(SwapError::Stranger(site.plugin_path()));
        }
        Ok(())
    }

    fn settle(&self, from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        self.0.parent.sync()?;
        self.0.work.sync()?;
        self.settle_name(from)
    }

    fn discard(&self, tree_name: &str) -> Result<(), SwapError> {
        Ok(self.0.throw_away(&self.0.work, Path::new(tree_name))?)
    }

    fn trees(&self) -> Result<Vec<String>, SwapError> {
        Ok(Site::tree_names(&self.0.work)?)
    }
}
