//! Looks at the installed files and the managed settings: by the hour, after each change, and when something changes.

use std::time::{Duration, Instant};

use plugmend_shared::protocol::heartbeat::IntegrityReport;
use tokio::time::sleep_until;

use super::EngineTask;
use crate::{
    platform::watcher::{Changed, Watcher},
    tasks::board::chain,
    upstream::repo::Transport,
};

/// The installed files are compared with the signed manifest for the first time after this.
pub(super) const FIRST: Duration = Duration::from_secs(30);
/// And then this often: 60 MB an hour are a ten-thousandth of a processor.
const EVERY: Duration = Duration::from_hours(1);
/// From the first change that is seen to the look at it.
const SETTLE: Duration = Duration::from_secs(1);
/// After a look, no change is seen for this long,
const LISTEN_PAUSE: Duration = Duration::from_secs(5);
/// or for this many times as long as the look took: at most a fiftieth of a processor.
const LISTEN_SHARE: u32 = 50;

impl<T: Transport + 'static> EngineTask<T> {
    pub(super) async fn integrity(&mut self) {
        if let Err(failure) = self.engine.recognise().await {
            tracing::debug!(
                words = failure.words,
                "the adopted folder is compared with its release another time"
            );
        }
        if self.watcher.is_none() {
            self.watch();
        }
        self.settings();
        let begun = Instant::now();
        match self.engine.inspect() {
            Ok(found) => {
                let report = found.report(self.watcher.is_some());
                let words = (!found.intact).then(|| format!("{} installed files are not as signed", found.count));
                self.common.board.trouble("integrity", words);
                let differing =
                    |report: &Option<IntegrityReport>| report.as_ref().map(|report| report.differing.clone());
                let mut news = false;
                self.common.board.show(|shown| {
                    news = differing(&shown.integrity).unwrap_or_default() != differing(&report).unwrap_or_default();
                    shown.integrity = report;
                });
                if news {
                    self.common.urgent.notify_one();
                }
            }
            Err(failure) => {
                // That all was well the last time says nothing of now.
                self.common
                    .board
                    .show(|shown| drop(shown.integrity.take_if(|report| report.intact)));
                self.common.board.trouble("integrity", Some(failure.words));
            }
        }
        self.integrity_at = Instant::now() + EVERY;
        self.listen_from = Instant::now() + (begun.elapsed() * LISTEN_SHARE).max(LISTEN_PAUSE);
    }

    /// Compares the managed settings; the control plane is told at once when that gives something new.
    fn settings(&mut self) {
        let report = self.engine.inspect_settings();
        let drifted = report.as_ref().map(|report| report.drifted.clone()).unwrap_or_default();
        let words = (!drifted.is_empty()).then(|| format!("settings were changed on the host: {}", drifted.join(", ")));
        self.common.board.trouble("settings", words);
        let mut news = false;
        self.common.board.show(|shown| {
            news = shown
                .settings
                .as_ref()
                .map(|old| old.drifted.clone())
                .unwrap_or_default()
                != drifted;
            shown.settings = report;
        });
        if news {
            self.common.urgent.notify_one();
        }
    }

    /// Watches what is installed now. Where that can not be had, the slow cycle sees changes, and it is said.
    pub(super) fn watch(&mut self) {
        self.watcher = None;
        let watched = self.engine.watch_installed();
        let words = watched.as_ref().err().map(|error| {
            format!(
                "changes of installed files are seen by the hour, not at once: {}",
                chain(error)
            )
        });
        self.common.board.trouble("watch", words);
        self.watcher = watched.ok().flatten();
    }

    pub(super) fn changed(&mut self, changed: std::io::Result<Changed>) {
        let now = Instant::now();
        match changed {
            Ok(changed) => {
                self.listen_from = now + LISTEN_PAUSE;
                if changed.tree {
                    // Whoever changes files changes several.
                    self.integrity_at = self.integrity_at.min(now + SETTLE);
                } else {
                    self.settings();
                }
            }
            Err(error) => {
                self.common.board.trouble("watch", Some(error.to_string()));
                self.watcher = None;
            }
        }
    }
}

/// Waits for a change; for ever, where nothing is watched.
pub(super) async fn changed(watcher: Option<&Watcher>, from: Instant) -> std::io::Result<Changed> {
    match watcher {
        Some(watcher) => {
            sleep_until(from.into()).await;
            watcher.changed().await
        }
        None => std::future::pending().await,
    }
}
