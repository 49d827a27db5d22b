//! The three ways in which one tree takes another's place. In each, one system call decides: before it the plugin is
//! wholly the old version, after it wholly the new one. Everything else here can be done twice without harm.

mod exchange;
mod site;
mod stub;
mod symlink;

use std::path::PathBuf;

use thiserror::Error;

use super::{beneath::Dir, error::FsError, preserve::PreserveError};
use crate::domain::installed::{LayoutKind, Tree};

pub use site::{KEPT, SHARED, Site, TRASH};
pub use {exchange::Exchange, stub::Stub, symlink::Symlink};

/// What lies at the plugin's path.
#[derive(Debug)]
pub struct Active {
    /// The folder that runs.
    pub dir: Dir,
    /// Its inode.
    pub ino: u64,
    /// Its tree's name, when the layout says it (a link's text, a pointer's).
    pub tree: Option<String>,
}

/// Why a swap was not made.
#[derive(Debug, Error)]
pub enum SwapError {
    /// The filesystem refused.
    #[error("the swap was refused by the filesystem")]
    Fs(#[from] FsError),
    /// Data that running code had just saved could not be taken in.
    #[error("the plugin's own data could not be taken over")]
    Data(#[from] PreserveError),
    /// What lies at the plugin's path is neither of the two.
    #[error(
        "{} holds neither the old nor the new release: somebody else changed it. Nothing was touched; \
         put one of the two back or start afresh (see `plugmend-agent doctor`)",
        .0.display()
    )]
    Stranger(PathBuf),
    /// The tree to activate is gone.
    #[error("the folder of release {0} is gone; nothing was touched")]
    TreeGone(String),
    /// The path is a link that somebody else made.
    #[error("{} is a link that Plugmend did not make; name the folder that it leads to as plugin.path", .0.display())]
    ForeignLink(PathBuf),
    /// The loader can not be made.
    #[error("the loader for {file} can not be made: {why}")]
    Loader {
        /// The entry file.
        file: String,
        /// Why not.
        why: &'static str,
    },
}

/// One way to swap.
pub trait Layout: Send {
    /// Which one.
    fn kind(&self) -> LayoutKind;

    /// What runs now.
    ///
    /// # Errors
    /// The path is missing or holds something that can not be a plugin.
    fn active(&self) -> Result<Active, SwapError>;

    /// The folder of a tree that does not run; `None` when it is not there.
    ///
    /// # Errors
    /// The system refused to look.
    fn locate(&self, tree: &Tree) -> Result<Option<Dir>, SwapError>;

    /// Readies the host for the swap: adopts a folder that was never swapped, moves the tree to where it will run.
    /// What runs stays what it is.
    ///
    /// # Errors
    /// The filesystem refused.
    fn prepare(&self, from: &Tree, to: &Tree) -> Result<(), SwapError>;

    /// Makes `to` the one that runs: the one call that decides. Does nothing when it already is.
    ///
    /// # Errors
    /// What runs is neither, the tree is gone, or the filesystem refused; then `from` still runs.
    fn flip(&self, from: &Tree, to: &Tree) -> Result<(), SwapError>;

    /// After the flip: makes it durable and leaves everything under its own name. `to` runs already, whatever becomes of
    /// this.
    ///
    /// # Errors
    /// The filesystem refused.
    fn settle(&self, from: &Tree, to: &Tree) -> Result<(), SwapError>;

    /// Whether a flip puts other files under paths that running code has already looked up, so that a request under way
    /// could load one half of itself from each version.
    fn changes_in_place(&self) -> bool {
        self.kind() == LayoutKind::Exchange
    }

    /// Takes a tree that does not run out of the way, to be deleted in its own time. That it is gone is no error.
    ///
    /// # Errors
    /// The filesystem refused.
    fn discard(&self, tree_name: &str) -> Result<(), SwapError>;

    /// Names of the trees that are there and do not run.
    ///
    /// # Errors
    /// The system refused to look.
    fn trees(&self) -> Result<Vec<String>, SwapError>;
}

#[cfg(test)]
mod tests;
