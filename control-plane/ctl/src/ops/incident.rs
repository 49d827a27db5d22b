//! `incident`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use plugmend_shared::ids::{Digest, MerchantId, PluginId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{command, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Lines, Output, Tone, plain, table, tinted, used, when},
};

/// What can be done with incidents.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List incidents, the newest first.
    List(List),
    /// Show one: what is wrong, what SIRA wants, and what to do next.
    Show(Show),
    /// Tell its course: what was seen, decided, tried and said, in order.
    Timeline(Show),
    /// Say yes to the cure that waits for it.
    Approve(Approve),
    /// Choose another cure, cancel the one under way, or close the matter.
    Act(Act),
}

/// Arguments of `incident list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those that are so.
    #[arg(long, value_parser = ["open", "in_progress", "mitigated", "escalated", "closed"])]
    status: Option<String>,
    /// Only those that are so bad.
    #[arg(long, value_parser = ["low", "medium", "high", "critical"])]
    severity: Option<String>,
    /// Only of this kind, say `webhook_fail_rate`.
    #[arg(long = "type")]
    incident_type: Option<String>,
    /// Only of this plugin.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// Only of this merchant's plugins.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// Detected at this moment or later (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Detected before this moment (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// The beginning of an id, or words of the merchant's name.
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `incident show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Which.
    id: Uuid,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `incident approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// Which.
    id: Uuid,
    /// The digest of the release that you looked at; if it is another by now, nothing is approved.
    #[arg(long)]
    digest: Option<Digest>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `incident act`.
#[derive(Debug, Args)]
pub struct Act {
    /// About which incident.
    id: Uuid,
    /// What: a cure, `cancel` (the cure under way), or `close`.
    #[arg(value_parser = ["patch", "hotfix", "rollback", "reinstall", "config_fix", "cancel", "close"])]
    action: String,
    /// The version, for patch, hotfix and (if it is not to be the one before) rollback.
    #[arg(long)]
    version: Option<semver::Version>,
    /// A setting for `config_fix`, as `key=value`; the value is JSON, or else a text. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Why, for people and for the audit.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Show(arguments) => {
            let incident = Api::connect(&arguments.connection)?.get(&path(arguments.id, ""))?;
            Ok(Output::new(story(&incident), incident))
        }
        Verb::Timeline(arguments) => {
            let course = Api::connect(&arguments.connection)?.get(&path(arguments.id, "/timeline"))?;
            Ok(Output::new(told(&course), course))
        }
        Verb::Approve(arguments) => approve(arguments),
        Verb::Act(arguments) => act(arguments),
    }
}

fn path(id: Uuid, verb: &str) -> String {
    format!("/api/ops/plugin-incidents/{id}{verb}")
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/plugin-incidents")
        .maybe("status", arguments.status.as_ref())
        .maybe("severity", arguments.severity.as_ref())
        .maybe("incident_type", arguments.incident_type.as_ref())
        .maybe("plugin_id", arguments.plugin)
        .maybe("merchant_id", arguments.merchant)
        .maybe("since", arguments.since)
        .maybe("until", arguments.until)
        .maybe("q", arguments.search.as_ref());
    let found = Api::connect(&arguments.connection)?.list(&query, "incidents", &arguments.extent)?;
    let heads = [
        "ID", "SEVERITY", "STATUS", "TYPE", "CMS", "VERSION", "SIRA", "TRIES", "DETECTED",
    ];
    Ok(found.output(&heads, |incident| {
        let sira = incident.get("sira_decision").unwrap_or(&Value::Null);
        let mut row = ["id", "severity", "status", "incident_type", "cms", "plugin_version"]
            .map(|field| text(incident, field))
            .to_vec();
        row.extend([
            text(sira, "action"),
            text(incident, "attempts_count"),
            when(incident, "detected_at"),
        ]);
        row
    }))
}

/// An incident in words.
fn story(incident: &Value) -> String {
    let field = |name| text(incident, name);
    let toned = |name| tinted(&field(name), Tone::of(&field(name)));
    let mut out = Lines::default();
    out.add(format_args!("incident   {}", field("id")));
    out.add(format_args!(
        "what       {}, {}, {}",
        field("incident_type"),
        toned("severity"),
        toned("status")
    ));
    out.add(format_args!(
        "where      plugin {} ({}, version {}) of merchant {}",
        field("merchant_plugin_id"),
        field("cms"),
        field("plugin_version"),
        field("merchant_id")
    ));
    out.add(format_args!(
        "detected   {} ({})",
        field("detected_at"),
        when(incident, "detected_at")
    ));
    match incident.get("sira_decision").filter(|decision| !decision.is_null()) {
        Some(decision) => {
            let version = match text(decision, "patch_version").as_str() {
                "-" => String::new(),
                version => format!(" to {version}"),
            };
            let (action, confidence) = (text(decision, "action"), text(decision, "confidence"));
            out.add(format_args!("SIRA       {action}{version}, confidence {confidence}"));
            out.add(format_args!("because    {}", text(decision, "explanation")));
        }
        None => out.add("SIRA       has not decided yet"),
    }
    out.add(format_args!("tries      {}", field("attempts_count")));
    if incident.get("escalated_to_ops") == Some(&Value::Bool(true)) {
        let (reason, when) = (field("escalation_reason"), when(incident, "escalated_at"));
        out.add(format_args!("escalated  {when}: {reason}"));
    }
    if incident
        .get("resolution")
        .is_some_and(|resolution| !resolution.is_null())
    {
        out.add(format_args!("ended as   {}", field("resolution")));
    }
    let seen = incident.get("telemetry_snapshot").filter(|seen| !seen.is_null());
    if let Some(seen) = seen {
        out.add(format_args!("evidence   {}", plain(&seen.to_string())));
    }
    for line in next(&field("status"), &field("id")) {
        out.add(line);
    }
    out.into()
}

/// What a person can do about an incident that is so.
fn next(status: &str, id: &str) -> Vec<String> {
    match status {
        "escalated" => vec![
            format!("next       'plugmend incident approve {id}' says yes to the cure that waits, if one does"),
            format!("           'plugmend incident act {id} rollback --reason …' (or patch, …) chooses another"),
            format!("           'plugmend incident act {id} close --reason …' closes the matter"),
        ],
        "open" | "in_progress" | "mitigated" => vec![format!("next       'plugmend watch --incident {id}' follows it")],
        _ => Vec::new(),
    }
}

/// The course of an incident, one line a moment.
fn told(course: &Value) -> String {
    let moments = course.get("moments").and_then(Value::as_array);
    let rows = moments.into_iter().flatten().map(|moment| {
        let who = ["actor_id", "actor_type"].map(|field| text(moment, field));
        let who = who.into_iter().find(|name| name != "-").unwrap_or_default();
        let data = moment.get("data").unwrap_or(&Value::Null);
        vec![text(moment, "at"), text(moment, "kind"), who, gist(data)]
    });
    table(&["AT", "WHAT", "WHO", "MORE"], rows)
}

/// What is worth a word of a moment.
fn gist(data: &Value) -> String {
    let decision = data.get("decision").unwrap_or(data);
    let named = [
        "action",
        "method",
        "status",
        "from_version",
        "to_version",
        "patch_version",
        "confidence",
        "severity",
        "reason",
        "resolution",
        "explanation",
        "end_reason",
    ];
    let words = named
        .into_iter()
        .map(|field| (field, text(decision, field)))
        .filter(|(_, word)| word != "-")
        .map(|(field, word)| format!("{field}: {word}"));
    words.collect::<Vec<_>>().join("; ")
}

fn approve(arguments: &Approve) -> anyhow::Result<Output> {
    let body = match &arguments.digest {
        Some(digest) => json!({ "release_digest": digest }),
        None => json!({}),
    };
    let answer = Api::connect(&arguments.connection)?.post(&path(arguments.id, "/approve"), &body)?;
    let id = arguments.id;
    let words = if answer.get("complete") == Some(&Value::Bool(true)) {
        format!("approved; the cure goes on\nnext: 'plugmend watch --incident {id}'")
    } else {
        "your yes counts; somebody else must say yes as well".to_owned()
    };
    Ok(Output::new(words, answer))
}

fn act(arguments: &Act) -> anyhow::Result<Output> {
    let body = body(arguments)?;
    let answer = Api::connect(&arguments.connection)?.post_once(&path(arguments.id, "/manual-action"), &body)?;
    let (id, attempt) = (arguments.id, text(&answer, "attempt_id"));
    let words = match arguments.action.as_str() {
        "cancel" => format!("attempt {attempt} is cancelled"),
        "close" => format!("incident {id} is closed"),
        _ if answer.get("requires_approval") == Some(&Value::Bool(true)) => {
            format!("attempt {attempt} waits for others to say yes: 'plugmend incident approve {id}'")
        }
        _ => format!("attempt {attempt} is on its way\nnext: 'plugmend watch --incident {id}'"),
    };
    Ok(Output::new(words, answer))
}

fn body(arguments: &Act) -> anyhow::Result<Value> {
    let mut body = Map::new();
    body.insert("action".to_owned(), json!(arguments.action));
    let takes_version = matches!(arguments.action.as_str(), "patch" | "hotfix" | "rollback");
    used(
        takes_version || arguments.version.is_none(),
        "--version is for patch, hotfix and rollback",
    )?;
    used(
        (arguments.action == "config_fix") != arguments.settings.is_empty(),
        "config_fix needs --set key=value, and nothing else takes it",
    )?;
    if let Some(version) = &arguments.version {
        body.insert("version".to_owned(), json!(version));
    }
    if !arguments.settings.is_empty() {
        body.insert(
            "config".to_owned(),
            Value::Object(command::settings(&arguments.settings)?),
        );
    }
    if let Some(reason) = &arguments.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    Ok(Value::Object(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_told_with_what_to_do_next() {
        let told = story(&json!({
            "id": "1", "incident_type": "error_spike", "severity": "high", "status": "escalated", "escalated_to_ops": true,
            "escalation_reason": "low\nconfidence", "sira_decision": { "action": "patch", "patch_version": "1.2.4",
            "confidence": 0.61, "explanation": "1.2.4 \u{1b}[2Jhelped others" }, "attempts_count": 2,
        }));
        assert!(told.contains("error_spike, high, escalated"), "{told}");
        assert!(told.contains("patch to 1.2.4, confidence 0.61"), "{told}");
        assert!(told.contains("low confidence") && !told.contains('\u{1b}'), "{told}");
        assert!(told.contains("plugmend incident approve 1"), "{told}");
    }

    #[test]
    fn a_course_is_told_moment_by_moment() {
        let told = told(&json!({ "moments": [
            { "at": "a", "kind": "decided", "actor_type": "sira", "actor_id": null, "data": { "decision": { "action": "patch",
                "patch_version": "1.2.4" } } },
            { "at": "b", "kind": "incident_closed", "actor_type": "ops", "actor_id": "ann", "data": { "reason": "x\ny" } },
        ] }));
        for words in ["sira", "action: patch; patch_version: 1.2.4", "ann", "reason: x y"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn an_incident_without_decision_says_so() {
        let told = story(&json!({ "id": "1", "status": "closed", "sira_decision": null }));
        assert!(told.contains("has not decided yet") && !told.contains("next"), "{told}");
    }
}
