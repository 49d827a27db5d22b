//! How bad an incident is: what it does (effect) times how much of the shop's business it does it to (exposure), not how
//! sure the detector is.
//!
//! Where a heartbeat counts nothing, the reference system's rule stands, which `compute_incident_severity` in SQL says as
//! well; one table of cases (`severity_cases.json`) tests both.

use serde::{Deserialize, Serialize};

use super::kinds::{IncidentType, Severity};

/// What is known when an incident is judged; `None` means that nothing is known about it. Serialised, it is the
/// telemetry that the SQL function takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Errors in the last 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_last_24h: Option<f64>,
    /// Share of webhook deliveries that failed, 0 to 1, over the last hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_fail_rate: Option<f64>,
    /// How long nothing was heard, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_since_heartbeat: Option<f64>,
    /// What it does, and to how much; unknown where heartbeats count nothing.
    #[serde(skip)]
    pub harm: Option<Harm>,
}

/// Effect and exposure of an illness that is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Harm {
    /// Deliveries or requests fail that usually do not.
    Failing {
        /// Share that fails now, 0 to 1.
        now: f64,
        /// Share of the last hour's that failed, 0 to 1.
        last_hour: f64,
        /// Failures an hour above the usual: the share times the traffic.
        per_hour: f64,
        /// For how long, in seconds.
        lasted_s: f64,
    },
    /// Requests take so many times as long as usual.
    Slower {
        /// How many times.
        times: f64,
    },
}

/// From where on it is how bad: `ops_policy`'s columns `severity_...`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// A share of failures that is felt, 0 to 1.
    pub share_medium: f64,
    /// One with which the shop stands still.
    pub share_high: f64,
    /// One that is nearly all.
    pub share_critical: f64,
    /// Errors in 24 hours, where nothing else is counted.
    pub errors_medium: f64,
    /// The same.
    pub errors_high: f64,
    /// The same.
    pub errors_critical: f64,
    /// Payments hit since it began, from which on it is at least so bad, however small their share.
    pub payments_medium: f64,
    /// The same.
    pub payments_high: f64,
    /// The same.
    pub payments_critical: f64,
    /// Silence of so many seconds.
    pub silence_high_seconds: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            share_medium: 0.3,
            share_high: 0.8,
            share_critical: 0.95,
            errors_medium: 20.0,
            errors_high: 200.0,
            errors_critical: 1_000.0,
            payments_medium: 100.0,
            payments_high: 10_000.0,
            payments_critical: 100_000.0,
            silence_high_seconds: 3_600.0,
        }
    }
}

/// The share of errors that keep a customer from paying; a webhook that fails is always about a payment.
const ERRORS_TO_PAYMENTS: f64 = 0.2;
/// Fewer payments an hour than this are in the way of nobody: one step less bad.
const FEW_AN_HOUR: f64 = 1.0;
/// Payments hit since it began that make a shop that stands still a disaster.
const MANY_OF_ALL: f64 = 1_000.0;
/// A share of failures for so long comes to so many hours in which the shop stood still: then it is high.
const HOURS_LOST: f64 = 6.0;
/// Slower by less than this factor is hardly felt, by more than that customers leave.
const HARDLY_SLOWER: f64 = 1.25;
const UNUSABLE: f64 = 5.0;

/// How bad it is. The promised example holds: 50 errors in 24 hours and a webhook failure rate of 0.6 is `medium`.
pub fn severity(incident_type: IncidentType, telemetry: &Telemetry, limits: &Thresholds) -> Severity {
    match (incident_type, telemetry.harm) {
        (IncidentType::WebhookFailRate, Some(harm @ Harm::Failing { .. })) => of_harm(harm, 1.0, limits),
        (IncidentType::ErrorSpike, Some(harm @ Harm::Failing { .. })) => of_harm(harm, ERRORS_TO_PAYMENTS, limits),
        (IncidentType::TelemetryAnomaly, Some(harm @ Harm::Slower { .. })) => of_harm(harm, 0.0, limits),
        _ => by_rule(incident_type, telemetry, limits),
    }
}

/// How far up a ladder of three rungs a value reaches.
fn reached(value: f64, [medium, high, critical]: [f64; 3]) -> Severity {
    if value >= critical {
        Severity::Critical
    } else if value >= high {
        Severity::High
    } else if value >= medium {
        Severity::Medium
    } else {
        Severity::Low
    }
}

/// By effect and exposure; `payments` is how many payments one failure comes to.
fn of_harm(harm: Harm, payments: f64, limits: &Thresholds) -> Severity {
    match harm {
        Harm::Slower { times } if times < HARDLY_SLOWER => Severity::Low,
        Harm::Slower { times } if times < UNUSABLE => Severity::Medium,
        Harm::Slower { .. } => Severity::High,
        Harm::Failing {
            now,
            last_hour,
            per_hour,
            lasted_s,
        } => {
            let hourly = per_hour.max(0.0) * payments;
            let hours = (lasted_s / 3600.0).max(0.0);
            let lost = hourly * hours;
            let by_share = if last_hour >= limits.share_high || now * hours >= HOURS_LOST {
                Severity::High
            } else if now.max(last_hour) >= limits.share_medium {
                Severity::Medium
            } else {
                Severity::Low
            };
            let by_count = if lost >= MANY_OF_ALL && last_hour >= limits.share_critical {
                Severity::Critical
            } else {
                reached(
                    lost,
                    [limits.payments_medium, limits.payments_high, limits.payments_critical],
                )
            };
            let by_share = if hourly < FEW_AN_HOUR {
                milder(by_share)
            } else {
                by_share
            };
            by_share.max(by_count)
        }
    }
}

fn milder(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium | Severity::Low => Severity::Low,
    }
}

/// The reference system's rule.
fn by_rule(incident_type: IncidentType, telemetry: &Telemetry, limits: &Thresholds) -> Severity {
    let errors = telemetry.errors_last_24h.unwrap_or(0.0);
    match incident_type {
        IncidentType::SignatureInvalid => Severity::Critical,
        IncidentType::VersionIncompatibility => Severity::High,
        IncidentType::ConfigDrift => Severity::Low,
        IncidentType::TelemetryAnomaly => Severity::Medium,
        IncidentType::HeartbeatMissed => {
            if telemetry.seconds_since_heartbeat.unwrap_or(0.0) >= limits.silence_high_seconds {
                Severity::High
            } else {
                Severity::Medium
            }
        }
        IncidentType::WebhookFailRate => {
            let failing = telemetry.webhook_fail_rate.unwrap_or(0.0);
            let reached = reached(failing, [limits.share_medium, limits.share_high, limits.share_critical]);
            if errors >= limits.errors_critical {
                reached
            } else {
                reached.min(Severity::High)
            }
        }
        IncidentType::ErrorSpike => reached(
            errors,
            [limits.errors_medium, limits.errors_high, limits.errors_critical],
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The table that tests the SQL function as well.
    const CASES: &str = include_str!("severity_cases.json");

    #[derive(Deserialize)]
    struct Case {
        incident_type: String,
        telemetry: serde_json::Value,
        /// What ops have said, where it is not the default.
        #[serde(default)]
        policy: Thresholds,
        severity: Severity,
    }

    #[test]
    fn the_table_holds() {
        let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
        assert!(cases.len() > 20);
        for case in cases {
            // Types that are not known here, and telemetry of another shape, are the SQL function's alone.
            let Ok(incident_type) = case.incident_type.parse() else {
                continue;
            };
            let Ok(telemetry) = serde_json::from_value(case.telemetry.clone()) else {
                continue;
            };
            let found = severity(incident_type, &telemetry, &case.policy);
            assert_eq!(found, case.severity, "{incident_type} {}", case.telemetry);
        }
    }

    fn failing(now: f64, last_hour: f64, per_hour: f64, lasted_s: f64) -> Harm {
        Harm::Failing {
            now,
            last_hour,
            per_hour,
            lasted_s,
        }
    }

    fn judged(incident_type: IncidentType, harm: Harm) -> Severity {
        let telemetry = Telemetry {
            harm: Some(harm),
            ..Telemetry::default()
        };
        severity(incident_type, &telemetry, &Thresholds::default())
    }

    #[test]
    fn the_same_share_is_worse_in_a_large_shop_and_milder_where_hardly_anything_is_sold() {
        let webhooks =
            |per_hour, lasted_s| judged(IncidentType::WebhookFailRate, failing(0.6, 0.6, per_hour, lasted_s));
        assert_eq!(webhooks(100.0, 600.0), Severity::Medium, "the promised example");
        assert_eq!(webhooks(0.5, 600.0), Severity::Low);
        assert_eq!(webhooks(60_000.0, 3_600.0), Severity::High);
        assert_eq!(webhooks(60_000.0, 7_200.0), Severity::Critical);
    }

    #[test]
    fn a_small_share_is_low_until_many_payments_are_hit() {
        let webhooks = |lasted_s| judged(IncidentType::WebhookFailRate, failing(0.1, 0.1, 60.0, lasted_s));
        assert_eq!(webhooks(600.0), Severity::Low);
        assert_eq!(webhooks(7_200.0), Severity::Medium);
    }

    #[test]
    fn a_shop_that_stands_still_is_for_people_once_it_lasts() {
        let early = failing(1.0, 0.1, 100.0, 360.0);
        let later = failing(1.0, 0.9, 100.0, 3_300.0);
        assert_eq!(judged(IncidentType::WebhookFailRate, early), Severity::Medium);
        assert_eq!(judged(IncidentType::WebhookFailRate, later), Severity::High);
        let long = failing(0.5, 0.5, 100.0, 13.0 * 3600.0);
        assert_eq!(judged(IncidentType::ErrorSpike, long), Severity::High);
    }

    #[test]
    fn an_error_is_less_than_a_payment_and_latency_is_less_than_both() {
        let harm = failing(0.1, 0.1, 240.0, 3_600.0);
        assert_eq!(judged(IncidentType::WebhookFailRate, harm), Severity::Medium);
        assert_eq!(judged(IncidentType::ErrorSpike, harm), Severity::Low);
        let slower = |times| judged(IncidentType::TelemetryAnomaly, Harm::Slower { times });
        assert_eq!(slower(1.1), Severity::Low);
        assert_eq!(slower(2.0), Severity::Medium);
        assert_eq!(slower(6.0), Severity::High);
    }

    #[test]
    fn what_ops_say_counts_where_traffic_is_counted_too() {
        let by = |limits: Thresholds, harm| {
            let telemetry = Telemetry {
                harm: Some(harm),
                ..Telemetry::default()
            };
            severity(IncidentType::WebhookFailRate, &telemetry, &limits)
        };
        let usual = Thresholds::default();
        let some = failing(0.2, 0.2, 60.0, 600.0);
        let most = failing(0.6, 0.6, 60.0, 3_600.0);
        let large = failing(0.9, 0.9, 1_500.0, 3_600.0);
        let small = failing(0.1, 0.1, 60.0, 3_600.0);
        let changes: [(Harm, Thresholds, Severity); 6] = [
            (
                some,
                Thresholds {
                    share_medium: 0.2,
                    ..usual
                },
                Severity::Medium,
            ),
            (
                most,
                Thresholds {
                    share_high: 0.6,
                    ..usual
                },
                Severity::High,
            ),
            (
                large,
                Thresholds {
                    share_critical: 0.9,
                    ..usual
                },
                Severity::Critical,
            ),
            (
                small,
                Thresholds {
                    payments_medium: 60.0,
                    ..usual
                },
                Severity::Medium,
            ),
            (
                small,
                Thresholds {
                    payments_high: 60.0,
                    payments_medium: 50.0,
                    ..usual
                },
                Severity::High,
            ),
            (
                small,
                Thresholds {
                    payments_critical: 60.0,
                    payments_high: 55.0,
                    payments_medium: 50.0,
                    ..usual
                },
                Severity::Critical,
            ),
        ];
        for (harm, limits, wanted) in changes {
            assert!(by(usual, harm) < wanted, "{limits:?}");
            assert_eq!(by(limits, harm), wanted, "{limits:?}");
        }
    }

    proptest! {
        #[test]
        fn more_harm_is_never_milder(
            now in 0.0f64..1.0, last_hour in 0.0f64..1.0, per_hour in 0.0f64..1e6, lasted in 0.0f64..2e5,
            more in 1.0f64..3.0, which in 0usize..4, errors in prop::bool::ANY,
        ) {
            let kind = if errors { IncidentType::ErrorSpike } else { IncidentType::WebhookFailRate };
            let mut worse = [now, last_hour, per_hour, lasted];
            worse[which] *= more;
            let before = judged(kind, failing(now, last_hour, per_hour, lasted));
            let after = judged(kind, failing(worse[0].min(1.0), worse[1].min(1.0), worse[2], worse[3]));
            prop_assert!(after >= before);
        }
    }
}
