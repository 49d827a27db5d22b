//! `stub`: the plugin's path holds a fixed loader, one pointer file and `versions/<tree>/`. The loader reads the
//! pointer once per request, so a request never sees two versions, whatever is cached.
//!
//! Where the loader comes from: a plugin may ship it (then `.plugmend-current` and `versions/` are there already), or
//! it is made at adoption for the entry files that the host's configuration names.

mod neighbours;

use std::path::{Path, PathBuf};

use plugmend_shared::bundle::path::RelPath;

use super::{Active, Layout, Site, SwapError};
use crate::{
    domain::installed::{LayoutKind, Tree},
    platform::{beneath::Dir, durable, error::FsError, layout::site::is_tree_name},
};

/// The pointer: the name of the tree that runs, nothing else.
pub const POINTER: &str = ".plugmend-current";
/// The pointer before it takes its place.
const NEXT: &str = ".plugmend-next";
const VERSIONS: &str = "versions";
/// The folder with the loader while it is being made.
const MAKING: &str = "stub";
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
    /// The folder with loader and pointer; `None` before adoption.
    fn root(&self) -> Result<Option<Dir>, SwapError> {
        let site = self.site;
        let root = match site.parent.read_link(site.plugin())? {
            None => site.parent.open_dir(site.plugin())?,
            // Between the two steps of an adoption.
            Some(text) if text == self.half() => site.work.open_dir(Path::new(MAKING))?,
            Some(_) => return Err(SwapError::ForeignLink(site.plugin_path())),
        };
        Ok(root.kind(Path::new(POINTER))?.is_some().then_some(root))
    }

    fn pointer(root: &Dir) -> Result<Option<String>, SwapError> {
        let bytes = durable::read_bounded(root, Path::new(POINTER), 256)?;
        Ok(bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(|text| text.trim_end().to_owned())
            .filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/')))
    }

    fn versions_of(name: &str) -> PathBuf {
        Path::new(VERSIONS).join(name)
    }

    /// Text of the link at the plugin's path between the two steps of an adoption. The same text leads from the plugin's
    /// path to the folder with the loader, and from that folder's old place to the plugin's path: it works on both sides
    /// of the second exchange, so that there is no moment at which one of the two paths leads nowhere.
    fn half(&self) -> PathBuf {
        let mut name = self.site.work_name.clone();
        name.push("-stub");
        name.into()
    }

    /// Makes the folder with loader and pointer, then puts it in the plugin's place with two exchanges. After the
    /// first, the path leads to it by a link; after the second it is a real folder again.
    ///
    /// PHP may have met the plugin half way and remembers that path, in OPcache and in each worker's realpath cache: it
    /// leads here ever after, or what such a worker writes beside its code would be lost.
    fn adopt(&self, zero: &Tree, old: &Dir) -> Result<(), SwapError> {
        let site = self.site;
        let (place, half) = (Path::new(MAKING), self.half());
        if site.parent.read_link(site.plugin())?.is_none() {
            site.throw_away(&site.work, place)?;
            let making = self.make(zero, old)?;
            for (dir, text) in [
                (&site.parent, site.link_to(MAKING)),
                (&site.work, Path::new("..").join(&site.name)),
            ] {
                dir.remove_file(&half)?;
                dir.symlink(&text, &half)?;
            }
            crash_point!("layout.stub.before_adoption");
            making.exchange(&Self::versions_of(&zero.name), &site.parent, site.plugin())?;
            crash_point!("layout.stub.half_adopted");
            making.open_dir(Path::new(VERSIONS))?.sync()?;
            site.parent.sync()?;
        }
        site.work.exchange(place, &site.parent, site.plugin())?;
        crash_point!("layout.stub.after_adoption");
        site.parent.sync()?;
        Ok(site.work.sync()?)
    }

    fn make(&self, zero: &Tree, old: &Dir) -> Result<Dir, SwapError> {
        let site = self.site;
        let making = site.work.create_dirs(Path::new(MAKING), 0o755)?;
        let versions = making.create_dirs(Path::new(VERSIONS), 0o755)?;
        site.link_home(&versions, &Path::new("../..").join(&site.work_name))?;
        // What lies at the plugin's path after the first exchange.
        versions.symlink(&self.half(), Path::new(&zero.name))?;
        for entry in self.entries {
            let rel = Path::new(entry.as_str());
            let content = durable::read_bounded(old, rel, MAX_ENTRY_BYTES)?;
            let loader = loader(entry, &content.unwrap_or_default())?;
            if let Some(parent) = rel.parent().filter(|p| !p.as_os_str().is_empty()) {
                making.create_dirs(parent, 0o755)?;
            }
            durable::write_new(&making, rel, loader.as_bytes(), 0o644)?;
        }
        for kept in self.preserve {
            link_data(site, &making, kept)?;
        }
        neighbours::link(old, &making, &zero.name)?;
        durable::write_new(&making, Path::new(POINTER), zero.name.as_bytes(), 0o644)?;
        making.sync_filesystem()?;
        Ok(making)
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

/// A loader for one entry file. WordPress reads a plugin's name and version from the first comment of its main file,
/// so that comment is carried over.
fn loader(entry: &RelPath, content: &[u8]) -> Result<String, SwapError> {
    let refuse = |why| SwapError::Loader {
        file: entry.as_str().to_owned(),
        why,
    };
    if Path::new(entry.as_str()).extension().is_none_or(|ext| ext != "php") {
        return Err(refuse(
            "only PHP files have one; use the symlink layout for Node and Python",
        ));
    }
    let up = "/..".repeat(entry.as_str().matches('/').count());
    let file = entry.as_str().replace('\'', "\\'");
    Ok(format!(
        "<?php\n{}\
         // Made by Plugmend when it adopted this plugin: loads the release that the pointer file names.\n\
         $plugmend_release = @file_get_contents(__DIR__ . '{up}/{POINTER}');\n\
         if (!is_string($plugmend_release) || !preg_match('/\\A[A-Za-z0-9][A-Za-z0-9._+-]{{0,200}}\\z/', $plugmend_release)) {{\n\
         \x20   http_response_code(503);\n\
         \x20   exit('The plugin is not available.');\n\
         }}\n\
         return require __DIR__ . '{up}/{VERSIONS}/' . $plugmend_release . '/{file}';\n",
        first_comment(content)
    ))
}

fn first_comment(content: &[u8]) -> String {
    let head = String::from_utf8_lossy(&content[..content.len().min(8192)]);
    let comment = head.find("/*").and_then(|start| {
        let end = head[start..].find("*/")?;
        Some(head[start..start + end + 2].to_owned() + "\n")
    });
    comment.unwrap_or_default()
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
        if let Some(root) = self.root()? {
            match root.open_dir(&Self::versions_of(&tree.name)) {
                Ok(dir) => return Ok(Some(dir)),
                Err(e) if e.is_missing() => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.site.tree(&tree.name)
    }

    fn prepare(&self, from: &Tree, to: &Tree) -> Result<(), SwapError> {
        let site = self.site;
        let half_done = site.parent.read_link(site.plugin())?.is_some();
        let active = self.active()?;
        if active.ino == to.ino && !half_done {
            return Ok(());
        }
        if half_done || (active.tree.is_none() && active.ino == from.ino) {
            self.adopt(from, &active.dir)?;
        } else {
            // Nobody can be on the way through it any more.
            site.parent.remove_file(&self.half())?;
        }
        let root = self.root()?.ok_or_else(|| SwapError::Stranger(site.plugin_path()))?;
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
        let root = self.root()?.filter(|_| active == from.ino);
        let root = root.ok_or_else(|| SwapError::Stranger(self.site.plugin_path()))?;
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

    fn settle(&self, _from: &Tree, _to: &Tree) -> Result<(), SwapError> {
        // A way back from a change that never came to the adoption has nothing to make durable.
        Ok(self.root()?.map_or(Ok(()), |root| root.sync())?)
    }

    fn discard(&self, tree_name: &str) -> Result<(), SwapError> {
        if let Some(root) = self.root()? {
            neighbours::unlink(&root, tree_name)?;
            self.site.throw_away(&root, &Self::versions_of(tree_name))?;
        }
        Ok(self.site.throw_away(&self.site.work, Path::new(tree_name))?)
    }

    fn trees(&self) -> Result<Vec<String>, SwapError> {
        let active = self.active()?.tree;
        let mut names = Site::tree_names(&self.site.work)?;
        if let Some(root) = self.root()? {
            let versions = root.open_dir(Path::new(VERSIONS))?;
            names.extend(
                versions
                    .entries()?
                    .into_iter()
                    .filter_map(|(name, _)| name.into_string().ok()),
            );
            names.retain(|name| is_tree_name(name));
        }
        names.retain(|name| Some(name) != active.as_ref());
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_keeps_the_header_that_wordpress_reads() {
        let content = b"<?php\n/**\n * Plugin Name: Pay\n * Version: 1.0\n */\ncode();\n";
        let made = loader(&RelPath::new("inc/pay.php").unwrap(), content).unwrap();
        assert!(made.contains("Plugin Name: Pay"));
        assert!(made.contains("__DIR__ . '/../.plugmend-current'"));
        assert!(made.ends_with("/../versions/' . $plugmend_release . '/inc/pay.php';\n"));
        assert!(!made.contains("code();"));
    }

    #[test]
    fn only_php_has_a_loader() {
        assert!(loader(&RelPath::new("index.js").unwrap(), b"").is_err());
    }
}
