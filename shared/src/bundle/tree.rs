//! From a folder to the files of a manifest.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use cap_std::fs::{Dir, PermissionsExt};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{
    contents::Content,
    limits::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES},
    manifest::FileEntry,
    pack::ContentSource,
    path::{InvalidPath, RelPath},
};
use crate::ids::Digest;

/// Names that are never part of a release: a version control system's own.
const LEFT_OUT: [&str; 4] = [".git", ".svn", ".hg", ".DS_Store"];

/// Why a folder can not become a release.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A link, device, pipe or socket.
    #[error("'{0}' is a link or a special file; a release has plain files only")]
    NotPlain(String),
    /// A name that no release may have.
    #[error("'{path}' can not be part of a release")]
    Path {
        /// The path.
        path: String,
        /// The rule.
        #[source]
        why: InvalidPath,
    },
    /// Names in another encoding.
    #[error("a name in '{0}' is not UTF-8")]
    NotUtf8(String),
    /// More than the limits allow.
    #[error("'{0}' is over a limit (number of files, depth, or size of one file)")]
    Limit(String),
    /// The folder can not be read.
    #[error("'{path}' can not be read")]
    Io {
        /// The path.
        path: String,
        /// Why.
        #[source]
        why: io::Error,
    },
}

/// The files of a folder.
#[derive(Debug)]
pub struct Tree {
    /// Every file, sorted by path.
    pub files: Vec<FileEntry>,
    /// Files and folders at preserved paths, which were left out: they are the plugin's data, not the release's.
    pub left_out: Vec<RelPath>,
    root: Dir,
    by_digest: HashMap<Digest, RelPath>,
}

impl Tree {
    /// Reads a folder, without following links, hashing each file. The outcome depends on names, contents and the
    /// owner's executable bit only.
    ///
    /// # Errors
    /// When it has anything that a release may not have, or can not be read.
    pub fn read(root: Dir, preserved: &[RelPath]) -> Result<Self, TreeError> {
        let mut tree = Self {
            files: Vec::new(),
            left_out: Vec::new(),
            root,
            by_digest: HashMap::new(),
        };
        let root = tree.root.try_clone().map_err(|why| TreeError::Io {
            path: ".".to_owned(),
            why,
        })?;
        tree.walk(&root, "", 0, preserved)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        // The first path by order stands for a content that several files share.
        for file in &tree.files {
            tree.by_digest.entry(file.sha256).or_insert_with(|| file.path.clone());
        }
        Ok(tree)
    }

    fn walk(&mut self, dir: &Dir, prefix: &str, depth: usize, preserved: &[RelPath]) -> Result<(), TreeError> {
        let io = |path: &str| {
            let path = path.to_owned();
            move |why| TreeError::Io { path, why }
        };
        if depth > MAX_DEPTH {
            return Err(TreeError::Limit(prefix.to_owned()));
        }
        for entry in dir.entries().map_err(io(prefix))? {
            let entry = entry.map_err(io(prefix))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| TreeError::NotUtf8(prefix.to_owned()))?;
            if LEFT_OUT.contains(&name) {
                continue;
            }
            let full = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            let path = RelPath::new(&full).map_err(|why| TreeError::Path {
                path: full.clone(),
                why,
            })?;
            let kind = entry.file_type().map_err(io(&full))?;
            if preserved.iter().any(|p| path.is_within(p)) {
                self.left_out.push(path);
            } else if kind.is_dir() {
                let below = dir.open_dir(name).map_err(io(&full))?;
                self.walk(&below, &full, depth + 1, preserved)?;
            } else if kind.is_file() {
                let file = hash(dir, name, path).map_err(io(&full))?;
                if file.size > MAX_FILE_BYTES || self.files.len() == MAX_FILES {
                    return Err(TreeError::Limit(full));
                }
                self.files.push(file);
            } else {
                return Err(TreeError::NotPlain(full));
            }
        }
        Ok(())
    }
}

fn open(dir: &Dir, path: &str) -> io::Result<cap_std::fs::File> {
    let file = dir.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("is not a plain file any more"))
    }
}

fn hash(dir: &Dir, name: &str, path: RelPath) -> io::Result<FileEntry> {
    let mut file = open(dir, name)?;
    let exec = file.metadata()?.permissions().mode() & 0o100 != 0;
    let mut sha = Sha256::new();
    let size = io::copy(&mut (&mut file).take(MAX_FILE_BYTES + 1), &mut sha)?;
    Ok(FileEntry {
        path,
        exec,
        size,
        sha256: Digest(sha.finalize().into()),
    })
}

impl ContentSource for Tree {
    fn read(&mut self, content: &Content) -> io::Result<Vec<u8>> {
        let path = self.by_digest.get(&content.digest);
        let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut out = Vec::new();
        open(&self.root, path.as_str())?
            .take(content.size + 1)
            .read_to_end(&mut out)?;
        Ok(out)
    }
}
