//! One observation further.

use super::{
    finding::{Detector, Evidence, Finding, Findings},
    kinds::IncidentType,
    num,
    observation::Observation,
    rules::{self, Reading, Rule, Said},
    settings::{Prior, Settings},
    severity::{Telemetry, severity},
    state::PluginState,
};

/// An observation that is this many seconds older than the last is a straggler; from more than that, the sender's clock
/// was set back, and its new time counts.
const STRAGGLER_S: i64 = 600;
/// No more than this passes between two observations, whatever the clocks say: a week.
const MAX_ELAPSED_S: f64 = 7.0 * 86_400.0;
/// A rule knows nothing of how usual its threshold is for this plugin.
const RULE_CONFIDENCE: f64 = 0.6;

/// Takes one observation into the state of its plugin and says what it shows. Observations come in the order of their
/// time; one that was seen already, or comes late, changes nothing.
pub fn advance(
    state: &mut PluginState,
    observation: &Observation<'_>,
    _prior: &Prior,
    settings: &Settings,
) -> Findings {
    let Some(elapsed_s) = elapsed(state, observation.at) else {
        return Findings::default();
    };
    pass_time(state, observation.at, elapsed_s);
    let mut findings = Findings::default();
    let webhooks = webhook_rule(state, observation, elapsed_s, settings);
    // Failing webhooks are errors too: one illness, one finding.
    let errors = error_rule(state, observation, elapsed_s, settings).unless(webhooks.is_ill());
    for (incident_type, verdict) in [
        (IncidentType::WebhookFailRate, webhooks),
        (IncidentType::ErrorSpike, errors),
    ] {
        conclude(state, observation, incident_type, verdict, &mut findings);
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

fn pass_time(state: &mut PluginState, at: i64, elapsed_s: f64) {
    state.last_at = at;
    if elapsed_s <= 0.0 {
        return;
    }
    let known = f64::from(state.interval_s);
    let interval = if known > 0.0 {
        // Gaps are not intervals.
        known + 0.1 * (elapsed_s.min(known * 2.0) - known)
    } else {
        elapsed_s
    };
    state.interval_s = num::kept(interval);
}

/// What one detector thinks after an observation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Nothing new can be said: as before.
    Unknown,
    /// Nothing is wrong.
    Well,
    /// Something is wrong.
    Ill { evidence: Evidence, confidence: f64 },
    /// It was wrong for so long that it counts as usual.
    Settled,
}

impl Verdict {
    fn is_ill(self) -> bool {
        matches!(self, Self::Ill { .. })
    }

    fn unless(self, explained: bool) -> Self {
        if explained && self.is_ill() { Self::Well } else { self }
    }
}

fn error_rule(state: &mut PluginState, seen: &Observation<'_>, elapsed_s: f64, settings: &Settings) -> Verdict {
    let Some(errors) = seen.errors_last_24h.filter(|_| !seen.counts_errors()) else {
        return Verdict::Unknown;
    };
    let threshold = rules::errors_threshold(state.rule_errors, settings);
    judge(
        &mut state.rule_errors,
        num::count(errors),
        threshold,
        seen.at,
        elapsed_s,
        settings,
    )
}

fn webhook_rule(state: &mut PluginState, seen: &Observation<'_>, elapsed_s: f64, settings: &Settings) -> Verdict {
    let rate = seen.webhook_fail_rate.filter(|rate| (0.0..=1.0).contains(rate));
    let Some(rate) = rate.filter(|_| !seen.counts_webhooks()) else {
        return Verdict::Unknown;
    };
    let threshold = rules::webhook_threshold(state.rule_webhooks, settings);
    judge(&mut state.rule_webhooks, rate, threshold, seen.at, elapsed_s, settings)
}

fn judge(rule: &mut Rule, value: f64, threshold: f64, at: i64, elapsed_s: f64, settings: &Settings) -> Verdict {
    let reading = Reading {
        value,
        threshold,
        at,
        elapsed_s,
    };
    match rule.judge(reading, settings) {
        Said::Fine => Verdict::Well,
        Said::Settled => Verdict::Settled,
        Said::Ill => Verdict::Ill {
            confidence: RULE_CONFIDENCE,
            evidence: Evidence {
                detector: Detector::Rule,
                since: i64::from(rule.since),
                observed: value,
                expected: threshold,
                excess_per_hour: None,
            },
        },
    }
}

/// Compares what is thought now with what was open.
fn conclude(
    state: &mut PluginState,
    seen: &Observation<'_>,
    incident_type: IncidentType,
    verdict: Verdict,
    findings: &mut Findings,
) {
    let was_open = state.open.holds(incident_type);
    match verdict {
        Verdict::Ill { evidence, confidence } => {
            let telemetry = telemetry(seen);
            let finding = Finding {
                incident_type,
                severity: severity(incident_type, &telemetry),
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

fn telemetry(seen: &Observation<'_>) -> Telemetry {
    Telemetry {
        errors_last_24h: seen.errors_last_24h.map(num::count),
        webhook_fail_rate: seen.webhook_fail_rate,
        seconds_since_heartbeat: None,
    }
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
