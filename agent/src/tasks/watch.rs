//! Watches what the plugin says between two heartbeats: when it goes bad, or another version speaks, the heartbeat
//! goes at once. Two eyes: a burst needs no history; the detector that the control plane runs over heartbeats runs here
//! over windows of a second, and knows what is usual for this plugin.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use plugmend_shared::{
    detect::{self, Finding, IncidentType, Observation, PluginState, Prior, Settings},
    protocol::heartbeat::MAX_EARLY,
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{Common, board::chain, rest};
use crate::{
    domain::trial::{LiveCounters as _, RequestCounts},
    platform::facts::machine_uptime,
};

/// How often the detector looks: it is given evidence by the second, so that it does not wait for a window to end.
const EVERY: Duration = Duration::from_secs(1);
/// A burst is looked for this often.
const BURST_EVERY: Duration = Duration::from_secs(5);
/// Fewer failures between two looks for a burst are bad luck.
const ENOUGH: u64 = 5;
/// So many looks without one end an episode: a shop that stays bad does not send all the time.
const CALM_LOOKS: u32 = 12;
/// What the detector finds sends at most so many heartbeats early within this time: one illness may follow the other.
const EARLY: (usize, Duration) = (3, Duration::from_mins(3));
/// An illness is told of for this long after the detector has let go of it: what comes and goes is one illness.
const TOLD_FOR: Duration = Duration::from_secs(30);
/// What the detector has learnt is kept this often.
const KEEP_EVERY: Duration = Duration::from_mins(5);

/// Watches until the agent stops.
pub async fn run(common: Common, mut stop: watch::Receiver<bool>) {
    let mut watching = Watching::new(common.hub.counts());
    let mut looked_at = common.hub.elapsed();
    let mut detector = Detector::open(&common);
    while rest(EVERY, &mut stop).await {
        let (now, elapsed) = (common.hub.counts(), common.hub.elapsed());
        let found = detector.look(&common, &now);
        let mut burst = false;
        if elapsed.saturating_sub(looked_at) >= BURST_EVERY {
            looked_at = elapsed;
            burst = watching.look(now);
        }
        if burst || found {
            common.urgent.notify_one();
        }
    }
    detector.keep(&common);
}

/// The detector over the time between two looks.
struct Detector {
    state: PluginState,
    settings: Settings,
    last: RequestCounts,
    looked_at: Duration,
    kept_at: Duration,
    /// When it last sent heartbeats early, oldest first.
    early_at: VecDeque<Duration>,
    /// What is told to be ill, and when it last was.
    told: BTreeMap<IncidentType, Duration>,
}

impl Detector {
    fn open(common: &Common) -> Self {
        let state = common.kept.detector().unwrap_or_else(|error| {
            warn!("the detector starts anew: {}", chain(&error));
            PluginState::default()
        });
        let now = common.hub.elapsed();
        Self {
            state,
            settings: Settings::early(),
            last: common.hub.counts(),
            looked_at: now,
            kept_at: now,
            early_at: VecDeque::new(),
            told: BTreeMap::new(),
        }
    }

    /// Whether something is found that the control plane should hear of now.
    fn look(&mut self, common: &Common, now: &RequestCounts) -> bool {
        let elapsed = common.hub.elapsed();
        let length = elapsed.saturating_sub(self.looked_at);
        self.looked_at = elapsed;
        let observation = observation(
            &self.last,
            now,
            length,
            common.clock.now().as_second(),
            machine_uptime(),
        );
        let findings = detect::advance(&mut self.state, &observation, &Prior::default(), &self.settings);
        self.last = now.clone();
        let ill = still_told(&mut self.told, self.state.ill(), elapsed);
        common.board.show(|shown| shown.ill = Some(ill));
        if elapsed.saturating_sub(self.kept_at) >= KEEP_EVERY {
            self.kept_at = elapsed;
            self.keep(common);
        }
        for over in &findings.recovered {
            info!(kind = %over, "the plugin is well again");
        }
        if findings.opened.is_empty() {
            return false;
        }
        for finding in &findings.opened {
            info!(kind = %finding.incident_type, confidence = finding.confidence, "the plugin falls ill");
        }
        common.board.show(|shown| add(&mut shown.early, findings.opened));
        may_send(&mut self.early_at, elapsed)
    }

    fn keep(&self, common: &Common) {
        if let Err(error) = common.kept.keep_detector(&self.state) {
            warn!("what the detector has learnt could not be kept: {}", chain(&error));
        }
    }
}

/// Whether a heartbeat may go early at `now`, after those of before; notes it.
fn may_send(before: &mut VecDeque<Duration>, now: Duration) -> bool {
    let (most, within) = EARLY;
    before.retain(|at| now.saturating_sub(*at) < within);
    let may = before.len() < most;
    if may {
        before.push_back(now);
    }
    may
}

/// What is told to be ill at `now`: what is, and what was within [`TOLD_FOR`].
fn still_told(
    told: &mut BTreeMap<IncidentType, Duration>,
    ill: impl Iterator<Item = IncidentType>,
    now: Duration,
) -> Vec<IncidentType> {
    told.extend(ill.map(|one| (one, now)));
    told.retain(|_, at| now.saturating_sub(*at) < TOLD_FOR);
    told.keys().copied().collect()
}

/// The newest word on each illness stays; few wait.
fn add(early: &mut Vec<Finding>, opened: Vec<Finding>) {
    early.retain(|old| opened.iter().all(|new| new.incident_type != old.incident_type));
    early.extend(opened);
    early.truncate(MAX_EARLY);
}

/// What was counted between two looks. Caches are cold after a start of the machine; a start of the agent says nothing of
/// the plugin.
fn observation<'a>(
    last: &RequestCounts,
    now: &'a RequestCounts,
    length: Duration,
    at: i64,
    machine_uptime: Option<u64>,
) -> Observation<'a> {
    Observation {
        at,
        window_s: Some(u32::try_from(length.as_secs()).unwrap_or(u32::MAX).max(1)),
        requests: Some(now.requests.saturating_sub(last.requests)),
        errors: Some(now.errors.saturating_sub(last.errors)),
        webhook_total: Some(now.webhook_total.saturating_sub(last.webhook_total)),
        webhook_failed: Some(now.webhook_failed.saturating_sub(last.webhook_failed)),
        version: now.version_seen.as_deref().unwrap_or_default(),
        uptime_s: machine_uptime,
        ..Observation::default()
    }
}

/// What was seen at the last look.
#[derive(Debug)]
struct Watching {
    last: RequestCounts,
    /// Looks since the last burst, while an episode lasts.
    episode: Option<u32>,
}

impl Watching {
    fn new(last: RequestCounts) -> Self {
        Self { last, episode: None }
    }

    /// Whether the heartbeat should go at once.
    fn look(&mut self, now: RequestCounts) -> bool {
        let another_version = now.version_seen.is_some() && now.version_seen != self.last.version_seen;
        let burst = bad(
            now.errors.saturating_sub(self.last.errors),
            now.requests.saturating_sub(self.last.requests),
        ) || bad(
            now.webhook_failed.saturating_sub(self.last.webhook_failed),
            now.webhook_total.saturating_sub(self.last.webhook_total),
        );
        self.last = now;
        let begins = burst && self.episode.is_none();
        self.episode = match (burst, self.episode) {
            (true, _) => Some(0),
            (false, Some(calm)) if calm + 1 < CALM_LOOKS => Some(calm + 1),
            (false, _) => None,
        };
        begins || another_version
    }
}

/// Enough failures, and more than a third of all.
fn bad(failures: u64, all: u64) -> bool {
    failures >= ENOUGH && failures.saturating_mul(3) > all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64, errors: u64) -> RequestCounts {
        RequestCounts {
            requests,
            errors,
            ..RequestCounts::default()
        }
    }

    #[test]
    fn a_burst_of_errors_is_said_once_until_it_was_calm_for_a_minute() {
        let mut watching = Watching::new(counts(0, 0));
        assert!(!watching.look(counts(1000, 20)), "two percent");
        assert!(watching.look(counts(1010, 30)));
        assert!(!watching.look(counts(1020, 40)), "the same episode");
        for _ in 0..CALM_LOOKS {
            assert!(!watching.look(counts(1020, 40)));
        }
        assert!(watching.look(counts(1020, 50)), "a new one");
    }

    #[test]
    fn the_detector_is_told_what_was_counted_between_two_looks() {
        let (last, now) = (counts(1000, 20), counts(1010, 27));
        let seen = observation(&last, &now, Duration::from_millis(5_100), 1_700_000_000, Some(60));
        assert_eq!(
            (seen.window_s, seen.requests, seen.errors),
            (Some(5), Some(10), Some(7))
        );
        assert!(seen.counts_errors() && seen.counts_webhooks());
    }

    #[test]
    fn an_illness_that_comes_and_goes_is_one_illness() {
        let mut told = BTreeMap::new();
        let mut at =
            |seconds, ill: &[IncidentType]| still_told(&mut told, ill.iter().copied(), Duration::from_secs(seconds));
        let webhooks = IncidentType::WebhookFailRate;
        assert_eq!(at(0, &[]), []);
        assert_eq!(at(5, &[webhooks]), [webhooks]);
        assert_eq!(at(30, &[]), [webhooks]);
        assert_eq!(at(34, &[webhooks]), [webhooks]);
        assert_eq!(at(63, &[]), [webhooks]);
        assert_eq!(at(64, &[]), []);
    }

    #[test]
    fn three_illnesses_in_three_minutes_are_told_of_at_once_and_no_more() {
        let mut sent = VecDeque::new();
        let mut may = |seconds| may_send(&mut sent, Duration::from_secs(seconds));
        assert!(may(10) && may(30) && may(40));
        assert!(!may(50) && !may(189));
        assert!(may(190) && !may(200));
        assert!(may(210));
    }

    #[test]
    fn another_version_is_said_at_once() {
        let mut watching = Watching::new(counts(0, 0));
        let spoke = RequestCounts {
            version_seen: Some("1.0.1".to_owned()),
            ..counts(0, 0)
        };
        assert!(watching.look(spoke.clone()));
        assert!(!watching.look(spoke));
    }
}
