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
    /// After an exchange the old tree lies under the new one's name: gives it its own.
    fn settle_names(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let Some(left) = self.0.tree(&to.name)? else {
            return Ok(());
        };
        if left.identity()?.st_ino != from.ino {
            return Ok(());
        }
        let work = &self.0.work;
        crash_point!("layout.exchange.before_naming");
        work.rename_new(Path::new(&to.name), work, Path::new(&from.name))?;
        Ok(work.sync()?)
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
        self.0.tree(&tree.name)
    }

    fn prepare(&self, _from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        Ok(())
    }

    fn swap(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.0;
        let active = self.active()?.ino;
        if active == from.ino {
            let staged = site
                .tree(&to.name)?
                .ok_or_else(|| SwapError::TreeGone(to.name.clone()))?;
            if staged.identity()?.st_ino != to.ino {
                return Err(SwapError::TreeGone(to.name.clone()));
            }
            crash_point!("layout.exchange.before_exchange");
            site.work.exchange(Path::new(&to.name), &site.parent, site.plugin())?;
            crash_point!("layout.exchange.after_exchange");
            site.parent.sync()?;
            site.work.sync()?;
        } else if active != to.ino {
            return Err(SwapError::Stranger(site.plugin_path()));
        }
        self.settle_names(from, to)
    }

    fn discard(&self, tree_name: &str) -> Result<(), SwapError> {
        Ok(self.0.throw_away(&self.0.work, Path::new(tree_name))?)
    }

    fn trees(&self) -> Result<Vec<String>, SwapError> {
        Ok(Site::tree_names(&self.0.work)?)
    }
}
