//! `plugmend-agent status`.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::{door, exit::Exit, say::Say};
use crate::{
    app,
    config::Settings,
    store::ledger::LedgerFile,
    tasks::{board::chain, local::Question, status},
    upstream::identity_store::IdentityStore,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Shows how everything is; asks the running agent, else reads what lies on the disk and changes nothing.
pub(super) fn run(settings: &Settings, say: Say) -> Exit {
    let status = match door::ask(&settings.state_dir, &Question::Status, PATIENCE) {
        Ok(Some(reply)) => reply.result.ok_or_else(|| reply.error.unwrap_or_default()),
        Ok(None) => Ok(stopped(settings)),
        Err(error) => Err(format!("the agent runs and does not answer: {error}")),
    };
    match status {
        Ok(status) => {
            let exit = exit(&status);
            say.result(&status, words(&status));
            exit
        }
        Err(error) => say.failure(Exit::Busy, error),
    }
}

fn stopped(settings: &Settings) -> Value {
    let identity = if settings.state_dir.exists() {
        let store = IdentityStore::open(&settings.state_dir);
        store.and_then(|store| store.summary()).map_err(|error| chain(&error))
    } else {
        Ok(None)
    };
    let mut status = status::of_stopped(app::place(settings), identity, Value::Null);
    match LedgerFile::new(&settings.state_dir).read() {
        Ok(Some(ledger)) => status.engine = serde_json::to_value(ledger).unwrap_or_default(),
        Ok(None) => {}
        Err(error) => {
            status.troubles.insert("engine".to_owned(), chain(&error));
        }
    }
    serde_json::to_value(status).unwrap_or_default()
}

fn exit(status: &Value) -> Exit {
    let silenced = matches!(text(status, "/standing/state"), Some("fenced" | "revoked"));
    let fenced = !status.pointer("/identity/fenced").is_none_or(Value::is_null);
    if status["identity"].is_null() || silenced || fenced {
        return Exit::NotEnrolled;
    }
    let wrong = ["engine", "integrity", "identity"]
        .iter()
        .any(|about| status.pointer(&format!("/troubles/{about}")).is_some());
    if wrong { Exit::Wrong } else { Exit::Done }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn words(status: &Value) -> String {
    let mut out = String::new();
    about_plugin(status, &mut out);
    about_agent(status, &mut out);
    about_telemetry(status, &mut out);
    if let Some(troubles) = status["troubles"].as_object().filter(|troubles| !troubles.is_empty()) {
        out.push_str("Troubles:\n");
        for (about, what) in troubles {
            let _ = writeln!(out, "  {about}: {}", what.as_str().unwrap_or_default());
        }
    }
    out
}

fn about_plugin(status: &Value, out: &mut String) {
    let place = &status["place"];
    let _ = writeln!(
        out,
        "Plugin:    {} {} in {} (layout {})",
        text(place, "/product").unwrap_or("?"),
        text(status, "/engine/installed/version").unwrap_or("(version not yet known)"),
        text(place, "/path").unwrap_or("?"),
        text(place, "/layout").unwrap_or("?"),
    );
    if text(status, "/engine/installed/digest").is_none() && !status["engine"].is_null() {
        out.push_str("           adopted as it was; signed from the first update on\n");
    }
    for (pointer, label) in [
        ("/engine/previous/version", "before it"),
        ("/engine/zero/version", "at adoption"),
    ] {
        if let Some(version) = text(status, pointer) {
            let _ = writeln!(out, "           {label}: {version}");
        }
    }
    for held in status
        .pointer("/engine/quarantine")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (version, reason) = (
            text(held, "/version").unwrap_or("?"),
            text(held, "/reason").unwrap_or("?"),
        );
        let _ = writeln!(out, "           held back: {version} ({reason})");
    }
    match status.get("order").filter(|order| !order.is_null()) {
        Some(order) => {
            let done = order["done"]
                .as_f64()
                .map(|done| format!(", {:.0} %", done * 100.0))
                .unwrap_or_default();
            let kind = text(order, "/kind").unwrap_or("change");
            let _ = writeln!(
                out,
                "In hand:   {kind}: {} ({}{done})",
                text(order, "/step").unwrap_or("?"),
                text(order, "/detail").unwrap_or("")
            );
        }
        None => out.push_str("In hand:   nothing\n"),
    }
}

fn about_agent(status: &Value, out: &mut String) {
    match text(status, "/identity/plugin_id") {
        None => out.push_str("Identity:  not enrolled; run plugmend-agent enrol --token-file FILE\n"),
        Some(plugin) => {
            let until = text(status, "/identity/not_after").unwrap_or("?");
            let _ = writeln!(out, "Identity:  plugin {plugin}, certificate until {until}");
        }
    }
    if let Some(detail) = text(status, "/identity/fenced/detail") {
        let _ = writeln!(out, "           FENCED: {detail}");
    }
    if status["running"] != Value::Bool(true) {
        out.push_str("Agent:     not running; start it with systemctl start plugmend-agent\n");
        return;
    }
    let standing = match text(status, "/standing/state") {
        Some("online") => "online".to_owned(),
        Some("offline") => format!(
            "offline, telemetry is kept: {}",
            text(status, "/standing/reason").unwrap_or("")
        ),
        Some("starting") => "starting".to_owned(),
        Some(state) => format!("{state}: {}", text(status, "/standing/detail").unwrap_or("")),
        None => "unknown".to_owned(),
    };
    let _ = writeln!(
        out,
        "Agent:     {} running for {} s, {} KiB of memory; {standing}",
        text(status, "/agent_version").unwrap_or("?"),
        status["uptime_s"],
        status["rss_bytes"].as_u64().unwrap_or(0) / 1024,
    );
    let _ = writeln!(
        out,
        "           last heartbeat answered: {}; one every {} s",
        text(status, "/last_answer").unwrap_or("never"),
        status["heartbeat_interval_s"],
    );
}

fn about_telemetry(status: &Value, out: &mut String) {
    let Some(telemetry) = status.get("telemetry") else {
        return;
    };
    let heard = match telemetry["silent_for_s"].as_u64() {
        Some(seconds) => format!("last heard {seconds} s ago"),
        None => "nothing heard yet".to_owned(),
    };
    let _ = writeln!(
        out,
        "Telemetry: {heard}; since the start {} requests, {} errors, {} of {} webhooks failed; {} windows wait",
        telemetry["requests"],
        telemetry["errors"],
        telemetry["webhook_failed"],
        telemetry["webhook_total"],
        telemetry["spooled_windows"],
    );
    if let Some(version) = text(telemetry, "/version") {
        let _ = writeln!(out, "           it says it runs {version}");
    }
    if let Some(error) = text(telemetry, "/last_error") {
        let _ = writeln!(out, "           its last error: {error}");
    }
}
