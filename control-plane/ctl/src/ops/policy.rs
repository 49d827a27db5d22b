//! `policy` and `kill-switch`

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{command::settings, facts, text};
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Lines, Output, Tone, plain, table, tinted, when},
};

const POLICY: &str = "/api/ops/policy";

/// What can be done with the policy.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what may heal by itself.
    Show(Show),
    /// Change fields of it.
    Set(Set),
    /// List who changed it, when and why, the newest first.
    History(History),
    /// Ask what another policy would have done in the last days; changes nothing.
    DryRun(DryRun),
}

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `policy set`.
#[derive(Debug, Args)]
pub struct Set {
    /// What is to be otherwise, as `field=value`; the value is JSON, or else a text.
    #[arg(required = true, value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Why, for the history.
    #[arg(long)]
    reason: String,
    /// The version that you looked at; if it was changed since, nothing is done. The newest unless given.
    #[arg(long, value_name = "VERSION")]
    seen: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `policy history`.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `policy dry-run`.
#[derive(Debug, Args)]
pub struct DryRun {
    /// What would be otherwise, as `field=value`; the value is JSON, or else a text.
    #[arg(required = true, value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// How many days back.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=31))]
    days: u16,
    /// The most differences that are shown.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `kill-switch`.
#[derive(Debug, Args)]
pub struct KillSwitch {
    /// `on` stops every automatic change at once, `off` lets them go on; without, it is shown.
    #[arg(requires = "reason")]
    to: Option<Position>,
    /// Why, for the history.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Of the kill switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Position {
    /// Nothing changes by itself.
    On,
    /// Things change by themselves, as the policy says.
    Off,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Show(arguments) => {
            let policy = Api::connect(&arguments.connection)?.get(POLICY)?;
            Ok(Output::new(told(&policy), policy))
        }
        Verb::Set(arguments) => set(arguments),
        Verb::History(arguments) => history(arguments),
        Verb::DryRun(arguments) => dry_run(arguments),
    }
}

/// The kill switch, shown or thrown.
pub fn kill_switch(arguments: &KillSwitch) -> anyhow::Result<Output> {
    let api = Api::connect(&arguments.connection)?;
    let policy = match (arguments.to, &arguments.reason) {
        (Some(to), Some(reason)) => {
            let body = json!({ "on": to == Position::On, "reason": reason });
            api.post(&format!("{POLICY}/kill-switch"), &body)?
        }
        _ => api.get(POLICY)?,
    };
    let is_on = policy.pointer("/policy/autopatch_enabled") == Some(&Value::Bool(false));
    let words = format!(
        "{}; the policy was changed {} by {}",
        switch_words(is_on),
        when(&policy, "updated_at"),
        text(&policy, "updated_by")
    );
    Ok(Output::new(words, json!({ "on": is_on, "policy": policy })))
}

/// The kill switch in words.
pub fn switch_words(is_on: bool) -> String {
    if is_on {
        tinted("the kill switch is ON: nothing changes by itself", Some(Tone::Bad))
    } else {
        tinted("the kill switch is off", Some(Tone::Good))
    }
}

fn told(policy: &Value) -> String {
    let row = policy.get("policy").unwrap_or(&Value::Null);
    format!(
        "version {}, changed {} by {}\n\n{}",
        text(policy, "version"),
        when(policy, "updated_at"),
        text(policy, "updated_by"),
        facts(row)
    )
}

fn change(fields: &[String]) -> anyhow::Result<Map<String, Value>> {
    settings(fields)
}

fn set(arguments: &Set) -> anyhow::Result<Output> {
    let change = change(&arguments.fields)?;
    let api = Api::connect(&arguments.connection)?;
    let seen = match arguments.seen {
        Some(version) => version,
        None => api
            .get(POLICY)?
            .get("version")
            .and_then(Value::as_u64)
            .context("the policy has no version")?,
    };
    let body = json!({ "policy": change, "reason": arguments.reason });
    let policy = api.patch(POLICY, &body, &format!("\"{seen}\""))?;
    Ok(Output::new(told(&policy), policy))
}

fn history(arguments: &History) -> anyhow::Result<Output> {
    let query = Query::new(format!("{POLICY}/history"));
    let found = Api::connect(&arguments.connection)?.list(&query, "changes", &arguments.extent)?;
    Ok(found.output(&["VERSION", "WHEN", "BY", "REASON", "CHANGES"], |entry| {
        vec![
            text(entry, "version"),
            when(entry, "changed_at"),
            text(entry, "changed_by"),
            text(entry, "reason"),
            changes(entry.get("changes").unwrap_or(&Value::Null)),
        ]
    }))
}

/// `field: was → is`, for each.
fn changes(of: &Value) -> String {
    let Value::Object(fields) = of else {
        return "-".to_owned();
    };
    let change =
        |(name, change): (&String, &Value)| format!("{name}: {} → {}", text(change, "was"), text(change, "is"));
    fields.iter().map(change).collect::<Vec<_>>().join("; ")
}

fn dry_run(arguments: &DryRun) -> anyhow::Result<Output> {
    let change = change(&arguments.fields)?;
    let body = json!({ "policy": change, "days": arguments.days, "limit": arguments.limit });
    let run = Api::connect(&arguments.connection)?.post(&format!("{POLICY}/dry-run"), &body)?;
    Ok(Output::new(compared(&run), run))
}

fn compared(run: &Value) -> String {
    let mut out = Lines::default();
    out.add(format_args!(
        "{} cures were judged since {}; about {} of them it would have said something else",
        text(run, "judged"),
        text(run, "since"),
        text(run, "differ")
    ));
    let count = |side: &str, field: &str| {
        run.pointer(&format!("/{side}/{field}"))
            .map_or("-".into(), Value::to_string)
    };
    let rows = [
        ("by itself", "allow"),
        ("people asked", "needs_approval"),
        ("not done", "refuse"),
    ];
    out.add("");
    out.add(table(
        &["", "WAS", "WOULD BE"],
        rows.map(|(words, field)| vec![words.to_owned(), count("was", field), count("would_be", field)]),
    ));
    let differences = run.get("differences").and_then(Value::as_array);
    if let Some(differences) = differences.filter(|list| !list.is_empty()) {
        let said = |entry: &Value, side: &str| {
            let outcome = entry.pointer(&format!("/{side}/outcome")).and_then(Value::as_str);
            plain(outcome.unwrap_or("-"))
        };
        out.add("");
        out.add(table(
            &[
                "INCIDENT", "TYPE", "SEVERITY", "METHOD", "TO", "WAS", "WOULD BE", "JUDGED",
            ],
            differences.iter().map(|entry| {
                let mut row = ["incident_id", "incident_type", "severity", "method", "to_version"]
                    .map(|field| text(entry, field))
                    .to_vec();
                row.extend([said(entry, "was"), said(entry, "would_be"), when(entry, "judged_at")]);
                row
            }),
        ));
    }
    if run.get("is_cut") == Some(&Value::Bool(true)) {
        out.add("there were more cures in that time; the older ones were not asked about");
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_is_told_side_by_side() {
        let told = compared(&json!({
            "since": "2026-11-16T00:00:00Z", "judged": 9, "differ": 1, "is_cut": true,
            "was": { "allow": 9, "needs_approval": 0, "refuse": 0 },
            "would_be": { "allow": 8, "needs_approval": 1, "refuse": 0 },
            "differences": [{ "incident_id": "1", "method": "patch", "was": { "outcome": "allow" },
                "would_be": { "outcome": "needs_approval" } }],
        }));
        for words in [
            "9 cures",
            "about 1 of them",
            "by itself",
            "needs_approval",
            "older ones",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn a_change_is_told_with_what_was() {
        let of = json!({ "canary_percentage": { "was": 5, "is": 10 } });
        assert_eq!(changes(&of), "canary_percentage: 5 → 10");
    }
}
