//! What the detectors are tuned by. Every constant is per second or per event, so a tuned heartbeat interval changes
//! nothing.

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval_s: 120.0,
            silence_suspect_s: 300.0,
            silence_missed_s: 510.0,
            rule_errors_24h: 20.0,
            rule_webhook_rate: 0.3,
            half_life_s: 60.0 * 3600.0,
            new_normal_s: 24.0 * 3600.0,
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
}

impl Default for Prior {
    fn default() -> Self {
        Self {
            errors_per_request: 0.005,
            errors_per_second: 0.5 / 3600.0,
            webhook_fail_rate: 0.03,
        }
    }
}
