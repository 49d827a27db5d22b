//! Sees from outside when a plugin was swapped: what customers' answers are judged against.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::load::Swap;

/// How often the installed version is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// Reads the version that is installed at a path; `None` while it can not be told.
pub type ReadVersion = fn(&Path) -> Option<String>;

/// Watches one plugin's path.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    swaps: Arc<Mutex<Vec<Swap>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch `plugin`.
    pub fn start(plugin: PathBuf, read: ReadVersion) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let swaps = Arc::new(Mutex::new(Vec::<Swap>::new()));
        let (stopped, seen) = (stop.clone(), swaps.clone());
        let thread = thread::spawn(move || {
            let mut before = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let now = Instant::now();
                if let Some(version) = read(&plugin) {
                    note(&seen, &version, before);
                }
                before = now;
                thread::sleep(PAUSE);
            }
        });
        Self {
            stop,
            swaps,
            thread: Some(thread),
        }
    }

    /// The swaps so far; the first is what was there at the start.
    pub fn swaps(&self) -> Vec<Swap> {
        self.swaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The version that is installed now.
    pub fn version(&self) -> Option<String> {
        self.swaps().pop().map(|swap| swap.version)
    }
}

/// `before` is when the look before began: the swap happened after that and before now.
fn note(seen: &Mutex<Vec<Swap>>, version: &str, before: Instant) {
    let mut swaps = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if swaps.last().is_none_or(|last| last.version != version) {
        swaps.push(Swap {
            begun: before,
            done: Instant::now(),
            version: version.to_owned(),
        });
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only reads; a panic in it would have shown as a missing swap.
            let _ = thread.join();
        }
    }
}

/// Swaps that came into force: each begins with its link and is done when the shop has turned to it. What the shop never
/// turned to, because it refused to load it, was never in force for customers.
pub fn in_force(links: &[Swap], turns: &[Swap]) -> Vec<Swap> {
    let mut turns = turns.iter().peekable();
    let mut found: Vec<Swap> = Vec::new();
    for (at, link) in links.iter().enumerate() {
        let next = links.get(at + 1).map(|next| next.begun);
        let mine = |turn: &&Swap| turn.version == link.version && next.is_none_or(|next| turn.begun < next);
        if let Some(turn) = turns.next_if(mine) {
            found.push(Swap {
                begun: link.begun,
                done: turn.done,
                version: link.version.clone(),
            });
        }
    }
    found
}

/// The version in a Node plugin's `package.json`.
pub fn node_version(plugin: &Path) -> Option<String> {
    let bytes = std::fs::read(plugin.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_that_the_shop_refused_was_never_in_force() {
        let begun = Instant::now();
        let at = |ms, version| Swap::at(begun + Duration::from_millis(ms), version);
        let links = [at(0, "1"), at(1_000, "2"), at(5_000, "3"), at(6_000, "2")];
        let turns = [at(10, "1"), at(1_800, "2")];
        let swaps = in_force(&links, &turns);
        let versions: Vec<&str> = swaps.iter().map(|swap| swap.version.as_str()).collect();
        assert_eq!(versions, ["1", "2"]);
        assert_eq!(swaps[1].done - swaps[1].begun, Duration::from_millis(800));
    }
}
