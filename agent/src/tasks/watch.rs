//! Watches what the plugin says between two heartbeats: when it goes bad, or another version speaks, the heartbeat
//! goes at once.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use super::{Common, rest};
use crate::domain::trial::{LiveCounters as _, RequestCounts};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// Fewer failures between two looks are bad luck.
const ENOUGH: u64 = 5;
/// So many looks without a burst end an episode: a shop that stays bad does not send all the time.
const CALM_LOOKS: u32 = 12;

/// Watches until the agent stops.
pub async fn run(common: Common, urgent: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut watching = Watching::new(common.hub.counts());
    while rest(EVERY, &mut stop).await {
        if watching.look(common.hub.counts()) {
            urgent.notify_one();
        }
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
