//! Settings that the makers of a release know to help: signed with it, so that nobody else can name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{bounded, limits::MAX_SMALL_LIST, manifest::SettingsSpec, setting::Unfit};
use crate::detect::IncidentType;

/// A known remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredRemedy {
    /// What it helps against.
    pub against: IncidentType,
    /// What to set: keys that may be set from afar, to values that they take.
    #[serde(deserialize_with = "bounded::map::<_, _, MAX_SMALL_LIST>")]
    pub settings: BTreeMap<String, Value>,
}

/// Why a remedy is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemedyError {
    /// It sets nothing.
    #[error("it sets nothing")]
    Empty,
    /// It is there twice.
    #[error("it is there twice")]
    Twice,
    /// The key is not declared, or the host's alone.
    #[error("'{0}' is no setting that may be set from afar")]
    NotSettable(String),
    /// The key does not take the value.
    #[error("'{key}' does not take its value")]
    Value {
        /// Which key.
        key: String,
        /// What it takes.
        #[source]
        source: Unfit,
    },
}

/// Checks the remedies of a release against its own settings.
///
/// # Errors
/// The first that is refused, with what it is against.
pub(super) fn check(
    remedies: &[DeclaredRemedy],
    spec: Option<&SettingsSpec>,
) -> Result<(), (IncidentType, RemedyError)> {
    for (i, remedy) in remedies.iter().enumerate() {
        let is_new = remedies.iter().take(i).all(|before| before != remedy);
        let checked = if is_new {
            remedy.fits(spec)
        } else {
            Err(RemedyError::Twice)
        };
        checked.map_err(|why| (remedy.against, why))?;
    }
    Ok(())
}

impl DeclaredRemedy {
    fn fits(&self, spec: Option<&SettingsSpec>) -> Result<(), RemedyError> {
        if self.settings.is_empty() {
            return Err(RemedyError::Empty);
        }
        for (name, value) in &self.settings {
            let key = spec.and_then(|spec| spec.keys.get(name)).filter(|key| !key.host_only);
            let key = key.ok_or_else(|| RemedyError::NotSettable(name.clone()))?;
            key.takes(value).map_err(|source| RemedyError::Value {
                key: name.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(remedies: &Value) -> Result<(), RemedyError> {
        let spec: SettingsSpec = serde_json::from_value(json!({
            "file": "settings.json",
            "keys": {
                "timeout_ms": { "type": "integer", "min": 100.0, "max": 60_000.0 },
                "payout_iban": { "type": "text", "host_only": true },
            },
        }))
        .unwrap();
        let remedies: Vec<DeclaredRemedy> = serde_json::from_value(remedies.clone()).unwrap();
        check(&remedies, Some(&spec)).map_err(|(_, why)| why)
    }

    fn against(settings: &Value) -> Value {
        json!([{ "against": "webhook_fail_rate", "settings": settings }])
    }

    #[test]
    fn a_remedy_sets_what_may_be_set_from_afar_and_to_what_it_takes() {
        assert_eq!(checked(&against(&json!({ "timeout_ms": 5_000 }))), Ok(()));
        assert_eq!(checked(&json!([])), Ok(()));
        assert_eq!(checked(&against(&json!({}))), Err(RemedyError::Empty));
        for settings in [json!({ "payout_iban": "DE00" }), json!({ "unknown": 1 })] {
            let refused = checked(&against(&settings));
            assert!(matches!(refused, Err(RemedyError::NotSettable(_))), "{settings}");
        }
        for value in [json!(5), json!("5000"), json!(null), json!({ "a": [1] })] {
            let refused = checked(&against(&json!({ "timeout_ms": value })));
            assert!(matches!(refused, Err(RemedyError::Value { .. })), "{refused:?}");
        }
    }

    #[test]
    fn without_settings_there_is_no_remedy_and_none_comes_twice() {
        let remedy: DeclaredRemedy =
            serde_json::from_value(json!({ "against": "error_spike", "settings": { "timeout_ms": 500 } })).unwrap();
        let refused = check(std::slice::from_ref(&remedy), None);
        assert!(matches!(
            refused,
            Err((IncidentType::ErrorSpike, RemedyError::NotSettable(_)))
        ));
        let twice = json!([remedy, remedy]);
        assert_eq!(checked(&twice), Err(RemedyError::Twice));
    }
}
