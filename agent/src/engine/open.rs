//! Opening: what the host can do is tried, the locks are taken, the ledger is read or begun, and what an earlier life
//! left half done is settled before anything else.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Engine, EngineDeps, EngineOptions, chain, layout, recover};
use crate::{
    domain::installed::{LayoutKind, Tree},
    platform::{
        beneath::Dir,
        capability::{self, Capabilities},
        error::FsError,
        layout::{Site, SwapError},
        lock::{self, LockError},
        tree,
    },
    store::ledger::{Ledger, LedgerError, LedgerFile},
    upstream::repo::Transport,
};

/// Why the engine does not open. The plugin is as it was.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The plugin's path or the agent's folder can not be used.
    #[error("the plugin's place can not be used")]
    Place(#[from] FsError),
    /// The filesystem is read-only.
    #[error("{} is on a read-only filesystem: nothing can be updated there", .0.display())]
    ReadOnly(PathBuf),
    /// The plugin's path is a mount point.
    #[error(
        "{} is a mount point, which can not change places; mount its parent instead, or use the stub layout",
        .0.display()
    )]
    MountPoint(PathBuf),
    /// The working folder lies on another filesystem.
    #[error("{} and the folder it lies in are on two filesystems: releases can not change places there", .0.display())]
    OtherFilesystem(PathBuf),
    /// The filesystem can not exchange.
    #[error(
        "the filesystem of {} can not exchange two folders (NFS, FUSE and container layers often can not): use the \
         symlink layout with a link that you make yourself, or another filesystem",
        .0.display()
    )]
    NoExchange(PathBuf),
    /// The filesystem has no links.
    #[error("the filesystem of {} has no symbolic links, which keeping the plugin's data needs", .0.display())]
    NoLinks(PathBuf),
    /// This process may not move the plugin's folder.
    #[error(
        "this user may not write in {}: give the agent's user the folder (chown), or run the agent as its owner",
        .0.display()
    )]
    NotWritable(PathBuf),
    /// Another agent is there.
    #[error("the plugin is served already")]
    Lock(#[from] LockError),
    /// The ledger can not be trusted or written.
    #[error("the ledger can not be used")]
    Ledger(#[from] LedgerError),
    /// The ledger is about another plugin or layout.
    #[error(
        "the ledger in {} is about {} in layout {}: use another state_dir for another plugin, and the same layout as \
         before",
        state_dir.display(), plugin.display(), layout
    )]
    OtherPlugin {
        /// The agent's folder.
        state_dir: PathBuf,
        /// The plugin in the ledger.
        plugin: PathBuf,
        /// Its layout there.
        layout: LayoutKind,
    },
    /// The plugin's version is unknown.
    #[error("the version of {} can not be read from it; name it as plugin.version", .0.display())]
    UnknownVersion(PathBuf),
    /// What lies there can not be a plugin, or is not ours to change.
    #[error("the plugin's path can not be used")]
    Swap(#[from] SwapError),
}

impl<T: Transport> Engine<T> {
    /// Opens the engine: takes the locks and settles the ledger. Orders that this ended are in
    /// [`Engine::take_settled`]; a change that is on trial goes on with [`Engine::resume`]; while only a person can settle
    /// one, orders are refused.
    ///
    /// # Errors
    /// Why nothing may be changed here; the plugin is untouched.
    pub fn open(options: EngineOptions, deps: EngineDeps<T>) -> Result<Self, OpenError> {
        let state = open_state(&options.state_dir)?;
        let state_lock = lock::acquire(&state, "engine.lock")?;
        let file = LedgerFile::new(&options.state_dir);
        let known = file.read()?;
        let site = open_site(&options)?;
        let site_lock = lock::acquire(&site.work, "lock")?;
        let capabilities = match capability::probe(&site.work, &site.plugin_path()) {
            // A full disk ends no agent: it was able to swap here before, and an order says that there is no room.
            Err(e) if known.is_some() && e.is_no_space() => capability::assumed(&site.work, &site.plugin_path())?,
            other => other?,
        };
        check(&options, &site, &capabilities, known.is_some())?;
        let ledger = match known {
            Some(ledger) => same_plugin(&options, &site, ledger)?,
            None => adopt(&options, &site, &file)?,
        };
        let mut engine = Self {
            options,
            repository: deps.repository,
            clock: deps.clock,
            counters: deps.counters,
            signals: deps.signals,
            last_word: deps.last_word,
            random: deps.random,
            site,
            state,
            capabilities,
            file,
            ledger,
            unsaved: false,
            is_stuck: false,
            payload: plugmend_shared::protocol::command::CommandPayload::default(),
            received_at: None,
            notes: Vec::new(),
            settled: Vec::new(),
            fetched_before: 0,
            unlike: None,
            coming: None,
            _locks: [state_lock, site_lock],
        };
        engine.settle()?;
        engine.tidy();
        Ok(engine)
    }
}

fn open_state(path: &Path) -> Result<Dir, OpenError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FsError {
        action: "make the agent's folder",
        path: path.to_owned(),
        source,
    })?;
    let state = Dir::open(path)?;
    state.create_dirs(Path::new("manifests"), 0o700)?;
    Ok(state)
}

fn open_site(options: &EngineOptions) -> Result<Site, OpenError> {
    let parent = options.plugin.parent().filter(|p| !p.as_os_str().is_empty());
    if capability::is_read_only(parent.unwrap_or(Path::new(".")))? {
        return Err(OpenError::ReadOnly(options.plugin.clone()));
    }
    let site = Site::open(&options.plugin)?;
    let work = site.work.identity()?;
    if work.st_uid != rustix::process::geteuid().as_raw() || work.st_mode & 0o022 != 0 {
        tracing::warn!(
            path = %site.work.path().display(), owner = work.st_uid,
            "another user can write in the agent's working folder: give it to the agent's user (chown, chmod 755)"
        );
    }
    Ok(site)
}

fn check(options: &EngineOptions, site: &Site, found: &Capabilities, known: bool) -> Result<(), OpenError> {
    let path = site.plugin_path();
    if found.read_only {
        return Err(OpenError::ReadOnly(path));
    }
    // A link has no filesystem of its own.
    let is_link = site.parent.read_link(site.plugin())?.is_some();
    if !is_link && (found.mount_point || capability::is_mount_point(&path)) {
        return Err(OpenError::MountPoint(path));
    }
    if !is_link && !found.same_filesystem {
        return Err(OpenError::OtherFilesystem(path));
    }
    if !found.symlink {
        return Err(OpenError::NoLinks(path));
    }
    // A plugin that lies behind our link already is swapped by rename alone.
    let settled = known && is_link && options.layout == LayoutKind::Symlink;
    if !found.exchange && !settled {
        return Err(OpenError::NoExchange(path));
    }
    if !found.plugin_writable {
        return Err(OpenError::NotWritable(path));
    }
    Ok(())
}

fn same_plugin(options: &EngineOptions, site: &Site, ledger: Ledger) -> Result<Ledger, OpenError> {
    if ledger.plugin == site.plugin_path() && ledger.layout == options.layout {
        return Ok(ledger);
    }
    Err(OpenError::OtherPlugin {
        state_dir: options.state_dir.clone(),
        plugin: ledger.plugin,
        layout: ledger.layout,
    })
}

/// The folder as it is becomes release zero. Nothing is moved before the first change.
fn adopt(options: &EngineOptions, site: &Site, file: &LedgerFile) -> Result<Ledger, OpenError> {
    let active = layout(options, site, &[]).active()?;
    let version = recover::read_version(&active.dir)
        .or_else(|| options.adopted_version.clone())
        .ok_or_else(|| OpenError::UnknownVersion(site.plugin_path()))?;
    let taken = highest_tree(site);
    let zero = Tree {
        name: active.tree.unwrap_or_else(|| format!("r{taken}-{version}")),
        ino: active.ino,
        version,
        digest: None,
    };
    let mut ledger = Ledger {
        writes: 0,
        plugin: site.plugin_path(),
        layout: options.layout,
        installed: zero.clone(),
        previous: None,
        zero: Some(zero),
        next_tree: taken + 1,
        last_stamp: 0,
        preserved: options.preserve.clone(),
        transaction: None,
        generation: plugmend_shared::generation::Generation::ZERO,
        results: Vec::new(),
        quarantine: Vec::new(),
        undone: None,
        managed: serde_json::Map::new(),
    };
    file.write(&mut ledger)?;
    Ok(ledger)
}

/// A number that no tree in the working folder has: an earlier agent's may still be there.
fn highest_tree(site: &Site) -> u64 {
    let names = Site::tree_names(&site.work).unwrap_or_default();
    let number = |name: &String| name.strip_prefix('r')?.split_once('-')?.0.parse::<u64>().ok();
    names.iter().filter_map(number).max().map_or(0, |n| n.saturating_add(1))
}

impl<T> Engine<T> {
    /// Deletes what nothing refers to any more. A failure leaves it for the next time.
    pub(super) fn tidy(&mut self) {
        if let Err(failure) = self.prune() {
            tracing::warn!(words = failure.words, "old files are left for the next time");
        }
        if let Err(e) = tree::empty_trash(&self.site) {
            tracing::warn!(error = chain(&e), "the trash is left for the next time");
        }
    }
}
