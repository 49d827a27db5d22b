//! What an external decider answered, read strictly: it may be wrong, old or captured, and what it names is going to be
//! installed.

use plugmend_shared::bundle::{fit::Misfit, setting::Unfit};
use semver::Version;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Action, Decision, Method, Question};

/// The longest explanation that is taken, in bytes.
pub const MAX_EXPLANATION: usize = 4000;
/// The longest description of the impact that is taken, in bytes of JSON.
pub const MAX_IMPACT: usize = 4000;
/// The longest name of a model that is taken, in bytes.
pub const MAX_MODEL: usize = 128;
/// The most settings that one answer may set.
const MAX_SETTINGS: usize = 64;

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refusal {
    /// It is no JSON object.
    #[error("the answer is no JSON object")]
    NoObject,
    /// A field is not there.
    #[error("the answer lacks '{0}'")]
    Missing(&'static str),
    /// A field is of another type.
    #[error("'{field}' is not {wanted}")]
    Type {
        /// Which.
        field: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// A word that is not known.
    #[error("'{field}' is none of the known words")]
    Unknown {
        /// Which field.
        field: &'static str,
    },
    /// A confidence that is no probability.
    #[error("the confidence is not within 0 to 1")]
    Confidence,
    /// A text that is too long, or has characters that no text has.
    #[error("'{0}' is longer than is taken, or holds a NUL")]
    Text(&'static str),
    /// A version that can not be read.
    #[error("'patch_version' is no version")]
    NoVersion,
    /// A version of which there is no release.
    #[error("there is no release {0} of this product")]
    NoRelease(Version),
    /// A release that may not be installed.
    #[error("{0} is {1}")]
    NotOffered(Version, &'static str),
    /// A release that does not fit.
    #[error("{0} does not fit: {1}")]
    Misfit(Version, #[source] Misfit),
    /// A version in the wrong direction.
    #[error("{version} is no version to {action} to from {current}")]
    Direction {
        /// Which.
        version: Version,
        /// What was wanted of it.
        action: &'static str,
        /// What runs.
        current: String,
    },
    /// Settings that can not be set from afar.
    #[error("'{0}' may not be set from afar")]
    NotSettable(String),
    /// A value that a setting does not take.
    #[error("'{0}' {1}")]
    Value(String, #[source] Unfit),
    /// A `config_fix` that says nothing of what to set, where no remedy is known.
    #[error("a config_fix names no settings, and none is known to help")]
    NoSettings,
}

/// What was read: the decision, and which model the answer says it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// The decider's own name for its model.
    pub model_version: Option<String>,
}

/// Reads an answer to a question.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(bytes: &[u8], question: &Question) -> Result<Answer, Refusal> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else {
        return Err(Refusal::NoObject);
    };
    let action: Action = word(&fields, "action")?
        .ok_or(Refusal::Missing("action"))?
        .parse()
        .map_err(|_| Refusal::Unknown { field: "action" })?;
    let method = method(&fields, action)?;
    let decision = Decision {
        action,
        patch_version: version(&fields, action, method, question)?,
        current_version: question.current_version.clone(),
        confidence: confidence(&fields)?,
        confidence_real: question.historical_data.confidence_real,
        explanation: text(&fields, "explanation", MAX_EXPLANATION)?.unwrap_or_default(),
        estimated_impact: impact(&fields)?,
        method,
        config: settings(&fields, action, question)?,
    };
    Ok(Answer {
        decision,
        model_version: text(&fields, "model_version", MAX_MODEL)?,
    })
}

fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn word<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, Refusal> {
    let wanted = "a text";
    present(fields, field)
        .map(|value| value.as_str().ok_or(Refusal::Type { field, wanted }))
        .transpose()
}

fn text(fields: &Map<String, Value>, field: &'static str, longest: usize) -> Result<Option<String>, Refusal> {
    match word(fields, field)? {
        // Postgres' jsonb can not hold it.
        Some(text) if text.len() > longest || text.contains('\0') => Err(Refusal::Text(field)),
        text => Ok(text.map(str::to_owned)),
    }
}

fn method(fields: &Map<String, Value>, action: Action) -> Result<Option<Method>, Refusal> {
    let unknown = Refusal::Unknown { field: "method" };
    match word(fields, "method")? {
        None => Ok(action.method()),
        Some(_) if action.method().is_none() => Ok(None),
        Some(word) => match word.parse() {
            Ok(method) if action.allows(method) => Ok(Some(method)),
            _ => Err(unknown),
        },
    }
}

fn confidence(fields: &Map<String, Value>) -> Result<f64, Refusal> {
    let value = present(fields, "confidence").ok_or(Refusal::Missing("confidence"))?;
    let wanted = "a number";
    let number = value.as_f64().ok_or(Refusal::Type {
        field: "confidence",
        wanted,
    })?;
    if (0.0..=1.0).contains(&number) {
        Ok(plugmend_shared::decide::round(number))
    } else {
        Err(Refusal::Confidence)
    }
}

fn impact(fields: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let field = "estimated_impact";
    let Some(value) = present(fields, field) else {
        return Ok(None);
    };
    if !(value.is_string() || value.is_object()) {
        let wanted = "a text or an object";
        return Err(Refusal::Type { field, wanted });
    }
    if serde_json::to_vec(value).map_or(true, |json| json.len() > MAX_IMPACT) || has_nul(value) {
        return Err(Refusal::Text(field));
    }
    Ok(Some(value.clone()))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn version(
    fields: &Map<String, Value>,
    action: Action,
    method: Option<Method>,
    question: &Question,
) -> Result<Option<Version>, Refusal> {
    if !matches!(action, Action::Patch | Action::Rollback) {
        return Ok(None);
    }
    let Some(text) = word(fields, "patch_version")? else {
        return match action {
            Action::Rollback => Ok(None),
            _ => Err(Refusal::Missing("patch_version")),
        };
    };
    let version = Version::parse(text).map_err(|_| Refusal::NoVersion)?;
    direction(&version, action, method, question)?;
    let release = question
        .release(&version)
        .ok_or_else(|| Refusal::NoRelease(version.clone()))?;
    if let Some(why) = release.standing.refusal() {
        return Err(Refusal::NotOffered(version, why));
    }
    let follows = match (action, question.current()) {
        (Action::Patch, Some(current)) => release.compat.follows(&current),
        _ => Ok(()),
    };
    follows
        .and_then(|()| release.compat.runs_on(&question.historical_data.environment))
        .map_err(|misfit| Refusal::Misfit(version.clone(), misfit))?;
    Ok(Some(version))
}

/// A patch leads forward, a reinstallation nowhere, and a rollback back.
fn direction(version: &Version, action: Action, method: Option<Method>, question: &Question) -> Result<(), Refusal> {
    let Some(current) = question.current() else {
        return Ok(());
    };
    let right = match (action, method) {
        (Action::Rollback, _) => *version < current,
        (_, Some(Method::Reinstall)) => *version == current,
        _ => *version > current,
    };
    if right {
        return Ok(());
    }
    Err(Refusal::Direction {
        version: version.clone(),
        action: method.map_or(action.as_str(), Method::as_str),
        current: question.current_version.clone(),
    })
}

fn settings(
    fields: &Map<String, Value>,
    action: Action,
    question: &Question,
) -> Result<Option<Map<String, Value>>, Refusal> {
    if action != Action::ConfigFix {
        return Ok(None);
    }
    let Some(value) = present(fields, "config") else {
        let known = question.historical_data.remedies.first();
        return known
            .map(|remedy| Some(remedy.settings.clone()))
            .ok_or(Refusal::NoSettings);
    };
    let (field, wanted) = ("config", "an object with at least one setting");
    let map = value
        .as_object()
        .filter(|map| (1..=MAX_SETTINGS).contains(&map.len()))
        .ok_or(Refusal::Type { field, wanted })?;
    for (name, value) in map {
        let key = question.historical_data.settable.get(name).filter(|key| !key.host_only);
        let key = key.ok_or_else(|| Refusal::NotSettable(name.chars().take(128).collect()))?;
        key.takes(value).map_err(|unfit| Refusal::Value(name.clone(), unfit))?;
        if has_nul(value) {
            return Err(Refusal::Text(field));
        }
    }
    Ok(Some(map.clone()))
}
