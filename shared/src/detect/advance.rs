//! One observation further.

use super::{
    finding::{Evidence, Finding, Findings},
    kinds::IncidentType,
    num,
    observation::Observation,
    settings::{Prior, Settings},
    severity::{Harm, Telemetry, severity},
    state::PluginState,
    subjects::{error_model, error_rule, latency_model, webhook_model, webhook_rule},
    trial::{self, Trial},
    verdict::{Context, Verdict},
};

/// An observation that is this many seconds older than the last is a straggler; from more than that, the sender's clock
/// was set back, and its new time counts.
const STRAGGLER_S: i64 = 600;
/// No more than this passes between two observations, whatever the clocks say: a week.
const MAX_ELAPSED_S: f64 = 7.0 * 86_400.0;
/// For so many seconds after a start, caches are cold.
const STARTING_S: i64 = 300;
/// So many requests of a window tell how much is served now.
const ENOUGH_REQUESTS: u64 = 20;

/// Takes one observation into the state of its plugin and says what it shows. Observations come in the order of their
/// time; one that was seen already, or comes late, changes nothing.
pub fn advance(state: &mut PluginState, observation: &Observation<'_>, prior: &Prior, settings: &Settings) -> Findings {
    let Some(elapsed_s) = elapsed(state, observation.at) else {
        return Findings::default();
    };
    let starting = pass_time(state, observation, elapsed_s);
    let window_s = f64::from(observation.window_s.unwrap_or(0));
    let context = Context {
        at: observation.at,
        window_s: if window_s >= 1.0 {
            window_s
        } else {
            usual_window(state, elapsed_s, settings)
        },
        elapsed_s,
        observed_s: f64::from(state.observed_s),
        starting,
        prior,
        settings,
    };
    let mut findings = Findings::default();
    change_version(state, observation, &context);
    let word = state.word();
    let webhooks = webhook_model(state, observation, &context, &mut findings.deviation).or(webhook_rule(
        state,
        observation,
        elapsed_s,
        settings,
    ));
    // Failing webhooks are errors too: one illness, one finding.
    let errors = error_model(state, observation, &context, &mut findings.deviation).or(error_rule(
        state,
        observation,
        elapsed_s,
        settings,
    )
    .unless(webhooks.is_ill()));
    let latency = latency_model(state, observation, &context, &mut findings.deviation);
    findings.deviation.word = word.zip(state.word());
    for (incident_type, verdict) in [
        (IncidentType::WebhookFailRate, webhooks),
        (IncidentType::ErrorSpike, errors),
        (IncidentType::TelemetryAnomaly, latency),
    ] {
        conclude(state, observation, (incident_type, verdict), settings, &mut findings);
    }
    findings
}

/// Seconds since the observation before; 0 for the first, `None` for one that comes late or again.
fn elapsed(state: &PluginState, at: i64) -> Option<f64> {
    if state.last_at == 0 {
        return Some(0.0);
    }
    let since = at.saturating_sub(state.last_at);
    match since {
        1.. => Some(num::seconds(since).min(MAX_ELAPSED_S)),
        _ if since < -STRAGGLER_S => Some(0.0),
        _ => None,
    }
}

/// Notes that time passed; gives whether the plugin has just started.
fn pass_time(state: &mut PluginState, seen: &Observation<'_>, elapsed_s: f64) -> bool {
    state.last_at = seen.at;
    if elapsed_s > 0.0 {
        let known = f64::from(state.interval_s);
        // Gaps are not intervals.
        let interval = if known > 0.0 {
            known + 0.1 * (elapsed_s.min(known * 2.0) - known)
        } else {
            elapsed_s
        };
        state.interval_s = num::kept(interval);
        state.observed_s += num::kept(elapsed_s.min(interval * 3.0));
    }
    let Some(uptime) = seen.uptime_s.and_then(|uptime| i64::try_from(uptime).ok()) else {
        return false;
    };
    let was_known = state.started != 0;
    state.started = num::moment(seen.at.saturating_sub(uptime));
    was_known && uptime < STARTING_S
}

/// How long a window was that does not say so.
fn usual_window(state: &PluginState, elapsed_s: f64, settings: &Settings) -> f64 {
    let usual = state.interval_s().unwrap_or(settings.heartbeat_interval_s);
    if elapsed_s > 0.0 {
        elapsed_s.min(usual * 2.0).max(1.0)
    } else {
        usual.max(1.0)
    }
}

/// Begins to watch the plugin when its version changes.
fn change_version(state: &mut PluginState, seen: &Observation<'_>, context: &Context<'_>) {
    if !seen.version.is_empty() {
        let version = num::hash(seen.version);
        if state.version != 0 && state.version != version {
            state.trial = Trial::default();
            if !context.is_new() {
                state.trial.since = num::moment(seen.at);
                state.trial.usual = state.errors.usual(context);
                state.trial.usual_share = num::kept(state.webhooks.at_most(context));
            }
        }
        state.version = version;
    }
    if state.trial.is_on() && seen.at - i64::from(state.trial.since) > trial::WATCHED_S {
        state.trial = Trial::default();
    }
}

/// Compares what is thought now with what was open.
fn conclude(
    state: &mut PluginState,
    seen: &Observation<'_>,
    (incident_type, verdict): (IncidentType, Verdict),
    settings: &Settings,
    findings: &mut Findings,
) {
    let was_open = state.open.holds(incident_type);
    match verdict {
        Verdict::Ill { evidence, confidence } => {
            let telemetry = Telemetry {
                harm: harm(state, seen, incident_type, &evidence),
                ..telemetry(state, seen)
            };
            let finding = Finding {
                incident_type,
                severity: severity(incident_type, &telemetry, &settings.severity),
                confidence,
                evidence,
            };
            state.open.put(incident_type, true);
            if was_open {
                findings.continuing.push(finding);
            } else {
                findings.opened.push(finding);
            }
        }
        Verdict::Well | Verdict::Settled if was_open => {
            state.open.put(incident_type, false);
            if verdict == Verdict::Settled {
                findings.settled.push(incident_type);
            } else {
                findings.recovered.push(incident_type);
            }
        }
        Verdict::Unknown | Verdict::Well | Verdict::Settled => {}
    }
}

fn telemetry(state: &PluginState, seen: &Observation<'_>) -> Telemetry {
    Telemetry {
        errors_last_24h: seen.errors_last_24h.map(num::count),
        webhook_fail_rate: seen.webhook_fail_rate.or(state.webhooks.last_hour()),
        ..Telemetry::default()
    }
}

/// What an illness does, and to how much, where that is counted.
fn harm(state: &PluginState, seen: &Observation<'_>, incident_type: IncidentType, evidence: &Evidence) -> Option<Harm> {
    if incident_type == IncidentType::TelemetryAnomaly {
        let times = evidence.observed / evidence.expected;
        return times.is_finite().then_some(Harm::Slower { times });
    }
    let per_hour = evidence.excess_per_hour?;
    let lasted_s = num::seconds(seen.at.saturating_sub(evidence.since)) + f64::from(seen.window_s.unwrap_or(0));
    let (now, last_hour) = match incident_type {
        IncidentType::WebhookFailRate => {
            let last_hour = seen.webhook_fail_rate.or(state.webhooks.last_hour());
            (evidence.observed, last_hour.unwrap_or(evidence.observed))
        }
        IncidentType::ErrorSpike => {
            let now = (per_hour / requests_per_hour(state, seen)?).min(1.0);
            (now, now * (lasted_s / 3600.0).min(1.0))
        }
        _ => return None,
    };
    Some(Harm::Failing {
        now,
        last_hour,
        per_hour,
        lasted_s,
    })
}

/// How many requests the plugin serves: now, where a window has enough of them to tell, else as is usual for it.
fn requests_per_hour(state: &PluginState, seen: &Observation<'_>) -> Option<f64> {
    let in_window = seen
        .requests
        .filter(|requests| *requests >= ENOUGH_REQUESTS)
        .zip(seen.window_s);
    let now = in_window.map(|(requests, window_s)| num::count(requests) / f64::from(window_s.max(1)));
    let a_second = now.or(state.errors.requests_per_second())?;
    (a_second > 0.0).then_some(a_second * 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Severity;

    fn poor(at: i64, errors: u64, rate: Option<f64>) -> Observation<'static> {
        Observation {
            at,
            errors_last_24h: Some(errors),
            webhook_fail_rate: rate,
            ..Observation::default()
        }
    }

    fn told(state: &mut PluginState, seen: &Observation<'_>) -> Findings {
        advance(state, seen, &Prior::default(), &Settings::default())
    }

    #[test]
    fn the_worked_example_is_one_medium_webhook_incident() {
        let mut state = PluginState::default();
        let findings = told(&mut state, &poor(1_000, 50, Some(0.6)));
        assert_eq!(findings.opened.len(), 1, "{findings:?}");
        assert_eq!(findings.opened[0].incident_type, IncidentType::WebhookFailRate);
        assert_eq!(findings.opened[0].severity, Severity::Medium);
    }

    #[test]
    fn counted_errors_are_judged_by_what_they_do_and_not_by_their_number() {
        let window = |at: i64, errors: u64| Observation {
            at,
            window_s: Some(120),
            requests: Some(2_000),
            errors: Some(errors),
            errors_last_24h: Some(14_400),
            ..Observation::default()
        };
        let mut state = PluginState::default();
        for i in 1..=2_000 {
            assert!(told(&mut state, &window(i * 120, 20)).is_empty());
        }
        let mut found = (2_001..2_010).flat_map(|i| told(&mut state, &window(i * 120, 100)).opened);
        // By the rule, 14,400 errors in 24 hours would be critical every day.
        assert_eq!(found.next().map(|finding| finding.severity), Some(Severity::Low));
    }

    #[test]
    fn a_healthy_heartbeat_opens_nothing() {
        let mut state = PluginState::default();
        for i in 0..100 {
            assert!(told(&mut state, &poor(1_000 + i * 120, 3, Some(0.02))).is_empty());
        }
    }

    #[test]
    fn an_illness_is_opened_once_goes_on_and_recovers() {
        let mut state = PluginState::default();
        assert_eq!(told(&mut state, &poor(1_000, 50, None)).opened.len(), 1);
        let next = told(&mut state, &poor(1_120, 60, None));
        assert!(next.opened.is_empty() && next.continuing.len() == 1);
        assert_eq!(
            told(&mut state, &poor(1_240, 2, None)).recovered,
            [IncidentType::ErrorSpike]
        );
        assert!(told(&mut state, &poor(1_360, 2, None)).is_empty());
    }

    #[test]
    fn a_repeat_or_a_straggler_changes_nothing() {
        let mut state = PluginState::default();
        told(&mut state, &poor(5_000, 2, None));
        let before = state.clone();
        assert!(told(&mut state, &poor(5_000, 50, None)).is_empty());
        assert!(told(&mut state, &poor(4_900, 50, None)).is_empty());
        assert_eq!(state, before);
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut state = PluginState::default();
        told(&mut state, &poor(90_000, 2, None));
        assert_eq!(told(&mut state, &poor(5_000, 50, None)).opened.len(), 1);
    }
}
