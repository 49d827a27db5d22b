//! The course of one incident: what happened, in one order, and what the plugin counted meanwhile.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::{
    Db, StoreError,
    attempt::AttemptView,
    lists::{self, AttemptFilter},
    timeline::{self, DecidedRow, Noted, OrderedRow, Spine, VersionChange},
};

/// Telemetry that is shown from before the first sign, and from after the end.
const AROUND: SignedDuration = SignedDuration::from_hours(1);
/// The longest span that is shown, from its beginning.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Entries of the trail go by the database's clock: they may stand a little before what they tell of.
const BLUR: SignedDuration = SignedDuration::from_hours(1);
/// For so long after its end an incident may be spoken of: taken back, opened anew.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(24);
/// Points of the series, about.
const POINTS: i64 = 500;
/// Steps that people can read, in seconds.
const STEPS: [i64; 9] = [5, 10, 15, 30, 60, 120, 300, 600, 1_800];
/// Attempts that are shown.
const ATTEMPTS: i64 = 100;

/// The course of an incident.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = IncidentCourse)]
pub struct Course {
    /// Which incident.
    pub incident_id: Uuid,
    /// Of which plugin.
    pub plugin_id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// What happened, oldest first.
    pub moments: Vec<Moment>,
    /// What the plugin counted meanwhile.
    pub series: Series,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = IncidentMoment)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What: `began`, `decided`, `version_changed`, `command_created`, `command_sent`, `command_acknowledged`, `command_executing`,
    /// `command_completed`, `command_failed`, `command_timeout`, or an action of the audit trail (`incident_opened`,
    /// `attempt_created`, `attempt_staged`, `attempt_approved`, `attempt_success`, `incident_mitigated`, ...).
    pub kind: String,
    /// By whom, where somebody did it: `ops`, `sira`, `merchant` or `system`.
    pub actor_type: Option<String>,
    /// By which person.
    pub actor_id: Option<String>,
    /// What else is known.
    pub data: Value,
}

/// What a plugin counted, step by step.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = TelemetrySeries)]
pub struct Series {
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub to: Timestamp,
    /// The length of a step, in seconds. Steps without telemetry are left out.
    pub step_s: i64,
    /// The steps.
    pub points: Vec<Point>,
    /// When it was detected.
    pub detected_at: Timestamp,
    /// When the plugin said that it runs another version: before and after are to be compared here.
    pub changes: Vec<Change>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = TelemetryPoint)]
pub struct Point {
    /// Its beginning.
    pub at: Timestamp,
    /// Requests in it.
    pub requests: i64,
    /// Errors in it.
    pub errors: i64,
    /// Deliveries of webhooks tried in it.
    pub webhook_total: i64,
    /// Those that failed.
    pub webhook_failed: i64,
    /// The worst 95th percentile of its windows' latencies, in ms.
    pub p95_ms: Option<f64>,
}

/// A change of the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = VersionChanged)]
pub struct Change {
    /// When it was heard.
    pub at: Timestamp,
    /// From this version.
    pub from_version: String,
    /// To this one.
    pub to_version: String,
}

/// The course of an incident, to somebody who sees one merchant or all; none when there is no such incident for them.
///
/// # Errors
/// When the database fails.
pub async fn course(
    db: &Db,
    id: Uuid,
    scope: Option<MerchantId>,
    now: Timestamp,
) -> Result<Option<Course>, StoreError> {
    let spine = timeline::spine(db, id).await?;
    let Some(spine) = spine.filter(|spine| scope.is_none_or(|own| own.0 == spine.merchant_id)) else {
        return Ok(None);
    };
    let (from, to) = span(&spine, now);
    let step = step(from, to);
    let attempts = AttemptFilter {
        incident_id: Some(id),
        limit: ATTEMPTS,
        ..AttemptFilter::default()
    };
    let attempts = lists::attempts(db, &attempts).await?;
    let decisions = timeline::decisions(db, id).await?;
    let noted = timeline::noted(db, &spine, spine.detected_at.to_jiff() - BLUR, to + AFTERWARDS).await?;
    let orders = timeline::orders(db, id).await?;
    let versions = timeline::versions(db, spine.merchant_plugin_id, from, to).await?;
    let points = timeline::series(db, &spine, (from, to), step).await?;
    Ok(Some(Course {
        incident_id: spine.id,
        plugin_id: spine.merchant_plugin_id.into(),
        merchant_id: spine.merchant_id.into(),
        series: Series {
            from,
            to,
            step_s: step.as_secs(),
            points: points
                .into_iter()
                .map(|point| Point {
                    at: point.at.to_jiff(),
                    requests: point.requests,
                    errors: point.errors,
                    webhook_total: point.webhook_total,
                    webhook_failed: point.webhook_failed,
                    p95_ms: point.p95_ms,
                })
                .collect(),
            detected_at: spine.detected_at.to_jiff(),
            changes: versions.iter().map(change).collect(),
        },
        moments: moments(&spine, noted, &decisions, &orders, &attempts, &versions),
    }))
}

/// What telemetry belongs to an incident: an hour before its first sign to an hour after its end.
fn span(spine: &Spine, now: Timestamp) -> (Timestamp, Timestamp) {
    let detected = spine.detected_at.to_jiff();
    let began = spine
        .began_at
        .map_or(detected, jiff_sqlx::Timestamp::to_jiff)
        .min(detected);
    let from = began - AROUND;
    let ended = match spine.status.as_str() {
        "closed" => spine.status_since.unwrap_or(spine.updated_at).to_jiff(),
        _ => now,
    };
    let to = (ended + AROUND).min(now).min(from + LONGEST);
    (from, to.max(detected + SignedDuration::from_secs(1)))
}

/// The shortest step that makes no more points than can be seen.
fn step(from: Timestamp, to: Timestamp) -> SignedDuration {
    let span = to.duration_since(from).as_secs();
    let wanted = STEPS.into_iter().find(|step| span <= step * POINTS);
    SignedDuration::from_secs(wanted.unwrap_or(STEPS[STEPS.len() - 1]))
}

fn change(row: &VersionChange) -> Change {
    Change {
        at: row.at.to_jiff(),
        from_version: row.from_version.clone(),
        to_version: row.to_version.clone(),
    }
}

fn moments(
    spine: &Spine,
    noted: Vec<Noted>,
    decisions: &[DecidedRow],
    orders: &[OrderedRow],
    attempts: &[AttemptView],
    versions: &[VersionChange],
) -> Vec<Moment> {
    let mut all = Vec::new();
    if let Some(began) = spine.began_at {
        all.push(by_itself(began.to_jiff(), "began", json!({})));
    }
    if !noted.iter().any(|noted| noted.action == "incident_opened") {
        let data = json!({ "incident_type": spine.incident_type, "severity": spine.severity });
        all.push(by_itself(spine.detected_at.to_jiff(), "incident_opened", data));
    }
    let has_decisions = !decisions.is_empty();
    all.extend(decisions.iter().map(decided));
    // Orders and decisions tell of themselves, and better.
    let tells = |noted: &Noted| {
        !noted.action.starts_with("command_")
            && noted.action != "decision_made"
            && !(has_decisions && noted.action == "incident_decided")
    };
    all.extend(noted.into_iter().filter(tells).map(|noted| Moment {
        at: noted.at.to_jiff(),
        kind: noted.action,
        actor_type: Some(noted.actor_type),
        actor_id: noted.actor_id,
        data: noted.details,
    }));
    all.extend(orders.iter().flat_map(ordered));
    all.extend(attempts.iter().filter_map(verdict));
    all.extend(versions.iter().map(|version| {
        let data = json!({ "from_version": version.from_version, "to_version": version.to_version });
        by_itself(version.at.to_jiff(), "version_changed", data)
    }));
    all.sort_by_key(|moment| (moment.at, rank(&moment.kind)));
    all
}

/// What goes before what at the same moment: whatever one transaction wrote has one.
fn rank(kind: &str) -> usize {
    const COURSE: [&str; 22] = [
        "began",
        "incident_opened",
        "decided",
        "incident_decided",
        "attempt_created",
        "incident_in_progress",
        "attempt_staging",
        "attempt_staged",
        "attempt_approved",
        "attempt_applying",
        "command_created",
        "command_sent",
        "command_acknowledged",
        "command_executing",
        "command_completed",
        "version_changed",
        "applied",
        "attempt_success",
        "attempt_rolled_back",
        "incident_mitigated",
        "incident_escalated",
        "incident_closed",
    ];
    // What is not in it is told with the attempt's end: failures, votes, words of people.
    COURSE.iter().position(|known| *known == kind).unwrap_or(17)
}

fn by_itself(at: Timestamp, kind: &str, data: Value) -> Moment {
    Moment {
        at,
        kind: kind.to_owned(),
        actor_type: None,
        actor_id: None,
        data,
    }
}

fn decided(row: &DecidedRow) -> Moment {
    Moment {
        at: row.at.to_jiff(),
        kind: "decided".to_owned(),
        actor_type: Some("sira".to_owned()),
        actor_id: None,
        data: json!({ "decision_id": row.id, "source": row.source, "model_version": row.model_version,
                      "decision": row.output }),
    }
}

/// What became of an order, state by state.
fn ordered(order: &OrderedRow) -> Vec<Moment> {
    let ended = format!("command_{}", order.status);
    let is_over = matches!(order.status.as_str(), "completed" | "failed" | "timeout");
    let states = [
        (Some(order.created_at), "command_created"),
        (order.sent_at, "command_sent"),
        (order.acknowledged_at, "command_acknowledged"),
        (order.executing_at, "command_executing"),
        (order.completed_at.filter(|_| is_over), ended.as_str()),
    ];
    let moment = |(at, kind): (Option<jiff_sqlx::Timestamp>, &str)| {
        let mut data = json!({ "command_id": order.id, "attempt_id": order.attempt_id, "type": order.command_type,
                               "version": order.version });
        if kind == ended {
            data["error"] = json!(order.error_message);
            data["response"] = json!(order.response);
        }
        at.map(|at| Moment {
            actor_id: order.created_by.clone().filter(|_| kind == "command_created"),
            ..by_itself(at.to_jiff(), kind, data)
        })
    };
    states.into_iter().filter_map(moment).collect()
}

/// What production said of an attempt, where it said something.
fn verdict(attempt: &AttemptView) -> Option<Moment> {
    let result = attempt.production_result.as_ref()?;
    let at = result.get("applied_at")?.as_str()?.parse().ok()?;
    let data = json!({ "attempt_id": attempt.id, "production_result": result });
    Some(by_itself(at, "applied", data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_no_more_points_than_can_be_seen() {
        let from = Timestamp::UNIX_EPOCH;
        for hours in [1, 2, 3, 24, 7 * 24] {
            let to = from + SignedDuration::from_hours(hours);
            let step = step(from, to).as_secs();
            assert!(hours * 3600 / step <= POINTS + 10, "{hours} hours in steps of {step} s");
        }
        assert_eq!(step(from, from + SignedDuration::from_hours(2)).as_secs(), 15);
    }
}
