//! Figures of the fleet are counted every minute, kept for everybody, and shown to Prometheus.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use metrics::gauge;

use super::runner::{Activation, Reconciler};
use crate::{
    service::figures::{DEFAULT_DAYS, Kpis, PluginFigures, fresh_fleet, fresh_kpis},
    store::{
        Db,
        figures::{Counted, Durations, Loops, loops},
        policy,
    },
};

const EVERY: Duration = Duration::from_mins(1);
/// Every word of a label is shown, also when nothing is under it: a line that vanishes keeps its last value in a graph.
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];
const INCIDENTS: [&str; 4] = ["open", "in_progress", "mitigated", "escalated"];
const ATTEMPTS: [&str; 3] = ["pending", "staging", "applying"];
const COMMANDS: [&str; 4] = ["pending", "sent", "acknowledged", "executing"];
const DELIVERIES: [&str; 2] = ["pending", "dead"];

/// Counts the fleet's figures.
pub struct Figures {
    db: Db,
}

impl Figures {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl Reconciler for Figures {
    fn name(&self) -> &'static str {
        "figures"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        show_fleet(&fresh_fleet(&self.db, now).await?);
        show_loops(&loops(&self.db, None, now).await?);
        show_kpis(&fresh_kpis(&self.db, DEFAULT_DAYS, now).await?);
        let (enabled, ..) = policy::switch(&self.db).await?;
        gauge!("plugmend_autopatch_enabled").set(if enabled { 1.0 } else { 0.0 });
        gauge!("plugmend_figures_counted_timestamp_seconds").set(number(now.as_second()));
        Ok(Activation::default())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(n: i64) -> f64 {
    n as f64
}

fn count_of(counted: &Counted, word: &str) -> f64 {
    number(counted.get(word).copied().unwrap_or(0))
}

fn show_fleet(plugins: &PluginFigures) {
    for (health, n) in &plugins.by_health {
        gauge!("plugmend_plugins", "health" => health.clone()).set(number(*n));
    }
}

fn show_loops(loops: &Loops) {
    for word in SEVERITIES {
        gauge!("plugmend_incidents_open", "severity" => word).set(count_of(&loops.incidents_by_severity, word));
    }
    for word in INCIDENTS {
        gauge!("plugmend_incidents", "status" => word).set(count_of(&loops.incidents_by_status, word));
    }
    for word in ATTEMPTS {
        gauge!("plugmend_attempts", "status" => word).set(count_of(&loops.attempts, word));
    }
    for word in COMMANDS {
        gauge!("plugmend_commands", "status" => word).set(count_of(&loops.commands, word));
    }
    for word in DELIVERIES {
        gauge!("plugmend_deliveries", "status" => word).set(count_of(&loops.deliveries, word));
    }
    gauge!("plugmend_awaiting_approval").set(number(loops.awaiting_approval));
    gauge!("plugmend_outbox_waiting").set(number(loops.outbox_waiting));
    gauge!("plugmend_audit_waiting").set(number(loops.audit_waiting));
    gauge!("plugmend_loop_lag_seconds").set(number(loops.loop_lag_s));
}

fn show_kpis(kpis: &Kpis) {
    show_durations("plugmend_kpi_mttd_seconds", &kpis.mttd);
    show_durations("plugmend_kpi_mttr_seconds", &kpis.mttr);
    show_durations("plugmend_kpi_patch_seconds", &kpis.patch_time);
    // What was never measured is no number; Prometheus knows one for that.
    gauge!("plugmend_kpi_success_ratio").set(kpis.success_rate.unwrap_or(f64::NAN));
    gauge!("plugmend_kpi_rollback_ratio").set(kpis.rollback_rate.unwrap_or(f64::NAN));
    for target in kpis.targets() {
        gauge!("plugmend_kpi_target", "kpi" => target.kpi, "bound" => target.bound).set(target.target);
    }
    for (source, calibration) in &kpis.calibration {
        gauge!("plugmend_kpi_brier", "source" => source.clone()).set(calibration.brier);
        gauge!("plugmend_kpi_calibration_error", "source" => source.clone()).set(calibration.ece);
    }
    for part in &kpis.confidence {
        gauge!("plugmend_kpi_decisions", "confidence" => format!("{:.1}", part.from)).set(number(part.decisions));
    }
    for share in &kpis.incidents {
        gauge!("plugmend_kpi_incidents", "type" => share.incident_type.clone(), "severity" => share.severity.clone())
            .set(number(share.incidents));
    }
}

fn show_durations(name: &'static str, durations: &Durations) {
    for (stat, value) in [
        ("mean", durations.mean_s),
        ("p50", durations.p50_s),
        ("p95", durations.p95_s),
    ] {
        gauge!(name, "stat" => stat).set(value.unwrap_or(f64::NAN));
    }
}
