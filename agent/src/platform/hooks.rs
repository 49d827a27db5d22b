//! The host's own commands around a change. They come from the host's configuration only, never from afar.

use std::{path::Path, time::Duration};

use thiserror::Error;

use super::{
    beneath::Dir,
    exec::{self, ExecError, Program},
    fastcgi::{FastCgiError, Pool},
    opcache::{self, Held},
};

/// The longest a reload or a cache clearing may take.
const LIMIT: Duration = Duration::from_mins(2);
/// The longest a snapshot may take.
const SNAPSHOT_LIMIT: Duration = Duration::from_hours(1);

/// What the host's configuration names.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Makes a running process take up the new code.
    pub reload: Option<Vec<String>>,
    /// Saves the plugin's data before a release that changes it irreversibly.
    pub snapshot: Option<Vec<String>>,
    /// Empties the shop's caches.
    pub cache_clear: Option<Vec<String>>,
    /// The PHP pool whose OPcache is reset.
    pub opcache: Option<Pool>,
}

/// Why a hook did not do its work.
#[derive(Debug, Error)]
pub enum HookError {
    /// It said so.
    #[error("hook {name} failed ({words})")]
    Failed {
        /// Which.
        name: &'static str,
        /// How it ended.
        words: String,
    },
    /// It could not be run to its end.
    #[error("hook {name} could not be run")]
    Exec {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: ExecError,
    },
    /// The OPcache could not be reset.
    #[error("the OPcache could not be reset")]
    Opcache(#[from] FastCgiError),
}

impl Hooks {
    /// Right before the files at `plugin` are changed under PHP's feet: requests under way shall end with the code that
    /// they began with. `None` where no pool is named.
    ///
    /// # Errors
    /// The pool is not there.
    pub fn hold_code(&self, work: &Dir, token: &str, plugin: &Path) -> Result<Option<Held>, HookError> {
        let pool = self.opcache.as_ref();
        Ok(pool.map(|pool| opcache::hold(pool, work, token, plugin)).transpose()?)
    }

    /// Right after files were changed: compiled code is dropped.
    ///
    /// # Errors
    /// The pool is not there.
    pub fn drop_code(&self, work: &Dir, token: &str) -> Result<(), HookError> {
        let pool = self.opcache.as_ref();
        Ok(pool.map_or(Ok(()), |pool| opcache::reset(pool, work, token))?)
    }

    /// After a swap or a change of settings, once compiled code is dropped: caches, then processes.
    ///
    /// # Errors
    /// The first hook that failed.
    pub fn after_swap(&self) -> Result<(), HookError> {
        one("cache_clear", self.cache_clear.as_deref(), LIMIT)?;
        one("reload", self.reload.as_deref(), LIMIT)
    }

    /// Before an irreversible change.
    ///
    /// # Errors
    /// It failed.
    pub fn take_snapshot(&self) -> Result<(), HookError> {
        one("snapshot", self.snapshot.as_deref(), SNAPSHOT_LIMIT)
    }

    /// For an order to restart.
    ///
    /// # Errors
    /// It failed.
    pub fn restart(&self) -> Result<(), HookError> {
        one("reload", self.reload.as_deref(), LIMIT)
    }
}

fn one(name: &'static str, argv: Option<&[String]>, limit: Duration) -> Result<(), HookError> {
    let Some(argv) = argv else { return Ok(()) };
    let ended = exec::run(&Program {
        argv,
        folder: None,
        env: None,
        limit,
    })
    .map_err(|source| HookError::Exec { name, source })?;
    if ended.code == Some(0) {
        return Ok(());
    }
    Err(HookError::Failed {
        name,
        words: ended.words(),
    })
}
