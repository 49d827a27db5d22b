//! How well the fleet is kept, against what was promised.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};

use super::kept::{counted, kept_or};
use crate::{
    domain::learning::{Calibration, calibrate},
    store::{
        Db, StoreError,
        figures::{self, Counted, Durations, Ended, KpiSpan, Share},
    },
};

/// Days that are looked back on when nothing else is said.
pub const DEFAULT_DAYS: u16 = 30;
/// Days that are looked back on at most.
pub const MOST_DAYS: u16 = 366;
/// What users were promised: an incident within two minutes of its first sign, ...
const MTTD_S: f64 = 120.0;
/// ... a cure within ten, ...
const MTTR_S: f64 = 600.0;
/// ... of a hundred automatic cures ninety-five that work, ...
const SUCCESS: f64 = 0.95;
/// ... and two that are taken back at most.
const ROLLED_BACK: f64 = 0.02;
/// Parts that confidences are sorted into.
const PARTS: i32 = 10;

/// The figures, whatever day they were counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Kpis {
    /// From the first sign of an illness to its incident. Silence is not in it.
    pub mttd: Durations,
    /// From the last heartbeat to the incident of a silent plugin.
    pub mttd_silence: Durations,
    /// From an incident to the success of its cure, where no person was asked.
    pub mttr: Durations,
    /// From the beginning of a cure to its success.
    pub patch_time: Durations,
    /// How automatic cures ended.
    pub ended: Ended,
    /// The share of ended ones that worked; none of nothing.
    pub success_rate: Option<f64>,
    /// The share that was taken back.
    pub rollback_rate: Option<f64>,
    /// What was said of the chances of cures, in tenths.
    pub confidence: Vec<Confidence>,
    /// How well that held, by who said it.
    pub calibration: BTreeMap<String, Calibration>,
    /// Incidents by type and severity.
    pub incidents: Vec<Share>,
    /// The same by type alone.
    pub incidents_by_type: Counted,
    /// The same by severity alone.
    pub incidents_by_severity: Counted,
}

/// How often chances between two bounds were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ConfidenceBand)]
pub struct Confidence {
    /// From this on.
    pub from: f64,
    /// Up to this.
    pub to: f64,
    /// How often.
    pub decisions: i64,
}

/// What was promised of a figure.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = KpiTarget)]
pub struct Target {
    /// Which figure: `mttd_s`, `mttr_s`, `success_rate` or `rollback_rate`.
    pub kpi: &'static str,
    /// What it must not be above (`at_most`) or below (`at_least`).
    pub bound: &'static str,
    /// The bound.
    pub target: f64,
    /// What it is; none of nothing.
    pub value: Option<f64>,
    /// Whether that holds; none of nothing.
    pub holds: Option<bool>,
}

/// The figures of a span, beside what was promised.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KpiView {
    /// Over how many days.
    pub days: u16,
    /// From when.
    pub since: Timestamp,
    /// To when: they were counted then.
    pub until: Timestamp,
    /// What was promised.
    pub targets: Vec<Target>,
    /// The figures.
    #[serde(flatten)]
    pub kpis: Kpis,
}

impl Kpis {
    /// What was promised, and whether it holds.
    pub fn targets(&self) -> Vec<Target> {
        let target = |kpi, bound, target: f64, value: Option<f64>| Target {
            kpi,
            bound,
            target,
            value,
            holds: value.map(|value| {
                if bound == "at_most" {
                    value <= target
                } else {
                    value >= target
                }
            }),
        };
        vec![
            target("mttd_s", "at_most", MTTD_S, self.mttd.mean_s),
            target("mttr_s", "at_most", MTTR_S, self.mttr.mean_s),
            target("success_rate", "at_least", SUCCESS, self.success_rate),
            target("rollback_rate", "at_most", ROLLED_BACK, self.rollback_rate),
        ]
    }
}

/// The figures of the last `days`, of one merchant or of all.
///
/// # Errors
/// When the database fails.
pub async fn kpis(db: &Db, days: u16, merchant_id: Option<MerchantId>, now: Timestamp) -> Result<KpiView, StoreError> {
    let days = days.clamp(1, MOST_DAYS);
    let (kpis, until) = match merchant_id {
        Some(_) => (count(db, span(days, merchant_id, now)).await?, now),
        None => kept_or(db, &name(days), now, || count(db, span(days, None, now))).await?,
    };
    Ok(KpiView {
        days,
        since: until - reach(days),
        until,
        targets: kpis.targets(),
        kpis,
    })
}

/// Counts the figures of the whole fleet anew, and keeps them: for the worker.
///
/// # Errors
/// When the database fails.
pub async fn fresh_kpis(db: &Db, days: u16, now: Timestamp) -> Result<Kpis, StoreError> {
    counted(db, &name(days), now, || count(db, span(days, None, now))).await
}

fn name(days: u16) -> String {
    format!("kpis of {days} days")
}

fn reach(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

fn span(days: u16, merchant_id: Option<MerchantId>, now: Timestamp) -> KpiSpan {
    KpiSpan {
        since: now - reach(days),
        // What was stored this instant is in it.
        until: now + SignedDuration::from_secs(1),
        merchant_id,
    }
}

async fn count(db: &Db, span: KpiSpan) -> Result<Kpis, StoreError> {
    let ended = figures::ended(db, span).await?;
    let all = ended.success + ended.failed + ended.rolled_back;
    let incidents = figures::incidents(db, span).await?;
    let (said, forecasts) = figures::confidences(db, span).await?;
    Ok(Kpis {
        mttd: figures::mttd(db, span, false).await?,
        mttd_silence: figures::mttd(db, span, true).await?,
        mttr: figures::mttr(db, span).await?,
        patch_time: figures::patch_time(db, span).await?,
        success_rate: share(ended.success, all),
        rollback_rate: share(ended.rolled_back, all),
        ended,
        confidence: tenths(&said),
        calibration: forecasts
            .into_iter()
            .filter_map(|(source, said)| Some((source, calibrate(&said)?)))
            .collect(),
        incidents_by_type: figures::summed(&incidents, |share| &share.incident_type),
        incidents_by_severity: figures::summed(&incidents, |share| &share.severity),
        incidents,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn share(part: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// All ten parts, those without decisions too: what is drawn has no gaps.
fn tenths(said: &[(i32, i64)]) -> Vec<Confidence> {
    let tenth = |part: i32| Confidence {
        from: f64::from(part) / f64::from(PARTS),
        to: f64::from(part + 1) / f64::from(PARTS),
        decisions: said.iter().filter(|(at, _)| *at == part).map(|(_, n)| n).sum(),
    };
    (0..PARTS).map(tenth).collect()
}
