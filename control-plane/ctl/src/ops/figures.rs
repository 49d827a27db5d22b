//! `overview` and `kpi`

use clap::Args;
use plugmend_shared::ids::MerchantId;
use serde_json::{Map, Value};

use super::{policy::switch_words, text};
use crate::{
    api::{Api, Connection, Query},
    output::{Lines, Output, plain, table},
};

/// Arguments of `overview`.
#[derive(Debug, Args)]
pub struct Overview {
    /// Of this merchant only.
    #[arg(long)]
    merchant: Option<MerchantId>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `kpi`.
#[derive(Debug, Args)]
pub struct Kpi {
    /// Over how many days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Of this merchant only.
    #[arg(long)]
    merchant: Option<MerchantId>,
    #[command(flatten)]
    connection: Connection,
}

/// The fleet at a glance.
pub fn overview(arguments: &Overview) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/overview").maybe("merchant_id", arguments.merchant);
    let seen = Api::connect(&arguments.connection)?.find(&query)?;
    Ok(Output::new(glance(&seen), seen))
}

/// An overview in words: the kill switch, then each group of counts on a line of its own.
pub fn glance(seen: &Value) -> String {
    let mut out = Lines::default();
    let is_on = seen.pointer("/kill_switch/autopatch_enabled") == Some(&Value::Bool(false));
    out.add(switch_words(is_on));
    let plugins = seen.get("plugins").unwrap_or(&Value::Null);
    out.add(format_args!(
        "plugins: {} ({})",
        text(plugins, "total"),
        counts(plugins.get("by_health"))
    ));
    for (name, value) in seen.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) if !matches!(name.as_str(), "kill_switch" | "plugins") => {
                out.add(format_args!(
                    "{}: {}",
                    plain(&name.replace('_', " ")),
                    counts(Some(value))
                ));
            }
            Value::Number(number) => out.add(format_args!("{}: {number}", plain(&name.replace('_', " ")))),
            _ => {}
        }
    }
    let versions = plugins.get("versions").and_then(Value::as_array);
    if let Some(versions) = versions.filter(|list| !list.is_empty()) {
        out.add("");
        let rows = versions.iter().take(10);
        out.add(table(
            &["PRODUCT", "VERSION", "PLUGINS"],
            rows.map(|row| ["product", "version", "plugins"].map(|field| text(row, field)).to_vec()),
        ));
    }
    out.into()
}

/// `name count, name count`, without zeros.
fn counts(of: Option<&Value>) -> String {
    fn gather(fields: &Map<String, Value>, before: &str, out: &mut Vec<String>) {
        for (name, value) in fields {
            match value {
                Value::Object(inner) => gather(inner, &format!("{before}{} ", plain(name)), out),
                Value::Number(number) if number.as_f64() != Some(0.0) => {
                    out.push(format!("{before}{} {number}", plain(name)));
                }
                _ => {}
            }
        }
    }
    let mut out = Vec::new();
    if let Some(Value::Object(fields)) = of {
        gather(fields, "", &mut out);
    }
    if out.is_empty() {
        "none".to_owned()
    } else {
        out.join(", ")
    }
}

/// How well the fleet is kept.
pub fn kpi(arguments: &Kpi) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/kpis")
        .with("days", arguments.days)
        .maybe("merchant_id", arguments.merchant);
    let seen = Api::connect(&arguments.connection)?.find(&query)?;
    Ok(Output::new(scored(&seen), seen))
}

fn scored(seen: &Value) -> String {
    let targets = seen.get("targets").and_then(Value::as_array);
    let rows = targets.into_iter().flatten().map(|target| {
        let verdict = match target.get("holds") {
            Some(Value::Bool(true)) => "ok",
            Some(Value::Bool(false)) => "fail",
            _ => "no data",
        };
        let bound = format!("{} {}", text(target, "bound").replace('_', " "), text(target, "target"));
        vec![text(target, "kpi"), text(target, "value"), bound, verdict.to_owned()]
    });
    format!(
        "{} to {}\n\n{}\n\nincidents: {}\nended cures: {}",
        text(seen, "since"),
        text(seen, "until"),
        table(&["KPI", "VALUE", "TARGET", "RESULT"], rows),
        counts(seen.get("incidents_by_severity")),
        counts(seen.get("ended"))
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fleet_is_told_with_its_kill_switch_first() {
        let told = glance(&json!({
            "kill_switch": { "autopatch_enabled": false },
            "plugins": { "total": 12, "by_health": { "healthy": 11, "ill": 1, "silent": 0 },
                "versions": [{ "product": "p", "version": "1.2.3", "plugins": 12 }] },
            "incidents": { "open": 1, "by_severity": { "high": 1 } }, "awaiting_approval": 2,
        }));
        assert!(told.starts_with("the kill switch is ON"), "{told}");
        for words in [
            "plugins: 12 (healthy 11, ill 1)",
            "incidents: by_severity high 1, open 1",
            "awaiting approval: 2",
            "1.2.3",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn a_target_says_whether_it_holds() {
        let told = scored(&json!({ "since": "a", "until": "b", "targets": [
            { "kpi": "mttd_p95_s", "bound": "at most", "target": 120, "value": 90, "holds": true },
            { "kpi": "success_rate", "bound": "at least", "target": 0.9, "value": null, "holds": null },
        ] }));
        assert!(
            told.contains("at most 120") && told.contains("ok") && told.contains("no data"),
            "{told}"
        );
    }
}
