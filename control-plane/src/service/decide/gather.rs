//! The facts that a decision may rest on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plugmend_shared::{
    bundle::{manifest::SettingKey, remedy::DeclaredRemedy},
    decide::{MAX_REMEDIES, round},
    protocol::command::CommandKind,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::DecideError;
use crate::{
    domain::decision::{Experience, History, Question, Remedy, RemedySource, redact::redact},
    store::{
        StoreError, Tx,
        facts::{self, Case, ReleaseFacts},
    },
};

/// The most versions of things that one plugin runs on.
const MOST_ENVIRONMENT: usize = 64;

/// The question that an incident asks, with everything that is known of it now.
///
/// # Errors
/// When there is no such incident, or the database fails.
pub async fn question(tx: &mut Tx, incident_id: Uuid, now: Timestamp) -> Result<Question, DecideError> {
    let case = facts::case(tx, incident_id)
        .await?
        .ok_or(DecideError::UnknownIncident)?;
    let history = history(tx, &case, now).await?;
    Ok(Question {
        merchant_id: case.merchant_id,
        plugin_id: case.plugin_id,
        telemetry: redact(&case.telemetry),
        severity: case.severity,
        incident_type: case.incident_type,
        current_version: case.current_version,
        historical_data: history,
    })
}

async fn history(tx: &mut Tx, case: &Case, now: Timestamp) -> Result<History, StoreError> {
    let mut history = History {
        asked_at: now,
        detected_at: case.detected_at,
        began_at: case.began_at,
        confidence_real: case
            .confidence_real
            .filter(|p| p.is_finite())
            .map(|p| round(p.clamp(0.0, 1.0))),
        product: None,
        platform: case.platform.clone(),
        environment: environment(&case.last_report),
        capabilities: capabilities(case),
        releases: Vec::new(),
        version_changes: facts::version_changes(tx, case.plugin_id).await?,
        fleet: Vec::new(),
        peers: None,
        settable: BTreeMap::new(),
        remedies: Vec::new(),
        attempts: facts::attempts(tx, case.plugin_id, now).await?,
        experience: Experience::default(),
    };
    // Of what is not known to be one of our products, nothing more is known.
    let Some(product) = case.product.as_deref() else {
        return Ok(history);
    };
    let releases = facts::releases(tx, product, case.plugin_id).await?;
    history.product = product.parse().ok();
    history.settable = settable(&releases, &case.current_version);
    let declared = installed(&releases, &case.current_version).map(|release| release.remedies.as_slice());
    history.remedies = remedies(tx, case, product, &history.settable, declared.unwrap_or_default()).await?;
    history.releases = releases.into_iter().map(|release| release.known).collect();
    history.fleet = facts::fleet(tx, product).await?;
    history.peers = facts::peers(tx, case, now).await?;
    history.experience = facts::experience(tx, product, case.incident_type.as_str()).await?;
    Ok(history)
}

/// Versions of what the plugin runs on, as its last heartbeat says.
fn environment(report: &Value) -> BTreeMap<String, String> {
    let Some(env) = report.get("env").and_then(Value::as_object) else {
        return BTreeMap::new();
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.chars().take(128).collect()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    env.iter()
        .filter_map(|(name, value)| Some((name.chars().take(128).collect(), text(value)?)))
        .take(MOST_ENVIRONMENT)
        .collect()
}

/// An agent can do everything; without one, a plugin says what it can.
fn capabilities(case: &Case) -> Vec<CommandKind> {
    let kinds = [
        CommandKind::Update,
        CommandKind::Rollback,
        CommandKind::ConfigUpdate,
        CommandKind::HealthCheck,
        CommandKind::Restart,
    ];
    let can = |kind: &CommandKind| case.agent_managed || case.capabilities.iter().any(|c| c == kind.as_str());
    kinds.into_iter().filter(can).collect()
}

/// What the manifest of the installed release lets be set from afar.
fn settable(releases: &[ReleaseFacts], current: &str) -> BTreeMap<String, SettingKey> {
    installed(releases, current)
        .and_then(|release| release.settings.as_ref())
        .map(|spec| spec.keys.iter())
        .into_iter()
        .flatten()
        .filter(|(_, key)| !key.host_only)
        .map(|(name, key)| (name.clone(), key.clone()))
        .collect()
}

fn installed<'a>(releases: &'a [ReleaseFacts], current: &str) -> Option<&'a ReleaseFacts> {
    let is_it = |release: &&ReleaseFacts| release.known.version.to_string() == current;
    releases.iter().find(is_it)
}

/// Settings that may help: what the signed manifest names, what they were set to, and what helped others. Only what may be
/// set, to what it takes.
async fn remedies(
    tx: &mut Tx,
    case: &Case,
    product: &str,
    settable: &BTreeMap<String, SettingKey>,
    declared: &[DeclaredRemedy],
) -> Result<Vec<Remedy>, StoreError> {
    let may_be_set = |name: &String, value: &Value| settable.get(name).is_some_and(|key| key.takes(value).is_ok());
    let mut out = Vec::new();
    let mut managed: Map<String, Value> = facts::managed_settings(tx, case.plugin_id).await?;
    managed.retain(|name, value| may_be_set(name, value));
    for remedy in declared.iter().filter(|remedy| remedy.against == case.incident_type) {
        let mut settings = remedy.settings.iter();
        // What is in force already did not help.
        let is_in_force = settings.clone().all(|(name, value)| managed.get(name) == Some(value));
        if !is_in_force && settings.all(|(name, value)| may_be_set(name, value)) {
            let settings: Map<String, Value> = remedy.settings.clone().into_iter().collect();
            out.push(Remedy {
                id: Remedy::name_of(&settings),
                source: RemedySource::Declared,
                settings,
            });
        }
    }
    if !managed.is_empty() {
        out.push(Remedy {
            id: Remedy::name_of(&managed),
            source: RemedySource::Managed,
            settings: managed,
        });
    }
    for tried in facts::learned_remedies(tx, product, case.incident_type.as_str()).await? {
        let is_new = out.iter().all(|known| known.id != tried.id);
        // Half a remedy is none.
        if is_new && tried.settings.iter().all(|(name, value)| may_be_set(name, value)) {
            out.push(Remedy {
                id: tried.id,
                source: RemedySource::Learned,
                settings: tried.settings,
            });
        }
    }
    out.truncate(MAX_REMEDIES);
    Ok(out)
}
