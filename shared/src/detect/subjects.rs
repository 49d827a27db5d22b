//! What an observation tells each detector, and what the fleet may learn from it.

use super::{
    errors,
    finding::{Detector, Evidence},
    fleet::Deviation,
    latency, num,
    observation::Observation,
    rules::{self, Reading, Rule, Said},
    settings::Settings,
    state::PluginState,
    verdict::{Context, Verdict},
    webhooks,
};

/// A rule knows nothing of how usual its threshold is for this plugin.
const RULE_CONFIDENCE: f64 = 0.6;

/// Errors by window, against the plugin's own rate.
pub fn error_model(
    state: &mut PluginState,
    seen: &Observation<'_>,
    context: &Context<'_>,
    deviation: &mut Deviation,
) -> Verdict {
    let Some(errors) = seen.errors else {
        return Verdict::Unknown;
    };
    let sample = errors::Sample {
        requests: num::count(seen.requests.unwrap_or(0)),
        errors: num::count(errors),
    };
    let usual = if state.trial.is_on() {
        state.trial.usual
    } else {
        state.errors.usual(context)
    };
    let allowed = state.errors.jobs.allowed(seen.at) * context.window_s;
    let expected = usual.expected(context.window_s, sample.requests) * state.errors.doubt() + allowed;
    let most = 3.0 * expected + 4.0 * (expected * state.errors.dispersion()).sqrt() + 3.0;
    if !context.starting && !context.is_new() {
        deviation.errors = Some((sample.errors.min(most), expected));
        if state.trial.is_on() {
            state
                .trial
                .count(sample.errors.min(most), expected * context.prior.now.errors_ratio);
        }
    }
    state.errors.advance(sample, context)
}

/// Webhooks by window, against the plugin's own share.
pub fn webhook_model(
    state: &mut PluginState,
    seen: &Observation<'_>,
    context: &Context<'_>,
    deviation: &mut Deviation,
) -> Verdict {
    let (Some(total), Some(failed)) = (seen.webhook_total, seen.webhook_failed) else {
        return Verdict::Unknown;
    };
    let sample = webhooks::Sample {
        total: num::count(total.max(failed)),
        failed: num::count(failed),
    };
    if sample.total > 0.0 && !context.starting && !context.is_new() {
        let usual = state.webhooks.usual(context);
        deviation.webhooks = Some((sample.failed / sample.total - usual, sample.total));
        if state.trial.is_on() {
            // What the rest of the fleet loses as well is not this release's.
            let forgiven = (sample.total * context.prior.now.webhook_points).min(sample.failed);
            state.trial.webhooks.total += num::kept(sample.total);
            state.trial.webhooks.failed += num::kept(sample.failed - forgiven);
        }
    }
    state.webhooks.advance(sample, context)
}

/// Latency by window, against what the load explains.
pub fn latency_model(
    state: &mut PluginState,
    seen: &Observation<'_>,
    context: &Context<'_>,
    deviation: &mut Deviation,
) -> Verdict {
    let latency = seen.latency_ms.filter(|ms| ms.is_finite() && *ms > 0.0);
    let requests = seen.requests.unwrap_or(1);
    let Some(latency_ms) = latency.filter(|_| requests > 0) else {
        return Verdict::Unknown;
    };
    let sample = latency::Sample {
        requests: num::count(requests),
        latency_ms,
    };
    let (verdict, residual) = state.latency.advance(sample, context);
    if let Some(residual) = residual.filter(|_| !context.is_new()) {
        deviation.latency = Some(residual.value);
        if state.trial.is_on() {
            state.trial.latency += num::kept(residual.value.clamp(-0.5, 1.0) - context.prior.now.latency_shift);
            state.trial.blocks += 1.0;
        }
    }
    verdict
}

/// Errors of 24 hours, where windows do not count them.
pub fn error_rule(state: &mut PluginState, seen: &Observation<'_>, elapsed_s: f64, settings: &Settings) -> Verdict {
    let Some(errors) = seen.errors_last_24h.filter(|_| !seen.counts_errors()) else {
        return Verdict::Unknown;
    };
    let observed_s = f64::from(state.observed_s);
    let threshold = rules::errors_threshold(state.rule_errors, observed_s, settings);
    let reading = Reading {
        value: num::count(errors),
        threshold,
        at: seen.at,
        elapsed_s,
        observed_s,
        plain: threshold * 1.5,
    };
    judge(&mut state.rule_errors, reading, settings)
}

/// The webhook failure rate, where windows do not count deliveries.
pub fn webhook_rule(state: &mut PluginState, seen: &Observation<'_>, elapsed_s: f64, settings: &Settings) -> Verdict {
    let rate = seen.webhook_fail_rate.filter(|rate| (0.0..=1.0).contains(rate));
    let Some(rate) = rate.filter(|_| !seen.counts_webhooks()) else {
        return Verdict::Unknown;
    };
    let threshold = rules::webhook_threshold(state.rule_webhooks, settings);
    let reading = Reading {
        value: rate,
        threshold,
        at: seen.at,
        elapsed_s,
        observed_s: f64::from(state.observed_s),
        plain: (threshold + 0.25).min(0.95),
    };
    judge(&mut state.rule_webhooks, reading, settings)
}

fn judge(rule: &mut Rule, reading: Reading, settings: &Settings) -> Verdict {
    match rule.judge(reading, settings) {
        Said::Fine => Verdict::Well,
        Said::Settled => Verdict::Settled,
        Said::Ill => Verdict::Ill {
            confidence: RULE_CONFIDENCE,
            evidence: Evidence {
                detector: Detector::Rule,
                since: i64::from(rule.since),
                observed: reading.value,
                expected: reading.threshold,
                excess_per_hour: None,
            },
        },
    }
}
