//! `plugmend-agent doctor`: everything that could keep the agent from its work, with what to do about it.

use std::time::Duration;

use serde_json::Value;

use super::{door, exit::Exit, say::Say, work};
use crate::{
    config::Settings,
    engine::{Finding, Level},
    tasks::{
        board::chain,
        local::{Question, Reply},
    },
    upstream::identity_store::IdentityStore,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Looks.
pub(super) fn run(settings: &Settings, say: Say) -> Exit {
    let mut findings = vec![about_identity(settings), about_agent(settings)];
    findings.extend(about_telemetry(settings));
    match work::ask(settings, &Question::Doctor, |engine| Reply::of(&engine.doctor())) {
        Ok(Reply {
            result: Some(found),
            error: None,
        }) => {
            let found: Vec<Finding> = serde_json::from_value(found).unwrap_or_default();
            findings.extend(found);
        }
        Ok(Reply { error, .. }) => findings.push(finding(Level::Bad, "plugin", error.unwrap_or_default())),
        Err((_, words)) => findings.push(finding(Level::Bad, "plugin", words)),
    }
    let worst = findings
        .iter()
        .map(|finding| finding.level)
        .max()
        .unwrap_or(Level::Good);
    let lines: Vec<_> = findings.iter().map(line).collect();
    say.result(&findings, lines.join("\n"));
    if worst == Level::Bad { Exit::Wrong } else { Exit::Done }
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Good => "good",
        Level::Advice => "advice",
        Level::Bad => "BAD",
    };
    format!("{level:<7} {:<10} {}", finding.topic, finding.words)
}

fn about_identity(settings: &Settings) -> Finding {
    let say = |level, words: String| finding(level, "identity", words);
    if !settings.state_dir.exists() {
        let words = "this agent is not enrolled; run plugmend-agent enrol with a token from the control plane";
        return say(Level::Bad, words.to_owned());
    }
    let summary = IdentityStore::open(&settings.state_dir).and_then(|store| store.summary());
    match summary {
        Err(error) => say(Level::Bad, chain(&error)),
        Ok(None) => say(
            Level::Bad,
            "not enrolled; run plugmend-agent enrol --token-file FILE".to_owned(),
        ),
        Ok(Some(summary)) => match summary.fenced {
            Some(fence) => say(Level::Bad, format!("fenced: {}", fence.detail)),
            None => say(
                Level::Good,
                format!("enrolled as plugin {} until {}", summary.plugin_id, summary.not_after),
            ),
        },
    }
}

fn about_agent(settings: &Settings) -> Finding {
    let say = |level, words: String| finding(level, "agent", words);
    let status = match door::ask(&settings.state_dir, &Question::Status, PATIENCE) {
        Ok(None) => {
            return say(
                Level::Advice,
                "not running; start it with systemctl start plugmend-agent".to_owned(),
            );
        }
        Err(error) => return say(Level::Bad, format!("it runs and does not answer: {error}")),
        Ok(Some(reply)) => reply.result.unwrap_or_default(),
    };
    let troubles = status["troubles"].as_object().into_iter().flatten();
    let troubles: Vec<_> = troubles
        .map(|(about, what)| format!("{about}: {}", what.as_str().unwrap_or("")))
        .collect();
    let standing = &status["standing"];
    match standing["state"].as_str() {
        Some("fenced" | "revoked" | "expired") => {
            say(Level::Bad, standing["detail"].as_str().unwrap_or("silenced").to_owned())
        }
        Some("offline") => say(Level::Bad, standing["reason"].as_str().unwrap_or("offline").to_owned()),
        _ if !troubles.is_empty() => say(Level::Bad, troubles.join("; ")),
        _ => say(Level::Good, "it runs, and the control plane answers".to_owned()),
    }
}

fn about_telemetry(settings: &Settings) -> Option<Finding> {
    let telemetry = &settings.telemetry;
    let silent = telemetry.socket.is_none() && telemetry.udp.is_none() && telemetry.spool_dir.is_none();
    if silent {
        let words = "name telemetry.socket, udp or spool_dir: without, nobody learns that the plugin is sick";
        return Some(finding(Level::Advice, "telemetry", words.to_owned()));
    }
    let status = door::ask(&settings.state_dir, &Question::Status, PATIENCE)
        .ok()
        .flatten()?
        .result?;
    match status.pointer("/telemetry/silent_for_s").and_then(Value::as_u64) {
        None => Some(finding(
            Level::Advice,
            "telemetry",
            "the plugin has said nothing yet".to_owned(),
        )),
        Some(seconds) => Some(finding(
            Level::Good,
            "telemetry",
            format!("the plugin was heard {seconds} s ago"),
        )),
    }
}

fn finding(level: Level, topic: &str, words: String) -> Finding {
    Finding {
        level,
        topic: topic.to_owned(),
        words,
    }
}
