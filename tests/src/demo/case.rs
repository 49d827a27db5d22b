//! One illness, followed from its first sign to its end, with its time line.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use plugmend_shared::clock::{Clock as _, SystemClock};
use serde_json::Value;

use super::{
    ACT_LIMIT,
    say::{self, Say},
    stage::Stage,
};
use crate::{
    system::{ops, sql},
    wait,
};

/// An illness that is about to begin.
pub struct Case {
    title: &'static str,
    kind: &'static str,
    began: Timestamp,
    /// Attempts that were there before.
    known: Vec<String>,
    /// The incident, when it is there already.
    incident: Option<String>,
}

/// An illness whose attempt has ended.
pub struct Course {
    /// What it is called.
    pub title: &'static str,
    /// The incident, as the API shows it.
    pub incident: Value,
    /// The attempt, as the API shows it.
    pub attempt: Value,
    /// When it began.
    began: Timestamp,
    /// What was done, in seconds since then, in that order.
    line: Vec<(String, f64)>,
}

impl Case {
    /// From now on.
    pub async fn begin(title: &'static str, kind: &'static str, stage: &Stage) -> Result<Self> {
        let known = attempts(stage)
            .await?
            .iter()
            .map(|one| ops::text(one, "id"))
            .collect::<Result<_>>()?;
        Ok(Self {
            title,
            kind,
            began: SystemClock.now(),
            known,
            incident: None,
        })
    }

    /// The same, of an incident that is open already.
    pub fn of(mut self, incident: String) -> Self {
        self.incident = Some(incident);
        self
    }

    /// Says what happens until an attempt of it has ended as `wanted`.
    pub async fn follow(self, say: &Say, stage: &Stage, wanted: &str) -> Result<Course> {
        let mut said = BTreeMap::new();
        let (incident, attempt) = wait::until_async("the attempt to end", ACT_LIMIT, async || {
            let Some(incident) = self.incident(stage).await? else {
                return Ok(None);
            };
            if self.incident.is_none() && said.insert("incident", String::new()).is_none() {
                say.line(&format!(
                    "incident {}, {}, open {:.1} s after the first sign",
                    text(&incident, "incident_type"),
                    text(&incident, "severity"),
                    self.since(&text(&incident, "detected_at"))?
                ));
            }
            let id = ops::text(&incident, "id")?;
            let Some(attempt) = self.attempt(stage, &id).await? else {
                return Ok(None);
            };
            let status = text(&attempt, "status");
            if said.insert("decision", String::new()).is_none() {
                // Looked at anew: the attempt may be newer than what was seen of the incident.
                let incident = self.incident(stage).await?.unwrap_or(incident.clone());
                say::more(&decision(&incident, &attempt));
            }
            if said
                .insert("attempt", status.clone())
                .is_none_or(|before| before != status)
            {
                say.line(&format!(
                    "attempt {} to {}: {status}",
                    text(&attempt, "method"),
                    text(&attempt, "to_version")
                ));
            }
            let ended = matches!(status.as_str(), "success" | "failed" | "rolled_back" | "cancelled");
            Ok(ended.then_some((incident, attempt)))
        })
        .await?;
        let status = text(&attempt, "status");
        if status != wanted {
            bail!("the attempt ended as {status}, not as {wanted}: {attempt:#}");
        }
        if let Some(last) = attempt["logs"].as_array().and_then(|lines| lines.last()) {
            say::more(last["message"].as_str().unwrap_or_default());
        }
        let mut course = Course {
            title: self.title,
            incident,
            attempt,
            began: self.began,
            line: Vec::new(),
        };
        course.read_line(stage).await?;
        Ok(course)
    }

    /// The incident, once it is there.
    async fn incident(&self, stage: &Stage) -> Result<Option<Value>> {
        let page = stage
            .control_plane
            .ops()
            .get("/api/ops/plugin-incidents?limit=100")
            .await?;
        let all = page["incidents"].as_array().context("a list of incidents")?;
        for one in all {
            let is_it = match &self.incident {
                Some(id) => text(one, "id") == *id,
                None => text(one, "incident_type") == self.kind && self.since(&text(one, "detected_at"))? >= 0.0,
            };
            if is_it {
                return Ok(Some(one.clone()));
            }
        }
        Ok(None)
    }

    async fn attempt(&self, stage: &Stage, incident: &str) -> Result<Option<Value>> {
        let mut all = attempts(stage).await?;
        all.retain(|one| text(one, "incident_id") == incident && !self.known.contains(&text(one, "id")));
        Ok(all.into_iter().next())
    }

    fn since(&self, at: &str) -> Result<f64> {
        Ok(seconds(self.began, at.parse()?))
    }
}

impl Course {
    /// The incident's id.
    pub fn id(&self) -> Result<String> {
        ops::text(&self.incident, "id")
    }

    /// Waits until the incident stands as `status`; the incident.
    pub async fn until(&self, stage: &Stage, status: &str) -> Result<Value> {
        let path = format!("/api/ops/plugin-incidents/{}", self.id()?);
        wait::until_async(&format!("the incident to be {status}"), ACT_LIMIT, async || {
            let incident = stage.control_plane.ops().get(&path).await?;
            Ok((text(&incident, "status") == status).then_some(incident))
        })
        .await
    }

    /// How the attempt ended.
    pub fn status(&self) -> String {
        text(&self.attempt, "status")
    }

    /// Seconds from the first sign to a step.
    pub fn at(&self, action: &str) -> Option<f64> {
        let step = self.line.iter().find(|(known, _)| known == action)?;
        Some(step.1)
    }

    /// Seconds from the first sign to the attempt's end.
    pub fn ended(&self) -> Option<f64> {
        self.at(&format!("attempt_{}", self.status()))
    }

    /// What the audit trail says was done about it, up to the attempt's end.
    async fn read_line(&mut self, stage: &Stage) -> Result<()> {
        let (incident, attempt) = (self.id()?, ops::text(&self.attempt, "id")?);
        let query = format!(
            "SELECT action || ' ' || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
             FROM plugin_audit WHERE details ->> 'incident_id' = '{incident}' OR details ->> 'attempt_id' = '{attempt}'
             ORDER BY created_at"
        );
        for row in sql::texts(stage.control_plane.database_url(), &query).await? {
            let (action, at) = row.split_once(' ').context("an action and its time")?;
            let at = seconds(self.began, at.parse()?);
            if at >= 0.0 && self.line.iter().all(|(known, _)| known != action) {
                self.line.push((action.to_owned(), at));
            }
            if action == format!("attempt_{}", self.status()) {
                break;
            }
        }
        Ok(())
    }
}

async fn attempts(stage: &Stage) -> Result<Vec<Value>> {
    let page = stage
        .control_plane
        .ops()
        .get("/api/ops/autopatch-attempts?limit=100")
        .await?;
    Ok(page["attempts"].as_array().context("a list of attempts")?.clone())
}

fn decision(incident: &Value, attempt: &Value) -> String {
    if text(attempt, "executed_by") != "sira" {
        return "decided by a person".to_owned();
    }
    let decision = &incident["sira_decision"];
    let words = text(decision, "explanation");
    // What was not chosen is told in the API.
    format!(
        "SIRA ({}): {}",
        text(decision, "source"),
        words.split(" Not chosen").next().unwrap_or_default()
    )
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
