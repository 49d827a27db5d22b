//! What an engine needs to know of its host, and what it is given to work with.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use plugmend_shared::{
    bundle::path::RelPath,
    clock::Clock,
    ids::{CommandId, MerchantId, Product},
};
use ring::rand::SecureRandom;
use tokio::sync::Notify;

use super::last_word::LastWord;
use crate::{
    domain::{installed::LayoutKind, trial::LiveCounters},
    platform::{hooks::Hooks, probe::Probe, sandbox::SandboxOptions},
    upstream::repo::Repository,
};

/// The host's own settings; none of them comes from the control plane.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The agent's own folder: ledger, manifests. Unreadable to the plugin.
    pub state_dir: PathBuf,
    /// The plugin's path.
    pub plugin: PathBuf,
    /// What is installed there.
    pub product: Product,
    /// Whose it is, once enrolled.
    pub merchant: Option<MerchantId>,
    /// How releases change places.
    pub layout: LayoutKind,
    /// Version of the folder that is adopted, when it can not be read from it.
    pub adopted_version: Option<semver::Version>,
    /// Entry files that get a loader when a plugin is adopted in the `stub` layout.
    pub stub_entries: Vec<RelPath>,
    /// Data of the plugin to keep beside what signed manifests name.
    pub preserve: Vec<RelPath>,
    /// Versions of what the plugin runs on, by name as in manifests: `php`, `node`, `wordpress`.
    pub env: BTreeMap<String, String>,
    /// Those of them that the host's configuration names: no plugin's word changes these.
    pub host_env: BTreeMap<String, String>,
    /// This agent's version.
    pub agent_version: semver::Version,
    /// Hooks.
    pub hooks: Hooks,
    /// Probes.
    pub probes: Vec<Probe>,
    /// How smoke tests are confined.
    pub sandbox: SandboxOptions,
}

/// What an engine works with.
pub struct EngineDeps<T> {
    /// The signed releases.
    pub repository: Repository<T>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What the plugin says.
    pub counters: Arc<dyn LiveCounters>,
    /// How to interrupt it.
    pub signals: Arc<Signals>,
    /// Who is asked once more before a change.
    pub last_word: Arc<dyn LastWord>,
    /// Randomness.
    pub random: Arc<dyn SecureRandom + Send + Sync>,
}

/// Interrupts a change that is being watched. A change that is being made is never cut short: it takes moments.
#[derive(Debug, Default)]
pub struct Signals {
    back: AtomicBool,
    stop: AtomicBool,
    wake: Notify,
}

impl Signals {
    /// Asks the change in hand to go back: one on trial at once, one that is being prepared before it is activated. It
    /// holds until [`Signals::forget_back`], which comes before the next order.
    pub fn go_back(&self) {
        self.back.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    /// Asks the engine to leave off watching, because the agent stops. The next start watches anew.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    /// What is begun from here on is not meant.
    pub fn forget_back(&self) {
        self.back.store(false, Ordering::SeqCst);
    }

    /// Whether the change in hand is to go back.
    pub fn wants_back(&self) -> bool {
        self.back.load(Ordering::SeqCst)
    }

    pub(super) fn wants_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// Hears how far an order has come. It must not wait: an order never waits for the network.
pub trait ProgressSink: Send + Sync {
    /// `step` is a stage's name; `done` a share from 0 to 1, where it is known.
    fn progress(&self, command: Option<CommandId>, step: &str, detail: &str, done: Option<f64>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl ProgressSink for NoProgress {
    fn progress(&self, _: Option<CommandId>, _: &str, _: &str, _: Option<f64>) {}
}
