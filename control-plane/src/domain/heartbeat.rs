//! Which heartbeats are believed, and which are news.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    detect::Finding,
    ids::BootId,
    protocol::heartbeat::{Heartbeat, HostReport, MAX_EARLY, MAX_FOUND, MAX_WINDOWS},
    telemetry::WindowError,
};
use thiserror::Error;

/// How far a sender's clock may be off, either way.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_hours(24);
/// The oldest telemetry that is taken: the spool of 72 h, the skew, and room for a slow way back.
pub const OLDEST_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

const MAX_VERSION: usize = 64;
/// The longest checkpoint of the audit trail, in bytes.
const MAX_NOTE_OF_AUDIT: usize = plugmend_shared::audit::checkpoint::MAX_NOTE;
const MAX_ENV_BYTES: usize = 16 * 1024;
/// Settings that may be named as drifted.
const MAX_KEYS: usize = 64;
/// The longest name of a setting, in bytes.
const MAX_KEY: usize = 256;
const MAX_DIFFERING: usize = 100;
const MAX_PATH: usize = 4096;
const MAX_NOTES: usize = 20;
const MAX_NOTE: usize = 500;

/// Why a heartbeat is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HeartbeatError {
    /// The clock of the sender is off by more than a day.
    #[error("timestamp differs from ours by more than 24 hours; set the host's clock")]
    Skew,
    /// A window contradicts itself.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A window is about a time that can not be.
    #[error("window {seq} is {when}; drop it and send the rest")]
    WindowTime {
        /// Which.
        seq: u64,
        /// In the future, or too long ago.
        when: &'static str,
    },
    /// A field holds something that can not be.
    #[error("{field} {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn field(field: &'static str, problem: &'static str) -> HeartbeatError {
    HeartbeatError::Field { field, problem }
}

/// Checks what no honest sender would say.
///
/// # Errors
/// The first thing found wrong.
pub fn check(heartbeat: &Heartbeat, now: Timestamp) -> Result<(), HeartbeatError> {
    let skew = heartbeat.timestamp.duration_since(now).abs();
    if skew > MAX_SKEW {
        return Err(HeartbeatError::Skew);
    }
    let version = &heartbeat.plugin_version;
    if version.is_empty() || version.len() > MAX_VERSION || version.chars().any(char::is_control) {
        return Err(field("plugin_version", "is empty, too long or has control characters"));
    }
    if i32::try_from(heartbeat.errors_last_24h).is_err() {
        return Err(field("errors_last_24h", "is more than any shop could have"));
    }
    if heartbeat
        .webhook_fail_rate
        .is_some_and(|rate| !(0.0..=1.0).contains(&rate))
    {
        return Err(field("webhook_fail_rate", "is not a share from 0 to 1"));
    }
    if i64::try_from(heartbeat.uptime).is_err() || heartbeat.seq.is_some_and(|seq| i64::try_from(seq).is_err()) {
        return Err(field("uptime or seq", "is out of range"));
    }
    let env_bytes = serde_json::to_string(&heartbeat.env).map_or(usize::MAX, |text| text.len());
    if env_bytes > MAX_ENV_BYTES {
        return Err(field("env", "is longer than 16 kB"));
    }
    check_reports(heartbeat)?;
    check_windows(heartbeat, now)
}

fn check_reports(heartbeat: &Heartbeat) -> Result<(), HeartbeatError> {
    if heartbeat.host.as_ref().is_some_and(|host| !is_possible(host)) {
        return Err(field("host", "has a share outside 0 to 1 or a number that is none"));
    }
    if let Some(integrity) = &heartbeat.integrity {
        let mut paths = integrity
            .differing
            .iter()
            .chain(integrity.found.iter().map(|found| &found.path));
        let fits = integrity.differing.len() <= MAX_DIFFERING
            && integrity.found.len() <= MAX_FOUND
            && integrity.evidence.iter().all(|place| place.len() <= MAX_PATH)
            && paths.all(|path| path.len() <= MAX_PATH);
        if !fits {
            return Err(field("integrity", "names more than 100 paths, or one over 4096 bytes"));
        }
    }
    if let Some(settings) = &heartbeat.settings {
        let fits = settings.file.len() <= MAX_PATH
            && settings.drifted.len() <= MAX_KEYS
            && settings.drifted.iter().all(|key| key.len() <= MAX_KEY);
        if !fits {
            return Err(field("settings", "names more than 64 keys, or one over 256 bytes"));
        }
    }
    let possible = |finding: &Finding| {
        let numbers = [finding.evidence.observed, finding.evidence.expected];
        (0.0..=1.0).contains(&finding.confidence) && numbers.into_iter().all(f64::is_finite)
    };
    if heartbeat.early.len() > MAX_EARLY || !heartbeat.early.iter().all(possible) {
        return Err(field("early", "has more than 8 findings, or a number that is none"));
    }
    if heartbeat.ill.as_ref().is_some_and(|ill| ill.len() > MAX_EARLY) {
        return Err(field("ill", "has more than 8 entries"));
    }
    if let Some(agent) = &heartbeat.agent {
        let fits = agent.version.len() <= MAX_VERSION
            && agent.reduced_protection.len() <= MAX_NOTES
            && agent.reduced_protection.iter().all(|note| note.len() <= MAX_NOTE);
        if !fits {
            return Err(field("agent", "has too many or too long notes"));
        }
    }
    if heartbeat
        .audit
        .as_ref()
        .is_some_and(|note| note.len() > MAX_NOTE_OF_AUDIT)
    {
        return Err(field("audit", "is longer than a checkpoint"));
    }
    if heartbeat
        .installed
        .as_ref()
        .is_some_and(|installed| installed.layout.len() > MAX_VERSION)
    {
        return Err(field("installed", "has too long a layout"));
    }
    Ok(())
}

fn is_possible(host: &HostReport) -> bool {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    share(host.cpu) && share(host.memory) && host.load.is_finite() && host.load >= 0.0
}

fn check_windows(heartbeat: &Heartbeat, now: Timestamp) -> Result<(), HeartbeatError> {
    if heartbeat.windows.len() > MAX_WINDOWS {
        return Err(field(
            "windows",
            "are more than 256; send the rest with the next heartbeat",
        ));
    }
    for window in &heartbeat.windows {
        window.check()?;
        if i64::try_from(window.seq).is_err() {
            return Err(field("windows", "have a number that is out of range"));
        }
        let time = |when| HeartbeatError::WindowTime { seq: window.seq, when };
        if window.to.duration_since(now) > MAX_SKEW {
            return Err(time("more than 24 hours in the future"));
        }
        if now.duration_since(window.from) > OLDEST_WINDOW {
            return Err(time("more than 7 days old"));
        }
    }
    Ok(())
}

/// The last heartbeat that was taken from a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastHeard {
    /// Life of the agent.
    pub boot_id: Option<BootId>,
    /// Number.
    pub seq: Option<u64>,
    /// By the sender's clock.
    pub sent_at: Option<Timestamp>,
}

impl LastHeard {
    /// Whether a heartbeat says more than what is known; a repeat or a straggler does not. Heartbeats without number
    /// (agentless) are always news.
    pub fn is_news(&self, heartbeat: &Heartbeat) -> bool {
        let (Some(last), Some(seq)) = (self.seq, heartbeat.seq) else {
            return true;
        };
        // An agent that lost its counter begins a new life, later by its own clock.
        let new_life = heartbeat.boot_id != self.boot_id && self.sent_at.is_none_or(|at| heartbeat.timestamp > at);
        seq > last || new_life
    }

    /// After `heartbeat` was taken.
    #[must_use]
    pub fn after(heartbeat: &Heartbeat) -> Self {
        Self {
            boot_id: heartbeat.boot_id,
            seq: heartbeat.seq,
            sent_at: Some(heartbeat.timestamp),
        }
    }
}
