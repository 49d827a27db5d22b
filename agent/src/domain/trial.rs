//! The watch after a swap: healthy, unhealthy or inconclusive, from what was seen and nothing else.

use std::time::Duration;

use plugmend_shared::protocol::command::HealthPolicy;

use super::{
    change::Failure,
    machine::{Baseline, Verdict},
    stats::chance_of_more,
};

/// Probe rounds that must fail one after the other: a server that reloads misses one or two.
pub const FAILS_IN_A_ROW: u32 = 3;
/// Requests after the swap that say something where there are no probes.
const ENOUGH_REQUESTS: u64 = 20;
/// Fewer failures are bad luck.
const ENOUGH_FAILURES: u64 = 3;
/// Chance of taking back a release that is no worse, over the whole watch.
const FALSE_ALARM: f64 = 0.01;

/// Signs of life that must have been expected before their absence is one of harm.
const EXPECTED_SIGNS: u128 = 5;
/// The time that the counts of before are of, at most: after a start of the agent it is less, and they say less.
const BASELINE: Duration = Duration::from_hours(1);

/// What the plugin has said of itself, counted since the agent started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests served.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// Webhook deliveries tried.
    pub webhook_total: u64,
    /// Webhook deliveries failed.
    pub webhook_failed: u64,
    /// Time since it was last heard; `None` when it never was.
    pub silent_for: Option<Duration>,
    /// The version that it last said it runs.
    pub version_seen: Option<String>,
}

/// Where the counts come from: `ingest` has them, the trial reads them.
pub trait LiveCounters: Send + Sync {
    /// What was counted since the agent started; only grows.
    fn counts(&self) -> RequestCounts;

    /// What was counted over the last hour or so, closed windows from before a restart included: how it was before.
    fn recent(&self) -> RequestCounts;
}

/// What is watched, and how strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// Times and thresholds.
    pub policy: HealthPolicy,
    /// How it was before the swap.
    pub before: Baseline,
    /// How many probes there are.
    pub probes: usize,
    /// Whether it must be shown that the new code is the one that runs (not for a mere setting).
    pub proof_wanted: bool,
}

/// What was seen since the swap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Time since the swap, by a monotonic clock.
    pub elapsed: Duration,
    /// Requests since.
    pub requests: u64,
    /// Errors since.
    pub errors: u64,
    /// Webhook deliveries since.
    pub webhook_total: u64,
    /// Failed ones since.
    pub webhook_failed: u64,
    /// Whether the plugin was heard since.
    pub heard: bool,
    /// Rounds of all probes.
    pub rounds: u32,
    /// Rounds that failed one after the other, up to the last.
    pub failed_in_a_row: u32,
    /// What failed last, in words.
    pub last_failure: Option<String>,
    /// A probe failed that the host calls fatal.
    pub fatal: Option<String>,
    /// A probe or the plugin itself showed the new version.
    pub proven: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// Look again; in words what is waited for.
    GoOn(&'static str),
    /// It is decided.
    Decided(Verdict),
}

/// Judges.
pub fn judge(watch: &Watch, seen: &Seen) -> Judgement {
    if let Some(harm) = harm(watch, seen) {
        return Judgement::Decided(Verdict::Unhealthy(harm));
    }
    let policy = &watch.policy;
    let mut first = Duration::from_secs(policy.health_check_timeout_seconds.into());
    // A plugin that spoke before is waited for as long as its silence may last.
    if watch.before.heard && !seen.heard {
        first = first.max(silence_allowed(policy));
    }
    if seen.elapsed < first {
        return Judgement::GoOn("on trial");
    }
    let Some(doubt) = doubt(watch, seen) else {
        return Judgement::Decided(Verdict::Healthy);
    };
    let all = first.saturating_add(Duration::from_secs(policy.extended_watch_seconds.into()));
    if seen.elapsed < all {
        return Judgement::GoOn("nothing speaks against it, and not enough for it: watched on");
    }
    Judgement::Decided(Verdict::Inconclusive(doubt))
}

fn silence_allowed(policy: &HealthPolicy) -> Duration {
    Duration::from_secs(policy.auto_rollback_on_heartbeat_missed_seconds.into())
}

/// Whether a plugin as busy as before would have been heard by now: of fewer than five expected signs of life, none may
/// come by chance (exp(-5) is 0.7 %).
fn silence_tells(before: &Baseline, silent: Duration) -> bool {
    let signs = before.requests.max(before.errors).saturating_add(before.webhook_total);
    let expected = u128::from(signs).saturating_mul(silent.as_millis());
    expected >= EXPECTED_SIGNS.saturating_mul(BASELINE.as_millis())
}

/// What takes a release back.
fn harm(watch: &Watch, seen: &Seen) -> Option<Failure> {
    if let Some(words) = &seen.fatal {
        return Some(Failure::harmful("probe_fatal", words.clone()));
    }
    if seen.failed_in_a_row >= FAILS_IN_A_ROW {
        let words = seen.last_failure.clone().unwrap_or_default();
        return Some(Failure::harmful(
            "probe_failed",
            format!("{} probe rounds failed in a row: {words}", seen.failed_in_a_row),
        ));
    }
    let long = seen.elapsed >= silence_allowed(&watch.policy);
    if watch.before.heard && !seen.heard && long && silence_tells(&watch.before, seen.elapsed) {
        return Some(Failure::harmful(
            "silent",
            format!(
                "the plugin spoke before the swap and was not heard for {} s after it",
                seen.elapsed.as_secs()
            ),
        ));
    }
    let errors = worse(
        watch,
        (seen.errors, seen.requests),
        (watch.before.errors, watch.before.requests),
    );
    if let Some(words) = errors {
        return Some(Failure::harmful("error_rate", format!("errors of requests: {words}")));
    }
    let webhooks = worse(
        watch,
        (seen.webhook_failed, seen.webhook_total),
        (watch.before.webhook_failed, watch.before.webhook_total),
    );
    webhooks.map(|words| Failure::harmful("webhook_fail_rate", format!("failed webhooks: {words}")))
}

/// Above the threshold, and worse than before by more than chance: both, in words.
fn worse(watch: &Watch, after: (u64, u64), before: (u64, u64)) -> Option<String> {
    let threshold = threshold(&watch.policy);
    if after.0 < ENOUGH_FAILURES || rate(after) <= threshold {
        return None;
    }
    let compared = if before.1 == 0 && before.0 == 0 {
        // Nothing is known of before: the threshold itself stands for it, as firmly as if long observed.
        let requests = after.1.max(after.0).saturating_mul(1_000);
        (share_of(threshold, requests), requests)
    } else {
        before
    };
    let chance = chance_of_more(after, compared);
    (chance < FALSE_ALARM / looks(&watch.policy)).then(|| {
        format!(
            "{} of {} since the swap, {} of {} before (chance of that by luck: {chance:.1e})",
            after.0, after.1, before.0, before.1
        )
    })
}

/// Each look is one more chance of a false alarm.
fn looks(policy: &HealthPolicy) -> f64 {
    let seconds = policy
        .health_check_timeout_seconds
        .saturating_add(policy.extended_watch_seconds);
    f64::from(
        seconds
            .div_ceil(policy.health_check_interval_seconds.max(1))
            .clamp(1, 1_000),
    )
}

fn threshold(policy: &HealthPolicy) -> f64 {
    let wanted = policy.auto_rollback_on_error_rate_threshold;
    if wanted.is_finite() {
        wanted.clamp(0.0, 1.0)
    } else {
        0.10
    }
}

/// Share of failures; of nothing, none.
pub fn rate((failures, requests): (u64, u64)) -> f64 {
    let of = failures.max(requests);
    if of == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share, shown with a few digits")]
    let share = failures as f64 / of as f64;
    share
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of a count is a count"
)]
fn share_of(share: f64, count: u64) -> u64 {
    (share * count as f64).ceil() as u64
}

/// What is missing for "healthy", in words.
fn doubt(watch: &Watch, seen: &Seen) -> Option<String> {
    if watch.probes == 0 && seen.requests < ENOUGH_REQUESTS {
        return Some(format!(
            "there are no probes and only {} requests came: name probes in the host's configuration",
            seen.requests
        ));
    }
    if watch.probes > 0 && (seen.rounds == 0 || seen.failed_in_a_row > 0) {
        return Some(
            seen.last_failure
                .clone()
                .unwrap_or_else(|| "no probe has answered yet".to_owned()),
        );
    }
    if watch.proof_wanted && !seen.proven {
        return Some("nothing showed that the new version is the one that runs".to_owned());
    }
    // Not worse than before by more than chance, and far from well.
    for (what, failures, all) in [
        ("requests", seen.errors, seen.requests),
        ("webhooks", seen.webhook_failed, seen.webhook_total),
    ] {
        let share = rate((failures, all));
        if failures >= ENOUGH_FAILURES && share > threshold(&watch.policy) {
            return Some(format!("{:.0} % of {what} fail, as they did before", share * 100.0));
        }
    }
    None
}

#[cfg(test)]
mod tests;
