//! What the detectors are tuned by. Every constant is per second or per event, so a tuned heartbeat interval changes
//! nothing.

use super::severity::Thresholds;

/// How sensitive the detectors are, and to what.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The usual time between heartbeats, in seconds.
    pub heartbeat_interval_s: f64,
    /// Silence of this many seconds is suspicious.
    pub silence_suspect_s: f64,
    /// Silence of this many seconds is an incident.
    pub silence_missed_s: f64,
    /// Rule for heartbeats without counts: more errors than this in 24 hours.
    pub rule_errors_24h: f64,
    /// Rule for heartbeats without counts: a greater share of failed webhooks than this.
    pub rule_webhook_rate: f64,
    /// Half-life of what is learnt as usual, in seconds of the plugin's time.
    pub half_life_s: f64,
    /// An illness that has lasted this many seconds counts as usual.
    pub new_normal_s: f64,
    /// A plugin that was observed for less than this, in seconds, is judged by gross thresholds only.
    pub warm_up_s: f64,
    /// One that was observed for less than this is given more time, in seconds.
    pub first_day_s: f64,
    /// Evidence, in nats, that is an alarm for errors and webhooks.
    pub threshold: f64,
    /// The most one window of the usual length may give, as a share of the threshold.
    pub cap: f64,
    /// The most a window may give in which most of a good number fails, whatever its length.
    pub cap_gross: f64,
    /// The same as `cap`, in the first day.
    pub cap_first_day: f64,
    /// The same while it is judged by gross thresholds only.
    pub cap_new: f64,
    /// The same in the minutes after a start of the plugin.
    pub cap_starting: f64,
    /// Evidence is half forgotten after this many seconds.
    pub forget_half_life_s: f64,
    /// The most one hour may add to the dispersion.
    pub block_noise_clip: f64,
    /// Length of a block of latency, in seconds.
    pub latency_block_s: f64,
    /// A rise of log latency by less than this is none.
    pub latency_dead_band: f64,
    /// The most one block of latency may say, in standard deviations.
    pub latency_cap: f64,
    /// Sum of standard deviations that is an alarm.
    pub latency_threshold: f64,
    /// A rise of log latency by less than this is never an alarm.
    pub latency_least_effect: f64,
    /// From where on an illness is how bad.
    pub severity: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval_s: 120.0,
            silence_suspect_s: 300.0,
            silence_missed_s: 510.0,
            rule_errors_24h: 20.0,
            rule_webhook_rate: 0.3,
            half_life_s: 150.0 * 3600.0,
            new_normal_s: 24.0 * 3600.0,
            warm_up_s: 4.0 * 3600.0,
            first_day_s: 36.0 * 3600.0,
            threshold: 12.0,
            cap: 0.45,
            cap_gross: 0.55,
            cap_first_day: 0.07,
            cap_new: 0.05,
            cap_starting: 0.12,
            forget_half_life_s: 11.5 * 3600.0,
            block_noise_clip: 25.0,
            latency_block_s: 1200.0,
            latency_dead_band: 0.05,
            latency_cap: 3.0,
            latency_threshold: 10.0,
            latency_least_effect: 0.08,
            severity: Thresholds::default(),
        }
    }
}

impl Settings {
    /// For a detector that looks every second, close to the plugin (the agent's). Its word is there to make somebody look
    /// at once: where enough is asked of the plugin, it speaks in the sixth second of a steady illness. What is over
    /// within four seconds, as a restart is, stays below an alarm.
    #[must_use]
    pub fn early() -> Self {
        Self {
            heartbeat_interval_s: 2.5,
            cap_gross: 0.19,
            ..Self::default()
        }
    }
}

/// What plugins are like before anything is known of this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Errors a request.
    pub errors_per_request: f64,
    /// Errors a second that come whatever the load (bots, scheduled jobs).
    pub errors_per_second: f64,
    /// Share of webhook deliveries that fail.
    pub webhook_fail_rate: f64,
    /// What the rest of the fleet does now.
    pub now: FleetNow,
}

/// What the plugins that changed nothing do now beside their usual: a shock that hits all is nobody's release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetNow {
    /// Their errors, as a multiple of the usual.
    pub errors_ratio: f64,
    /// Their failing webhooks, in shares above the usual.
    pub webhook_points: f64,
    /// Their log latency above the usual.
    pub latency_shift: f64,
}

impl Default for FleetNow {
    fn default() -> Self {
        Self {
            errors_ratio: 1.0,
            webhook_points: 0.0,
            latency_shift: 0.0,
        }
    }
}

impl Default for Prior {
    fn default() -> Self {
        Self {
            errors_per_request: 0.005,
            errors_per_second: 0.5 / 3600.0,
            webhook_fail_rate: 0.03,
            now: FleetNow::default(),
        }
    }
}
