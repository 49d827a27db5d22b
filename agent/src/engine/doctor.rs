//! What a person should know about this host, with what to do about it.

use serde::{Deserialize, Serialize};

use super::{Engine, chain};
use crate::{
    domain::installed::LayoutKind,
    platform::sandbox::{self, Confinement},
};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, less safely or less well than it could.
    Advice,
    /// It does not work.
    Bad,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How grave.
    pub level: Level,
    /// What it is about.
    pub topic: String,
    /// In words, with what to do.
    pub words: String,
}

fn finding(level: Level, topic: &str, words: impl Into<String>) -> Finding {
    Finding {
        level,
        topic: topic.to_owned(),
        words: words.into(),
    }
}

/// Below this much free space an update may not fit.
const LITTLE_SPACE: u64 = 256 * 1024 * 1024;

impl<T> Engine<T> {
    /// Looks at everything that a change will need.
    pub fn doctor(&self) -> Vec<Finding> {
        vec![
            self.about_state(),
            self.about_files(),
            self.about_hooks(),
            self.about_probes(),
            self.about_sandbox(),
            self.about_space(),
            self.about_user(),
        ]
    }

    fn about_state(&self) -> Finding {
        match &self.ledger.transaction {
            None => finding(Level::Good, "change", "no change is in progress"),
            Some(open) if self.is_stuck => {
                let change = &open.change;
                let to = open.stage.tree().map_or(&open.tree_name, |tree| &tree.name);
                finding(
                    Level::Bad,
                    "change",
                    format!(
                        "{} holds neither {} ({}) nor {} ({}), so that nothing is changed. Put one of the two folders \
                         back in its place; then it goes on by itself",
                        self.ledger.plugin.display(),
                        change.from.version,
                        self.place_of(&change.from.name),
                        change.version,
                        self.place_of(to)
                    ),
                )
            }
            Some(open) => finding(
                Level::Advice,
                "change",
                format!(
                    "a change from {} (folder {}) to {} (folder {}) is at stage {}",
                    open.change.from.version,
                    open.change.from.name,
                    open.change.version,
                    open.tree_name,
                    open.stage.name()
                ),
            ),
        }
    }

    /// Where a tree that does not run lies, for a person.
    fn place_of(&self, tree: &str) -> String {
        let work = self.site.work.path();
        let places = [work.join(tree), self.site.plugin_path().join("versions").join(tree)];
        let found = places.into_iter().find(|place| place.is_dir());
        found.map_or_else(|| "its folder is gone".to_owned(), |place| place.display().to_string())
    }

    fn about_files(&self) -> Finding {
        match self.verify() {
            Err(failure) => finding(Level::Bad, "files", failure.words),
            Ok(found) if !found.signed => finding(
                Level::Advice,
                "files",
                "what is installed was adopted as it was; its files are checked from the first signed release on",
            ),
            Ok(found) if found.intact => finding(Level::Good, "files", "every file is as signed"),
            Ok(found) => finding(
                Level::Bad,
                "files",
                format!(
                    "{} files are not as signed ({}); order an update to the same release to heal them",
                    found.count,
                    found.differing.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
                ),
            ),
        }
    }

    fn about_hooks(&self) -> Finding {
        let hooks = &self.options.hooks;
        match self.options.layout {
            LayoutKind::Stub => finding(Level::Good, "hooks", "the stub layout needs none"),
            LayoutKind::Exchange if hooks.opcache.is_none() && hooks.reload.is_none() => finding(
                Level::Advice,
                "hooks",
                "name hooks.opcache_fastcgi (PHP) or hooks.reload: without, the new version is seen up to two seconds late",
            ),
            LayoutKind::Symlink if hooks.opcache.is_none() && hooks.reload.is_none() => finding(
                Level::Bad,
                "hooks",
                "name hooks.reload (Node, Python) or hooks.opcache_fastcgi (PHP): a running process goes on with the \
                 old version for minutes or for ever",
            ),
            _ => finding(Level::Good, "hooks", "the new version is made to be seen at once"),
        }
    }

    fn about_probes(&self) -> Finding {
        let probes = &self.options.probes;
        if probes.is_empty() {
            return finding(
                Level::Advice,
                "probes",
                "name probes: without, a trial without traffic proves nothing",
            );
        }
        if !probes.iter().any(crate::platform::probe::Probe::proves_version) {
            let words = "no probe contains {version}: only the plugin's own telemetry can prove which version runs";
            return finding(Level::Advice, "probes", words);
        }
        match self.probe_round(&self.ledger.installed.version, 0) {
            Ok(_) => finding(Level::Good, "probes", "every probe passes"),
            Err((words, _)) => finding(Level::Bad, "probes", words),
        }
    }

    fn about_sandbox(&self) -> Finding {
        match sandbox::available(&self.options.sandbox) {
            Ok(here) if here.confinement != Confinement::None => {
                finding(Level::Good, "sandbox", format!("a smoke test {}", here.words()))
            }
            Ok(_) => finding(
                Level::Advice,
                "sandbox",
                "reduced protection: smoke tests run with limits only, as configured",
            ),
            Err(e) => finding(Level::Bad, "sandbox", chain(&e)),
        }
    }

    fn about_space(&self) -> Finding {
        let free = self.status().disk_free_bytes;
        let words = format!("{} MiB are free where the plugin lies", free / (1024 * 1024));
        let level = if free < LITTLE_SPACE {
            Level::Advice
        } else {
            Level::Good
        };
        finding(level, "space", words)
    }

    fn about_user(&self) -> Finding {
        let ours = rustix::process::geteuid().as_raw();
        let theirs = self
            .layout()
            .active()
            .ok()
            .and_then(|active| active.dir.identity().ok())
            .map(|stat| stat.st_uid);
        match theirs {
            Some(uid) if uid == ours && ours != 0 && self.ledger.installed.digest.is_none() => finding(
                Level::Advice,
                "user",
                "reduced protection: the agent runs under the uid that owns the plugin; a uid of its own keeps its key \
                 and ledger from the plugin",
            ),
            _ => finding(Level::Good, "user", format!("the agent runs under uid {ours}")),
        }
    }
}
