//! The place: the plugin's path, the folder it lies in, and the agent's own folder beside it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::SwapError;
use crate::platform::{
    beneath::Dir,
    error::{Context as _, FsError},
    preserve::Before,
};

/// Folder of data that outlives releases, in the working folder.
pub const SHARED: &str = "shared";
/// Folder of copies that were replaced, in the working folder.
pub const KEPT: &str = "kept";
/// Folder of trees that wait to be deleted, in the working folder.
pub const TRASH: &str = "trash";

/// The plugin's place on the host.
#[derive(Debug)]
pub struct Site {
    /// The folder that the plugin lies in.
    pub parent: Dir,
    /// The agent's own folder in it: `.plugmend-<name>`. It begins with a dot, so that no shop takes it for a plugin.
    pub work: Dir,
    /// The plugin's name in its folder.
    pub name: OsString,
    /// The working folder's name.
    pub work_name: OsString,
    /// The plugin's data as it was at the last swap of this life.
    pub before: Before,
}

impl Site {
    /// Opens the place of the plugin at `path` and makes the working folder.
    ///
    /// # Errors
    /// The path is missing, or no working folder can be made beside it.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let name = path
            .file_name()
            .ok_or(io::ErrorKind::InvalidInput)
            .at("use as the plugin's path", path)?
            .to_owned();
        let parent_path = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let parent_path = parent_path.canonicalize().at("find the folder", parent_path)?;
        let parent = Dir::open(&parent_path)?;
        if parent.kind(Path::new(&name))?.is_none() {
            return Err(io::Error::from(io::ErrorKind::NotFound)).at("find the plugin at", &parent_path.join(&name));
        }
        let mut work_name = OsString::from(".plugmend-");
        work_name.push(&name);
        let work = parent.create_dirs(Path::new(&work_name), 0o755)?;
        for part in [SHARED, KEPT, TRASH] {
            work.create_dirs(Path::new(part), 0o755)?;
        }
        let site = Self {
            parent,
            work,
            name,
            work_name,
            before: Before::default(),
        };
        // A tree lies either at the plugin's path or in the working folder; with this link to itself in the working
        // folder, the same relative link text leads to the shared data from both (see `preserve`).
        site.link_home(&site.work, Path::new("."))?;
        Ok(site)
    }

    /// Makes the link in `dir` by which trees that lie there find the working folder.
    ///
    /// # Errors
    /// The filesystem refused.
    pub fn link_home(&self, dir: &Dir, text: &Path) -> Result<(), FsError> {
        let name = Path::new(&self.work_name);
        if dir.read_link(name)?.as_deref() == Some(text) {
            return Ok(());
        }
        dir.symlink(text, name)
    }

    /// The plugin's name as a path beneath [`Site::parent`].
    pub fn plugin(&self) -> &Path {
        Path::new(&self.name)
    }

    /// The plugin's full path, for messages.
    pub fn plugin_path(&self) -> PathBuf {
        self.parent.path().join(&self.name)
    }

    /// Text of a link in the plugin's parent that leads to `tree` in the working folder.
    pub fn link_to(&self, tree: &str) -> PathBuf {
        Path::new(&self.work_name).join(tree)
    }

    /// The tree named by such a text; `None` when it is not one.
    pub fn tree_of(&self, text: &Path) -> Option<String> {
        let leaf = text.strip_prefix(&self.work_name).ok()?;
        (leaf.components().count() == 1).then(|| leaf.to_str().map(str::to_owned))?
    }

    /// The folder of a tree in the working folder.
    ///
    /// # Errors
    /// The system refused to look.
    pub fn tree(&self, name: &str) -> Result<Option<Dir>, SwapError> {
        match self.work.open_dir(Path::new(name)) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Moves `name` from `dir` to the trash.
    ///
    /// # Errors
    /// The filesystem refused.
    pub fn throw_away(&self, dir: &Dir, name: &Path) -> Result<(), FsError> {
        let trash = self.work.open_dir(Path::new(TRASH))?;
        for n in 0..u32::MAX {
            let mut target = OsString::from(name.file_name().unwrap_or_default());
            target.push(format!(".{n}"));
            match dir.rename_new(name, &trash, Path::new(&target)) {
                Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) if e.is_missing() => return Ok(()),
                other => return other,
            }
        }
        Ok(())
    }

    /// Names of the trees in `dir`.
    ///
    /// # Errors
    /// The system refused to look.
    pub fn tree_names(dir: &Dir) -> Result<Vec<String>, FsError> {
        let names = dir
            .entries()?
            .into_iter()
            .filter_map(|(name, _)| name.into_string().ok());
        Ok(names.filter(|name| is_tree_name(name)).collect())
    }
}

/// Whether a name is of the form `r<n>-...`, which only trees have.
pub fn is_tree_name(name: &str) -> bool {
    name.strip_prefix('r')
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(n, version)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && !version.is_empty())
}
