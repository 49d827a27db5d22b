//! When a plugin that says nothing is ill. Restarts are common and short, so silence is suspicion first.

use super::{
    finding::{Detector, Evidence, Finding},
    kinds::IncidentType,
    num,
    settings::Settings,
    severity::{Telemetry, severity},
};

/// An interval that is longer than the default by less than this factor is the default with its jitter.
const TOLERATED: f64 = 1.25;

/// Before it is known how often a plugin speaks, it may be as seldom as this, in seconds.
pub const UNKNOWN_INTERVAL_S: f64 = 600.0;
/// So many plugins, and so great a share of the fleet, that fall silent together are not ill: something between them and
/// us is broken.
const MANY: usize = 20;
const MANY_SHARE: f64 = 0.1;
/// Together is within so many seconds.
pub const TOGETHER_S: i64 = 240;
/// For so long that is believed, in seconds.
pub const EXCUSED_S: i64 = 3 * 3600;

/// Whether `silent` plugins of `fleet` that fell silent at about the same time say that it is not they who are ill.
#[expect(clippy::cast_precision_loss, reason = "numbers of plugins")]
pub fn is_common(silent: usize, fleet: usize) -> bool {
    silent >= MANY && silent as f64 >= MANY_SHARE * fleet as f64
}

/// What a lack of heartbeats means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It was heard lately.
    Heard,
    /// It is late: worth a look, no incident.
    Suspect,
    /// It is gone: an incident.
    Missed,
}

/// Judges how long nothing was heard of a plugin; both times in seconds since 1970, by the receiver's clock.
pub fn judge(last_heard: i64, now: i64, settings: &Settings) -> Silence {
    judge_at(last_heard, now, settings.heartbeat_interval_s, settings)
}

/// The same for a plugin that is known to speak every `interval_s` seconds: one with a longer interval than the
/// default is given the longer time in proportion.
pub fn judge_at(last_heard: i64, now: i64, interval_s: f64, settings: &Settings) -> Silence {
    let silent = num::seconds(now.saturating_sub(last_heard));
    let slower = slower(interval_s, settings);
    if silent >= longest(interval_s, settings) {
        Silence::Missed
    } else if silent >= settings.silence_suspect_s * slower {
        Silence::Suspect
    } else {
        Silence::Heard
    }
}

/// How long a plugin that speaks every `interval_s` seconds may be silent before it is missed, in seconds.
pub fn longest(interval_s: f64, settings: &Settings) -> f64 {
    settings.silence_missed_s * slower(interval_s, settings)
}

fn slower(interval_s: f64, settings: &Settings) -> f64 {
    (interval_s / settings.heartbeat_interval_s.max(1.0) / TOLERATED).max(1.0)
}

/// The finding for a plugin whose silence was judged [`Silence::Missed`].
pub fn finding(last_heard: i64, now: i64, settings: &Settings) -> Finding {
    let silent = num::seconds(now.saturating_sub(last_heard));
    let telemetry = Telemetry {
        seconds_since_heartbeat: Some(silent),
        ..Telemetry::default()
    };
    Finding {
        incident_type: IncidentType::HeartbeatMissed,
        severity: severity(IncidentType::HeartbeatMissed, &telemetry, &settings.severity),
        // Restarts and short cuts of the network end soon: each further minute makes them less likely.
        confidence: 1.0 - 0.2 * (-(silent - settings.silence_missed_s).max(0.0) / 600.0).exp(),
        evidence: Evidence {
            detector: Detector::Silence,
            since: last_heard,
            observed: silent,
            expected: settings.heartbeat_interval_s,
            excess_per_hour: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_suspicion_first_and_an_incident_later() {
        let settings = Settings::default();
        assert_eq!(judge(1_000, 1_299, &settings), Silence::Heard);
        assert_eq!(judge(1_000, 1_300, &settings), Silence::Suspect);
        assert_eq!(judge(1_000, 1_509, &settings), Silence::Suspect);
        assert_eq!(judge(1_000, 1_510, &settings), Silence::Missed);
        assert_eq!(
            judge(1_000, 0, &settings),
            Silence::Heard,
            "a clock that went back proves nothing"
        );
    }

    #[test]
    fn many_at_once_are_not_ill_and_a_few_are() {
        assert!(is_common(20, 150) && is_common(1_000, 10_000));
        assert!(!is_common(19, 19) && !is_common(20, 201));
    }

    #[test]
    fn a_plugin_with_a_longer_interval_is_given_longer() {
        let settings = Settings::default();
        assert_eq!(judge_at(0, 1_199, 600.0, &settings), Silence::Heard);
        assert_eq!(judge_at(0, 2_040, 600.0, &settings), Silence::Missed);
        assert_eq!(
            judge_at(0, 509, 5.0, &settings),
            Silence::Suspect,
            "a shorter one changes nothing"
        );
    }
}
