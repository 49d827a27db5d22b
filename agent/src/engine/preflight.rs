//! Before the plugin is touched: the release's smoke tests in the sandbox, and the host's snapshot.

use std::{path::Path, time::Duration};

use plugmend_shared::bundle::manifest::SmokeTest;

use super::{Engine, chain, fs_failure};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure},
        installed::Tree,
    },
    platform::{beneath::Dir, sandbox},
    upstream::repo::Transport,
};

const SCRATCH: &str = "scratch";

impl<T: Transport> Engine<T> {
    pub(super) fn preflight(&mut self, change: &Change, to: &Tree) -> Result<(), Failure> {
        crash_point!("engine.preflight");
        if matches!(change.kind, ChangeKind::Config | ChangeKind::Rollback) {
            return Ok(());
        }
        let Some(digest) = to.digest else { return Ok(()) };
        let Some((manifest, _)) = self.manifest(&digest)? else {
            return Err(Failure::passing("no_manifest", "the manifest is gone; fetch it again"));
        };
        if manifest.smoke_tests.is_empty() {
            return Ok(());
        }
        let tree = self.tree_dir(to)?;
        let work = &self.site.work;
        let made = self.site.throw_away(work, Path::new(SCRATCH));
        let scratch = made
            .and_then(|()| work.create_dirs(Path::new(SCRATCH), 0o700))
            .map_err(|e| fs_failure(&e))?;
        let tested = manifest
            .smoke_tests
            .iter()
            .try_for_each(|test| self.smoke(test, &tree, &scratch));
        if let Err(e) = self.site.throw_away(work, Path::new(SCRATCH)) {
            tracing::warn!(error = chain(&e), "the scratch folder is left for the next time");
        }
        tested
    }

    fn smoke(&self, test: &SmokeTest, tree: &Dir, scratch: &Dir) -> Result<(), Failure> {
        let limit = Duration::from_millis(test.timeout_ms);
        let ran = sandbox::run(&self.options.sandbox, &test.argv, tree.path(), scratch.path(), limit);
        let ended = match ran {
            Ok(outcome) => outcome.finished,
            Err(e @ sandbox::SandboxError::Unavailable(_)) => return Err(Failure::lasting("no_sandbox", chain(&e))),
            Err(e) => return Err(smoke_failed(test, &chain(&e))),
        };
        if ended.code != Some(test.exit) {
            return Err(smoke_failed(test, &ended.words()));
        }
        match &test.stdout_contains {
            Some(wanted) if !ended.stdout.contains(wanted.as_str()) => {
                Err(smoke_failed(test, &format!("its output does not contain '{wanted}'")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn snapshot(&self) -> Result<(), Failure> {
        crash_point!("engine.snapshot");
        let hooks = &self.options.hooks;
        hooks
            .take_snapshot()
            .map_err(|e| Failure::passing("snapshot_failed", chain(&e)))
    }
}

fn smoke_failed(test: &SmokeTest, words: &str) -> Failure {
    Failure::lasting("smoke_test_failed", format!("smoke test '{}': {words}", test.name))
}
