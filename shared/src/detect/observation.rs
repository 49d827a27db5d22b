//! What a heartbeat tells the detectors.

use crate::{protocol::heartbeat::Heartbeat, telemetry::Window};

/// A window is never taken to be shorter than this, in seconds.
const MIN_WINDOW_S: i64 = 1;

/// One telemetry window, or one heartbeat without windows (poor: rules only). Counts that were not sent are `None`,
/// which is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observation<'a> {
    /// End of the window by the sender's clock, in seconds since 1970.
    pub at: i64,
    /// How long the window was open, in seconds; `None` when nothing says so.
    pub window_s: Option<u32>,
    /// Requests served in the window.
    pub requests: Option<u64>,
    /// Errors in the window.
    pub errors: Option<u64>,
    /// Webhook deliveries tried in the window.
    pub webhook_total: Option<u64>,
    /// Webhook deliveries failed in the window.
    pub webhook_failed: Option<u64>,
    /// Mean duration of a request in the window, in ms.
    pub latency_ms: Option<f64>,
    /// Errors in the last 24 hours.
    pub errors_last_24h: Option<u64>,
    /// Share of webhook deliveries that failed, 0 to 1.
    pub webhook_fail_rate: Option<f64>,
    /// The version that runs; empty when unknown.
    pub version: &'a str,
    /// Where it runs (`woocommerce`, `node`, ...); empty when unknown.
    pub platform: &'a str,
    /// Seconds since the plugin (or its agent) started.
    pub uptime_s: Option<u64>,
}

impl<'a> Observation<'a> {
    /// What a heartbeat tells, oldest first: one observation for each of its windows, or a single poor one.
    pub fn of(heartbeat: &'a Heartbeat) -> impl Iterator<Item = Self> + 'a {
        let poor = Self::poor(heartbeat);
        let alone = heartbeat.windows.is_empty().then_some(poor);
        let windows = heartbeat.windows.iter().map(move |window| poor.with(window));
        alone.into_iter().chain(windows)
    }

    /// A heartbeat without its windows.
    fn poor(heartbeat: &'a Heartbeat) -> Self {
        let env = |name: &str| heartbeat.env.get(name).and_then(serde_json::Value::as_str);
        Self {
            at: heartbeat.timestamp.as_second(),
            errors_last_24h: Some(heartbeat.errors_last_24h),
            webhook_fail_rate: heartbeat.webhook_fail_rate,
            version: &heartbeat.plugin_version,
            platform: env("platform").or_else(|| env("cms")).unwrap_or_default(),
            uptime_s: Some(heartbeat.uptime),
            ..Self::default()
        }
    }

    fn with(self, window: &Window) -> Self {
        let length = window.length().as_secs().max(MIN_WINDOW_S);
        let before_now = self.at.saturating_sub(window.to.as_second()).max(0);
        Self {
            at: window.to.as_second(),
            window_s: Some(u32::try_from(length).unwrap_or(u32::MAX)),
            requests: Some(window.requests),
            errors: Some(window.errors),
            webhook_total: Some(window.webhook_total),
            webhook_failed: Some(window.webhook_failed),
            latency_ms: window.latency.map(|latency| latency.mean_ms),
            // An old window out of the spool was closed earlier in the plugin's life, perhaps in the one before.
            uptime_s: self
                .uptime_s
                .and_then(|uptime| uptime.checked_sub(before_now.unsigned_abs())),
            ..self
        }
    }

    /// Whether errors were counted by window.
    pub fn counts_errors(&self) -> bool {
        self.errors.is_some()
    }

    /// Whether webhook deliveries were counted by window.
    pub fn counts_webhooks(&self) -> bool {
        self.webhook_total.is_some() && self.webhook_failed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(windows: &str) -> Heartbeat {
        let text = format!(
            r#"{{"plugin_id":"018f3a10-0000-7000-8000-000000000001","merchant_id":"018f3a10-0000-7000-8000-000000000002",
                "plugin_version":"1.2.3","env":{{"cms":"woocommerce"}},"errors_last_24h":5,"uptime":100,
                "timestamp":"2026-11-01T00:10:00Z","windows":[{windows}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_heartbeat_without_windows_is_one_poor_observation() {
        let heartbeat = heartbeat("");
        let seen: Vec<_> = Observation::of(&heartbeat).collect();
        assert_eq!(seen.len(), 1);
        assert!(!seen[0].counts_errors() && !seen[0].counts_webhooks());
        assert_eq!((seen[0].errors_last_24h, seen[0].platform), (Some(5), "woocommerce"));
    }

    #[test]
    fn each_window_is_an_observation_at_its_own_time() {
        let heartbeat = heartbeat(
            r#"{"seq":1,"from":"2026-11-01T00:00:00Z","to":"2026-11-01T00:02:00Z","requests":10,"errors":1,
                "webhook_total":2,"webhook_failed":1},
               {"seq":2,"from":"2026-11-01T00:08:00Z","to":"2026-11-01T00:10:00Z","requests":7,"errors":0,
                "webhook_total":0,"webhook_failed":0}"#,
        );
        let seen: Vec<_> = Observation::of(&heartbeat).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].window_s, seen[0].requests, seen[0].uptime_s),
            (Some(120), Some(10), None)
        );
        assert_eq!((seen[1].at - seen[0].at, seen[1].uptime_s), (480, Some(100)));
    }
}
